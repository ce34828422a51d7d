"""Small photographs, and a meter of small networks."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fakes import smooth_pixels
from maskmend.experiments.photographs.scenes import Scene
from maskmend.experiments.photographs.scores import Meter
from painters import mean_distance, small_features


@pytest.fixture
def scenes() -> list[Scene]:
    return [Scene(name=f"photo-{n}.jpg", pixels=smooth_pixels(32, 32, n)) for n in range(6)]


@pytest.fixture
def make_meter(tmp_path: Path) -> Callable[[], Meter]:
    return lambda: Meter(
        extract=small_features,
        network="small",
        distance=mean_distance,
        folder=tmp_path / "features",
        repeats=5,
    )
