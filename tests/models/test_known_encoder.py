"""The branch of known pixels: silent at first, then heard at every resolution, in any batch."""

from dataclasses import replace

import pytest
import torch

from fakes import tiny_models
from maskmend.errors import ConfigError
from maskmend.images.infill import infill
from maskmend.models.known_encoder import KnownPixels, no_known_pixels
from maskmend.models.vqgan import VQGAN

GRID, SIDE = 4, 16


def examples(count: int = 2) -> tuple[torch.Tensor, KnownPixels]:
    """Tokens and the known pixels of pictures with a box hole."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 24, (count, GRID, GRID), generator=generator)
    images = torch.rand(count, 3, SIDE, SIDE, generator=generator) * 2 - 1
    mask = torch.zeros(count, 1, SIDE, SIDE, dtype=torch.bool)
    mask[:, :, 4:12, 3:9] = True
    return tokens, KnownPixels(infill(images, mask, "diffusion"), mask)


def test_a_fresh_branch_leaves_a_trained_decoder_as_it_was() -> None:
    """Would catch merges that start with noise: what the decoder had learnt would be lost."""
    plain, _ = tiny_models(sees_known=False)
    seeing = VQGAN(replace(plain.config, known_channels=(8, 8, 8))).eval()
    seeing.load_state_dict(seeing.state_dict() | plain.state_dict())
    tokens, known = examples()
    torch.testing.assert_close(seeing.decode(tokens, known), plain.decode(tokens))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_each_resolution_is_heard(level: int) -> None:
    """Would catch a feature that is computed and added nowhere."""
    tokenizer, _ = tiny_models()
    branch = tokenizer.decoder.known_encoder
    assert branch is not None
    tokens, known = examples()
    with torch.no_grad():
        for number, merge in enumerate(branch.zero_convs):
            if number != level:
                merge.weight.zero_()
        changed = KnownPixels(known.image.roll(3, dims=3), known.mask)
        assert not torch.allclose(tokenizer.decode(tokens, known), tokenizer.decode(tokens, changed))


def test_without_known_pixels_all_is_hole() -> None:
    """Would catch a decoder fed something else than what it learnt for tokens alone."""
    tokenizer, _ = tiny_models()
    tokens, known = examples()
    nothing = no_known_pixels(2, SIDE, SIDE, torch.device("cpu"))
    assert torch.equal(tokenizer.decode(tokens), tokenizer.decode(tokens, nothing))
    assert torch.equal(nothing.image, infill(known.image, torch.ones_like(known.mask), "diffusion"))


def test_a_decoder_without_the_branch_ignores_known_pixels() -> None:
    """Would catch older models that no longer load or draw other pictures."""
    plain, _ = tiny_models(sees_known=False)
    tokens, known = examples()
    assert torch.equal(plain.decode(tokens, known), plain.decode(tokens))


@pytest.mark.parametrize("channels", [(8,), (8, 8), (8, 8, 8, 8)])
def test_a_channel_for_each_resolution_is_asked_for(channels: tuple[int, ...]) -> None:
    """Would catch a list that is cut short in silence."""
    plain, _ = tiny_models(sees_known=False)
    with pytest.raises(ConfigError, match="each of the 3 resolutions"):
        replace(plain.config, known_channels=channels)


def test_channels_that_the_norm_cannot_group_are_refused() -> None:
    """Would catch PyTorch's traceback in the place of one line."""
    plain, _ = tiny_models(sees_known=False)
    with pytest.raises(ConfigError, match="known_channels has 9"):
        replace(plain.config, known_channels=(9, 8, 8))
