"""Networks with a class token, of Google and valeoai: what they predict, encode and draw is what the
published arithmetic does."""

import pytest
import torch

import restated_class_token as restated
import restated_vqgan
from maskmend.errors import ConfigError
from maskmend.importers.maskgit import convert_maskgit
from maskmend.importers.valeoai import convert_valeoai
from maskmend.importers.writing import write_conversion
from maskmend.pipeline import InpaintPipeline
from restated_class_token import CODES, GOOGLE_TOKENIZER, MASK, TAMING_TOKENIZER

TOKENS = torch.randint(0, CODES, (3, 4), generator=torch.Generator().manual_seed(1))
MASKED = torch.tensor([[1, 0, 1, 0], [1, 1, 1, 1], [0, 0, 1, 0]]).bool()
LABELLED = torch.tensor([281, 0, 999])


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    folder = tmp_path_factory.mktemp("google")
    state, words = restated.google_checkpoint(layers=2), restated_vqgan.random_state(GOOGLE_TOKENIZER)
    network = restated.save_flax(state, folder / "maskgit_imagenet256_checkpoint")
    tokenizer = restated.save_flax(
        restated.google_tokenizer(words), folder / "tokenizer_imagenet256_checkpoint"
    )
    write_conversion(convert_maskgit(network, tokenizer), folder / "model")
    return state, words, InpaintPipeline.from_pretrained(folder / "model", precision="fp32")


@pytest.fixture(scope="module")
def valeoai(tmp_path_factory):
    folder = tmp_path_factory.mktemp("valeoai")
    state, words = restated.valeoai_checkpoint(layers=2), restated.taming_tokenizer()
    write_conversion(convert_valeoai(*restated.save_valeoai(state, words, folder)), folder / "model")
    return state, words, InpaintPipeline.from_pretrained(folder / "model", precision="fp32")


@torch.no_grad()
def test_google_logits_at_the_published_width(google):
    """The erf form of GELU, the mask's row taken for a class's, or heads reordered would change them."""
    state, _, pipe = google
    expected = restated.google_logits(state, TOKENS.masked_fill(MASKED, MASK["google"]), LABELLED)[MASKED]
    found = pipe.transformer(TOKENS.masked_fill(MASKED, CODES), MASKED, MASKED, condition=LABELLED)
    assert expected.std() > 0.3
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("labels", [LABELLED, None])
def test_valeoai_logits_at_the_published_width(valeoai, labels):
    """A bias of another position, or a class token in front, would change them."""
    state, _, pipe = valeoai
    tokens = TOKENS.masked_fill(MASKED, CODES)
    expected = restated.valeoai_logits(state, tokens, labels)[MASKED]
    found = pipe.transformer(tokens, MASKED, MASKED, condition=labels)
    assert expected.std() > 0.3
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_google_tokens_and_pictures(google):
    """Flax numbers its layers by kind; one taken for the next would have the same shape."""
    _, words, pipe = google
    images = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(2))
    tokens = restated_vqgan.encode(GOOGLE_TOKENIZER, words, images)
    assert len(tokens.unique()) > 8
    assert torch.equal(pipe.tokenizer.encode(2 * images - 1), tokens)
    expected = 2 * restated_vqgan.decode(GOOGLE_TOKENIZER, words, tokens) - 1
    found = pipe.tokenizer.decoder(pipe.tokenizer.quantizer.lookup(tokens))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_taming_tokens_and_pictures(valeoai):
    _, words, pipe = valeoai
    images = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(2)) * 2 - 1
    tokens = restated_vqgan.encode(TAMING_TOKENIZER, words, images)
    assert len(tokens.unique()) > 8
    assert torch.equal(pipe.tokenizer.encode(images), tokens)
    expected = restated_vqgan.decode(TAMING_TOKENIZER, words, tokens)
    found = pipe.tokenizer.decoder(pipe.tokenizer.quantizer.lookup(tokens))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_google_predicts_nothing_without_a_class(google):
    """A class made up in silence would look like a prediction without one."""
    with pytest.raises(ConfigError, match="needs a class: give label"):
        google[2].transformer(TOKENS, MASKED)


def test_classes_have_their_names(google):
    assert google[2].labels[281] == "tabby, tabby cat"
    assert len(google[2].labels) == 1000
