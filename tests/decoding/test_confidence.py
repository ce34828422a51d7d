"""Confidences: which tokens are kept, by the plain formulas."""

import pytest
import torch
from fake_predictors import CODES, MASK, batches, example, fill, hashed, options
from hypothesis import given
from hypothesis import strategies as st

from maskmend.decoding.noise import Stream, gumbel
from maskmend.decoding.sampling import log_probability
from maskmend.settings import CONFIDENCES


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


@pytest.mark.slow
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
