"""A bucket (moto's server, extra `cloud`) is read and written like a folder: by training with processes that
decode, and by bulk filling of tar shards and Parquet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from test_shard_pictures import SIZE, write_shards

from bulk_parts import fill, job_of, made, results, shard_bytes
from maskmend.cli import main
from maskmend.training import checkpoint
from maskmend.training.batches import Batches
from maskmend.training.run import run
from maskmend.training.shards.pictures import ShardSet
from maskmend.training.shards.sources import open_pictures

# The libraries of object storage warn of themselves, and of sockets that are closed late.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """s3fs's file system of a server that holds one bucket, "bucket"."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed: pip install '.[cloud]'")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        system = s3fs.S3FileSystem()
        system.mkdir("bucket")
        yield system
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(scope="module")
def shards(s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Indexed shards on disk, and the same as s3://bucket/set."""
    folder = write_shards(tmp_path_factory.mktemp("s3") / "set")
    for path in folder.rglob("*.tar"):
        s3.pipe_file(f"bucket/set/{path.relative_to(folder).as_posix()}", path.read_bytes())
    for place in (str(folder), "s3://bucket/set"):
        result = CliRunner().invoke(main, ["data", "index", place])
        assert result.exit_code == 0, result.output
        assert "12 pictures in 3 shards" in result.output
    return folder


def test_processes_read_a_bucket_beside_the_training_process(shards: Path, make_recipe) -> None:
    """Would catch forked processes, which inherit connections and locks of a thread that they lack; and other
    pixels than those on disk."""
    data = {"crop_scale": 0.5, "colour": 0.2}
    remote, local = (open_pictures(place, SIZE) for place in ("s3://bucket/set", str(shards)))
    assert isinstance(remote, ShardSet)
    assert (remote[0] == local[0]).all()  # opens connections
    with (
        Batches(local, make_recipe("tokenizer", data=data), SIZE, 0, 1) as one,
        Batches(remote, make_recipe("tokenizer", data=data | {"workers": 2}), SIZE, 0, 1) as two,
    ):
        for step in (0, 1, 2, 7):
            assert all(torch.equal(a, b) for a, b in zip(one.take(step), two.take(step), strict=True))
            assert (remote[step + 1] == local[step + 1]).all()
        assert {type(worker).__name__ for worker in two._coming._workers} == {"SpawnProcess"}  # type: ignore


def test_a_run_from_a_bucket_ends_with_the_weights_of_one_from_disk(
    shards: Path, tmp_path: Path, make_recipe
) -> None:
    """Would catch a run that cannot read its index, its pictures or its validation at a URL."""
    weights = []
    for name, place, workers in (("disk", str(shards), 0), ("bucket", "s3://bucket/set", 2)):
        data = {"train": place, "validation": place, "workers": workers}
        recipe = make_recipe("tokenizer", data=data, training={"steps": 3, "validate_every": 2})
        assert run(recipe, tmp_path / name).finished
        weights.append(checkpoint.read(tmp_path / name / "last.pt")["stage"]["model"])
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.parametrize(("kind", "form"), [("tar", "tar"), ("parquet", "files")])
def test_shards_in_a_bucket_are_filled_as_on_disk(
    kind: str, form: str, s3: Any, tiny_pipeline: Any, tiny_model: Path, tmp_path: Path
) -> None:
    """Would catch byte ranges or rows of another picture, and a target in a bucket that lacks some."""
    pictures = made(7)
    halves = [dict(list(pictures.items())[start::2]) for start in (0, 1)]
    source = tmp_path / kind
    source.mkdir()
    for number, half in enumerate(halves):
        path = source / f"{number}.{kind}"
        if kind == "tar":
            path.write_bytes(shard_bytes(half))
        else:
            pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
            pytest.importorskip("pyarrow.parquet")
            images, masks = zip(*half.values(), strict=True)
            table = pyarrow.table({"key": list(half), "image": list(images), "mask": list(masks)})
            pyarrow.parquet.write_table(table, path, row_group_size=2)
        s3.pipe_file(f"bucket/{kind}/{path.name}", path.read_bytes())
    fill(job_of(tiny_model, source, tmp_path / "out", form=form), tiny_pipeline)
    target = f"s3://bucket/filled-{kind}"
    for filled in (len(pictures), 0):
        tally = fill(job_of(tiny_model, f"s3://bucket/{kind}", target, form=form), tiny_pipeline)
        assert (tally.filled, tally.skipped, tally.failed) == (filled, len(pictures) - filled, 0)
    s3.invalidate_cache()
    place = target.removeprefix("s3://")
    found = {name.removeprefix(f"{place}/"): s3.cat_file(name) for name in s3.find(place)}
    there = {name: content for name, content in found.items() if not name.startswith("_maskmend/")}
    assert there == results(tmp_path / "out")
