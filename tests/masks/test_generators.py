"""Holes must be the same on every machine, keep their promised share, and never touch a global generator."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, distance_transform_edt, label

from maskmend.cli.masks import make
from maskmend.errors import ConfigError
from maskmend.masks.generators import (
    HOLES,
    PHOTOGRAPHIC,
    blobs,
    border,
    boxes,
    centre,
    mixture,
    random_pixels,
    random_walk,
    strokes,
    strokes_photo,
)

PINNED = {
    "random_walk": "f0cb56b03fbc1401",
    "boxes": "80e2f9742ba088c9",
    "strokes": "5f6b4268bce391f9",
    "strokes_thin": "9603fe64b049dad7",
    "strokes_medium": "09dd560b50ee4058",
    "strokes_thick": "d2ad96a525754a33",
    "centre": "919aad2ef719816b",
    "border": "f779e06540a55ba3",
    "random_pixels": "cb6d76cfbb8dc218",
    "scratches": "d7dac41fa99dfe48",
    "text": "0d7c2c517aaac7c2",
    "strokes_photo": "198bc13d366723c6",
    "blobs": "387e1f0ede51e53d",
}


def fingerprint(hole: np.ndarray) -> str:
    return hashlib.sha256(np.packbits(hole).tobytes()).hexdigest()[:16]


def test_every_generator_has_a_pinned_hash():
    """Catches a new generator whose reproducibility nobody watches."""
    assert set(PINNED) == set(HOLES)


def test_the_command_names_every_kind():
    """Would catch a kind that can be made but that no help names."""
    told = " ".join((make.callback.__doc__ or "").split())
    assert told.split("masks of KIND: ")[1] == f"{', '.join([*HOLES][:-1])} or {[*HOLES][-1]}."


@pytest.mark.parametrize("name", HOLES)
def test_same_seed_same_hole_on_any_machine(name):
    """Catches evaluation masks that silently change with a library, a platform or a refactoring."""
    drawn = [HOLES[name](np.random.default_rng(seed), 64, 64) for seed in range(20)]
    assert fingerprint(np.concatenate(drawn)) == PINNED[name]


@given(
    name=st.sampled_from(sorted(HOLES)),
    seed=st.integers(0, 2**32),
    h=st.integers(1, 40),
    w=st.integers(1, 40),
)
def test_any_size_gives_a_boolean_hole_with_something_to_fill(name, seed, h, w):
    """Catches swapped axes, crashes on images smaller than a box, and empty holes in training batches."""
    hole = HOLES[name](np.random.default_rng(seed), h, w)
    assert hole.shape == (h, w)
    assert hole.dtype == bool
    # A one-pixel border window can be the whole of a tiny image; elsewhere something is always missing.
    assert hole.any() or name == "border"


@pytest.mark.parametrize(
    ("generator", "share"),
    [(random_walk, (0.15, 0.24)), (random_pixels, (0.15, 0.24)), (strokes, (0.05, 0.6))],
)
def test_share_keeps_its_range_and_uses_all_of_it(generator, share):
    """Catches overshooting the share, which would make evaluation masks harder than the published ones."""
    shares = [generator(np.random.default_rng(seed), 64, 64).mean() for seed in range(80)]
    assert share[0] <= min(shares) < max(shares) <= share[1]
    assert min(shares) < share[0] + 0.1 * (share[1] - share[0]) < share[1] - 0.1 * (share[1] - share[0])
    assert max(shares) > share[1] - 0.1 * (share[1] - share[0])


def test_random_walk_is_one_connected_ragged_piece():
    """Catches a walk that wraps around the border or jumps between chunks of steps."""
    for seed in range(20):
        hole = random_walk(np.random.default_rng(seed), 48, 64, share=(0.6, 0.6))  # needs several chunks
        assert label(hole)[1] == 1


def test_random_walk_agrees_with_a_plain_loop():
    """Catches an error in the vectorised folding at the borders."""
    rng, height, width = np.random.default_rng(3), 9, 5
    fast = random_walk(np.random.default_rng(3), height, width, share=(0.5, 0.5))
    aim = int(rng.integers(22, 23))
    y, x = int(rng.integers(height)), int(rng.integers(width))
    slow, mirrored_y, mirrored_x = np.zeros((height, width), dtype=bool), False, False
    while True:
        for move in rng.integers(0, 4, size=height * width):
            # The folded walk's up is down after each bounce, hence the two flags.
            dy, dx = ((-1, 0), (1, 0), (0, -1), (0, 1))[move]
            dy, dx = (-dy if mirrored_y else dy), (-dx if mirrored_x else dx)
            if 0 <= y + dy < height:
                y += dy
            else:
                mirrored_y = not mirrored_y
            if 0 <= x + dx < width:
                x += dx
            else:
                mirrored_x = not mirrored_x
            slow[y, x] = True
            if slow.sum() == aim:
                np.testing.assert_array_equal(fast, slow)
                return


def test_boxes_have_sides_in_pixels_within_the_range():
    """Catches sides off by one and rectangles cut by the border."""
    sides = []
    for seed in range(200):
        hole = boxes(np.random.default_rng(seed), 64, 64)
        rows, columns = hole.any(axis=1).sum(), hole.any(axis=0).sum()
        assert hole.sum() == rows * columns
        sides += [rows, columns]
    assert min(sides) == 20
    assert max(sides) == 40


def test_strokes_have_round_ends_of_the_given_width():
    """Catches a brush of the wrong radius: a dot of diameter 9 spans nine pixels both ways and is no
    square."""
    hole = strokes(np.random.default_rng(0), 200, 200, thickness=(9, 9), share=(0.02, 0.02))
    assert 4.5 <= distance_transform_edt(hole).max() <= 6.5


def test_centre_and_border_leave_a_rectangle():
    """Catches polarity slips: centre fills the rectangle, border everything but."""
    rng = np.random.default_rng(0)
    assert centre(rng, 64, 64)[16:48, 16:48].all()
    assert centre(rng, 64, 64).sum() == 32 * 32
    kept = ~border(rng, 64, 64)
    assert kept.sum() == kept.any(axis=1).sum() * kept.any(axis=0).sum()


def test_mixture_follows_the_weights_whatever_their_order():
    """Catches a recipe whose holes depend on the order of its keys, and weights that are ignored."""
    rng = np.random.default_rng
    weights = {"boxes": 1.0, "centre": 3.0, "strokes": 0.0}
    backwards = dict(reversed(weights.items()))
    middle = centre(rng(0), 64, 64)
    drawn = [mixture(rng(seed), 64, 64, weights) for seed in range(300)]
    for seed in range(20):
        np.testing.assert_array_equal(drawn[seed], mixture(rng(seed), 64, 64, backwards))
    assert 0.65 < np.mean([np.array_equal(hole, middle) for hole in drawn]) < 0.85


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"random_walks": 1}, "random_walk"),
        ({"boxes": -1}, "-1"),
        ({"boxes": 0}, "above 0"),
        ({}, "above 0"),
        ({"boxes": float("nan")}, "nan"),
    ],
)
def test_impossible_weights_are_named(weights, words):
    """Catches a misspelt recipe that trains on something else."""
    with pytest.raises(ConfigError, match=words):
        mixture(np.random.default_rng(0), 8, 8, weights)


def test_impossible_ranges_are_named():
    """Catches an endless loop on a share above one and a negative box."""
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="share"):
        strokes(rng, 8, 8, share=(0.5, 1.5))
    with pytest.raises(ConfigError, match="side"):
        boxes(rng, 8, 8, side=(40, 20))


@pytest.mark.parametrize(("kind", "share"), [("boxes", 0.22), ("strokes", 0.32)])
def test_lengths_grow_with_the_picture(kind: str, share: float) -> None:
    """Would catch training at 256 pixels on holes that are large at 64 only."""
    holes = [HOLES[kind](np.random.default_rng(seed), 256, 256) for seed in range(40)]
    assert np.mean([hole.mean() for hole in holes]) == pytest.approx(share, abs=0.06)
    eroded = [binary_erosion(hole, iterations=10).any() for hole in holes]
    assert all(eroded)  # no stroke thinner than 20 of 256 pixels


def test_lama_like_strokes_are_thin_medium_and_thick() -> None:
    """Would catch kinds that differ in name only, and holes beyond LaMa's limit of seven tenths."""
    depths, shares = [], []
    for kind in ("strokes_thin", "strokes_medium", "strokes_thick"):
        holes = [HOLES[kind](np.random.default_rng(seed), 64, 64) for seed in range(60)]
        shares += [hole.mean() for hole in holes]
        depths.append(np.mean([distance_transform_edt(hole).max() for hole in holes]))
    assert depths[0] * 1.5 < depths[1] < depths[2] / 1.5
    assert max(shares) <= 0.7


@pytest.mark.parametrize("kind", ["strokes_thin", "strokes_medium", "strokes_thick"])
def test_lama_like_strokes_grow_with_the_picture(kind: str) -> None:
    """Would catch hairlines at 256 pixels."""
    small, large = (
        np.mean([HOLES[kind](np.random.default_rng(seed), side, side).mean() for seed in range(60)])
        for side in (64, 256)
    )
    assert large == pytest.approx(small, abs=0.1)


def breadths(kind: str, side: int, count: int = 40) -> np.ndarray:
    """The greatest thickness of each hole, in pixels."""
    holes = [HOLES[kind](np.random.default_rng(seed), side, side) for seed in range(count)]
    return np.array([2 * distance_transform_edt(np.pad(hole, 1)).max() for hole in holes])


@pytest.mark.parametrize(("kind", "least", "most"), [("scratches", 3, 10), ("text", 2, 4)])
def test_thin_damage_is_as_thin_as_it_says(kind: str, least: int, most: int) -> None:
    """Would catch a brush meant for 64 pixels at 256; crossings are thicker than one line, by half at most
    where they are not nearly parallel."""
    found = breadths(kind, 256)
    assert least <= found.min() <= np.median(found) <= 2 * most
    assert breadths(kind, 64).min() <= 3


def test_photographs_strokes_keep_to_their_share_and_brush() -> None:
    """Would catch the kind for faces, whose strokes take up to six tenths."""
    shares = [strokes_photo(np.random.default_rng(seed), 256, 256).mean() for seed in range(60)]
    assert 0.03 <= min(shares) < 0.06
    assert 0.33 < max(shares) <= 0.36
    assert breadths("strokes_photo", 256, 12).min() >= 12


def test_a_blob_is_one_closed_shape_of_the_promised_size() -> None:
    """Would catch shapes cut by the border, torn in pieces, of another size, or plain boxes."""
    filled = []
    for seed in range(80):
        pieces, count = label(blobs(np.random.default_rng(seed), 256, 300))
        assert count in (1, 2)
        if count == 2:
            for number in (1, 2):
                rows, columns = ((pieces == number).any(axis=axis) for axis in (1, 0))
                assert 68 <= rows.sum() <= 112
                assert 68 <= columns.sum() <= 112
                filled.append((pieces == number).sum() / (rows.sum() * columns.sum()))
    assert len(filled) >= 20
    assert 0.4 < min(filled) < 0.7 < max(filled) < 0.95


@pytest.mark.parametrize("kind", PHOTOGRAPHIC)
def test_damage_grows_with_the_picture(kind: str) -> None:
    """Would catch training windows of 64 pixels with other holes than the pictures of 256 they stand for."""
    small, large, wide = (
        np.mean([HOLES[kind](np.random.default_rng(seed), *size).mean() for seed in range(60)])
        for size in ((64, 64), (256, 256), (512, 768))
    )
    assert small == pytest.approx(large, abs=0.03)
    assert wide == pytest.approx(large, rel=0.5)


def test_letters_look_like_letters() -> None:
    """Would catch lines of blocks: a letter has ground around and within it."""
    for seed in range(20):
        hole = HOLES["text"](np.random.default_rng(seed), 256, 256)
        assert label(hole)[1] >= 8
        assert hole[:, hole.any(axis=0)][hole.any(axis=1)].mean() < 0.5
