"""Two processes over gloo do what one does with the whole batch.

The workers run `distributed_worker` as a script. Each writes what it found into a file of its own and the
tests read those: gloo now and then aborts a process after all is done, so exit codes say nothing.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import distributed_worker
import pytest
import torch
from distributed_worker import CPU, WORLD, batch, decoder_recipe, one_step, train_stage, transformer_recipe
from PIL import Image

from maskmend.training import checkpoint
from maskmend.training.distributed import agree, mean_over_processes, process_group

pytestmark = pytest.mark.slow


def losses(out: Path) -> dict[tuple[str, int], float]:
    """By kind and step."""
    lines = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    return {(line["kind"], line["step"]): line["loss"] for line in lines}


@pytest.fixture(scope="module")
def results(
    tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path
) -> tuple[Path, list[dict[str, Any]]]:
    """The run's folder and what both processes found."""
    folder = tmp_path_factory.mktemp("two-processes")
    (folder / "photos").mkdir()
    for level in range(5):
        Image.new("RGB", (16, 16), (50 * level, 100, 200 - 50 * level)).save(
            folder / "photos" / f"{level}.png"
        )
    train_stage(transformer_recipe(folder / "photos", tokenizer_folder, steps=2), folder / "one-then-two")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {
        "WORLD_SIZE": str(WORLD),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "OMP_NUM_THREADS": "1",
    }
    paths = os.pathsep.join(path for path in sys.path if path)
    processes = [
        subprocess.Popen(
            [sys.executable, distributed_worker.__file__, str(folder), str(tokenizer_folder)],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank), "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for rank in range(WORLD)
    ]
    said = []
    try:
        said = [process.communicate(timeout=600)[0].decode() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    files = [folder / f"rank{rank}.pt" for rank in range(WORLD)]
    assert all(file.is_file() for file in files), "\n".join(said)
    return folder, [torch.load(file, weights_only=True) for file in files]


def test_both_processes_know_their_rank(results) -> None:
    """Would catch two processes that each train alone."""
    assert [(found["rank"], found["world"]) for found in results[1]] == [(0, 2), (1, 2)]


def test_figures_are_averaged(results) -> None:
    """Would catch sums instead of means."""
    for found in results[1]:
        assert found["mean"] == {"a": 0.5, "b": 3.0}
        assert found["agree"] == [False, True, True]


def test_two_halves_make_the_step_of_the_whole_batch(results) -> None:
    """Would catch a learning rate that grows with the number of processes."""
    alone, gradient = one_step([batch()])
    for found in results[1]:
        weights, norm = found["step"]
        assert norm == pytest.approx(gradient, rel=1e-4)
        for name, value in alone.items():
            torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-6)


def test_processes_stay_equal_to_the_bit(results) -> None:
    """Would catch codebooks, discriminators or averages that drift apart from process to process."""
    first, second = (found["state"] for found in results[1])
    for name in ("model", "ema", "quantizer", "discriminator"):
        assert all(torch.equal(first[name][key], second[name][key]) for key in first[name])


def test_one_process_writes_the_run(results) -> None:
    """Would catch lines written twice, and a checkpoint that two processes write over each other."""
    folder, found = results
    assert all(one["finished"] for one in found)
    kinds = [line.split('"')[3] for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert kinds == ["train", "train", "validation", "train", "train", "validation"]
    last = checkpoint.read(folder / "run" / "last.pt")
    assert last["step"] == 4
    assert all(
        torch.equal(last["stage"]["model"][key], value) for key, value in found[0]["state"]["model"].items()
    )


@pytest.fixture(scope="module")
def alone(results, tokenizer_folder: Path) -> Path:
    """The folder of the same run of a transformer in one process, longer by two steps."""
    folder = results[0]
    train_stage(transformer_recipe(folder / "photos", tokenizer_folder, steps=6), folder / "alone")
    return folder / "alone"


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_train_to_the_losses_of_one(kind: str, results, alone: Path) -> None:
    """Would catch crops, masks, guesses or the mean over masked tokens that depend on the number of
    processes. The tolerance is that of sums in another order, over four steps."""
    one, two = losses(alone), losses(results[0] / kind)
    assert two.keys() < one.keys()
    assert len(two) == 6
    for at, loss in two.items():
        assert loss == pytest.approx(one[at], rel=2e-4), at


def test_two_processes_train_a_decoder_to_the_losses_of_one(results, tokenizer_folder: Path) -> None:
    """Would catch holes that depend on the number of processes, in training or in validation."""
    folder = results[0]
    train_stage(decoder_recipe(folder / "photos", tokenizer_folder), folder / "decoder-alone")
    one, two = losses(folder / "decoder-alone"), losses(folder / "decoder")
    assert one.keys() == two.keys()
    assert len(two) == 6
    for at, loss in two.items():
        assert loss == pytest.approx(one[at], rel=2e-4), at


def test_micro_batches_meet_once(results) -> None:
    """Would catch gradients sent in each micro-batch. Sharded weights are gathered in each."""
    for found in results[1]:
        once, twice = found["met"]
        assert once == twice > 0
        once, twice = found["collectives"]
        assert once["sent"] == twice["sent"] > 0
        assert twice["gathered"] == 2 * once["gathered"] > 0


def test_sharded_runs_resume_to_the_bit(results) -> None:
    """Would catch a moment of the optimizer or an average that is not in the checkpoint."""
    for found in results[1]:
        assert len(found["exact"]) > 50
        assert all(found["exact"].values())


def test_each_process_holds_a_share(results) -> None:
    """Would catch weights that are not sharded at all."""
    whole = sum(value.numel() for value in results[1][0]["ddp"].values())
    assert [found["share"] for found in results[1]] == pytest.approx([whole / 2] * 2, rel=0.1)


def test_one_process_goes_on_with_what_two_began(results, alone: Path, tokenizer_folder: Path) -> None:
    """Would catch a checkpoint that only as many processes can load, and one whose parts get mixed up."""
    folder = results[0]
    settings = transformer_recipe(folder / "photos", tokenizer_folder, steps=6, parallel="fsdp")
    train_stage(settings, folder / "fsdp")
    one, both = losses(alone), losses(folder / "fsdp")
    assert both.keys() == one.keys()
    for at, loss in both.items():
        assert loss == pytest.approx(one[at], rel=2e-4), at
    assert sorted(path.name for path in folder.glob("fsdp/last*")) == ["last-0000006", "last.json"]


@pytest.mark.parametrize("way", ["one-then-two", "two-then-one"])
def test_another_number_of_processes_goes_on(way: str, results, alone: Path, tokenizer_folder: Path) -> None:
    """Would catch names or an optimizer in last.pt that only as many processes as wrote it can load."""
    folder = results[0]
    if way == "two-then-one":
        shutil.copytree(folder / "ddp", folder / way)
        settings = transformer_recipe(folder / "photos", tokenizer_folder, steps=6)
        train_stage(settings, folder / way)
    one, both = losses(alone), losses(folder / way)
    assert max(step for _, step in both) == (6 if way == "two-then-one" else 4)
    assert len(both) == (9 if way == "two-then-one" else 6)
    for at, loss in both.items():
        assert loss == pytest.approx(one[at], rel=2e-4), at


def test_nan_in_one_process_stops_both(results) -> None:
    """Would catch a process that stops alone, while the other waits for it without end."""
    for found in results[1]:
        assert "not finite at step 4" in found["nan"]


def test_alone_nothing_is_averaged() -> None:
    """Would catch training on one device that needs a process group."""
    assert mean_over_processes({"a": 2.0}, CPU) == {"a": 2.0}
    assert agree(True)
    assert not agree(False)


def test_process_group_without_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch a plain start that waits for other processes."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with process_group(CPU) as joined:
        assert joined == (0, 1)
        assert not torch.distributed.is_initialized()


def test_torchrun_trains_the_transformer(tokenizer_folder: Path, photos: Path, tmp_path: Path) -> None:
    """Would catch a command that torchrun cannot start, and a second stage that works alone only."""
    settings = tmp_path / "recipe.toml"
    settings.write_text(
        f"""
        stage = "transformer"
        data = {{ train = "{photos / "train"}", validation = "{photos / "validation"}" }}
        model = {{ codes = 16, grid = 4, dim = 16, heads = 2, layers = 1, mlp = 16 }}
        transformer = {{ tokenizer = "{tokenizer_folder}" }}
        [training]
        steps = 2
        batch = 4
        log_every = 1
        validate_every = 2
        """
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    said = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *("-m", "maskmend", "train", "transformer", "--config", settings, "-o", tmp_path / "run"),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=600,
    )
    written = tmp_path / "run" / "last.pt"
    assert written.is_file(), said.stdout + said.stderr
    assert checkpoint.read(written)["step"] == 2
    assert (tmp_path / "run" / "transformer" / "weights.safetensors").is_file()
    assert said.stdout.count("2 processes") == 1
