"""Halton-MaskGIT: predictions, tokens and pictures are those of the published arithmetic."""

import pytest
import torch

import restated_halton
import restated_vqgan
from maskmend.importers.halton import convert_halton
from maskmend.importers.writing import write_conversion
from maskmend.pipeline import InpaintPipeline
from restated_halton import LABELS, TOKENIZER


@pytest.fixture(scope="module")
def state():
    return restated_halton.random_checkpoint(layers=2)


@pytest.fixture(scope="module")
def words():
    return restated_halton.random_tokenizer()


@pytest.fixture(scope="module")
def pipe(state, words, tmp_path_factory):
    folder = tmp_path_factory.mktemp("halton")
    write_conversion(convert_halton(*restated_halton.save(state, words, folder)), folder / "model")
    return InpaintPipeline.from_pretrained(folder / "model", precision="fp32")


@torch.no_grad()
@pytest.mark.parametrize("labelled", [True, False])
def test_logits_at_the_published_width_are_the_published_ones(state, pipe, labelled):
    """Swapped shift and scale, a norm for each head or a register in the picture would change them."""
    tokens = torch.randint(0, TOKENIZER.codes, (3, 4), generator=torch.Generator().manual_seed(1))
    masked = torch.tensor([[1, 0, 1, 0], [1, 1, 1, 1], [0, 0, 1, 0]]).bool()
    tokens = tokens.masked_fill(masked, TOKENIZER.codes)
    labels = torch.tensor([3, 0, 9]) if labelled else torch.full((3,), LABELS)
    expected = restated_halton.logits(state, tokens, labels)[masked]
    found = pipe.transformer(tokens, masked, masked, condition=labels if labelled else None)
    assert expected.std() > 0.3
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_tokens_and_pictures_are_the_published_ones(words, pipe):
    """Codes of length 1, and a bias that must end at the picture's border, are folded: to no effect."""
    images = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(2)) * 2 - 1
    tokens = restated_vqgan.encode(TOKENIZER, words, images)
    assert len(tokens.unique()) > 8
    assert torch.equal(pipe.tokenizer.encode(images), tokens)
    expected = restated_vqgan.decode(TOKENIZER, words, tokens)
    codes = pipe.tokenizer.quantizer.lookup(tokens)
    torch.testing.assert_close(pipe.tokenizer.decoder(codes), expected, atol=1e-4, rtol=0)


def test_a_width_that_heads_do_not_divide(words, tmp_path):
    """The published small model is 512 wide with 6 heads: 85 channels each, 510 together."""
    state = restated_halton.random_checkpoint(512, 6)
    made = convert_halton(*restated_halton.save(state, words, tmp_path))
    write_conversion(made, tmp_path / "model")
    model = InpaintPipeline.from_pretrained(tmp_path / "model", precision="fp32").transformer
    tokens = torch.full((1, 4), TOKENIZER.codes)
    with torch.no_grad():
        found = model(tokens, tokens > 0, condition=torch.tensor([2]))
        expected = restated_halton.logits(state, tokens, torch.tensor([2]), heads=6)[0]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
