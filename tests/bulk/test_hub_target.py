"""`hf://` as a source and a target of bulk filling, with huggingface_hub itself against a hub of our own on
this machine."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulk_parts import fill, job_of, made, parquet_bytes, results, shard_bytes, write_folder
from hub_server import Hub, hub_for_client
from maskmend.bulk.entries import Shard
from maskmend.bulk.manifest import all_records
from maskmend.errors import ConfigError, DataError, OutputError
from maskmend.storage import hub_commits, stores
from maskmend.storage.stores import Store, read, read_ranges

COUNT = 7
TARGET = "hf://datasets/me/filled"
EMPTY = {".gitattributes": b"*.png filter=lfs", "README.md": b"# Filled"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub; its file system is made anew, as the client is."""
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed: pip install '.[cloud]'")
    registry = pytest.importorskip(
        "fsspec.registry", reason="fsspec is not installed: pip install '.[cloud]'"
    )
    with pytest.MonkeyPatch.context() as patch, hub_for_client(patch, tmp_path_factory.mktemp("hub")) as made:
        patch.delitem(registry._registry, "hf", raising=False)
        yield made
        registry._registry.pop("hf", None)


@pytest.fixture(autouse=True)
def hub(server: Hub) -> Hub:
    """The hub with the empty data set me/filled."""
    server.repositories = {"datasets/me/filled": {"main": dict(EMPTY)}}
    server.commits, server.asked = [], []
    stores.file_system(TARGET)[0].invalidate_cache()
    return server


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    photos, masks = write_folder(tmp_path, made(COUNT))
    (photos / "p002.png").write_bytes(b"no picture")
    return photos, masks


def files(hub: Hub, branch: str = "main") -> dict[str, bytes]:
    """The results in me/filled."""
    found = hub.repositories["datasets/me/filled"][branch]
    return {n: one for n, one in found.items() if not n.startswith("_maskmend/") and n not in EMPTY}


@pytest.mark.parametrize("form", ["files", "tar"])
def test_a_chunk_is_one_commit_and_shards_write_the_bytes_of_one_process(
    form: str, hub: Hub, tiny_pipeline: Any, tiny_model: Path, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """Catches a commit for each picture, results that are there before their records, and a run that cannot
    be resumed."""
    photos, masks = folders
    fill(job_of(tiny_model, photos, tmp_path / "out", masks=masks, form=form), tiny_pipeline)
    for index in (1, 0):
        shard = Shard(index=index, count=2)
        fill(job_of(tiny_model, photos, TARGET, masks=masks, form=form, shard=shard), tiny_pipeline)
    assert files(hub) == results(tmp_path / "out")
    job = job_of(tiny_model, photos, TARGET, masks=masks, form=form)
    assert sorted(one.key for one in all_records(job.store)) == sorted(made(COUNT))
    chunks = [written for written, _ in hub.commits if any("/parts/" in name for name in written)]
    assert len(chunks) == len({name for written in chunks for name in written if "/parts/" in name})
    for written in chunks:
        part = next(name for name in written if "/parts/" in name)
        lines = hub.repositories["datasets/me/filled"]["main"][part].decode().splitlines()
        assert written == {part} | {json.loads(line)["result"] for line in lines} - {None}
    others = [name for written, _ in hub.commits if written not in chunks for name in written]
    assert {name.split("-")[0] for name in others} == {"_maskmend/run.json", "_maskmend/failures"}
    before = len(hub.commits)
    tally = fill(job, tiny_pipeline)
    assert (tally.filled, tally.skipped, tally.failed) == (0, COUNT - 1, 1)
    assert [written for written, _ in hub.commits[before:]] == [{"_maskmend/failures.csv"}]


def test_a_commit_that_did_not_come_is_made_by_the_next_run(
    hub: Hub, tiny_pipeline: Any, tiny_model: Path, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """Catches half a chunk, one that is taken for done, and an error of more than a line."""
    photos, masks = folders
    fill(job_of(tiny_model, photos, tmp_path / "out", masks=masks), tiny_pipeline)
    job = job_of(tiny_model, photos, f"{TARGET}@tries/in", masks=masks)
    hub.repositories["datasets/me/filled"]["tries"] = dict(EMPTY)
    prepared = job.prepare(tiny_pipeline)
    hub.refused = [(403, {})]
    with pytest.raises(OutputError, match=r"^cannot write into hf://datasets/me/filled@tries/in: .*no right"):
        fill(job, tiny_pipeline)
    assert list(all_records(prepared.store)) == []
    assert set(files(hub, "tries")) == {"in/_maskmend/run.json"}
    fill(job, tiny_pipeline)
    found = {n.removeprefix("in/"): one for n, one in files(hub, "tries").items() if "_maskmend" not in n}
    assert found == results(tmp_path / "out")
    assert files(hub) == {}


def test_commits_that_meet_others_are_sent_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a run that ends because two workers commit at once, or because the hour's commits are made."""
    waits: list[float] = []
    monkeypatch.setattr(hub_commits.time, "sleep", waits.append)
    hub.refused = [(412, {}), (429, {"Retry-After": "40"}), (500, {})]
    Store(place=TARGET).change({"a/b.png": b"one", "c.png": b"two"})
    assert hub.commits == [({"a/b.png", "c.png"}, set())]
    assert len(waits) == 3
    assert waits[1] == 40
    assert waits[2] > waits[0]
    monkeypatch.setattr(hub_commits, "PATIENCE", 10.0)
    hub.refused = [(429, {"Retry-After": "3600"})]
    with pytest.raises(OutputError, match=f"cannot write into {TARGET}: .*not now"):
        Store(place=TARGET).write("d.png", b"three")
    assert len(waits) == 3


def test_what_is_replaced_goes_in_the_same_commit(
    hub: Hub, tiny_pipeline: Any, tiny_model: Path, folders: tuple[Path, Path]
) -> None:
    """Catches two results of one picture, and an error about what is not there to be removed."""
    photos, masks = folders
    fill(job_of(tiny_model, photos, TARGET, masks=masks), tiny_pipeline)
    del hub.repositories["datasets/me/filled"]["main"]["p001.png"]
    other = {"filling": {"suffix": ".webp"}, "overwrite": True}
    fill(job_of(tiny_model, photos, TARGET, masks=masks, **other), tiny_pipeline)
    assert {name.rsplit(".")[-1] for name in files(hub)} == {"webp"}
    removed = {name for _, gone in hub.commits for name in gone}
    assert removed == {f"{key}.png" for key in made(COUNT)} - {"p001.png", "p002.png"}


@pytest.mark.parametrize("kind", ["folder", "tar", "parquet"])
def test_a_repository_is_a_source(
    kind: str, hub: Hub, tiny_pipeline: Any, tiny_model: Path, tmp_path: Path
) -> None:
    """Catches byte ranges of another picture, a card taken for a picture, and megabytes read ahead."""
    pictures = made(COUNT)
    photos, masks = write_folder(tmp_path, pictures)
    fill(job_of(tiny_model, photos, tmp_path / "out", masks=masks), tiny_pipeline)
    there = hub.repositories["datasets/me/scans"] = {"main": dict(EMPTY)}
    if kind == "folder":
        for key, (image, mask) in pictures.items():
            there["main"] |= {f"in/{key}.png": image, f"in/{key}.mask.png": mask}
    elif kind == "tar":
        there["main"]["in/0.tar"] = shard_bytes(pictures)
    else:
        there["main"]["in/0.parquet"] = parquet_bytes(pictures)
    job = job_of(tiny_model, "hf://datasets/me/scans/in", tmp_path / "from-hub")
    tally = fill(job, tiny_pipeline)
    assert (tally.filled, tally.failed) == (COUNT, 0)
    found = {Path(name).name: one for name, one in results(tmp_path / "from-hub").items()}
    assert found == results(tmp_path / "out")
    if kind == "tar":
        asked = [
            found for _, words in hub.asked if (found := re.fullmatch(r"bytes=(\d+)-(\d+)", words or ""))
        ]
        sizes = [int(one[2]) - int(one[1]) + 1 for one in asked]
        assert set(map(len, (one for pair in pictures.values() for one in pair))) <= set(sizes)


def test_ranges_are_read_as_they_are_asked_for(hub: Hub) -> None:
    """Catches a training that reads five megabytes for each picture."""
    hub.repositories["datasets/me/filled"]["main"]["a.tar"] = bytes(range(200)) * 20
    place = f"{TARGET}/a.tar"
    assert read(place, 10, 5) == bytes(range(10, 15))
    assert read_ranges([(place, 210, 3), (place, 0, 2)]) == [bytes((10, 11, 12)), bytes((0, 1))]
    assert [words for _, words in hub.asked] == ["bytes=10-14", "bytes=210-212", "bytes=0-1"]
    hub.repositories["datasets/me/filled"]["main"]["new.json"] = b"written since by another process"
    assert read(f"{TARGET}/new.json") == b"written since by another process"


def test_what_cannot_be_a_target_is_told(
    hub: Hub, tiny_pipeline: Any, tiny_model: Path, folders: tuple[Path, Path]
) -> None:
    """Catches a traceback where there is no repository, and other people's files among the results."""
    photos, masks = folders
    with pytest.raises(DataError, match=r"hf://datasets/me/none: there is no such repository .*create it"):
        fill(job_of(tiny_model, photos, "hf://datasets/me/none", masks=masks), tiny_pipeline)
    hub.repositories["datasets/me/none"] = {"main": dict(EMPTY)}  # it is created, and found
    assert fill(job_of(tiny_model, photos, "hf://datasets/me/none", masks=masks), tiny_pipeline).failed == 1
    hub.repositories["datasets/me/filled"]["main"]["data.csv"] = b"1"
    with pytest.raises(ConfigError, match="holds files of something else"):
        fill(job_of(tiny_model, photos, TARGET, masks=masks), tiny_pipeline)
    with pytest.raises(ConfigError, match=r"hf://buckets/me/x: .*give a repository"):
        job_of(tiny_model, photos, "hf://buckets/me/x", masks=masks)
