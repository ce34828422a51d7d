"""What `decode` takes and gives back: bad arguments name value and remedy, results are frozen."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from fake_predictors import CODES, MASK, N, example, fill, hashed
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from maskmend.errors import ConfigError, ModelError


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
