"""Pictures about a fill: they show what they say, and nothing falls off the sheet."""

import numpy as np
import pytest

from fakes import CODES, box_mask, smooth_pixels
from maskmend.evaluation.contact_sheet import (
    HIDDEN,
    HOLE,
    JUST_FILLED,
    PAPER,
    contact_sheet,
    latent_mask,
    masked_input,
    step_frames,
    uncertainty_map,
)

SIDE = 16
IMAGE = smooth_pixels(SIDE, SIDE)
MASK = box_mask(SIDE, SIDE, 3, 5, 11, 14)


@pytest.fixture(scope="module")
def results(tiny_pipeline):
    """A square and a long picture, with different numbers of steps and samples."""
    long = tiny_pipeline(smooth_pixels(20, 50), box_mask(20, 50, 4, 10, 15, 30), samples=2, steps=3)
    return [tiny_pipeline(IMAGE, MASK, samples=4, steps=5), long]


def colours(image):
    return {tuple(int(c) for c in colour) for colour in np.asarray(image).reshape(-1, 3)}


def test_masked_input_hides_the_hole_and_nothing_else(results):
    """Catches a contact sheet that shows the original under the name of the input."""
    shown = np.asarray(masked_input(results[0]))
    np.testing.assert_array_equal(shown[~MASK], IMAGE[~MASK])
    assert (shown[MASK] == HOLE).all()


def test_latent_mask_follows_the_steps(results):
    """Catches steps that are off by one, and samples that are mixed up."""
    result = results[0]
    before = np.asarray(latent_mask(result, 0, 2))
    np.testing.assert_array_equal((before == HIDDEN).all(axis=2), result.hole)
    assert JUST_FILLED not in colours(before)
    for step in range(1, 6):
        shown = np.asarray(latent_mask(result, step, 2))
        masked = result.history[step - 1].masked[2].view(4, 4).numpy()
        previous = result.history[step - 2].masked[2].view(4, 4).numpy() if step > 1 else result.hole
        np.testing.assert_array_equal((shown == HIDDEN).all(axis=2), masked)
        np.testing.assert_array_equal((shown == JUST_FILLED).all(axis=2), previous & ~masked)
    assert HIDDEN not in colours(latent_mask(result, 5, 2))


def test_uncertainty_map_runs_from_dark_to_light_over_the_dimmed_picture():
    """Catches a map that leaves its range, or colours known pixels."""
    uncertainty = np.zeros((2, 4), np.float32)
    uncertainty[0] = [0.01, 1.0, 2.0, 9.0]
    shown = np.asarray(uncertainty_map(uncertainty, np.zeros((2, 4, 3), np.uint8), 2.0)).astype(int)
    assert (np.diff(shown[0].sum(axis=1)) >= 0).all()
    np.testing.assert_array_equal(shown[0, 2], shown[0, 3])
    assert (shown[1] == 150).all()


def test_contact_sheet_has_room_for_every_step_and_fill(tiny_pipeline, results):
    """Catches columns that fall off: the last step and the last sample are still drawn."""
    cell, gap, label = 40, 10, 20
    for result, columns in ((results[0], 8), (tiny_pipeline(IMAGE, np.ones_like(MASK), steps=12), 12)):
        sheet = contact_sheet(tiny_pipeline, [result], cell)
        assert sheet.width == columns * (cell + gap) + gap
        pixels = np.asarray(sheet)
        row = cell + label + gap
        for y, last in (
            (gap, 4 + len(result.pictures)),
            (gap + row, len(result.history)),
            (gap + 2 * row, len(result.history)),
        ):
            left = gap + (last - 1) * (cell + gap)
            middle = pixels[y + label + cell // 2, left + cell // 2]
            assert tuple(middle) != PAPER
    assert contact_sheet(tiny_pipeline, results, cell).height == 2 * (3 * row + gap) + gap


def test_grey_and_transparent_fills_go_onto_the_sheet(tiny_pipeline):
    """Catches a fill with alpha or one channel that cannot be pasted."""
    grey = tiny_pipeline(IMAGE[:, :, 0], MASK)
    clear = tiny_pipeline(np.dstack([IMAGE, np.full((SIDE, SIDE), 9, np.uint8)]), MASK)
    assert contact_sheet(tiny_pipeline, [grey, clear], 32).mode == "RGB"


def test_an_empty_hole_has_a_sheet_but_no_steps(tiny_pipeline, results):
    """Catches a division by the size of an empty token grid."""
    empty = tiny_pipeline(IMAGE, np.zeros_like(MASK))
    assert contact_sheet(tiny_pipeline, [empty], 32).mode == "RGB"
    assert len(step_frames(tiny_pipeline, [empty, results[1]], 32)) == 4


def test_frames_hold_the_last_step_of_shorter_fills(tiny_pipeline, results):
    frames = step_frames(tiny_pipeline, results, cell=32)
    assert len(frames) == 6
    assert {frame.size for frame in frames} == {(2 * 40 + 8, 2 * 40 + 8)}
    last, before = (np.asarray(frame)[:, 48:] for frame in (frames[-1], frames[3]))
    np.testing.assert_array_equal(last, before)
    assert not np.array_equal(np.asarray(frames[-1]), np.asarray(frames[0]))


def test_the_most_a_map_can_show_is_the_entropy_of_all_codes(results):
    assert results[0].uncertainty.max() <= np.log(CODES) + 1e-4
