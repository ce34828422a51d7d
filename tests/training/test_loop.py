"""The training loop: a run that was stopped goes on bit for bit, and nothing good is ever overwritten."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_stage import FakeStage, go, same, stop_at
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from maskmend.errors import ConfigError, DataError, TrainingError
from maskmend.storage.temporary import beside
from maskmend.training import checkpoint
from maskmend.training.loop import FIRST_PICTURES, learning_rate
from maskmend.training.run import build_stage, run

CPU = torch.device("cpu")
TIMES = ("time", "images_per_second", "mfu", "data_wait")


def lines(out: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without what a clock says."""
    read = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in TIMES} for line in read]


EVERYTHING = {
    "tokenizer": {
        "data": {"crop_scale": 0.7, "colour": 0.1},
        "training": {"accumulate": 2},
        "tokenizer": {"quantize_from": 1, "adversarial": 0.5, "adversarial_start": 3, "adversarial_ramp": 4},
    },
    "transformer": {
        "data": {"crop_scale": 0.7},
        "model": {"dropout": 0.2},
        "transformer": {"bernoulli": 0.3, "replace": 0.2, "codebook_start": True},
    },
}
KINDS = {
    "fake": "tokenizer",
    "tokenizer": "tokenizer",
    "transformer": "transformer",
    "remembering": "transformer",
}
"""What is trained, by the name of the case; `remembering` with pictures that come back unchanged."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_stopped_by_signal_and_resumed_is_bit_exact(kind: str, tmp_path: Path, make_recipe) -> None:
    """Would catch any state that is not in the checkpoint: averages, optimizers, codebook use, random
    numbers, data order, the best loss, lines of the log, tokens that hang on what was encoded before."""
    recipe = make_recipe(KINDS[kind], **EVERYTHING.get(kind, {}))

    def stage() -> Any:
        return FakeStage() if kind == "fake" else build_stage(recipe, CPU)

    whole = stage()
    assert go(recipe, whole, tmp_path / "whole").finished
    for step in (4, 6):  # a fresh object each time, as a new process has; neither is a step that saves anyway
        part = stage()
        stop_at(part, step)
        outcome = go(recipe, part, tmp_path / "parts")
        assert (outcome.step, outcome.finished) == (step + 1, False)
        assert checkpoint.read(tmp_path / "parts" / "last.pt")["step"] == step + 1
    resumed = stage()
    assert go(recipe, resumed, tmp_path / "parts").finished
    assert same(whole.state(), resumed.state())
    assert lines(tmp_path / "whole") == lines(tmp_path / "parts")
    for name in ("last.pt", "best.pt"):
        a, b = checkpoint.read(tmp_path / "whole" / name), checkpoint.read(tmp_path / "parts" / name)
        assert same(a, b)
    for picture in (tmp_path / "whole" / "pictures").iterdir():
        assert picture.read_bytes() == (tmp_path / "parts" / "pictures" / picture.name).read_bytes()
    if kind != "fake":
        a, b = (load_file(tmp_path / run / KINDS[kind] / "weights.safetensors") for run in ("whole", "parts"))
        assert same(a, b)


def test_a_run_removes_what_a_killed_one_was_writing(tmp_path: Path, make_recipe) -> None:
    """Catches half checkpoints that stay beside the whole ones for ever."""
    dead = 2**22 + 1  # more than any process number of Linux
    (tmp_path / "tokenizer").mkdir()
    left = [tmp_path / f".last.pt.{dead}", tmp_path / f".best.pt.{dead}"]
    left.append(tmp_path / "tokenizer" / beside(tmp_path / "a").name.replace(str(os.getpid()), str(dead)))
    for path in left:
        path.write_bytes(b"half")
    go(make_recipe("tokenizer", training={"steps": 1}), FakeStage(), tmp_path)
    assert [path for path in left if path.exists()] == []


def test_a_run_killed_while_it_draws_pictures_draws_them_later(tmp_path: Path, make_recipe) -> None:
    """Catches pictures that are never drawn, as a checkpoint of their step was there before them."""
    recipe = make_recipe("tokenizer", training={"steps": 3, "validate_every": 1})
    stage = FakeStage(validations=(3.0, 2.0, 1.0))

    def killed(images: Tensor) -> Image.Image:
        raise KeyboardInterrupt

    stage.pictures = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        go(recipe, stage, tmp_path)
    assert go(recipe, FakeStage(), tmp_path).finished
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["0000003.png"]


def test_a_crash_loses_only_what_came_after_the_checkpoint(tmp_path: Path, make_recipe) -> None:
    """Would catch figures logged twice, and a line cut short by the crash that makes resuming impossible."""
    recipe = make_recipe("tokenizer")
    go(recipe, FakeStage(), tmp_path / "whole")
    crashing = FakeStage()
    crashing.events[7] = lambda: (_ for _ in ()).throw(OSError("power cut"))
    with pytest.raises(OSError, match="power cut"):
        go(recipe, crashing, tmp_path / "parts")
    assert [line["step"] for line in lines(tmp_path / "parts")][-1] == 6
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')
    resumed = FakeStage()
    resumed.events[3] = lambda: pytest.fail("did not resume from the checkpoint")
    go(recipe, resumed, tmp_path / "parts")
    assert lines(tmp_path / "whole") == lines(tmp_path / "parts")


def test_best_and_last_are_kept(tmp_path: Path, make_recipe) -> None:
    """Would catch a best checkpoint that is merely the last, and an export of other weights than the best."""
    stage = FakeStage(validations=(3.0, 1.0, 2.0))  # after steps 4, 8, 10
    outcome = go(make_recipe("tokenizer"), stage, tmp_path)
    best, last = checkpoint.read(tmp_path / "best.pt"), checkpoint.read(tmp_path / "last.pt")
    assert (outcome.best, best["best"], last["best"]) == (1.0, 1.0, 1.0)
    assert (best["step"], last["step"]) == (8, 10)
    assert len(stage.exports) == 2
    assert torch.equal(stage.exports[-1], best["stage"]["weight"])
    assert [path.name for path in sorted((tmp_path / "pictures").iterdir())] == ["0000008.png", "0000010.png"]
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize(("keep", "step"), [("best", 8), ("last", 10)])
def test_what_the_run_hands_over(keep: str, step: int, tmp_path: Path, make_recipe) -> None:
    """Would catch the softest tokenizer shipped instead of the last, whose pictures are sharper."""
    stage = FakeStage(validations=(3.0, 1.0, 2.0))
    go(make_recipe("tokenizer", training={"keep": keep}), stage, tmp_path)
    kept = checkpoint.read(tmp_path / ("best.pt" if keep == "best" else "last.pt"))
    assert kept["step"] == step
    assert torch.equal(stage.exports[-1], kept["stage"]["weight"])


def test_a_finished_run_stays_finished(tmp_path: Path, make_recipe) -> None:
    """Would catch the same command, given once more, training again."""
    go(make_recipe("tokenizer"), FakeStage(), tmp_path)
    before = lines(tmp_path)
    again = FakeStage()
    again.events = dict.fromkeys(range(10), lambda: pytest.fail("trained again"))
    assert go(make_recipe("tokenizer"), again, tmp_path).finished
    assert lines(tmp_path) == before


def test_restart_forgets_the_run_before(tmp_path: Path, make_recipe) -> None:
    """Would catch an interrupted restart that next time goes on from the old run's checkpoint."""
    go(make_recipe("tokenizer"), FakeStage(), tmp_path)
    stage = FakeStage()
    stage.events[1] = lambda: (_ for _ in ()).throw(OSError("power cut"))
    with pytest.raises(OSError, match="power cut"):
        go(make_recipe("tokenizer"), stage, tmp_path, resume=False)
    assert not (tmp_path / "last.pt").exists()
    assert not (tmp_path / "best.pt").exists()
    assert lines(tmp_path) == []


def test_run_folder_that_cannot_be_made(tmp_path: Path, make_recipe) -> None:
    """Would catch a traceback when --output names a file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"file.*--out"):
        go(make_recipe("tokenizer"), FakeStage(), tmp_path / "file")


def test_fewer_validation_pictures_than_processes(tmp_path: Path, make_recipe) -> None:
    """Would catch a division by zero in the process that got none."""
    with pytest.raises(DataError, match="3 validation images for 4 processes"):
        go(make_recipe("tokenizer"), FakeStage(), tmp_path, world=4)


def test_learning_rate_warms_up_and_decays(make_recipe) -> None:
    """Would catch a jump after the warm-up, and an end far from the wanted one."""
    config = make_recipe(
        "tokenizer", training={"steps": 100, "warmup": 10, "lr": 1.0, "final_lr": 0.1}
    ).training
    rates = [learning_rate(step, config) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == 1.0
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert rates[55] == pytest.approx(0.55)
    assert rates[99] == pytest.approx(0.1, abs=1e-3)
    without = make_recipe("tokenizer", training={"steps": 100, "warmup": 0, "lr": 1.0}).training
    assert learning_rate(0, without) == 1.0


def test_tensorboard_gets_the_figures(tmp_path: Path, make_recipe) -> None:
    """Would catch figures that are asked for and not written."""
    pytest.importorskip("tensorboard")
    recipe = make_recipe("tokenizer", training={"steps": 2, "tensorboard": True})
    go(recipe, FakeStage(), tmp_path)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    read = {name: events.Scalars(name)[0] for name in ("train/loss", "validation/loss")}
    for line in lines(tmp_path):
        event = read[f"{line['kind']}/loss"]
        assert (event.step, event.value) == (line["step"], pytest.approx(line["loss"], rel=1e-5))


def test_tensorboard_missing_is_one_line(
    tmp_path: Path, make_recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch an ImportError, or figures that silently go nowhere."""
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    recipe = make_recipe("tokenizer", training={"tensorboard": True})
    with pytest.raises(ConfigError, match=r"pip install '\.\[tensorboard\]'"):
        go(recipe, FakeStage(), tmp_path)


def test_operations_are_counted_where_they_are_told(tmp_path: Path, make_recipe) -> None:
    """Would catch an MFU that flatters: the operations of the first step, in which every picture is encoded,
    for those of later ones, which remember their tokens."""
    recipe = make_recipe("tokenizer", training={"steps": 5, "log_every": 2, "validate_every": 5})
    stage, counted = FakeStage(), []
    for step in range(5):
        stage.events[step] = lambda step=step: counted.append((step + 1, bool(_get_current_dispatch_mode())))
    go(recipe, stage, tmp_path)
    assert counted == [(1, False), (2, True), (3, False), (4, True), (5, True)]


def test_the_first_pictures_come_early(tmp_path: Path, make_recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch a quarter of an hour of training on pictures that are upside down, unseen."""
    assert FIRST_PICTURES == 20
    monkeypatch.setattr("maskmend.training.loop.FIRST_PICTURES", 1)
    run(make_recipe("tokenizer", training={"steps": 3}), tmp_path)
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["0000001.png", "0000003.png"]
