"""Decoding with fake predictors: known tokens stay, the plan is kept, and a seed means one fill anywhere."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from maskmend.decoding.interface import decode
from maskmend.decoding.mask_counts import mask_counts
from maskmend.decoding.noise import Stream, gumbel, uniform
from maskmend.decoding.orders import halton_rank, top_n_mask
from maskmend.decoding.sampling import entropy, log_probability, sample
from maskmend.decoding.schedules import SCHEDULES, schedule_named
from maskmend.errors import ConfigError, ModelError
from maskmend.settings import CHOICES, CONFIDENCES, ORDERS

CODES = 11
MASK = CODES
GRID = (4, 5)
N = 20


def hashed(tokens, masked):
    """Logits that depend on all of the image's tokens and on the place, and on nothing else."""
    assert masked.any(), "called with nothing masked"
    assert torch.equal(tokens == MASK, masked)
    state = (tokens * torch.arange(1, tokens.shape[1] + 1)).sum(dim=1)  # (B,)
    row, position = masked.nonzero(as_tuple=True)
    return 4 * uniform(state[row], 0, position, CODES) - 2


class Oracle:
    """Knows the picture: all but certain of each token, surest at the first."""

    def __init__(self, target):
        self.target = target
        self.calls = 0

    def __call__(self, tokens, masked):
        self.calls += 1
        row, position = masked.nonzero(as_tuple=True)
        logits = torch.zeros(len(row), CODES)
        sure = 40 - position.float()
        return logits.scatter(1, self.target[row, position][:, None], sure[:, None])


@st.composite
def batches(draw, largest=4):
    """Tokens, and holes of any size: empty and full ones included."""
    images = draw(st.integers(1, largest))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    tokens = torch.randint(CODES, (images, N), generator=generator)
    sizes = torch.tensor([draw(st.integers(0, N)) for _ in range(images)])
    hole = torch.rand(images, N, generator=generator).argsort(dim=1).argsort(dim=1) < sizes[:, None]
    return tokens, hole


options = st.fixed_dictionaries(
    {
        "steps": st.integers(1, 30),
        "schedule": st.sampled_from(sorted(SCHEDULES)),
        "order": st.sampled_from(ORDERS),
        "confidence": st.sampled_from(CONFIDENCES),
        "choice": st.sampled_from(CHOICES),
        "noise": st.sampled_from([0.0, 1.0, 4.5]),
        "temperature": st.sampled_from([0.0, 0.3, 1.0, 2.0]),
        "top_k": st.sampled_from([None, 1, 3, 100]),
        "top_p": st.sampled_from([None, 0.2, 0.9, 1.0]),
    }
)


def fill(tokens, hole, predict=hashed, **kwargs):
    return decode(predict, tokens, hole, mask_id=MASK, **{"grid": GRID, **kwargs})


def example(images=3, size=12):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(CODES, (images, N), generator=generator)
    hole = torch.rand(images, N, generator=generator).argsort(dim=1).argsort(dim=1) < size
    return tokens, hole


@given(batch=batches(), options=options)
def test_known_tokens_stay_and_the_plan_is_kept(batch, options):
    tokens, hole = batch
    before = tokens.clone()
    seen = []
    decoded = fill(tokens, hole, **options, on_step=seen.append)

    assert torch.equal(tokens, before), "the caller's tokens were written to"
    assert torch.equal(decoded.tokens[~hole], tokens[~hole])
    assert ((decoded.tokens >= 0) & (decoded.tokens < CODES)).all(), "something is still masked"
    assert (decoded.entropy[~hole] == 0).all()
    assert ((decoded.entropy[hole] > 0) & (decoded.entropy[hole] <= math.log(CODES) + 1e-6)).all()

    table = mask_counts(hole.sum(dim=1), options["steps"], schedule_named(options["schedule"]))
    assert tuple(seen) == decoded.history
    assert len(seen) == (table > 0).any(dim=0).sum(), "a step was taken with nothing masked"
    was_masked = hole
    for t, step in enumerate(decoded.history, 1):
        assert step.index == t
        assert torch.equal(step.masked.sum(dim=1), table[:, t])
        newly = was_masked & ~step.masked
        assert not (step.masked & ~was_masked).any(), "a filled token was masked again"
        assert (newly.any(dim=1) | ~was_masked.any(dim=1)).all(), "a step that filled nothing"
        assert torch.equal(step.tokens == MASK, step.masked)
        assert torch.equal(step.tokens[~step.masked], decoded.tokens[~step.masked]), "a kept token changed"
        assert torch.equal(step.candidate[~step.masked], step.tokens[~step.masked])
        assert (step.candidate < CODES).all()
        was_masked = step.masked
    assert not was_masked.any()


@given(batch=batches(), options=options, seeds=st.lists(st.integers(0, 2**63 - 1), min_size=4, max_size=4))
def test_same_seed_alone_or_in_any_row_gives_the_same_fill(batch, options, seeds):
    tokens, hole = batch
    seeds = seeds[: len(tokens)]
    together = fill(tokens, hole, seeds=seeds, **options)
    backwards = fill(tokens.flip(0), hole.flip(0), seeds=seeds[::-1], **options)
    assert torch.equal(backwards.tokens.flip(0), together.tokens)
    for i in range(len(tokens)):
        alone = fill(tokens[i : i + 1], hole[i : i + 1], seeds=[seeds[i]], **options)
        assert torch.equal(alone.tokens[0], together.tokens[i])
        assert torch.allclose(alone.entropy[0], together.entropy[i])
        assert torch.allclose(alone.log_likelihood[0], together.log_likelihood[i], atol=1e-5)


@given(batch=batches(), options=options, junk=st.integers(-5, CODES))
def test_what_stands_in_the_hole_is_ignored(batch, options, junk):
    tokens, hole = batch
    assert torch.equal(
        fill(tokens.masked_fill(hole, junk), hole, **options).tokens, fill(tokens, hole, **options).tokens
    )


@pytest.mark.parametrize("order", ORDERS)
def test_different_seeds_give_different_fills(order):
    tokens, hole = example(images=1)
    many = fill(tokens.expand(20, N), hole.expand(20, N), seeds=range(20), order=order)
    assert len({tuple(row) for row in many.tokens.tolist()}) == 20


def test_default_seeds_number_the_rows():
    tokens, hole = example()
    assert torch.equal(fill(tokens, hole).tokens, fill(tokens, hole, seeds=[0, 1, 2]).tokens)


def test_nothing_masked_never_calls_the_model():
    tokens, hole = example()
    decoded = fill(tokens, torch.zeros_like(hole), predict=lambda tokens, masked: pytest.fail("called"))
    assert torch.equal(decoded.tokens, tokens)
    assert decoded.history == ()
    assert (decoded.log_likelihood == 0).all()
    assert (decoded.entropy == 0).all()
    assert fill(tokens[:0], hole[:0]).tokens.shape == (0, N)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("choice", CHOICES)
def test_an_oracle_is_followed(order, choice):
    # Catches logits that land on the wrong token: row-major order, images mixed up, positions shifted.
    target, hole = example(images=4)
    hole[0], hole[1] = True, False
    tokens = target.masked_fill(hole, 0)
    oracle = Oracle(target)
    decoded = fill(tokens, hole, predict=oracle, order=order, choice=choice, steps=5)
    assert torch.equal(decoded.tokens, target)
    assert oracle.calls == 5
    assert (decoded.log_likelihood.abs() < 1e-4).all()


def test_more_steps_than_tokens_cost_one_call_a_token():
    target, hole = example(images=1, size=3)
    oracle = Oracle(target)
    fill(target, hole, predict=oracle, steps=50)
    assert oracle.calls == 3


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_without_noise_the_surest_tokens_are_kept_first(confidence):
    def sure_of_the_last(tokens, masked):
        row, position = masked.nonzero(as_tuple=True)
        return torch.zeros(len(row), CODES).index_fill(1, torch.tensor([3]), 1.0) * position[:, None] / 5

    tokens, hole = example(images=2)
    decoded = fill(
        tokens, hole, predict=sure_of_the_last, choice="argmax", noise=0.0, steps=4, confidence=confidence
    )
    for step in decoded.history[:-1]:
        for image in range(2):
            newly = (hole[image] & ~step.masked[image]).nonzero().flatten()
            assert newly.min() > step.masked[image].nonzero().max()


def test_kept_tokens_are_the_best_by_the_plain_formula():
    # Catches noise that is dropped, does not fade as 1 - t/T, or shares the numbers of the token choice.
    tokens, hole = example(images=1, size=18)
    seed, steps, weight, was_masked = 5, 6, 2.0, hole
    decoded = fill(tokens, hole, seeds=[seed], steps=steps, noise=weight, schedule="linear")
    for t, step in enumerate(decoded.history, 1):
        position = was_masked[0].nonzero()[:, 0]
        before = tokens.masked_fill(hole, MASK) if t == 1 else decoded.history[t - 2].tokens
        log_p = log_probability(hashed(before, was_masked), step.candidate[0, position])
        draw = gumbel(torch.full_like(position, seed), t, position, 1, stream=Stream.CONFIDENCE)[:, 0]
        score = log_p + weight * (1 - t / steps) * draw
        expected = position[score.topk(3).indices].sort().values
        newly = was_masked & ~step.masked
        assert torch.equal(newly[0].nonzero()[:, 0], expected)
        was_masked = step.masked


@given(batch=batches(largest=2), spot=st.integers(1, 12), options=options)
def test_sweet_spot_takes_that_steps_candidate(batch, spot, options):
    tokens, hole = batch
    options["steps"] = 12
    whole, stopped = fill(tokens, hole, **options), fill(tokens, hole, **options, sweet_spot=spot)
    assert len(stopped.history) == min(spot, len(whole.history))
    if stopped.history:
        last = stopped.history[-1]
        assert not last.masked.any()
        assert torch.equal(stopped.tokens, whole.history[last.index - 1].candidate)
        assert torch.equal(stopped.tokens, last.tokens)


@pytest.mark.parametrize(
    "same_as_argmax",
    [{"top_k": 1}, {"top_p": 1e-9}, {"temperature": 0.0}, {"temperature": 1e-9}, {"temperature": 1e-300}],
)
@pytest.mark.parametrize("order", ORDERS)
def test_narrow_sampling_is_argmax(same_as_argmax, order):
    tokens, hole = example()
    sampled = fill(tokens, hole, order=order, choice="sample", **same_as_argmax)
    assert torch.equal(sampled.tokens, fill(tokens, hole, order=order, choice="argmax").tokens)


def test_top_k_and_top_p_keep_the_right_codes():
    probability = torch.tensor([0.05, 0.4, 0.25, 0.3])
    count = 3000
    logits = probability.log().expand(count, 4)
    noise = gumbel(torch.zeros(count, dtype=torch.int64), 1, torch.arange(count), 4)

    def drawn(**kwargs):
        return set(sample(logits, noise, **kwargs).tolist())

    assert drawn() == {0, 1, 2, 3}
    assert drawn(top_k=2) == {1, 3}
    assert drawn(top_k=99) == drawn(top_p=1.0) == {0, 1, 2, 3}
    assert drawn(top_p=0.39) == {1}
    assert drawn(top_p=0.41) == {1, 3}
    assert drawn(top_p=0.94) == {1, 2, 3}
    # After top-k = 2, code 1 alone holds 4/7 = 0.571.
    assert drawn(top_k=2, top_p=0.56) == {1}
    assert drawn(top_k=2, top_p=0.58) == {1, 3}
    share = (sample(logits, noise, temperature=0.5) == 1).float().mean().item()
    assert share == pytest.approx(0.16 / (0.0025 + 0.16 + 0.0625 + 0.09), abs=0.04)


def test_ties_go_to_the_first_code_as_argmax_does():
    logits = torch.tensor([[0.0, 2.0, 2.0, 2.0]]).expand(50, 4)
    noise = gumbel(torch.zeros(50, dtype=torch.int64), 1, torch.arange(50), 4)
    assert (sample(logits, noise, top_k=1) == 1).all()
    assert (sample(logits, None) == 1).all()


def test_forbidden_codes_never_win_and_leave_entropy_finite():
    logits = torch.tensor([[0.0, 0.0, -torch.inf, 0.0]]).expand(500, 4)
    noise = gumbel(torch.zeros(500, dtype=torch.int64), 1, torch.arange(500), 4)
    for drawn in (
        sample(logits, noise),
        sample(logits, noise, temperature=3.0),
        sample(logits, noise, top_k=4),
        sample(logits, noise, top_p=0.999),
    ):
        assert not (drawn == 2).any()
    assert torch.allclose(entropy(logits), torch.tensor(math.log(3)))


def test_figures_against_the_plain_formulas():
    # Catches entropy of a later step, base-2 logarithms, and log-likelihood of a tempered distribution.
    tokens, hole = example(images=2)
    seen = []

    def recording(tokens, masked):
        seen.append((masked.nonzero(as_tuple=True), hashed(tokens, masked)))
        return seen[-1][1]

    decoded = fill(tokens, hole, predict=recording, temperature=0.5, top_k=5, steps=4)
    (row, position), logits = seen[0]
    p = logits.double().softmax(dim=1)
    assert torch.allclose(decoded.entropy[row, position], -(p * p.log()).sum(dim=1).float())
    total = torch.zeros(2)
    was_masked = hole
    for step, ((row, position), logits) in zip(decoded.history, seen, strict=True):
        log_p = logits.log_softmax(dim=1).gather(1, step.candidate[row, position][:, None])[:, 0]
        assert torch.allclose(log_p, log_probability(logits, step.candidate[row, position]))
        kept = ~step.masked[row, position]
        total.index_add_(0, row[kept], log_p[kept])
        was_masked = step.masked
    assert not was_masked.any()
    assert torch.allclose(decoded.log_likelihood, total, atol=1e-5)


@given(height=st.integers(1, 24), width=st.integers(1, 24))
def test_halton_visits_each_cell_once(height, width):
    assert sorted(halton_rank(height, width).tolist()) == list(range(height * width))


def test_halton_starts_as_the_sequence_does():
    # (1/2, 1/3), (1/4, 2/3), (3/4, 1/9), (1/8, 4/9), (5/8, 7/9) on 8 x 9 cells, exactly on their borders.
    visited = halton_rank(8, 9).argsort()[:5]
    assert [(int(v) // 9, int(v) % 9) for v in visited] == [(4, 3), (2, 6), (6, 1), (1, 4), (5, 7)]


def test_halton_spreads_each_quarter_over_the_grid():
    rank = halton_rank(16, 16).view(16, 16)
    quadrants = (rank < 64).float().unfold(0, 8, 8).unfold(1, 8, 8).sum(dim=(2, 3))
    assert ((quadrants >= 14) & (quadrants <= 18)).all()


@given(batch=batches())
def test_halton_order_is_kept_within_the_hole(batch):
    tokens, hole = batch
    decoded = fill(tokens, hole, order="halton", steps=N)
    rank = halton_rank(*GRID)
    for image in range(len(tokens)):
        was_masked, visited = hole[image], []
        for step in decoded.history:
            visited += (was_masked & ~step.masked[image]).nonzero().flatten().tolist()
            was_masked = step.masked[image]
        inside = hole[image].nonzero().flatten().tolist()
        assert visited == sorted(inside, key=lambda cell: rank[cell].item())


def test_random_order_is_uniform_over_tokens():
    # Catches a random order with favourites: each of 20 tokens is among the first 10 half of the time.
    images = 600
    tokens = torch.zeros(images, N, dtype=torch.int64)
    decoded = fill(
        tokens, torch.ones_like(tokens, dtype=torch.bool), order="random", steps=2, schedule="linear"
    )
    early = (~decoded.history[0].masked).float().mean(dim=0)
    assert (early - 0.5).abs().max() < 4.5 * 0.5 / images**0.5


def test_best_never_leaves_the_mask_whatever_the_scores():
    # Catches -inf or NaN confidences that tie with known tokens and let one of them be overwritten.
    masked = torch.tensor([[False, True, False, True, True]])
    for value in (-torch.inf, torch.inf, torch.nan, 0.0):
        for count in range(4):
            keep = top_n_mask(torch.full((1, 5), value), masked, torch.tensor([count]))
            assert keep.sum() == count
            assert not (keep & ~masked).any()
    tie = top_n_mask(torch.zeros(1, 5), masked, torch.tensor([2]))
    assert tie.tolist() == [[False, True, False, True, False]]


def test_low_precision_logits_are_accepted():
    tokens, hole = example()
    decoded = fill(tokens, hole, predict=lambda tokens, masked: hashed(tokens, masked).bfloat16())
    assert decoded.entropy.dtype == torch.float32


def test_no_gradient_is_kept():
    tokens, hole = example()
    scale = torch.ones(1, requires_grad=True)
    assert not fill(tokens, hole, predict=lambda t, m: hashed(t, m) * scale).entropy.requires_grad


def test_the_former_name_of_on_step_still_works():
    tokens, hole = example()
    seen = []
    with pytest.warns(DeprecationWarning, match="on_step"):
        decoded = fill(tokens, hole, callback=seen.append)
    assert tuple(seen) == decoded.history


def test_results_are_frozen():
    decoded = fill(*example())
    with pytest.raises(dataclasses.FrozenInstanceError):
        decoded.tokens = decoded.tokens  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps = 0"),
        ({"schedule": "cosin"}, "cosine"),
        ({"order": "raster"}, "'raster'.*halton"),
        ({"choice": "beam"}, "'beam'.*argmax"),
        ({"confidence": "logit"}, "'logit'.*log_probability"),
        ({"noise": -1.0}, "noise = -1"),
        ({"noise": math.nan}, "noise = nan"),
        ({"temperature": -0.5}, "temperature = -0.5"),
        ({"temperature": math.inf}, "temperature = inf"),
        ({"top_k": 0}, "top_k = 0"),
        ({"top_p": 0.0}, "top_p = 0"),
        ({"top_p": 1.5}, "top_p = 1.5"),
        ({"seeds": [1, 2]}, "2 seeds for 3 images"),
        ({"seeds": [1, 2, -3]}, "seed -3"),
        ({"seeds": [1, 2, 1.5]}, "seed = 1.5"),
        ({"steps": 2.5}, "steps.*2.5"),
        ({"top_k": 1.5}, "top_k.*1.5"),
        ({"sweet_spot": True}, "sweet_spot.*True"),
        ({"seeds": [1, 2, 2**63]}, str(2**63)),
        ({"order": "halton", "grid": (3, 5)}, "3 x 5.*20 tokens"),
        ({"order": "halton", "grid": (-4, -5)}, "-4 x -5"),
        ({"order": "halton", "grid": None}, "grid=.*square"),
        ({"sweet_spot": 0}, "sweet_spot = 0"),
        ({"steps": 4, "sweet_spot": 5}, "sweet_spot = 5"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_impossible_arguments_name_value_and_remedy(wrong, message):
    tokens, hole = example()
    with pytest.raises(ConfigError, match=message):
        fill(tokens, hole, **wrong)


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint8])
@pytest.mark.usefixtures("unchecked")
def test_steps_of_numpy_are_steps(kind):
    """Catches `for steps in np.arange(...)` ending in float64 beside float32, or an int8 overflowing."""
    tokens, hole = example()
    same = {"noise": 1.0, "order": "confidence"}
    wanted = fill(tokens, hole, steps=127, **same)
    got = fill(tokens, hole, steps=kind(127), **same)
    assert torch.equal(got.tokens, wanted.tokens)


def test_tokens_that_do_not_fit_are_refused():
    tokens, hole = example()
    with pytest.raises((ConfigError, TypeCheckError)):
        fill(tokens, hole[:, :-1])
    with pytest.raises((ConfigError, TypeCheckError)):
        fill(tokens, hole.long())
    with pytest.raises((ConfigError, TypeCheckError)):
        fill(tokens.float(), hole)
    with pytest.raises(ConfigError, match="mask token"):
        fill(tokens.masked_fill(~hole, MASK), hole)


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda tokens, masked: hashed(tokens, masked)[:-1], "shape"),
        (lambda tokens, masked: torch.zeros(*tokens.shape, CODES), "shape"),
        (lambda tokens, masked: torch.zeros(int(masked.sum()), CODES + 1), "mask token"),
        (lambda tokens, masked: hashed(tokens, masked) * math.nan, "NaN"),
    ],
)
def test_a_broken_model_is_named(predict, message):
    # Catches, above all, the mask token as a prediction: a hole filled with "still masked".
    with pytest.raises(ModelError, match=message):
        fill(*example(), predict=predict)


@settings(max_examples=20)
@given(steps=st.integers(1, 8))
def test_a_square_grid_is_the_default(steps):
    tokens = torch.zeros(1, 16, dtype=torch.int64)
    hole = torch.ones_like(tokens, dtype=torch.bool)
    one, other = (fill(tokens, hole, order="halton", steps=steps, grid=grid) for grid in (None, (4, 4)))
    assert torch.equal(one.tokens, other.tokens)
