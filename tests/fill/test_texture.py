"""The texture of what a model sees, and its distance from the usual one."""

import numpy as np
import pytest

from fakes import smooth_pixels
from maskmend.config import from_dict, to_dict
from maskmend.errors import ConfigError
from maskmend.fill.texture import ROUNDING, SIZE, Texture, fit_texture, texture_of

KNOWN = np.ones((16, 16), dtype=bool)
UNIT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def test_the_three_statistics_of_a_ramp():
    """Catches differences along one axis only, of the wrong pixels, or a mean over the wrong number."""
    ramp = np.zeros((16, 16, 3), dtype=np.uint8)
    ramp[...] = 10 * np.arange(16, dtype=np.uint8)[:, None]
    # Half of the neighbours are equal, the others 10 apart; two pixels apart they are 20 apart.
    expected = [np.sqrt(0.5), np.log(5 + ROUNDING), np.log((10 + ROUNDING) / (5 + ROUNDING))]
    for view in (ramp, ramp.swapaxes(0, 1)):
        np.testing.assert_allclose(texture_of([(view, KNOWN)]), expected)


def test_what_is_in_the_hole_has_no_effect():
    """Catches an infill, or what stood in the hole, that speaks for the picture."""
    known = KNOWN.copy()
    known[4:9, 3:12] = False
    one, other = smooth_pixels(16, 16, 3), smooth_pixels(16, 16, 3)
    other[4:9, 3:12] = noise(0)[4:9, 3:12]
    np.testing.assert_array_equal(texture_of([(one, known)]), texture_of([(other, known)]))
    assert not np.array_equal(texture_of([(one, KNOWN)]), texture_of([(other, KNOWN)]))


def test_several_views_count_by_their_known_pixels():
    """Catches a mean of the views' textures, in which a window that is nearly all hole counts as much."""
    half = KNOWN.copy()
    half[8:] = False
    views = [(noise(0), half), (smooth_pixels(16, 16), KNOWN)]
    both, first, second = texture_of(views), texture_of(views[:1]), texture_of(views[1:])
    assert both is not None
    # 16 x 7 + 8 x 15 pairs of neighbours of 2 x 16 x 15.
    weight = (16 * 7 + 8 * 15) / (16 * 7 + 8 * 15 + 2 * 16 * 15)
    np.testing.assert_allclose(
        np.exp(both[1]), weight * np.exp(first[1]) + (1 - weight) * np.exp(second[1]), rtol=1e-12
    )


def test_without_neighbours_there_is_no_texture():
    lonely = np.zeros((16, 16), dtype=bool)
    lonely[::3, ::3] = True
    assert texture_of([(noise(0), lonely)]) is None
    assert texture_of([(noise(0), ~KNOWN)]) is None


def test_the_usual_texture_is_where_the_distance_is_small():
    """Catches a covariance for its inverse, and a mean of something else."""
    rng = np.random.default_rng(0)
    spread = np.array([0.1, 1.0, 0.01])
    textures = list(np.array([0.5, 2.0, 0.3]) + spread * rng.normal(size=(400, SIZE)))
    usual = fit_texture(textures)
    distances = [usual.distance(texture) for texture in textures]
    assert np.mean(np.square(distances)) == pytest.approx(SIZE, rel=0.01)
    for axis in range(SIZE):
        away = np.array(usual.mean)
        away[axis] += 3 * spread[axis]
        assert usual.distance(away) == pytest.approx(3, rel=0.15)


def test_a_texture_comes_back_from_its_table():
    usual = fit_texture(list(np.random.default_rng(1).normal(size=(20, SIZE))))
    assert from_dict(Texture, to_dict(usual)) == usual


@pytest.mark.parametrize(
    ("textures", "words"),
    [([np.zeros(3)] * 3, "3 views"), ([np.ones(3)] * 20, "too much alike")],
    ids=["few", "alike"],
)
def test_pictures_that_tell_no_spread_are_refused(textures, words):
    """Catches a limit of infinity or of nothing."""
    with pytest.raises(ConfigError, match=words):
        fit_texture(textures)


@pytest.mark.parametrize(
    ("mean", "precision", "words"),
    [
        ((0.0, 0.0), UNIT, "3 numbers"),
        ((0.0, 0.0, 0.0), UNIT[:2], "3 rows"),
        ((0.0, float("nan"), 0.0), UNIT, "finite"),
        ((0.0, 0.0, 0.0), ((1.0, 2.0, 0.0), (2.0, 1.0, 0.0), (0.0, 0.0, 1.0)), "positive definite"),
        ((0.0, 0.0, 0.0), ((1.0, 0.5, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), "symmetric"),
    ],
    ids=str,
)
def test_a_texture_that_measures_nothing_is_refused(mean, precision, words):
    with pytest.raises(ConfigError, match=words):
        Texture(mean=mean, precision=precision)
