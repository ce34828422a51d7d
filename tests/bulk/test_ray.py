"""Fills on Ray (extra `ray`): the bytes of one process, whoever is killed meanwhile."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bulk_parts import fill, job_of, made, png, results, write_folder
from fakes import box_mask
from maskmend.bulk.job import Filling
from maskmend.bulk.manifest import all_records
from maskmend.bulk.ray_engine import Pool, fill_dataset, fill_on_ray
from maskmend.bulk.run import follow
from maskmend.errors import ConfigError

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
data = pytest.importorskip("ray.data", reason="Ray Data is not installed: pip install '.[ray]'")

ROOT = Path(__file__).parents[2]
# Ray warns of its own libraries, and of sockets that its threads close late.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster():
    os.environ.setdefault("RAY_worker_niceness", "0")  # else they starve where the machine has other work
    # There are no such GPUs: what is tested is who gets them.
    more = {"num_gpus": 2, "include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init(address="local", num_cpus=2, **more)
    yield
    ray.shutdown()


@pytest.fixture
def folders(tmp_path):
    photos, masks = write_folder(tmp_path, made(13))
    (photos / "p002.png").write_bytes(b"no picture")
    return photos, masks


@pytest.mark.parametrize("form", ["files", "tar"])
def test_two_workers_write_the_bytes_of_one_process(
    cluster, tiny_pipeline, tiny_model, folders, tmp_path, form
):
    """Catches a batch, a seed or a failure that depends on who fills; and a second run that fills anew."""
    photos, masks = folders
    one = fill(job_of(tiny_model, photos, tmp_path / "one", masks=masks, form=form), tiny_pipeline)
    job = job_of(tiny_model, photos, tmp_path / "two", masks=masks, form=form).prepare(tiny_pipeline)
    two = follow(job, fill_on_ray(job, Pool(least=2, most=2)))
    assert (two.filled, two.failed, two.total) == (one.filled, one.failed, 13) == (12, 1, 13)
    assert results(tmp_path / "two") == results(tmp_path / "one")
    assert sorted(record.key for record in all_records(job.store)) == sorted(made(13))
    again = follow(job, fill_on_ray(job, Pool(most=1)))
    assert (again.filled, again.skipped, again.failed) == (0, 12, 1)


def test_a_dataset_goes_in_and_comes_out(cluster, tiny_pipeline, tiny_model, folders, tmp_path):
    """Catches columns that are lost, rows that change places, and another seed than the command's."""
    photos, masks = folders
    fill(job_of(tiny_model, photos, tmp_path / "one", masks=masks), tiny_pipeline)
    rows = [
        {"key": key, "image": (photos / f"{key}.png").read_bytes(), "mask": mask, "title": f"of {key}"}
        for key, (_, mask) in made(5).items()
    ]
    filling = Filling(model=str(tiny_model), settings={"steps": 2})
    filled = fill_dataset(data.from_items(rows), filling, pool=Pool(most=1)).take_all()
    assert sorted(row["title"] for row in filled) == [f"of {key}" for key in made(5)]
    for row in filled:
        if row["key"] == "p002":
            assert row["filled"] is None
            assert "image" in row["reason"]
        else:
            assert row["filled"] == (tmp_path / "one" / f"{row['key']}.png").read_bytes()
            assert (row["format"], row["reason"]) == ("png", None)


def test_rows_may_hold_paths_and_share_a_mask(cluster, tiny_pipeline, tiny_model, tmp_path):
    """Catches a path that is taken for a picture, a mask that is looked for in the rows, and another fill
    than the command's."""
    photos, _ = write_folder(tmp_path, {key: pair for key, pair in made(7).items() if key[-1] in "036"})
    stamp = tmp_path / "stamp.png"
    stamp.write_bytes(png(box_mask(20, 34, 2, 2, 9, 9).astype(np.uint8) * 255))
    fill(job_of(tiny_model, photos, tmp_path / "one", mask=stamp), tiny_pipeline)
    rows = [{"key": path.stem, "image": str(path)} for path in sorted(photos.iterdir())]
    rows.append({"key": "none", "image": str(photos / "none.png")})
    filling = Filling(model=str(tiny_model), settings={"steps": 2})
    pool = Pool(most=1)
    shared = fill_dataset(data.from_items(rows), filling, mask=stamp.read_bytes(), pool=pool).take_all()
    named = fill_dataset(data.from_items([row | {"mask": str(stamp)} for row in rows]), filling, pool=pool)
    for filled in (shared, named.take_all()):
        by_key = {row["key"]: row for row in filled}
        assert "none.png" in by_key.pop("none")["reason"]
        assert {f"{key}.png": row["filled"] for key, row in by_key.items()} == results(tmp_path / "one")


def least_free(reports, *names):
    """The least of these resources that were free at once while the reports came, and the reports."""
    found, least = [], None
    for report in reports:
        found.append(report)
        free = ray.available_resources()
        now = tuple(free.get(name, 0.0) for name in names)
        least = now if least is None else min(least, now)
    return least, found


def test_a_pool_grows_with_the_work(cluster, tiny_pipeline, tiny_model, tmp_path):
    """Catches a pool that stays at its least, with a processor idle beside it."""
    photos, masks = write_folder(tmp_path, made(400))
    job = job_of(
        tiny_model, photos, tmp_path / "out", masks=masks, chunk=1, filling={"settings": {"steps": 16}}
    )
    least, reports = least_free(fill_on_ray(job.prepare(tiny_pipeline), Pool(least=1, most=2)), "CPU")
    assert sum(report.filled for report in reports) == 400
    assert least == (0.0,)


def test_each_gpu_gets_one_worker(cluster, tiny_pipeline, tiny_model, tmp_path):
    """Catches workers that share a GPU, and a pool as large as the processors allow."""
    photos, masks = write_folder(tmp_path, made(40))
    job = job_of(tiny_model, photos, tmp_path / "out", masks=masks, chunk=1).prepare(tiny_pipeline)
    pool = Pool(least=2, cpus=0.25, gpus=1)  # processors for eight
    least, reports = least_free(fill_on_ray(job, pool), "GPU", "CPU")
    assert sum(report.filled for report in reports) == 40
    assert least == (0.0, 1.5)


def test_a_workers_error_is_ours(cluster, tiny_pipeline, tiny_model, folders, tmp_path):
    """Catches Ray's traceback where a worker has another model than the run began with."""
    photos, masks = folders
    job = job_of(tiny_model, photos, tmp_path / "out", masks=masks).prepare(tiny_pipeline)
    changed = job_of(tiny_model, photos, tmp_path / "out", masks=masks, filling={"settings": {"steps": 3}})
    other = type(job)(**{**vars(changed), "digest": job.digest})
    with pytest.raises(ConfigError, match="model or settings differ from the run's"):
        follow(other, fill_on_ray(other, Pool(most=1)))


@pytest.mark.parametrize("storage", ["disk", "s3"])
def test_killed_workers_and_drivers_lose_nothing(tiny_model, storage):
    """Catches pictures that are lost, doubled or half written when processes die. `bench/kill_workers.py`
    kills more of them."""
    if storage == "s3":
        pytest.importorskip("moto.server", reason="moto is not installed")
        pytest.importorskip("s3fs", reason="s3fs is not installed")
    kills = ("--kills", "3", "--driver-every", "3", "--pictures", "60", "--model", str(tiny_model))
    more = ("--s3",) if storage == "s3" else ()
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "kill_workers.py", *kills, *more],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outcome = json.loads(done.stdout[done.stdout.index("{\n") :])
    assert outcome["killed"] == {"worker": 2, "driver": 1}
    assert {outcome[name] for name in ("lost", "too many", "wrong", "twice in the manifest")} == {0}
