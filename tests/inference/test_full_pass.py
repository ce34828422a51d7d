"""Decoding with networks that have no cache: what the plain forward pass says, row for row."""

import pytest
import torch

from maskmend.inference.full_pass import FullPass, ready
from maskmend.models.halton import Halton, HaltonConfig

CONFIG = HaltonConfig(codes=7, grid=3, dim=16, heads=2, layers=2, mlp=24, registers=1, labels=4)
MASK = CONFIG.mask_id


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = Halton(CONFIG).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter.copy_(0.4 * torch.randn_like(parameter))
    return made


def batch(images, share=0.5):
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(0, 7, (images, 9), generator=generator)
    hole = torch.rand(images, 9, generator=generator) < share
    return tokens.masked_fill(hole, MASK), hole


def test_samples_of_a_picture_lie_one_behind_the_other(model):
    """A hole or a class given to another picture's sample would go unnoticed by shape."""
    tokens, hole = batch(3)
    labels = torch.tensor([0, 2, 3])
    predict = ready(model).predictor(tokens, hole, None, 2, condition=labels)
    again = torch.tensor([0, 0, 1, 1, 2, 2])
    rows = tokens[again]
    for masked in (hole[again], hole[again] & (torch.arange(9) % 2 == 0)):
        now = rows.masked_fill(hole[again] & ~masked, 1)
        expected = model(now, hole[again], masked, None, labels[again])
        torch.testing.assert_close(predict(now, masked), expected, atol=1e-5, rtol=0)


def test_a_picture_gets_the_same_bits_alone_and_in_a_batch(model):
    """A seed gives one picture: the last bits must not depend on what else is filled."""
    tokens, hole = batch(3)
    masked = hole & (torch.arange(9) % 2 == 0)
    together = FullPass(model).predictor(tokens, hole)(tokens, masked).split(masked.sum(1).tolist())
    for n, expected in enumerate(together):
        alone = FullPass(model).predictor(tokens[n : n + 1], hole[n : n + 1])
        assert torch.equal(alone(tokens[n : n + 1], masked[n : n + 1]), expected)


def test_guidance_leads_away_from_no_class(model):
    """u + s (c - u): with c and u swapped, s = 2 would lead the other way."""
    tokens, hole = batch(2)
    labels = torch.tensor([1, 3])
    with_class, without = model(tokens, hole, hole, None, labels), model(tokens, hole, hole)
    assert (with_class - without).abs().max() > 0.01
    found = FullPass(model).predictor(tokens, hole, condition=labels, guidance=2.5)(tokens, hole)
    torch.testing.assert_close(found, without + 2.5 * (with_class - without), atol=1e-5, rtol=0)


def test_another_number_format_is_a_copy(model):
    tokens, hole = batch(1)
    half = FullPass(model, torch.bfloat16)
    assert model.dtype == torch.float32
    assert half.model.dtype == torch.bfloat16
    found, expected = half.predictor(tokens, hole)(tokens, hole), model(tokens, hole, hole)
    assert (found - expected).abs().max() < 0.3


def test_another_number_format_is_a_copy_of_each_weight(model):
    """Catches a weight left in float32, one that the model itself loses, and a whole copy in between."""
    copies: list[torch.Tensor] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Parameter, "__deepcopy__", lambda self, memo: copies.append(self) or self)
        narrow = FullPass(model, torch.bfloat16).model
    assert copies == []
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(narrow.state_dict()[name], value.bfloat16())
    assert not any(value.requires_grad for value in narrow.parameters())
    tokens, hole = batch(1)
    found = FullPass(model, torch.bfloat16).predictor(tokens, hole)(tokens, hole)
    torch.testing.assert_close(found, model(tokens, hole, hole), atol=0.2, rtol=0)
