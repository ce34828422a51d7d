"""Sampling of codes: temperature, top-k, top-p, ties and codes that may not be drawn."""

import math

import pytest
import torch
from fake_predictors import example, fill

from maskmend.decoding.noise import gumbel
from maskmend.decoding.sampling import entropy, sample
from maskmend.settings import ORDERS


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
