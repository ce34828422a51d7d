"""The note on a fill that is less sharp than the picture, where `detail = "auto"` left scales out."""

import numpy as np
import pytest

from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.fill.levels import MOST_WINDOWS, cell_count, plan_levels
from maskmend.fill.windows import FULLEST_GUESSED, lay_windows
from maskmend.pipeline import InpaintPipeline

WIDE = box_mask(380, 400, 20, 20, 360, 380)
"""Takes more windows of 16 pixels at full scale than there are with "auto"."""


@pytest.fixture(scope="module")
def pipe():
    return InpaintPipeline(*tiny_models(guesses=True))


def note_of(pipe, mask, **settings):
    return pipe(smooth_pixels(*mask.shape), mask, steps=1, **settings).note or ""


def test_a_fill_below_the_picture_s_resolution_says_so(pipe):
    """Catches a hole of a large picture filled at a quarter of its sharpness without a word."""
    windows = lay_windows(WIDE, 16, context=0.75, most=64, fullest=FULLEST_GUESSED)
    auto, every = (plan_levels(WIDE, windows, 16, detail) for detail in ("auto", "full"))
    assert cell_count(every) > MOST_WINDOWS
    note = note_of(pipe, WIDE)
    assert f"1/{auto[-1].scale:.2g} of the picture's resolution in places" in note
    assert "detail=full" in note
    assert note == note_of(pipe, WIDE)  # bulk runs write it, and are the same to the byte


def test_a_sharp_fill_and_a_chosen_detail_have_no_such_note(pipe, tiny_pipeline):
    """Catches a warning of what is not so, or of what was asked for."""
    small = box_mask(60, 70, 10, 10, 50, 50)
    assert "resolution" not in note_of(pipe, small)
    assert "resolution" not in note_of(pipe, WIDE, detail=1)
    assert "resolution" not in note_of(tiny_pipeline, WIDE)  # it was not trained for finer scales


def test_the_note_stands_beside_others(pipe):
    """Catches one note that takes the place of another."""
    note = note_of(pipe, np.ones((380, 400), dtype=bool))
    assert "nothing of the picture to go by" in note
    assert "; the fill has 1/" in note
