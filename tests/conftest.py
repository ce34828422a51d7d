"""What all tests share: annotations are checked, no test fails for being slow, and there is a tiny model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import jaxtyping
import pytest
import torch

# Before anything imports the package: shapes and types are checked in its every call, here and in tests only.
jaxtyping.install_import_hook("maskmend", "beartype.beartype")

from fakes import tiny_models  # noqa: E402
from guards.cases import TRIED  # noqa: E402
from maskmend.pipeline import InpaintPipeline  # noqa: E402

# A busy machine is no bug.
hypothesis.settings.register_profile(
    "maskmend", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("maskmend")

# For tensors this small a second thread costs more than it gives: six times as long on two cores.
torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)  # before `-m` deselects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever drives a browser is slow, so that no test of the page can be without the mark."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (output := getattr(session.config, "workeroutput", None)) is not None:  # a worker of pytest-xdist
        output["cases tried"] = dict(TRIED)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist has ended."""
    TRIED.update(getattr(node, "workeroutput", {}).get("cases tried", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says how many cases each guard has tried: a guard that tries none must not look like one."""
    for name, count in sorted(TRIED.items()):
        terminalreporter.write_line(f"{name}: {count} cases tried")


@pytest.fixture(scope="session")
def tiny_pipeline() -> InpaintPipeline:
    """Random weights, 16 x 16 pixels, 4 x 4 tokens of 24 codes; a fill takes milliseconds."""
    return InpaintPipeline(*tiny_models())


@pytest.fixture(scope="session")
def tiny_model(tiny_pipeline: InpaintPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline as a model folder."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_pipeline.save_pretrained(folder)
    return folder


class Clock:
    """Time that passes only where a test lets it: no busy machine changes what is measured."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """In the place of the clock's `time.perf_counter` and `time.sleep`."""
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", clock.perf_counter)
    monkeypatch.setattr("time.sleep", clock.sleep)
    return clock


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Turns the annotations' checker off, so that the errors users see are reached with bad input."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)
