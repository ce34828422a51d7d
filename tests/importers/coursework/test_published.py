"""The coursework's method as settings: held to a plain restatement of its loop, and to its recipe
file."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from maskmend.config import read_toml
from maskmend.decoding.interface import decode
from maskmend.decoding.noise import Stream, gumbel
from maskmend.importers.coursework.published import COURSEWORK_DECODING, COURSEWORK_MODEL, COURSEWORK_TRAINING
from maskmend.models.transformer import coursework_config
from maskmend.settings import Settings
from maskmend.training.masking import draw_masks
from maskmend.training.stage_config import TransformerTraining

GAMMA = {
    "cosine": lambda r: math.cos(math.pi / 2 * r),
    "linear": lambda r: 1 - r,
    "square": lambda r: 1 - r**2,
}
CODES, SIDE = 24, 8


def predict(tokens: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
    """Logits that depend on every token of the picture, as a transformer's do."""
    row, position = masked.nonzero(as_tuple=True)
    around = torch.sin(tokens.float() * torch.arange(1, tokens.shape[1] + 1)).sum(1)[row]
    return torch.sin(around[:, None] + position[:, None] * 1.7 + torch.arange(CODES) * 0.9) * 3


def the_reports_loop(tokens: torch.Tensor, hole: torch.Tensor, schedule: str, seed: int) -> torch.Tensor:
    """One picture, (N,): 8 iterations at sweet spot 8, the schedule at step / 8 with steps from 0."""
    total, sweet_spot, temperature = 8, 8, 4.5
    now, masked, count = tokens.clone(), hole.clone(), int(hole.sum())
    guess = now
    for step in range(total):
        if step == sweet_spot:
            break
        ratio = step / total
        places = masked.nonzero()[:, 0]
        probability = predict(now[None], masked[None]).softmax(-1)
        sure, best = probability.max(-1)
        guess = now.clone()
        guess[places] = best
        noise = gumbel(torch.full((len(places),), seed), step, places, 1, stream=Stream.CONFIDENCE)[:, 0]
        confidence = torch.full(now.shape, math.inf)
        confidence[places] = sure + temperature * (1 - ratio) * noise
        still = math.floor(GAMMA[schedule](ratio) * count + 1e-9)
        masked = torch.zeros_like(masked)
        masked[confidence.argsort(stable=True)[:still]] = True
        now = torch.where(masked, CODES, guess)
    return guess


@pytest.mark.parametrize("schedule", GAMMA)
def test_our_settings_are_the_reports_loop(schedule: str) -> None:
    """Would catch a preset one iteration off, or one that fills everything within the loop."""
    rng = np.random.default_rng(0)
    tokens = torch.from_numpy(rng.integers(0, CODES, (3, SIDE * SIDE)))
    hole = torch.from_numpy(rng.random((3, SIDE * SIDE)) < 0.5)
    tokens = torch.where(hole, CODES, tokens)
    settings = Settings(**COURSEWORK_DECODING | {"schedule": schedule})
    ours = decode(predict, tokens, hole, mask_id=CODES, seeds=[5, 6, 7], **settings.decoding())
    for row in range(3):
        expected = the_reports_loop(tokens[row], hole[row], schedule, 5 + row)
        assert torch.equal(ours.tokens[row], expected)
    left = (hole.sum(1) * GAMMA[schedule](7 / 8)).floor()
    assert (left > 0).all(), "its loop leaves tokens masked"


def test_the_recipe_file_is_the_preset() -> None:
    """Would catch a recipe that trains something else than the study calls the coursework."""
    recipe = read_toml(Path(__file__).parents[3] / "recipes" / "coursework" / "01-transformer.toml")
    trained = TransformerTraining(**recipe["transformer"])
    assert trained == TransformerTraining(tokenizer=trained.tokenizer, **COURSEWORK_TRAINING)
    assert recipe["preset"] == "coursework"
    assert recipe["training"]["ema"] == 0
    config = coursework_config()
    assert {name: getattr(config, name) for name in COURSEWORK_MODEL} == COURSEWORK_MODEL


def test_every_token_of_the_whole_picture_is_hidden_with_probability_one_half() -> None:
    options = TransformerTraining(tokenizer="", **COURSEWORK_TRAINING)
    masks = draw_masks(np.random.default_rng(0), 60, 64, 4, options)
    assert masks.hole.all()
    assert float(masks.masked.float().mean()) == pytest.approx(0.5, abs=0.01)
