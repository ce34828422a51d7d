"""Large pictures are worked on some rows at a time: to the bit as in one piece, and in less memory."""

import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import box_mask, smooth_pixels
from maskmend.fill import compositing
from maskmend.fill.compositing import SEAMS, composite
from maskmend.fill.crops import Region, join, shrink_mask, spread_entropy
from maskmend.fill.plain import interpolate_plain
from maskmend.fill.windows import lay_windows
from maskmend.images import infill, strips
from maskmend.images.infill import STRATEGIES, infill_levels
from maskmend.images.picture import picture_from, to_tensor, to_uint8
from maskmend.images.strips import widened
from maskmend.masks.reading import as_mask

RNG = np.random.default_rng(0)
SHAPES = [(90, 70), (71, 33), (200, 5), (2, 300), (131, 64)]


def hole_of(shape: tuple[int, int], kind: str) -> np.ndarray:
    height, width = shape
    if kind == "wide":
        return box_mask(height, width, height // 8, 0, height - height // 8, width - 1)
    if kind == "scratch":
        down, across = np.mgrid[:height, :width]
        return np.abs(down * width - across * height) <= 2 * max(shape)
    return RNG.random(shape) < {"specks": 0.1, "most": 0.9, "none": 0.0, "all": 1.1}[kind]


KINDS = ["wide", "scratch", "specks", "most", "none", "all"]


@pytest.fixture
def both(monkeypatch):
    """Calls something twice, in one piece and in strips of a few rows, and compares."""

    def compared(make):
        results = []
        for pixels in (1 << 40, 64):
            monkeypatch.setattr(strips, "AT_ONCE", pixels)
            monkeypatch.setattr(infill, "AT_ONCE", pixels)
            results.append(make())
        np.testing.assert_array_equal(*results)
        return results[0]

    return compared


@pytest.mark.parametrize("solved", [100_000, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seam", SEAMS)
def test_seams_are_the_same(both, monkeypatch, seam, kind, solved):
    """Catches a strip that ends before what its pixels depend on, and one counted from a wrong row."""
    monkeypatch.setattr(compositing, "LARGEST_SOLVED", solved)
    for shape in SHAPES:
        original = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
        fill = RNG.uniform(-20, 275, (*shape, 3)).astype(np.float32)
        mask = hole_of(shape, kind)
        result = both(lambda o=original, f=fill, m=mask: composite(o, f, m, seam=seam))
        np.testing.assert_array_equal(result[~mask], original[~mask])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_smooth_fills_are_the_same(both, strategy, kind):
    """The same, and against the fill of the picture as one tensor."""
    for shape in SHAPES:
        pixels, mask = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8), hole_of(shape, kind)
        result = both(lambda p=pixels, m=mask: infill_levels(p, m, strategy))
        whole = infill.infill(to_tensor(pixels), torch.from_numpy(mask)[None, None], strategy)
        np.testing.assert_array_equal(result, to_uint8(whole))


@pytest.mark.parametrize("kind", KINDS)
def test_plain_surroundings_are_the_same(both, kind):
    for shape in SHAPES:
        pixels = smooth_pixels(*shape) // 8 + RNG.integers(0, 4, (*shape, 3), dtype=np.uint8)
        mask = hole_of(shape, kind)
        both(lambda p=pixels, m=mask: interpolate_plain(p, m, 2.0))


@pytest.mark.parametrize("kind", ["wide", "scratch", "specks"])
def test_windows_are_blended_the_same(both, kind):
    """Catches windows that are let go before they are shown to their end, or come too late."""
    pixels, mask = smooth_pixels(150, 110), hole_of((150, 110), kind)
    picture = picture_from(pixels)
    windows = lay_windows(mask, 16, context=0.75, most=1024)
    side = torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    regions = [Region(window=window, image=side[0], mask=side[1]) for window in windows]
    fills = [RNG.uniform(0, 255, (16, 16, 3)).astype(np.float32) for _ in windows]
    entropies = [RNG.random((4, 4)) for _ in windows]
    joined = both(lambda: join(picture, mask, regions, fills, "poisson").pixels)
    assert len(windows) > (8 if kind == "scratch" else 0)
    np.testing.assert_array_equal(joined[~mask], pixels[~mask])
    both(lambda: spread_entropy(entropies, mask, regions, 4))


def test_masks_in_colour_are_the_same(both):
    colours = RNG.integers(0, 2, (90, 70, 1)).astype(np.uint8) * RNG.integers(200, 256, 3, dtype=np.uint8)
    both(lambda: as_mask(colours))


@settings(max_examples=60)
@given(
    before=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    after=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 999),
)
def test_a_mask_of_another_size_is_what_pooling_makes_of_it(before, after, seed):
    """Catches a pixel that is left out, or counted for one beside its own."""
    mask = np.random.default_rng(seed).random(before) < 0.1
    pooled = F.adaptive_max_pool2d(torch.from_numpy(mask)[None, None].float(), after) > 0
    np.testing.assert_array_equal(shrink_mask(mask, after), pooled[0, 0].numpy())


@settings(max_examples=60)
@given(st.integers(1, 500), st.integers(1, 60), st.integers(0, 40), st.integers(1, 10**5))
def test_strips_are_all_rows_once(height, width, reach, pixels):
    """Catches a row that is left out, and a halved strip that begins in the middle of a block."""
    kept, strips.AT_ONCE = strips.AT_ONCE, pixels
    try:
        rows = list(strips.strips((height, width)))
    finally:
        strips.AT_ONCE = kept
    assert [row for each in rows for row in range(height)[each]] == list(range(height))
    assert all(each.start % 2 == 0 for each in rows)
    for each in rows:
        around, here = widened(each, reach, height)
        assert range(height)[around][here] == range(height)[each]


@pytest.mark.parametrize("seam", ["poisson", "hard"])
def test_a_large_hole_takes_little_more_than_the_picture(monkeypatch, seam):
    """Catches floats of the whole picture, of which each copy is eight times its bytes."""
    monkeypatch.setattr(strips, "AT_ONCE", 1 << 14)
    monkeypatch.setattr(compositing, "SMOOTHING", 2)  # they take time, not memory
    side = 1000
    original, mask = smooth_pixels(side, side), box_mask(side, side, 9, 9, side - 9, side - 9)
    fill = smooth_pixels(side, side).astype(np.float32)
    tracemalloc.start()
    composite(original, fill, mask, seam=seam)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < {"poisson": 6, "hard": 2}[seam] * original.nbytes + 16e6 * 3
