"""Small sources of pictures for the tests of bulk filling: the same pictures as folder, tar shards and
Parquet."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakes import box_mask, smooth_pixels
from maskmend.bulk.job import Filling, Job
from maskmend.bulk.run import fill_here, follow
from maskmend.bulk.sources import open_source

SIZES = ((20, 34), (16, 16), (24, 18))


def png(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(array).save(content, format="png")
    return content.getvalue()


def made(count: int) -> dict[str, tuple[bytes, bytes]]:
    """Picture and mask by key; keys sort as they are made."""
    found = {}
    for number in range(count):
        height, width = SIZES[number % len(SIZES)]
        mask = box_mask(height, width, 3, 4, 9 + number % 4, 11)
        found[f"p{number:03d}"] = (
            png(smooth_pixels(height, width, number)),
            png(mask.astype(np.uint8) * 255),
        )
    return found


def write_folder(root: Path, pictures: dict[str, tuple[bytes, bytes]]) -> tuple[Path, Path]:
    photos, masks = root / "photos", root / "masks"
    for key, (image, mask) in pictures.items():
        for folder, content in ((photos, image), (masks, mask)):
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / f"{key}.png").write_bytes(content)
    return photos, masks


def tar_bytes(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, one in files.items():
            head = tarfile.TarInfo(name)
            head.size = len(one)
            archive.addfile(head, io.BytesIO(one))
    return content.getvalue()


def shard_bytes(pictures: dict[str, tuple[bytes, bytes]]) -> bytes:
    files = {}
    for key, (image, mask) in pictures.items():
        files |= {f"{key}.png": image, f"{key}.mask.png": mask, f"{key}.json": b'{"title": "a"}'}
    return tar_bytes(files)


def parquet_bytes(pictures: dict[str, tuple[bytes, bytes]]) -> bytes:
    """Pictures and masks in columns, two rows a group; skips the test where pyarrow is missing."""
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    images, masks = zip(*pictures.values(), strict=True)
    table = pyarrow.table({"key": list(pictures), "image": list(images), "mask": list(masks)})
    content = io.BytesIO()
    parquet.write_table(table, content, row_group_size=2)
    return content.getvalue()


def results(target: Path) -> dict[str, bytes]:
    """The files of a target but for its manifest."""
    return {
        path.relative_to(target).as_posix(): path.read_bytes()
        for path in sorted(target.rglob("*"))
        if path.is_file() and "_maskmend" not in path.parts
    }


def job_of(model: Path, images, target, *, masks=None, mask=None, filling=None, **changes) -> Job:
    source = open_source(images, masks=masks, mask=mask, target=target)
    options = {"model": str(model), "settings": {"steps": 2}} | (filling or {})
    return Job(source=source, target=str(target), filling=Filling(**options), **({"chunk": 4} | changes))


def fill(job: Job, pipe=None, **following):
    pipe = pipe or job.filling.load()
    prepared = job.prepare(pipe)
    return follow(prepared, fill_here(prepared, pipe), **following)
