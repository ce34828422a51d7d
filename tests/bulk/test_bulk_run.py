"""A run of many pictures: the same bytes however it is shared out, nothing lost, nothing done twice."""

import io
import json
import tarfile

import numpy as np
import pytest

from bulk_parts import fill, job_of, made, png, results, shard_bytes, write_folder
from fakes import box_mask
from maskmend.bulk.entries import Shard, seed_of
from maskmend.bulk.filling import Item, fill_items
from maskmend.bulk.job import Filling
from maskmend.bulk.manifest import all_records
from maskmend.bulk.run import fill_here, follow
from maskmend.bulk.worker import Report, Worker
from maskmend.errors import ConfigError
from maskmend.images.picture import read_image
from maskmend.storage.stores import Store

COUNT = 13


@pytest.fixture
def folders(tmp_path):
    return write_folder(tmp_path, made(COUNT))


def records(target):
    return {one.key: one for one in all_records(Store(place=str(target)))}


def test_a_fill_is_that_of_its_key(tiny_pipeline, tiny_model, folders, tmp_path):
    """Catches a picture filled with another's mask or seed."""
    photos, masks = folders
    tally = fill(job_of(tiny_model, photos, tmp_path / "out", masks=masks), tiny_pipeline)
    assert (tally.filled, tally.skipped, tally.failed, tally.total) == (COUNT, 0, 0, COUNT)
    for key, (image, mask) in made(COUNT).items():
        pixels, hole = read_image(image).pixels, read_image(mask).pixels[:, :, 0] > 0
        wanted = tiny_pipeline(pixels, hole, seed=seed_of(key, 0), steps=2).pictures[0].pixels
        np.testing.assert_array_equal(
            read_image((tmp_path / "out" / f"{key}.png").read_bytes()).pixels, wanted
        )
    noted = records(tmp_path / "out")
    assert set(noted) == set(made(COUNT))
    one = noted["p001"]
    run = json.loads((tmp_path / "out" / "_maskmend" / "run.json").read_text())
    assert (one.status, one.seed, one.model) == ("filled", seed_of("p001", 0), run["model"])
    assert one.seconds > 0
    assert run["steps"] == 2


@pytest.mark.parametrize("form", ["files", "tar", "parquet"])
def test_four_shards_write_the_bytes_of_one_process(tiny_pipeline, tiny_model, folders, tmp_path, form):
    """Catches seeds or batches that depend on who fills, and headers that tell the time."""
    if form == "parquet":
        pytest.importorskip("pyarrow")
    photos, masks = folders
    fill(job_of(tiny_model, photos, tmp_path / "one", masks=masks, form=form), tiny_pipeline)
    for index in (2, 0, 3, 1):
        shard = Shard(index=index, count=4)
        fill(
            job_of(tiny_model, photos, tmp_path / "four", masks=masks, form=form, shard=shard), tiny_pipeline
        )
    assert results(tmp_path / "four") == results(tmp_path / "one")
    assert len(records(tmp_path / "four")) == COUNT


def test_a_folder_tar_shards_and_parquet_give_the_same_pictures(tiny_pipeline, tiny_model, folders, tmp_path):
    """Catches a seed that depends on how pictures are stored."""
    photos, masks = folders
    fill(job_of(tiny_model, photos, tmp_path / "out", masks=masks), tiny_pipeline)
    (tmp_path / "x.tar").write_bytes(shard_bytes(made(COUNT)))
    fill(job_of(tiny_model, tmp_path / "x.tar", tmp_path / "tarred", form="tar"), tiny_pipeline)
    found, said = {}, {}
    for path in sorted((tmp_path / "tarred").glob("*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                content = archive.extractfile(member).read()
                (found if member.name.endswith(".png") else said)[member.name] = content
    assert found == results(tmp_path / "out")
    assert json.loads(said["p001.json"]) == {"title": "a", "maskmend": {"seed": seed_of("p001", 0)}}


def test_a_stopped_run_goes_on_where_it_was(tiny_pipeline, tiny_model, folders, tmp_path):
    """Catches chunks that are lost, or filled twice."""
    photos, masks = folders
    fill(job_of(tiny_model, photos, tmp_path / "whole", masks=masks), tiny_pipeline)
    job = job_of(tiny_model, photos, tmp_path / "out", masks=masks).prepare(tiny_pipeline)

    def stop(tally):
        if tally.done >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(job, fill_here(job, tiny_pipeline), progress=stop)
    before = set(records(tmp_path / "out"))
    assert 5 <= len(before) < COUNT
    tally = fill(job_of(tiny_model, photos, tmp_path / "out", masks=masks), tiny_pipeline)
    assert (tally.filled, tally.skipped) == (COUNT - len(before), len(before))
    assert results(tmp_path / "out") == results(tmp_path / "whole")


def test_what_was_written_without_its_record_is_written_again(tiny_pipeline, tiny_model, folders, tmp_path):
    """Catches a kill between the results and the manifest that leaves pictures nobody knows of."""
    photos, masks = folders
    job = job_of(tiny_model, photos, tmp_path / "out", masks=masks)
    fill(job, tiny_pipeline)
    whole = results(tmp_path / "out")
    first, second, *_ = sorted((tmp_path / "out" / "_maskmend" / "parts").iterdir())
    first.unlink()
    second.write_bytes(second.read_bytes()[:-7])  # of a disk that lost its power
    (tmp_path / "out" / "p001.png").unlink()
    tally = fill(job, tiny_pipeline)
    assert 2 <= tally.filled < COUNT
    assert results(tmp_path / "out") == whole
    assert len(list(all_records(job.store))) == COUNT


def test_what_fails_is_listed_and_stops_nothing(tiny_pipeline, tiny_model, folders, tmp_path):
    photos, masks = folders
    (photos / "p002.png").write_bytes(b"no picture")
    (masks / "p005.png").unlink()
    job = job_of(tiny_model, photos, tmp_path / "out", masks=masks)
    tally = fill(job, tiny_pipeline)
    assert (tally.filled, tally.failed) == (COUNT - 2, 2)
    lines = (tmp_path / "out" / "_maskmend" / "failures.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["picture", "p002", "p005"]
    assert lines[2] == f"p005,no mask of that name in {masks}"
    noted = records(tmp_path / "out")
    assert (noted["p005"].status, noted["p005"].result) == ("failed", None)
    (photos / "p002.png").write_bytes(made(3)["p002"][0])
    again = fill(job, tiny_pipeline)
    assert (again.filled, again.skipped, again.failed) == (0, COUNT - 2, 2)
    retried = fill(
        job_of(tiny_model, photos, tmp_path / "out", masks=masks, retry_failed=True), tiny_pipeline
    )
    assert retried.failed == 1
    assert "p002" not in (tmp_path / "out" / "_maskmend" / "failures.csv").read_text()


def test_one_mask_serves_many_pictures(tiny_pipeline, tiny_model, tmp_path):
    pictures = {key: pair for key, pair in made(7).items() if read_image(pair[0]).pixels.shape[0] == 20}
    photos, _ = write_folder(tmp_path, pictures)
    stamp = tmp_path / "stamp.png"
    stamp.write_bytes(png(box_mask(20, 34, 2, 2, 9, 9).astype(np.uint8) * 255))
    fill(job_of(tiny_model, photos, tmp_path / "out", mask=stamp), tiny_pipeline)
    assert set(results(tmp_path / "out")) == {f"{key}.png" for key in pictures}
    for key, (image, _) in pictures.items():
        changed = (
            read_image(image).pixels != read_image((tmp_path / "out" / f"{key}.png").read_bytes()).pixels
        )
        assert changed[2:9, 2:9].any()
        assert not changed[9:].any()


def test_other_settings_do_not_go_on_with_a_run(tiny_pipeline, tiny_model, folders, tmp_path):
    """Catches a target of which half was made otherwise; and one of something else."""
    photos, masks = folders
    fill(job_of(tiny_model, photos, tmp_path / "out", masks=masks), tiny_pipeline)
    other = {"filling": {"seed": 1, "suffix": ".webp"}}
    with pytest.raises(
        ConfigError, match=r"format = None \(now \.webp\), seed = 0 \(now 1\): give --overwrite"
    ):
        fill(job_of(tiny_model, photos, tmp_path / "out", masks=masks, **other), tiny_pipeline)
    tally = fill(
        job_of(tiny_model, photos, tmp_path / "out", masks=masks, overwrite=True, **other), tiny_pipeline
    )
    assert tally.filled == COUNT
    assert {name.rsplit(".")[-1] for name in results(tmp_path / "out")} == {"webp"}
    made_by_hand = tmp_path / "by-hand"
    made_by_hand.mkdir()
    (made_by_hand / "p001.png").write_bytes(b"")
    with pytest.raises(ConfigError, match="holds files of something else"):
        fill(job_of(tiny_model, photos, made_by_hand, masks=masks), tiny_pipeline)


def test_a_run_without_a_format_is_resumed_and_a_newer_one_is_not(
    tiny_pipeline, tiny_model, folders, tmp_path
):
    """Catches runs begun before manifests had a format that are filled again, and one of a later version
    that is continued by guesswork."""
    photos, masks = folders
    job = job_of(tiny_model, photos, tmp_path / "out", masks=masks)
    fill(job, tiny_pipeline)
    path = tmp_path / "out" / "_maskmend" / "run.json"
    content = json.loads(path.read_text())
    assert content.pop("manifest_format") == 1
    path.write_text(json.dumps(content))
    assert fill(job, tiny_pipeline).skipped == COUNT
    for other, message in (
        (2, "format 2, this version reads up to 1: upgrade maskmend"),
        (0, "format 0, expected 1: give --overwrite"),
        (None, "format None, expected 1: give --overwrite"),
    ):
        path.write_text(json.dumps(content | {"manifest_format": other}))
        with pytest.raises(ConfigError, match=message):
            fill(job, tiny_pipeline)


def test_a_worker_with_another_model_refuses(tiny_pipeline, tiny_model, folders, tmp_path):
    """Catches a cluster of which one machine has an older model."""
    photos, masks = folders
    job = job_of(tiny_model, photos, tmp_path / "out", masks=masks).prepare(tiny_pipeline)
    changed = job_of(tiny_model, photos, tmp_path / "out", masks=masks, filling={"settings": {"steps": 3}})
    with pytest.raises(ConfigError, match="model or settings differ from the run's"):
        Worker(type(job)(**{**vars(changed), "digest": job.digest}), tiny_pipeline)


def test_pictures_that_left_the_source_leave_the_manifest(tiny_pipeline, tiny_model, folders, tmp_path):
    """Catches a picture that two parts of the manifest hold."""
    photos, masks = folders
    job = job_of(tiny_model, photos, tmp_path / "out", masks=masks, form="tar", chunk=2)
    fill(job, tiny_pipeline)
    for number in range(0, COUNT, 2):
        (photos / f"p{number:03d}.png").unlink()
    fill(job, tiny_pipeline)
    kept = [one.key for one in all_records(job.store)]
    assert sorted(kept) == [f"p{number:03d}" for number in range(1, COUNT, 2)]
    assert {one.result for one in all_records(job.store)} == set(results(tmp_path / "out"))


def test_a_large_picture_is_a_batch_of_its_own(tiny_pipeline, tiny_model, monkeypatch):
    """Catches small pictures that wait for a large one, and batches counted in pictures."""
    sizes, call = [], type(tiny_pipeline).__call__

    def counted(self, image, mask, **options):
        sizes.append(len(image))
        return call(self, image, mask, **options)

    monkeypatch.setattr(type(tiny_pipeline), "__call__", counted)
    small = [(np.zeros((16, 16, 3), np.uint8), box_mask(16, 16, 4, 4, 9, 9))] * 20
    stripes = np.zeros((200, 200), dtype=bool)
    stripes[::12, ::12] = True  # far apart, so that each is a window of its own
    pairs = [*small[:3], (np.zeros((200, 200, 3), np.uint8), stripes), *small[3:]]

    class Content:
        def __init__(self, array):
            self.array = array

        def read(self):
            return png(self.array)

    items = [
        Item(key=str(n), image=Content(image), mask=Content(mask.astype(np.uint8) * 255))
        for n, (image, mask) in enumerate(pairs)
    ]
    filling = Filling(model=str(tiny_model), settings={"steps": 1, "detail": 0})
    done = list(fill_items(tiny_pipeline, filling, items))
    assert [one.reason for one in done] == [None] * 21
    assert sizes == [1, 16, 4]


def test_progress_and_figures(tiny_pipeline, tiny_model, folders, tmp_path):
    photos, masks = folders
    (photos / "p002.png").write_bytes(b"no picture")
    lines, metrics = [], tmp_path / "maskmend.prom"
    fill(
        job_of(tiny_model, photos, tmp_path / "out", masks=masks),
        tiny_pipeline,
        progress=lambda tally: lines.append(tally.line()),
        metrics=metrics,
    )
    assert lines[-1].startswith(f"{COUNT} of {COUNT} pictures, ")
    assert "a second, 1 failed, 0 s left" in lines[-1]
    text = metrics.read_text()
    assert f"maskmend_bulk_pictures_filled_total {COUNT - 1}\n" in text
    assert (
        "# TYPE maskmend_bulk_pictures_failed_total counter\nmaskmend_bulk_pictures_failed_total 1\n" in text
    )


def test_reports_do_not_pile_up(tiny_model, folders, tmp_path):
    """Catches a driver whose memory grows with the failures that it is told of."""
    photos, masks = folders
    job = job_of(tiny_model, photos, tmp_path / "out", masks=masks)
    reports = (Report(chunk="c", failures=tuple((f"{n}/{k}", "gone") for k in range(64))) for n in range(100))
    tally = follow(job, reports)
    assert tally.failed == 6400
    assert len(tally.failures) == 1000


def test_object_storage_holds_the_same_bytes(tiny_pipeline, tiny_model, folders, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    photos, masks = folders
    fill(job_of(tiny_model, photos, tmp_path / "out", masks=masks), tiny_pipeline)
    memory.put(str(photos), "/in/photos", recursive=True)
    memory.put(str(masks), "/in/masks", recursive=True)
    job = job_of(tiny_model, "memory://in/photos", "memory://out", masks="memory://in/masks")
    for filled in (COUNT, 0):
        assert fill(job, tiny_pipeline).filled == filled
    found = {path.removeprefix("/out/"): memory.cat(path) for path in memory.find("/out")}
    assert {name: one for name, one in found.items() if "_maskmend" not in name} == results(tmp_path / "out")
    assert len(list(all_records(job.store))) == COUNT


def remote_parts(memory, kind, pictures, counts):
    """memory://parts-KIND with shards of so many pictures each."""
    left = list(pictures.items())
    for number, count in enumerate(counts):
        part, left = dict(left[:count]), left[count:]
        content = shard_bytes(part)
        if kind == "parquet":
            pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
            images, masks = zip(*part.values(), strict=True)
            table = pyarrow.table({"key": list(part), "image": list(images), "mask": list(masks)})
            parquet.write_table(table, stream := io.BytesIO())
            content = stream.getvalue()
        memory.pipe(f"/parts-{kind}/{number}.{kind}", content)
    return f"memory://parts-{kind}"


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_remote_tar_shards_have_a_time_left(tiny_pipeline, tiny_model, tmp_path, jobs):
    """Catches runs of days that never say when they will be done."""
    memory = pytest.importorskip("fsspec").filesystem("memory")
    source = remote_parts(memory, "tar", made(24), (12, 12))
    expected, done = [], 0
    for index in range(jobs):
        tallies = []
        job = job_of(
            tiny_model, source, tmp_path / "out", form="tar", chunk=2, shard=Shard(index=index, count=jobs)
        )
        tally = fill(job, tiny_pipeline, progress=lambda tally, said=tallies: said.append(tally.line()))
        assert tally.total is None
        assert tally.left is not None
        assert all(" of about " in line and line.endswith(" left") for line in tallies)
        expected += [int(line.split(" of about ")[1].split()[0]) for line in tallies]
        done += tally.done
    assert done == 24
    if jobs < 4:  # with more jobs than shards each has about its share
        assert set(expected) == {24 // jobs}
        assert "maskmend_bulk_pictures 24\n" in tally.prometheus() or jobs > 1


def test_rows_of_remote_parquet_files_are_counted(tiny_pipeline, tiny_model, tmp_path):
    """Catches a total that is not told although the files say it; and a file that is none."""
    memory = pytest.importorskip("fsspec").filesystem("memory")
    source = remote_parts(memory, "parquet", made(9), (6, 3))
    memory.pipe("/parts-parquet/2.parquet", b"no parquet")
    tally = fill(job_of(tiny_model, source, tmp_path / "out"), tiny_pipeline)
    assert (tally.total, tally.filled, tally.failed) == (10, 9, 1)
    assert [
        fill(
            job_of(tiny_model, source, tmp_path / "two", shard=Shard(index=index, count=2)), tiny_pipeline
        ).total
        for index in (0, 1)
    ] == [7, 3]
