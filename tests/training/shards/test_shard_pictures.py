"""Pictures in tar shards by an index: the same pictures as in memory, read when needed, by any number of
processes; a million of them start fast and small."""

import dataclasses
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from maskmend.cli import main
from maskmend.errors import ConfigError, DataError
from maskmend.storage.stores import Store
from maskmend.training import checkpoint
from maskmend.training.batches import Batches, start_method
from maskmend.training.dataset import ImageSet
from maskmend.training.run import run
from maskmend.training.shards.cache import PictureCache
from maskmend.training.shards.index import NAME, RECORD, Index, make_index, open_index, write_index
from maskmend.training.shards.pictures import ShardSet
from maskmend.training.shards.sources import open_pictures, shared_count

# PyTorch's advice on a machine of one core, where two workers are asked for all the same.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes:UserWarning")

SIZE = 16


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def png(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    content = io.BytesIO()
    coarse.resize((SIZE + seed % 4, SIZE), Image.Resampling.BICUBIC).save(content, "png")
    return content.getvalue()


def write_shards(folder: Path, *, damaged: tuple[int, ...] = (), count: int = 12) -> Path:
    """`count` pictures in three shards, not in the order of their names, with a text among them."""
    (folder / "more").mkdir(parents=True)
    for shard, name in enumerate(("b.tar", "a.tar", "more/c.tar")):
        with tarfile.open(folder / name, "w") as archive:
            for number in reversed(range(shard, count, 3)):
                add(archive, f"{number:03d}.png", b"no picture" if number in damaged else png(number))
                add(archive, f"{number:03d}.txt", b"a caption")
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards with their index."""
    folder = write_shards(tmp_path_factory.mktemp("shards") / "set")
    result = CliRunner().invoke(main, ["data", "index", str(folder)])
    assert result.exit_code == 0, result.output
    assert "12 pictures in 3 shards" in result.output
    return folder


def test_pictures_and_order_are_those_of_memory(shards: Path) -> None:
    """Would catch another order than the path in memory has, wrong offsets, and another way of decoding."""
    lazily, memory = open_pictures(str(shards), SIZE), ImageSet(shards, SIZE)
    assert isinstance(lazily, ShardSet)
    assert len(lazily) == len(memory) == 12
    assert all(np.array_equal(a, b) for a, b in zip(lazily, memory, strict=True))
    again = lazily.take([3, 0, 3])
    assert [np.array_equal(a, memory[i]) for a, i in zip(again, (3, 0, 3), strict=True)] == [True] * 3


def test_shards_behind_a_url(shards: Path) -> None:
    """Would catch reading whole shards, or a URL treated as a path."""
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for path in shards.rglob("*.tar"):
        system.pipe_file(f"/set/{path.relative_to(shards).as_posix()}", path.read_bytes())
    with pytest.raises(DataError, match="maskmend data index memory://set"):
        open_pictures("memory://set", SIZE)
    write_index(make_index("memory://set"), "memory://set")
    remote, local = open_pictures("memory://set", SIZE), ImageSet(shards, SIZE)
    assert all(np.array_equal(a, b) for a, b in zip(remote, local, strict=True))
    assert start_method(remote) == "spawn"  # `test_s3` tells why
    if sys.platform == "linux":
        assert start_method(open_pictures(str(shards), SIZE)) == start_method(local) == "fork"


def test_an_index_elsewhere_finds_its_shards(shards: Path, tmp_path: Path) -> None:
    """Would catch an index that works only beside the shards."""
    result = CliRunner().invoke(main, ["data", "index", str(shards), "-o", str(tmp_path / "index")])
    assert result.exit_code == 0, result.output
    images = open_pictures(str(tmp_path / "index" / NAME), SIZE)
    assert np.array_equal(images[5], ImageSet(shards, SIZE)[5])


def test_without_the_cloud_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch a traceback where fsspec is not installed."""
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    result = CliRunner().invoke(main, ["data", "index", "s3://bucket/set"])
    assert result.exit_code == 2
    assert ".[cloud]" in result.output
    assert len(result.output.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "no tar files at"),
        (lambda folder: (folder / "x.tar").write_bytes(b"no tar" * 200), "uncompressed tar file"),
        (lambda folder: tarfile.open(folder / "x.tar", "w").close(), "no pictures in the tar files"),
    ],
)
def test_what_cannot_be_indexed_is_one_line(make, words: str, tmp_path: Path) -> None:
    """Would catch an index of nothing, found out in the training."""
    make(tmp_path)
    result = CliRunner().invoke(main, ["data", "index", str(tmp_path)])
    assert result.exit_code == 2
    assert words in result.output
    assert [line.startswith("maskmend: ") for line in result.output.strip().splitlines()][-1:] == [True]


@pytest.mark.parametrize("content", [b"no json", b"{}", b"[]", b'{"format": 1}', b'{"format": 2}'])
def test_a_damaged_index_is_one_line(content: bytes, shards: Path, tmp_path: Path) -> None:
    """Would catch a traceback, and records read by a newer rule."""
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(DataError, match=r"index|upgrade"):
        open_pictures(str(tmp_path), SIZE)


def test_shards_that_changed_are_named(tmp_path: Path) -> None:
    """Would catch other bytes decoded at the old offsets."""
    write_index(make_index(str(write_shards(tmp_path / "set"))), str(tmp_path / "set"))
    with (tmp_path / "set" / "a.tar").open("ab") as file:
        file.write(bytes(512))
    with pytest.raises(DataError, match=r"a\.tar has .* when it was indexed: run"):
        list(open_pictures(str(tmp_path / "set"), SIZE))


def test_a_damaged_picture_is_named_and_replaced(tmp_path: Path) -> None:
    """Would catch one picture of a million that ends a run of days."""
    folder = write_shards(tmp_path / "set", damaged=(4,))
    write_index(make_index(str(folder)), str(folder))
    images = open_pictures(str(folder), SIZE)
    pictures = list(images)
    assert images.skipped == [f"004.png in {folder}/a.tar: not a picture"]
    good = ImageSet(folder, SIZE)
    # In the order of a.tar, whose second picture it is: the third stands for it.
    assert np.array_equal(pictures[1], pictures[2])
    assert np.array_equal(pictures[2], good[1])
    everything = write_shards(tmp_path / "bad", damaged=tuple(range(12)))
    write_index(make_index(str(everything)), str(everything))
    with pytest.raises(DataError, match="in a row"):
        open_pictures(str(everything), SIZE)[0]


def test_the_cache_is_bounded_and_right() -> None:
    """Would catch memory that grows with the data, and pictures that change in it."""
    cache = PictureCache(5, 2 * 4 * 4 * 3 + 10)
    pictures = [np.full((4, 4, 3), level, np.uint8) for level in range(5)]
    for number, picture in enumerate(pictures):
        cache.put(number, picture)
    assert cache.used == 2 * 48
    kept = [cache.get(number) for number in range(5)]
    assert [one is not None for one in kept] == [True, True, False, False, False]
    assert np.array_equal(kept[1], pictures[1])  # type: ignore[arg-type]


@pytest.mark.parametrize("capacity", [1 << 60, 1 << 80])
def test_a_cache_larger_than_the_machine_is_one_line(capacity: int) -> None:
    """Would catch a traceback where data.cache_gib is more than there is."""
    with pytest.raises(ConfigError, match=r"lower data\.cache_gib"):
        PictureCache(5, capacity)


def test_pictures_that_end_a_run_are_named_before_it_ends(tmp_path: Path, make_recipe) -> None:
    """Would catch an error that keeps to itself why the pictures could not be decoded."""
    folder = write_shards(tmp_path / "set", damaged=tuple(range(12)))
    write_index(make_index(str(folder)), str(folder))
    said: list[str] = []
    recipe = make_recipe("tokenizer")
    images = open_pictures(str(folder), SIZE)
    with (
        Batches(images, recipe, SIZE, 0, 1, log=said.append) as batches,
        pytest.raises(DataError, match="in a row"),
    ):
        batches.take(0)
    assert f"skipped 001.png in {folder}/a.tar: not a picture" in said


def test_a_damaged_validation_picture_is_named(shards: Path, tmp_path: Path, make_recipe) -> None:
    """Would catch another picture that is validated on in silence."""
    folder = write_shards(tmp_path / "set", damaged=(1,))
    write_index(make_index(str(folder)), str(folder))
    data = {"train": str(shards), "validation": str(folder)}
    said: list[str] = []
    run(make_recipe("tokenizer", data=data, training={"steps": 1}), tmp_path / "run", log=said.append)
    assert said.count(f"skipped 001.png in {folder}/a.tar: not a picture") == 1


@pytest.mark.parametrize("indexed", [False, True])
def test_workers_make_the_batches_of_one_process(indexed: bool, shards: Path, make_recipe) -> None:
    """Would catch randomness that depends on who decodes a picture, and batches out of order."""
    data = {"train": str(shards), "crop_scale": 0.5, "colour": 0.2}
    taken = []
    for workers in (0, 2):
        recipe = make_recipe("tokenizer", training={"accumulate": 2}, data=data | {"workers": workers})
        images = open_pictures(str(shards), SIZE) if indexed else ImageSet(shards, SIZE)
        with Batches(images, recipe, SIZE, 0, 1) as batches:
            taken.append([batches.take(step) for step in (0, 1, 2, 7, 8)])
        if indexed and workers:
            assert isinstance(images, ShardSet)
            assert images._cache.used > 0  # what the workers decoded is shared
    for one, other in zip(*taken, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("indexed", [False, True])
def test_shares_of_processes_are_parts_of_one_batch(indexed: bool, shards: Path, make_recipe) -> None:
    """Would catch crops, colours and flips that depend on the number of processes."""
    recipe = make_recipe("tokenizer", training={"batch": 6}, data={"crop_scale": 0.5, "colour": 0.2})
    images = open_pictures(str(shards), SIZE) if indexed else ImageSet(shards, SIZE)

    def share(rank: int, world: int) -> torch.Tensor:
        with Batches(images, recipe, SIZE, rank, world) as batches:
            return batches.take(3)[0]

    whole = share(0, 1)
    assert all(torch.equal(share(rank, 3), whole[rank::3]) for rank in range(3))


KILLED = """
import json, os, signal, sys
from maskmend.errors import TrainingError
from maskmend.training.batches import Batches
from maskmend.training.recipe import recipe_from_dict
from maskmend.training.shards.sources import open_pictures

recipe, size = recipe_from_dict(json.loads(sys.argv[1])), int(sys.argv[2])
try:
    with Batches(open_pictures(recipe.data.train, size), recipe, size, 0, 1) as batches:
        batches.take(0)
        for worker in batches._coming._workers:
            os.kill(worker.pid, signal.SIGKILL)
        for step in range(1, 400):
            batches.take(step)
except TrainingError as error:
    print(error, flush=True)
    os._exit(0)
"""


def test_a_worker_that_is_killed_is_one_line(shards: Path, make_recipe) -> None:
    """Would catch a run that waits for ever, or a traceback of the loader, where memory ran out.

    In a process of its own: the loader's signal handler raises wherever the process is at that moment.
    """
    recipe = make_recipe("tokenizer", data={"train": str(shards), "workers": 1}, training={"steps": 500})
    command = [sys.executable, "-c", KILLED, json.dumps(dataclasses.asdict(recipe)), str(SIZE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert "lower data.workers" in done.stdout


def test_a_run_from_shards_is_the_run_from_memory(shards: Path, tmp_path: Path, make_recipe) -> None:
    """Would catch a recipe that trains on other pictures when the set has an index. Square crops of the
    whole side, whose draws both paths have in common, do not exist: so the validation is compared."""
    recipes = [
        make_recipe(
            "tokenizer",
            data={"train": str(shards), "validation": source, "workers": workers},
            training={"steps": 2, "validate_every": 1},
        )
        for source, workers in ((str(shards), 0), (str(shards), 2))
    ]
    outcomes = [run(recipe, tmp_path / str(n)) for n, recipe in enumerate(recipes)]
    assert all(outcome.finished for outcome in outcomes)
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / str(n) / "metrics.jsonl").read_text().splitlines()]
        for n in range(2)
    ]
    assert losses[0] == losses[1]


def test_a_run_with_workers_resumes_to_the_bit(shards: Path, tmp_path: Path, make_recipe) -> None:
    """Would catch batches made ahead that a stopped run had taken and its continuation passes over, and draws
    that depend on where a worker began."""
    data = {"train": str(shards), "validation": str(shards), "crop_scale": 0.5, "colour": 0.2}
    states = []
    for name, legs, workers in (("whole", (5,), 0), ("stopped", (2, 5), 2)):
        for steps in legs:
            training = {"steps": steps, "warmup": 0, "final_lr": 1.0, "validate_every": 2, "keep": "last"}
            recipe = make_recipe("tokenizer", data=data | {"workers": workers}, training=training)
            assert run(recipe, tmp_path / name).finished
        states.append(checkpoint.read(tmp_path / name / "last.pt")["stage"])
    for part in ("model", "ema"):
        assert all(torch.equal(states[0][part][key], states[1][part][key]) for key in states[0][part])


def test_pictures_held_out_in_the_same_shards_are_counted(shards: Path, tmp_path: Path) -> None:
    """Would catch a validation on training pictures that nobody is told of."""
    lazily, memory = open_pictures(str(shards), SIZE), ImageSet(shards, SIZE)
    assert shared_count(lazily, lazily) == shared_count(memory, lazily) == 12
    other = write_shards(tmp_path / "other")
    assert shared_count(lazily, ImageSet(other, SIZE)) == 0


STARTS = """
import re, sys, time
from pathlib import Path

def most():
    # Not getrusage, which after a fork begins with the memory of the process before.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

import torch
libraries = most()
from maskmend.training.dataset import batch_indices
from maskmend.training.shards.sources import open_pictures
images = open_pictures(sys.argv[1], 64)
order = batch_indices(0, 64, len(images), 0)
records = images.index.records[order]
shards = {images.index.shard(int(one)) for one in records["shard"]}
print(len(images), len(shards), time.process_time(), most(), libraries)
"""


@pytest.mark.slow
def test_a_million_pictures_start_small(tmp_path: Path) -> None:
    """Would catch an index that is read into lists, which would be hundreds of MB and some seconds, and
    libraries that are loaded though nobody needs them: the most memory that the whole process held."""
    count, shards = 1_000_000, 100
    records = np.zeros(count, RECORD)
    records["shard"] = np.arange(count) // (count // shards)
    records["offset"] = np.arange(count) % (count // shards) * 100_000
    records["size"] = 99_000
    names = tuple(f"{n:04d}.tar" for n in range(shards))
    index = Index(place=str(tmp_path), shards=names, sizes=(10**9,) * shards, records=records)
    write_index(index, str(tmp_path))
    assert isinstance(open_index(str(tmp_path / NAME)).records, np.memmap)
    paths = os.pathsep.join(path for path in sys.path if path)
    said = subprocess.run(
        [sys.executable, "-c", STARTS, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert int(said[0]) == count
    seconds, size, libraries = float(said[2]), int(said[3]), int(said[4])
    print(f"{seconds:.1f} processor seconds, {size / 1e6:.0f} MB, of them PyTorch {libraries / 1e6:.0f} MB")
    assert size - libraries < 60e6
    if libraries < 240e6:  # depending on what is installed beside it, PyTorch alone takes up to 290 MB
        assert size < 300e6
    assert Store(place=str(tmp_path)).holds(NAME)
