"""Runs that are interrupted: signals stop them in good order, a NaN names its step
and spares the checkpoint.
"""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fake_stage import FakeStage, go, stop_at

from maskmend.errors import TrainingError
from maskmend.training import checkpoint

CPU = torch.device("cpu")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_handlers_are_put_back(number: int, tmp_path: Path, make_recipe) -> None:
    """Would catch a program that can no longer be interrupted after training."""
    before = signal.getsignal(number)
    stage = FakeStage()
    stop_at(stage, 1, number)
    assert go(make_recipe("tokenizer"), stage, tmp_path).step == 2
    assert signal.getsignal(number) is before


@pytest.fixture
def listening_to_ctrl_c() -> Iterator[None]:
    """As in a terminal: a shell that starts tests in the background has them ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening_to_ctrl_c")
def test_a_second_signal_acts_at_once(tmp_path: Path, make_recipe) -> None:
    """Would catch a run stuck in a step that cannot be stopped but by force."""
    stage = FakeStage()
    stage.events[1] = lambda: [signal.raise_signal(signal.SIGINT) for _ in range(2)]
    with pytest.raises(KeyboardInterrupt):
        go(make_recipe("tokenizer"), stage, tmp_path)
    assert not (tmp_path / "last.pt").exists()


@pytest.mark.parametrize("figure", ["loss", "gradient"])
def test_nan_names_the_step_and_spares_the_good_checkpoint(figure: str, tmp_path: Path, make_recipe) -> None:
    """Would catch a checkpoint full of NaN over the good one. Step 8 of the log saves: the loss was still
    finite there when only the gradient was spoilt."""
    stage = FakeStage()
    stage.spoilt = {7: figure}
    with pytest.raises(TrainingError, match=r"at step 8; the last good checkpoint is .*last\.pt") as caught:
        go(make_recipe("tokenizer"), stage, tmp_path)
    assert "\n" not in str(caught.value)
    assert not torch.isfinite(stage.weight).all()
    for name in ("last.pt", "best.pt"):
        good = checkpoint.read(tmp_path / name)
        assert good["step"] == 4
        assert torch.isfinite(good["stage"]["weight"]).all()
    assert not any("ThreadPool" in thread.name for thread in threading.enumerate())
    assert go(make_recipe("tokenizer", training={"lr": 1e-4}), FakeStage(), tmp_path).finished


def test_nan_before_the_first_checkpoint(tmp_path: Path, make_recipe) -> None:
    """Would catch a message that names a file that is not there, or one of an older run begun anew."""
    for resume in (True, False):
        stage = FakeStage()
        stage.spoilt = {1: "loss"}
        with pytest.raises(TrainingError, match="at step 2; no checkpoint was written yet"):
            go(make_recipe("tokenizer"), stage, tmp_path, resume=resume)
        go(make_recipe("tokenizer"), FakeStage(), tmp_path)


def test_a_signal_after_nan_saves_nothing(tmp_path: Path, make_recipe) -> None:
    """Would catch a stop between two looks at the loss that saves spoilt weights."""
    stage = FakeStage()
    stage.spoilt = {4: "loss"}
    stop_at(stage, 4)
    with pytest.raises(TrainingError, match="at step 5"):
        go(make_recipe("tokenizer", training={"log_every": 10}), stage, tmp_path)
    assert checkpoint.read(tmp_path / "last.pt")["step"] == 4
