"""Previews: every step, of the right image and sample, and without a trace in the result."""

import numpy as np

from fakes import box_mask, smooth_pixels
from maskmend.fill.events import FillEvents

SIDE = 16
MASK = box_mask(SIDE, SIDE, 3, 5, 11, 14)


def test_previews_end_with_the_fill_and_change_nothing(tiny_pipeline):
    """Catches a preview of another row of the batch."""
    images = [smooth_pixels(SIDE, SIDE, n) for n in range(3)]
    masks = [MASK, np.zeros_like(MASK), MASK.T]
    seen = []

    def told(preview):
        assert preview.samples == 2
        assert list(preview.regions) == [0, 2]
        pictures = {(i, s): preview.picture(i, s) for i in preview.regions for s in range(2)}
        hidden = {(i, s): preview.masked(i, s) for i in preview.regions for s in range(2)}
        seen.append((preview.step.index, pictures, hidden))
        assert preview.last == (preview.step.index == 3)

    options = {"samples": 2, "seed": 4, "steps": 3, "seam": "hard"}
    results = tiny_pipeline(images, masks, events=FillEvents(on_preview=told), **options)
    alone = tiny_pipeline(images, masks, **options)
    assert [index for index, _, _ in seen] == [1, 2, 3]
    for i in (0, 2):
        for s in range(2):
            np.testing.assert_array_equal(results[i].pictures[s].pixels, alone[i].pictures[s].pixels)
            np.testing.assert_array_equal(seen[-1][1][i, s], results[i].pictures[s].pixels)
            np.testing.assert_array_equal(seen[0][1][i, s][~masks[i]], images[i][~masks[i]])
            left = [hidden[i, s].sum() for _, _, hidden in seen]
            assert left == sorted(left, reverse=True)
            assert left[-1] == 0
            assert not (seen[0][2][i, s] & ~results[i].hole).any()


def test_a_large_picture_s_preview_is_of_the_model_s_size(tiny_pipeline):
    """Catches previews that cost as much as the whole picture."""
    image, mask = smooth_pixels(60, 80), box_mask(60, 80, 20, 30, 34, 50)
    seen = []
    result = tiny_pipeline(
        image,
        mask,
        events=FillEvents(on_preview=lambda p: seen.append((p.box(0), p.picture(0).shape))),
    )
    assert set(seen) == {(result.region.box, (SIDE, SIDE, 3))}


def test_callback_and_preview_are_both_called(tiny_pipeline):
    told = []
    tiny_pipeline(
        smooth_pixels(SIDE, SIDE), MASK, steps=2,
        events=FillEvents(
            on_step=lambda step: told.append(step.index),
            on_preview=lambda preview: told.append(preview.step.index),
        ),
    )  # fmt: skip
    assert told == [1, 1, 2, 2]
