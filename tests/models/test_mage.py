"""MAGE: predictions, tokens and pictures are those of the published arithmetic."""

import pytest
import torch

import restated_mage
import restated_vqgan
from maskmend.importers.mage import convert_mage
from maskmend.importers.writing import write_conversion
from maskmend.pipeline import InpaintPipeline
from restated_mage import CLASS_TOKEN, MASK, TOKENIZER


@pytest.fixture(scope="module")
def state():
    return restated_mage.random_checkpoint(layers=2, decoder_layers=2)


@pytest.fixture(scope="module")
def pipe(state, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mage")
    write_conversion(convert_mage(restated_mage.save(state, folder / "mage.pth")), folder / "model")
    return InpaintPipeline.from_pretrained(folder / "model", precision="fp32")


@torch.no_grad()
def test_logits_at_the_published_width_are_the_published_ones(state, pipe):
    """A wrong class token, a wrong mask row or a part of qkv in another's place would change them."""
    tokens = torch.randint(0, 1024, (3, 4), generator=torch.Generator().manual_seed(1))
    masked = torch.tensor([[1, 0, 1, 0], [1, 1, 1, 1], [0, 0, 1, 0]]).bool()
    expected = restated_mage.logits(state, tokens.masked_fill(masked, MASK))[masked]
    found = pipe.transformer(tokens.masked_fill(masked, 1024), masked, masked)
    assert expected.std() > 0.3
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_tokens_and_pictures_are_the_published_ones(state, pipe):
    """The shortcut from a block's own output, averaging and pixels in [0, 1] are folded: to no effect."""
    bare = {name.removeprefix("vqgan."): value for name, value in state.items() if name.startswith("vqgan.")}
    images = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(2))
    tokens = restated_vqgan.encode(TOKENIZER, bare, images)
    assert len(tokens.unique()) > 12
    assert torch.equal(pipe.tokenizer.encode(2 * images - 1), tokens)
    expected = 2 * restated_vqgan.decode(TOKENIZER, bare, tokens) - 1
    codes = pipe.tokenizer.quantizer.lookup(tokens)
    torch.testing.assert_close(pipe.tokenizer.decoder(codes), expected, atol=1e-4, rtol=0)


def test_the_constant_class_token_is_a_row_of_its_own(state, pipe):
    """Row 1100 is neither a code nor the mask: taking the mask's for it would go unnoticed by shape."""
    words = state["token_emb.word_embeddings.weight"]
    assert torch.equal(pipe.transformer.class_embedding, words[CLASS_TOKEN])
    assert torch.equal(pipe.transformer.token_embedding.weight[-1], words[MASK])
