"""Figures of fills: composited, honest about known pixels, and compared photograph by photograph."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from maskmend.experiments.photographs.fills import TimedFill, fill_all
from maskmend.experiments.photographs.scenes import Scene, holes_for
from maskmend.experiments.photographs.scores import MOST_DB, Meter, Score, fid_ratio, lpips_ratio
from maskmend.metrics.pixels import hole_psnr
from painters import method


def scored(
    scenes: list[Scene], meter: Meter, folder: Path, level: int, *, known: int = 0
) -> tuple[Score, list[TimedFill], list[np.ndarray]]:
    holes = holes_for(scenes, "blobs", 0)
    fills = fill_all(method("painter", level, known=known), scenes, holes, folder / f"{level}-{known}")
    return meter.score(scenes, holes, fills), fills, holes


def test_known_pixels_count_from_the_photograph_and_their_error_is_told(
    scenes: list[Scene], make_meter: Callable[[], Meter], tmp_path: Path
) -> None:
    """Would catch figures of the network's own known pixels, and a known-pixel error of 0 by construction."""
    clean, fills, holes = scored(scenes, make_meter(), tmp_path, 100)
    dirty, _, _ = scored(scenes, make_meter(), tmp_path, 100, known=3)
    assert clean.known_error == 0
    assert dirty.known_error == 3
    assert dirty.lpips == clean.lpips
    assert dirty.fid == clean.fid
    psnr = [hole_psnr(f.pixels, s.pixels, h) for f, s, h in zip(fills, scenes, holes, strict=True)]
    assert clean.psnr.value == pytest.approx(np.mean(psnr))


def test_the_truth_scores_best(scenes: list[Scene], make_meter: Callable[[], Meter], tmp_path: Path) -> None:
    """Would catch a figure that stays infinite or NaN where a hole is met exactly."""
    holes = holes_for(scenes, "blobs", 0)
    truth = [TimedFill(pixels=scene.pixels, seconds=1.0) for scene in scenes]
    score = make_meter().score(scenes, holes, truth)
    assert score.fid is not None
    assert score.fid.value == pytest.approx(0, abs=1e-6)
    assert score.lpips.value == 0
    assert score.psnr.value == MOST_DB
    other, _, _ = scored(scenes, make_meter(), tmp_path, 100)
    assert lpips_ratio(other, score) is None
    below = lpips_ratio(score, other)
    assert below is not None
    assert below.value == -1


def test_ratios_are_of_the_same_draws(
    scenes: list[Scene], make_meter: Callable[[], Meter], tmp_path: Path
) -> None:
    """Would catch intervals that hold what both methods share: against itself there is none."""
    one, _, _ = scored(scenes, make_meter(), tmp_path, 100)
    for gap in (fid_ratio(one, one), lpips_ratio(one, one)):
        assert gap is not None
        assert (gap.low, gap.value, gap.high) == (0, 0, 0)
    other, _, _ = scored(scenes, make_meter(), tmp_path, 140)
    gap = lpips_ratio(one, other)
    assert gap is not None
    assert gap.value == pytest.approx(one.lpips.value / other.lpips.value - 1)
    assert gap.low < gap.value < gap.high
