"""The loop with fake predictors: known tokens stay, the plan is kept, and a seed means one fill anywhere."""

import math

import pytest
import torch
from fake_predictors import CODES, MASK, N, batches, example, fill, options
from hypothesis import given
from hypothesis import strategies as st

from maskmend.decoding.mask_counts import mask_counts
from maskmend.decoding.schedules import schedule_named
from maskmend.settings import CHOICES, ORDERS


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


@pytest.mark.slow
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


@pytest.mark.slow
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
