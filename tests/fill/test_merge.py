"""Holes far apart: each is filled as if it were alone, and the result is one."""

import numpy as np
import pytest

from fakes import box_mask, smooth_pixels
from maskmend.errors import ConfigError
from maskmend.evaluation.contact_sheet import contact_sheet, latent_mask, step_frames
from maskmend.fill.events import FillEvents

SIDE, HEIGHT, WIDTH = 16, 60, 150
FIRST = box_mask(HEIGHT, WIDTH, 5, 9, 11, 15)
SECOND = box_mask(HEIGHT, WIDTH, 38, 112, 52, 126)
BOTH = FIRST | SECOND
IMAGE = smooth_pixels(HEIGHT, WIDTH, 3)
OPTIONS = {"seed": 5, "samples": 2, "steps": 3}


@pytest.fixture(scope="module")
def fills(tiny_pipeline):
    return [tiny_pipeline(IMAGE, mask, **OPTIONS) for mask in (BOTH, FIRST, SECOND)]


def test_each_hole_is_filled_as_if_it_were_alone(fills):
    """Catches one square around both, scaled down until the model sees nothing of either."""
    both, *alone = fills
    assert [region.box for region in both.regions] == [fill.region.box for fill in alone]
    assert both.regions[0].box.height == SIDE  # not scaled at all
    for sample, picture in enumerate(both.pictures):
        one, two = (fill.pictures[sample].pixels for fill in alone)
        wanted = np.where(FIRST[:, :, None], one, np.where(SECOND[:, :, None], two, IMAGE))
        np.testing.assert_array_equal(picture.pixels, wanted)
    # Windows that are decoded together differ in the last bits of their logits.
    np.testing.assert_allclose(both.uncertainty, alone[0].uncertainty + alone[1].uncertainty, rtol=1e-6)
    np.testing.assert_array_equal(both.tokens, np.concatenate([fill.tokens for fill in alone], axis=1))
    np.testing.assert_array_equal(both.hole, np.concatenate([fill.hole for fill in alone]))


def test_the_likelihood_is_of_all_hole_tokens(fills):
    """Catches a mean of means, and the likelihood of one part alone."""
    both, *alone = fills
    counts = [fill.hole.sum() for fill in alone]
    assert counts[0] != counts[1]
    sums = sum(fill.log_likelihood * count for fill, count in zip(alone, counts, strict=True))
    np.testing.assert_allclose(both.log_likelihood, sums / sum(counts), rtol=1e-5)


def test_steps_go_on_from_part_to_part(fills, tiny_pipeline):
    """Catches steps of one part alone, tokens that are lost when the next part begins, and holes that show
    what stood in them before their turn."""
    both, *alone = fills
    grid = tiny_pipeline.tokenizer.config.grid
    assert [step.index for step in both.history] == [1, 2, 3, 4, 5, 6]
    for sample in range(2):
        masked = [step.masked[sample].view(2, grid, grid).numpy() for step in both.history]
        for number, step in enumerate(alone[0].history):
            np.testing.assert_array_equal(masked[number][0], step.masked[sample].view(grid, grid))
            np.testing.assert_array_equal(masked[number][1], alone[1].hole)
        assert not any(after[0].any() for after in masked[3:])
        assert not masked[-1].any()
        drawn = [np.asarray(tiny_pipeline.draw_step(both, step, sample)) for step in range(1, 7)]
        np.testing.assert_array_equal(drawn[2][FIRST], both.pictures[sample].pixels[FIRST])
        assert (drawn[2][SECOND] == 128).all()
        np.testing.assert_array_equal(drawn[5], both.pictures[sample].pixels)


def test_steps_are_a_sequence_that_keeps_none_of_them(fills):
    """Catches memory that grows with the square of the number of parts, and an index read as another step."""
    history = fills[0].history
    assert len(history) == 6
    assert history[3] is not history[3]  # made when asked for
    assert [step.index for step in history[-2:]] == [history[-2].index, history[-1].index] == [5, 6]
    np.testing.assert_array_equal(history[-1].tokens.numpy(), fills[0].tokens.reshape(2, -1))
    with pytest.raises(IndexError):
        history[6]


def test_pictures_of_the_tokens_stand_one_below_the_other(fills, tiny_pipeline):
    """Catches grids of two regions read as one, and regions mixed up between samples."""
    both, *alone = fills
    drawn = tiny_pipeline.draw_tokens(both.tokens, both.regions)
    parts = [tiny_pipeline.draw_tokens(fill.tokens, fill.regions) for fill in alone]
    for sample, picture in enumerate(drawn):
        wanted = np.concatenate([np.asarray(part[sample]) for part in parts])
        np.testing.assert_array_equal(np.asarray(picture), wanted)
    whole = np.asarray(tiny_pipeline.draw_candidate(both, 3, 1))
    np.testing.assert_array_equal(whole[:SIDE], np.asarray(parts[0][1]))
    assert (whole[SIDE:][both.regions[1].mask[0, 0].numpy()] == 128).all()
    np.testing.assert_array_equal(tiny_pipeline.draw_candidate(both, 6, 1), drawn[1])


def test_sheets_and_frames_show_all_parts(fills, tiny_pipeline):
    """Catches a picture of steps that takes the grid for a square."""
    both = fills[0]
    assert latent_mask(both, 4).size == (4, 8)
    assert contact_sheet(tiny_pipeline, fills).size[1] > 0
    assert len(step_frames(tiny_pipeline, fills)) == 7


def test_a_picture_with_two_parts_changes_nothing_for_its_neighbours(fills, tiny_pipeline):
    """Catches turns counted by the batch, and a picture left out when its neighbour has more parts."""
    other, mask = smooth_pixels(30, 20, 8), box_mask(30, 20, 3, 3, 9, 9)
    images, masks = [other, IMAGE, other, other], [mask, BOTH, np.zeros_like(mask), mask.copy()]
    alone = tiny_pipeline(other, mask, **OPTIONS)
    seen = []
    batch = tiny_pipeline(
        images, masks, **OPTIONS,
        events=FillEvents(
            on_preview=lambda p: seen.append((p.window, p.windows, list(p.regions), p.step.index))
        ),
    )  # fmt: skip
    for result, wanted in zip(batch, (alone, fills[0], None, alone), strict=True):
        if wanted is not None:
            for one, two in zip(result.pictures, wanted.pictures, strict=True):
                np.testing.assert_array_equal(one.pixels, two.pixels)
    assert batch[2].note is not None
    first = [(1, {0: 1, 1: 2, 3: 1}, [0, 1, 3], step) for step in (1, 2, 3)]
    assert seen == [*first, *((2, {1: 2}, [1], step) for step in (1, 2, 3))]


def test_several_regions_are_no_single_one(fills):
    """Catches the first of them taken for all."""
    with pytest.raises(ConfigError, match="2 regions, not one"):
        _ = fills[0].region
    assert fills[1].region is fills[1].regions[0]


def test_a_greyscale_picture_with_alpha_stays_so(tiny_pipeline):
    """Catches channels mended for the last part only."""
    grey = IMAGE[:, :, :1]
    picture = np.concatenate([grey, grey, grey, np.full_like(grey, 90)], axis=2)
    result = tiny_pipeline(picture, BOTH, steps=2).pictures[0]
    assert (result.alpha == np.where(BOTH, 255, 90)).all()
