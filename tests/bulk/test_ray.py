"""Fills on Ray (extra `ray`): the bytes of one process, whoever is killed meanwhile."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bulk_parts import fill, job_of, made, results, write_folder
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
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture
def folders(tmp_path):
    photos, masks = write_folder(tmp_path, made(13))
    (photos / "p002.png").write_bytes(b"no picture")
    return photos, masks


def test_two_workers_write_the_bytes_of_one_process(cluster, tiny_pipeline, tiny_model, folders, tmp_path):
    """Catches a batch, a seed or a failure that depends on who fills; and a second run that fills anew."""
    photos, masks = folders
    one = fill(job_of(tiny_model, photos, tmp_path / "one", masks=masks), tiny_pipeline)
    job = job_of(tiny_model, photos, tmp_path / "two", masks=masks).prepare(tiny_pipeline)
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


def test_a_workers_error_is_ours(cluster, tiny_pipeline, tiny_model, folders, tmp_path):
    """Catches Ray's traceback where a worker has another model than the run began with."""
    photos, masks = folders
    job = job_of(tiny_model, photos, tmp_path / "out", masks=masks).prepare(tiny_pipeline)
    changed = job_of(tiny_model, photos, tmp_path / "out", masks=masks, filling={"settings": {"steps": 3}})
    other = type(job)(**{**vars(changed), "digest": job.digest})
    with pytest.raises(ConfigError, match="fill otherwise than the run began"):
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
