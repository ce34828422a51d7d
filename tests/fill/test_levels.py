"""Coarse to fine: which scales and windows there are, and that they fill the hole and nothing else."""

import numpy as np
import pytest
import torch

from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.errors import ConfigError
from maskmend.fill.crops import shrink_mask
from maskmend.fill.events import FillEvents
from maskmend.fill.levels import MOST_WINDOWS, plan_levels, refine
from maskmend.fill.windows import lay_windows
from maskmend.pipeline import InpaintPipeline
from maskmend.settings import Settings

SIDE = 16


def windows_of(mask, context=0.75):
    return lay_windows(mask, SIDE, context=context, most=64)


@pytest.fixture(scope="module")
def pipe():
    return InpaintPipeline(*tiny_models(guesses=True))


def test_scales_go_down_to_the_picture_s_own_by_about_two():
    mask = box_mask(100, 100, 20, 20, 80, 80)
    levels = plan_levels(mask, windows_of(mask), SIDE, "full")
    scales = [level.scale for level in levels]
    assert scales[-1] == pytest.approx(1)
    assert levels[-1].size == (levels[-1].box.height, levels[-1].box.width)
    steps = np.array([100 / SIDE, *scales[:-1]]) / scales
    assert ((steps > 1.3) & (steps < 2.4)).all()


def test_a_hole_that_fits_the_view_has_no_finer_scale():
    mask = box_mask(100, 100, 50, 50, 54, 54)
    assert plan_levels(mask, windows_of(mask), SIDE, "full") == []


def test_detail_limits_the_levels():
    mask = box_mask(100, 100, 20, 20, 80, 80)
    for most in (0, 1, 2):
        assert len(plan_levels(mask, windows_of(mask), SIDE, most)) == most
    assert plan_levels(mask, windows_of(mask), SIDE, 1)[0].scale > 1


def test_auto_begins_no_scale_with_too_many_windows():
    mask = box_mask(600, 600, 50, 50, 550, 550)
    full, auto = (plan_levels(mask, windows_of(mask), SIDE, detail) for detail in ("full", "auto"))
    assert 0 < len(auto) < len(full)
    assert sum(len(level.cells) for level in auto) <= MOST_WINDOWS


@pytest.mark.parametrize("seam", ["hard", "poisson"])
def test_cells_cover_the_whole_hole_and_nothing_beside_it(seam):
    """A pixel that no cell covers, or a known one that is drawn over, would not be the model's."""
    rng = np.random.default_rng(3)
    begun = smooth_pixels(90, 70) // 2 + 60
    mask = box_mask(90, 70, 15, 10, 71, 55)
    mask[rng.integers(0, 90, 9), rng.integers(0, 70, 9)] = True
    levels = plan_levels(mask, windows_of(mask), SIDE, "full")[-1:]
    grain = np.where(np.indices((SIDE, SIDE)).sum(0) % 2, 40, -40)[:, :, None]

    def redraw(regions, seeds):
        images = [(region.image[0].permute(1, 2, 0).numpy() + 1) * 127.5 for region in regions]
        return [(image + grain).astype(np.float32) for image in images]

    drawn = refine(begun, mask, levels, redraw, resolution=SIDE, seam=seam, seed=0)
    changed = np.abs(drawn.astype(int) - begun).max(2)
    assert changed[mask].min() > 5
    np.testing.assert_array_equal(drawn[~mask], begun[~mask])


def test_the_second_colour_sees_the_first_as_known():
    """Neighbours that do not see each other would meet at a visible step."""
    mask = box_mask(64, 64, 8, 8, 56, 56)
    level = plan_levels(mask, windows_of(mask, 0.1), SIDE, "full")[-1]
    seen = []

    def redraw(regions, seeds):
        seen.extend(float(region.mask.float().mean()) for region in regions)
        return [np.full((SIDE, SIDE, 3), 128, np.float32) for _ in regions]

    refine(smooth_pixels(64, 64), mask, [level], redraw, resolution=SIDE, seam="hard", seed=0)
    first = sum(colour == 0 for _, colour in level.cells)
    assert max(seen[:first]) == 1
    assert (
        max(seen[first:]) <= 0.5
    )  # its own cell is a quarter, the corners of its diagonal neighbours another


def test_each_window_has_a_seed_of_its_own():
    """With one for all the noise, and with it the texture, would repeat."""
    mask = box_mask(64, 64, 8, 8, 56, 56)
    levels = plan_levels(mask, windows_of(mask), SIDE, "full")
    seeds_seen = []

    def redraw(regions, seeds):
        seeds_seen.extend(seeds)
        return [np.full((SIDE, SIDE, 3), 128, np.float32) for _ in regions]

    refine(smooth_pixels(64, 64), mask, levels, redraw, resolution=SIDE, seam="hard", seed=5)
    assert len(set(seeds_seen)) == len(seeds_seen) == sum(len(level.cells) for level in levels)


def test_progress_counts_all_windows(pipe):
    mask = box_mask(60, 60, 10, 10, 50, 50)
    told = []
    pipe(smooth_pixels(60, 60), mask, samples=2, events=FillEvents(on_level=told.append))
    for sample in (0, 1):
        mine = [progress for progress in told if progress.sample == sample]
        assert mine[-1].windows == mine[-1].total
        assert [progress.level for progress in mine] == sorted(progress.level for progress in mine)
        assert mine[-1].level == mine[-1].levels
        assert mine[0].windows == 0
        assert mine[0].seconds_left > 0
        assert mine[-1].seconds_left == 0
        done = [progress.level for progress in mine if progress.pixels is not None]
        assert done == list(range(1, mine[-1].levels + 1))  # each scale is shown once, when it is finished


def test_finer_levels_change_the_hole_alone(pipe):
    pixels, mask = smooth_pixels(60, 70), box_mask(60, 70, 10, 10, 50, 50)
    coarse, fine = (pipe(pixels, mask, detail=detail).pictures[0].pixels for detail in (0, "auto"))
    assert (coarse != fine).any()
    np.testing.assert_array_equal(fine[~mask], pixels[~mask])


def test_nothing_from_inside_a_wide_hole_reaches_the_fill(pipe):
    pixels, mask = smooth_pixels(60, 70), box_mask(60, 70, 10, 10, 50, 60)
    other = np.where(mask[:, :, None], np.uint8(255) - pixels, pixels)
    one, two = (pipe(each, mask).pictures[0].pixels for each in (pixels, other))
    np.testing.assert_array_equal(one, two)


def test_a_model_without_guesses_keeps_its_coarse_fill(tiny_pipeline):
    pixels, mask = smooth_pixels(60, 70), box_mask(60, 70, 10, 10, 50, 50)
    auto, none = (tiny_pipeline(pixels, mask, detail=detail).pictures[0].pixels for detail in ("auto", 0))
    np.testing.assert_array_equal(auto, none)


@pytest.mark.parametrize("detail", ["most", -1, "", True])
def test_settings_refuse_other_details(detail):
    with pytest.raises(ConfigError, match="detail"):
        Settings().changed(detail=detail)


def test_a_shrunk_mask_keeps_every_hole_pixel():
    mask = np.zeros((50, 30), dtype=bool)
    mask[7, 21] = True
    small = shrink_mask(mask, (13, 11))
    assert small.shape == (13, 11)
    assert small.any()
    assert torch.from_numpy(small).dtype == torch.bool


def test_a_level_keeps_the_brightness_of_its_guess():
    """Contrast that grows from level to level turns shadows black."""
    mask = box_mask(64, 64, 8, 8, 56, 56)
    levels = plan_levels(mask, windows_of(mask), SIDE, "full")
    guess = np.full((64, 64, 3), 100, np.uint8)

    def redraw(regions, seeds):
        return [np.full((SIDE, SIDE, 3), 250, np.float32) for _ in regions]

    drawn = refine(guess, mask, levels, redraw, resolution=SIDE, seam="hard", seed=0)
    np.testing.assert_array_equal(drawn, guess)
