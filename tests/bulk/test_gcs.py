"""`gs://` as a source and a target of bulk filling, with gcsfs itself against a server of our own on this
machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulk_parts import fill, job_of, made, parquet_bytes, results, shard_bytes, write_folder
from gcs_server import Handler, gcs_server
from maskmend.bulk.manifest import all_records
from maskmend.errors import ConfigError
from maskmend.storage.stores import Store, read_ranges

# The libraries of object storage warn of themselves, and of sockets that are closed late.
pytestmark = pytest.mark.filterwarnings("ignore")
COUNT = 7


@pytest.fixture(scope="module")
def server() -> Iterator[type[Handler]]:
    with pytest.MonkeyPatch.context() as patch, gcs_server() as (url, held):
        patch.setenv("STORAGE_EMULATOR_HOST", url)
        patch.setenv("NO_PROXY", "127.0.0.1")
        # Else it asks by gRPC what kind each bucket is, and for a minute where nobody answers.
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        gcsfs = pytest.importorskip("gcsfs", reason="gcsfs is not installed: pip install '.[cloud]'")
        gcsfs.GCSFileSystem.clear_instance_cache()
        yield held
        gcsfs.GCSFileSystem.clear_instance_cache()


@pytest.fixture
def objects(server: type[Handler]) -> dict[str, bytes]:
    server.objects.clear()
    server.ranges.clear()
    return server.objects


@pytest.mark.parametrize(("kind", "form"), [("folder", "files"), ("tar", "tar"), ("parquet", "files")])
def test_a_bucket_is_filled_as_on_disk(
    kind: str,
    form: str,
    objects: dict[str, bytes],
    server: type[Handler],
    tiny_pipeline: Any,
    tiny_model: Path,
    tmp_path: Path,
) -> None:
    """Catches byte ranges or rows of another picture, a target that lacks some, a run that starts over."""
    pictures = made(COUNT)
    source, masks = tmp_path / "source", None
    source.mkdir()
    if kind == "folder":
        source, masks = write_folder(tmp_path, pictures)
    elif kind == "tar":
        (source / "0.tar").write_bytes(shard_bytes(pictures))
    else:
        (source / "0.parquet").write_bytes(parquet_bytes(pictures))
    for path in tmp_path.rglob("*.*"):
        objects[f"bucket/{path.relative_to(tmp_path).as_posix()}"] = path.read_bytes()
    fill(job_of(tiny_model, source, tmp_path / "out", masks=masks, form=form), tiny_pipeline)
    remote = {"masks": None if masks is None else "gs://bucket/masks", "form": form}
    for filled in (COUNT, 0):
        job = job_of(tiny_model, f"gs://bucket/{source.name}", "gs://bucket/out/in", **remote)
        tally = fill(job, tiny_pipeline)
        assert (tally.filled, tally.skipped, tally.failed) == (filled, COUNT - filled, 0)
    found = {name.removeprefix("bucket/out/in/"): one for name, one in objects.items() if "/out/in/" in name}
    there = {name: one for name, one in found.items() if not name.startswith("_maskmend/")}
    assert there == results(tmp_path / "out")
    assert sorted(one.key for one in all_records(job.store)) == sorted(pictures)
    assert bool(server.ranges) == (kind != "folder")
    other = job_of(tiny_model, f"gs://bucket/{source.name}", "gs://bucket/out/in", chunk=2, **remote)
    with pytest.raises(ConfigError, match=r"gs://bucket/out/in was filled with chunk = 4 \(now 2\)"):
        fill(other, tiny_pipeline)


def test_objects_are_written_read_and_removed(objects: dict[str, bytes]) -> None:
    """Catches a folder taken for a file, listings that are kept, and ranges of another object."""
    store = Store(place="gs://bucket/place")
    assert store.listing() == ([], [])
    store.change({"a.bin": bytes(range(100)), "in/b.bin": b"\nb\n"})
    assert store.listing() == (["in"], ["a.bin"])
    assert store.read("in/b.bin") == b"\nb\n"
    assert store.holds_all(["a.bin", "in/b.bin"])
    assert not any(map(store.holds, ("in", "b.bin")))
    ranges = [("gs://bucket/place/a.bin", 10, 3), ("gs://bucket/place/in/b.bin", 1, 1)]
    assert read_ranges(ranges) == [bytes((10, 11, 12)), b"b"]
    objects["bucket/place/c.bin"] = b"of another process"
    assert store.listing()[1] == ["a.bin", "c.bin"]
    for _ in range(2):
        store.remove("a.bin")
    assert set(objects) == {"bucket/place/in/b.bin", "bucket/place/c.bin"}
