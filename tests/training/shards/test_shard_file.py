"""Shards are written crop by crop: whole or not at all, and never held in memory."""

import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from maskmend.errors import OutputError
from maskmend.training.shards import tokenizing
from maskmend.training.shards.shard_file import ShardWriter
from maskmend.training.shards.tokenizing import Squares, tokenize_pictures

SIDE = 128


class Noise:
    """Pictures that no format makes smaller, drawn when they are asked for."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> np.ndarray:
        return np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


@pytest.mark.usefixtures("unchecked")
def test_a_shard_of_any_size_takes_a_batch_of_memory(
    tiny_pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a shard that is put together in memory: at 256 pixels, 4,096 squares take gigabytes."""
    monkeypatch.setattr(tokenizing, "encode_both", lambda _, group: np.zeros((len(group), 2, 16), np.int64))

    def write(count: int, name: str) -> Path:
        squares = Squares(size=SIDE)
        tokenize_pictures(
            Noise(count), tiny_pipeline.tokenizer, tmp_path / name, squares, shard_size=10**6, batch=4
        )
        return tmp_path / name / "tokens-00000.tar"

    write(4, "first")  # what is loaded once
    tracemalloc.start()
    try:
        shard = write(80, "set")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert shard.stat().st_size > 3_900_000
    assert peak < 1_500_000


def crops(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for number in range(count):
        yield np.full((8, 8, 3), number, np.uint8), np.full((2, 4), number, "<u2")


def test_every_crop_is_where_the_records_say(tmp_path: Path) -> None:
    """Catches offsets of another member, and a last shard that is never closed."""
    with ShardWriter(tmp_path, 2) as shards:
        for square, codes in crops(5):
            shards.add(square, codes)
    assert shards.names == [f"tokens-0000{number}.tar" for number in range(3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == shards.names
    assert [(tmp_path / name).stat().st_size for name in shards.names] == shards.sizes
    assert len(shards.records) == 5
    for number, (shard, offset, size, tokens) in enumerate(shards.records):
        content = (tmp_path / shards.names[shard]).read_bytes()
        with tarfile.open(tmp_path / shards.names[shard]) as archive:
            stored = archive.extractfile(f"{number:09d}.png")
            assert stored is not None
            assert content[offset : offset + size] == stored.read()
        assert content[tokens : tokens + 16] == np.full((2, 4), number, "<u2").tobytes()


def test_what_is_broken_off_leaves_whole_shards_only(tmp_path: Path) -> None:
    """Catches half a shard under a shard's name, and a temporary file that stays."""

    def write() -> None:
        with ShardWriter(tmp_path, 2) as shards:
            for square, codes in crops(3):
                shards.add(square, codes)
            raise RuntimeError("the disk of the pictures is gone")

    with pytest.raises(RuntimeError, match="is gone"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["tokens-00000.tar"]


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("what", ["os.fsync", "tarfile.TarFile.addfile"])
def test_a_full_disk_is_one_line(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a traceback, hours into the encoding, and what was written of the shard left behind."""
    monkeypatch.setattr(what, failing(OSError(28, "No space left on device")))

    def write() -> None:
        with ShardWriter(tmp_path, 4) as shards:
            for square, codes in crops(3):
                shards.add(square, codes)

    with pytest.raises(OutputError, match=r"tokens-00000\.tar \(No space left on device\): check"):
        write()
    assert list(tmp_path.iterdir()) == []
