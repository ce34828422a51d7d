"""Training masks: what is hidden lies in the hole, something always is, and the shares follow the recipe."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from maskmend.decoding.schedules import SCHEDULES
from maskmend.fill.windows import FULLEST_GUESSED
from maskmend.masks.generators import HOLES
from maskmend.training.masking import FAMILIES, Masks, draw_masks
from maskmend.training.stage_config import TransformerTraining

HOLED = ("boxes", "strokes", "random_walk", "scratches", "text", "blobs")


def options(**weights: float | str) -> TransformerTraining:
    """The named families only."""
    return TransformerTraining(tokenizer="", **dict.fromkeys(FAMILIES, 0.0) | weights)


def draw(seed: int, count: int, side: int = 8, patch: int = 4, **weights: float | str) -> Masks:
    return draw_masks(np.random.default_rng(seed), count, side * patch, patch, options(**weights))


@given(
    seed=st.integers(0, 2**32),
    family=st.sampled_from(FAMILIES),
    side=st.integers(1, 6),
    patch=st.sampled_from([1, 4]),
    schedule=st.sampled_from(sorted(SCHEDULES)),
)
def test_hidden_tokens_lie_in_the_hole_and_there_is_one(
    seed: int, family: str, side: int, patch: int, schedule: str
) -> None:
    """Would catch known tokens asked for, and a picture with nothing to learn from (its loss is NaN)."""
    masks = draw(seed, 3, side, patch, schedule=schedule, bernoulli_p=0.1, **{family: 1.0})
    assert masks.pixels.shape == (3, 1, side * patch, side * patch)
    assert masks.hole.shape == masks.masked.shape == (3, side * side)
    assert not bool((masks.masked & ~masks.hole).any())
    assert bool(masks.masked.any(1).all())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_hole_is_every_touched_token_or_the_whole_picture(family: str) -> None:
    """Would catch holes of another shape than inference makes of the same pixels."""
    masks = draw(1, 20, **{family: 1.0})
    if family in HOLED:
        touched = torch.nn.functional.max_pool2d(masks.pixels.float(), 4).flatten(1).bool()
        assert bool(masks.pixels.flatten(1).any(1).all())
        assert torch.equal(masks.hole, touched)
    else:
        assert bool(masks.pixels.all())
        assert bool(masks.hole.all())


@pytest.mark.parametrize("family", HOLED)
def test_hole_shapes_are_those_of_the_generators(family: str) -> None:
    """Would catch a family that draws another one's holes."""
    rng = np.random.default_rng(3)
    rng.choice(len(FAMILIES), size=1, p=[name == family for name in FAMILIES])
    assert np.array_equal(draw(3, 1, **{family: 1.0}).pixels[0, 0].numpy(), HOLES[family](rng, 32, 32))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_bernoulli_hides_each_token_with_probability_p(p: float) -> None:
    """Would catch p taken for its complement, and neighbours hidden together."""
    hidden = draw(0, 400, bernoulli=1.0, bernoulli_p=p).masked.float()  # (400, 64)
    assert hidden.mean().item() == pytest.approx(p, abs=4 * (p * (1 - p) / hidden.numel()) ** 0.5)
    spread = hidden.sum(1).var().item() / (64 * p * (1 - p))
    assert spread == pytest.approx(1, abs=0.3)


def test_bernoulli_with_probability_zero_still_hides_one() -> None:
    """Would catch a NaN loss in a batch whose masks all came out empty."""
    assert (draw(0, 50, bernoulli=1.0, bernoulli_p=0.0).masked.sum(1) == 1).all()


@pytest.mark.parametrize(
    ("family", "schedule"), [*(("scheduled", name) for name in sorted(SCHEDULES)), ("random_walk", "cosine")]
)
def test_share_hidden_follows_the_schedule(family: str, schedule: str) -> None:
    """Would catch the schedule left out, or read backwards: Kolmogorov's distance to gamma(u), u uniform."""
    masks = draw(2, 1000, patch=1, schedule=schedule, **{family: 1.0})
    gamma = np.array([SCHEDULES[schedule]((i + 0.5) / 2000) for i in range(2000)])
    size = masks.hole.sum(1).numpy()
    drawn = masks.masked.sum(1).numpy()
    for n in np.unique(size):
        found = drawn[size == n]
        expected = np.maximum(1, np.ceil(gamma * n))
        below = [(found <= k).mean() - (expected <= k).mean() for k in range(1, n + 1)]
        assert np.abs(below).max() * len(found) ** 0.5 < 1.95  # one in a thousand


def test_positions_within_the_hole_are_uniform() -> None:
    """Would catch masks that prefer the beginning of the row-major order."""
    often = draw(4, 3000, side=4, scheduled=1.0).masked.float().mean(0)
    assert often.max() - often.min() < 0.08


def test_families_come_by_weight() -> None:
    """Would catch weights that do nothing, and a weight of 0 that is drawn all the same."""
    masks = draw(5, 2000, side=16, scheduled=3.0, boxes=1.0)
    assert (~masks.pixels).flatten(1).any(1).float().mean().item() == pytest.approx(0.25, abs=0.04)


def test_masks_are_pure_functions_of_the_generator() -> None:
    """Would catch masks that a resumed run does not repeat, and a seed that is ignored."""
    mixed = dict.fromkeys(FAMILIES, 1.0)
    first, again, other = draw(6, 10, **mixed), draw(6, 10, **mixed), draw(7, 10, **mixed)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.masked, other.masked)


@given(seed=st.integers(0, 2**32), side=st.sampled_from([4, 16]))
def test_a_guess_fills_a_quarter_to_all_of_the_window(seed: int, side: int) -> None:
    """Would catch holes narrower than a cell of the finer levels, which training would then never meet."""
    masks = draw(seed, 4, side, 4, boxes=1.0, guesses=1.0)
    assert bool(masks.guessed.all())
    assert float(masks.pixels.float().mean((1, 2, 3)).min()) >= 0.25
    assert not bool((masks.masked & ~masks.hole).any())


def test_recipes_without_guesses_draw_what_they_drew_before() -> None:
    """A draw more would give resumed runs, and published recipes, other holes."""
    masks = draw(5, 16, boxes=1.0, strokes=1.0, random_walk=1.0, scheduled=1.0)
    assert not bool(masks.guessed.any())
    digest = hashlib.sha256(masks.pixels.numpy().tobytes() + masks.masked.numpy().tobytes()).hexdigest()
    assert digest[:16] == "1db34181596b3ad6"


@pytest.mark.parametrize("family", ["scratches", "text", "strokes", "blobs"])
def test_window_holes_are_those_that_windows_show(family: str) -> None:
    """Would catch scratches a fourth as thick as in a fill: the model would never learn those."""

    def breadth(masks: Masks) -> float:
        """Mean over the holes of the breadth at their widest spot."""
        return float(np.mean([2 * distance_transform_edt(np.pad(hole[0], 1)).max() for hole in masks.pixels]))

    cut, whole = (draw(11, 24, side=16, **{family: 1.0}, window_holes=share) for share in (1.0, 0.0))
    assert breadth(cut) > (0.9 if family == "strokes" else 1.3) * breadth(whole)
    share = cut.pixels.float().mean((1, 2, 3))
    assert float(share.min()) > 0
    if family in ("scratches", "text"):  # in windows at the picture's own scale
        assert float(share.max()) <= FULLEST_GUESSED
    again = draw(11, 24, side=16, **{family: 1.0}, window_holes=1.0)
    assert all(torch.equal(a, b) for a, b in zip(cut, again, strict=True))


def test_boxes_are_no_window_holes() -> None:
    """Would catch a share of window holes that takes draws from families it does not concern."""
    with_them, without = (draw(3, 8, boxes=1.0, window_holes=share) for share in (0.7, 0.0))
    assert all(torch.equal(a, b) for a, b in zip(with_them, without, strict=True))
