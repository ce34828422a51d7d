"""Kept fills: taken where they are the same, made anew where anything differs."""

from pathlib import Path

import numpy as np

from maskmend.experiments.photographs.fills import fill_all
from maskmend.experiments.photographs.scenes import Scene, holes_for
from painters import Painter, method


def calls(of: object) -> int:
    assert isinstance(of, Painter)
    return of.calls


def test_an_interrupted_run_goes_on(scenes: list[Scene], tmp_path: Path) -> None:
    """Would catch hours of fills made twice, and fills that come back other than they were made."""
    holes = holes_for(scenes, "blobs", 0)
    first, again = method("painter", 90), method("painter", 90)
    made = fill_all(first, scenes[:4], holes[:4], tmp_path)
    kept = fill_all(again, scenes, holes, tmp_path)
    assert calls(first.fill) == 4 + 1  # the first one twice, to have the network ready
    assert calls(again.fill) == 2 + 1
    for a, b in zip(made, kept[:4], strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
        assert a.seconds == b.seconds
    assert (kept[5].pixels[holes[5]] == 95).all()  # seed 0 + 5


def test_another_method_hole_or_seed_is_made_anew(scenes: list[Scene], tmp_path: Path) -> None:
    """Would catch a new model's figures taken from the old one's fills."""
    holes = holes_for(scenes, "blobs", 0)
    fill_all(method("painter", 90), scenes, holes, tmp_path)
    for changed, masks, seed in (
        (method("painter", 90, weights="new"), holes, 0),
        (method("other", 90), holes, 0),
        (method("painter", 90), holes_for(scenes, "blobs", 1), 0),
        (method("painter", 90), holes, 50),
    ):
        fill_all(changed, scenes, masks, tmp_path, seed=seed)
        assert calls(changed.fill) == len(scenes) + 1


def test_a_damaged_fill_is_made_again(scenes: list[Scene], tmp_path: Path) -> None:
    """Would catch a traceback, or half a picture, after a full disk."""
    holes = holes_for(scenes, "blobs", 0)
    made = fill_all(method("painter", 90), scenes[:2], holes[:2], tmp_path)
    for path in tmp_path.glob("*.png"):
        path.write_bytes(path.read_bytes()[:60])
    again = fill_all(method("painter", 90), scenes[:2], holes[:2], tmp_path)
    np.testing.assert_array_equal(again[1].pixels, made[1].pixels)
