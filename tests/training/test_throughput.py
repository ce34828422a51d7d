"""Throughput: what is counted, what is left out, and figures that would flatter."""

import time

import pytest
import torch

from maskmend.training.throughput import Meter

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("clock")


def meter(monkeypatch: pytest.MonkeyPatch, ceiling: float) -> Meter:
    monkeypatch.setattr("maskmend.training.throughput.matrix_ceiling", lambda *_: ceiling)
    return Meter(8, CPU, bf16=False)


def test_operations_are_those_of_the_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches backward passes that are not counted, a share of another ceiling, and one told with the
    operations of a first step that did more than the others do."""
    weight = torch.ones(5, 7, requires_grad=True)
    measured = meter(monkeypatch, 1e9)
    for step in range(3):
        with measured.step(counted=step == 2):
            (torch.ones(9 if step == 0 else 3, 5) @ weight).sum().backward()
        time.sleep(0.01)
    assert measured.operations == 2 * (2 * 3 * 5 * 7)  # forward, and the weight's gradient
    figures = measured.read()
    seconds = 3 * 8 / figures["images_per_second"]
    assert figures["mfu"] == pytest.approx(3 * measured.operations / seconds / 1e9)


def test_no_run_is_faster_than_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches an MFU above 1, of a ceiling that was measured while other work slowed the machine down."""
    measured = meter(monkeypatch, 1.0)
    with measured.step(counted=True):
        torch.ones(64, 64) @ torch.ones(64, 64)
        time.sleep(0.001)
    assert measured.read()["mfu"] == 1
    with measured.step(counted=True):
        torch.ones(64, 64) @ torch.ones(64, 64)
        time.sleep(1e9)
    assert 0 < measured.read()["mfu"] < 1


def test_waiting_for_data_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a run whose time goes into reading pictures without anyone seeing it."""
    measured = meter(monkeypatch, 1e6)
    for wait in (0.0, 0.03):
        with measured.waiting():
            time.sleep(wait)
        with measured.step(counted=False):
            time.sleep(0.01)
    assert measured.read()["data_wait"] == pytest.approx(0.03 / 0.05)
    assert measured.read() == {}


def test_validation_is_not_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches the time of validations in the throughput, and a discriminator that joined uncounted."""
    measured = meter(monkeypatch, 1e6)
    for sizes in (2, 4):
        with measured.step(counted=False):
            pass
        with measured.step(counted=True):
            torch.ones(sizes, 3) @ torch.ones(3, 3)
        assert measured.operations == 2 * sizes * 9
        time.sleep(0.05)
        measured.restart()
    with measured.step(counted=False):
        time.sleep(0.01)
    assert measured.read()["images_per_second"] == pytest.approx(8 / 0.01)
