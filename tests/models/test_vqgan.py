"""The tokenizer: shapes of the presets, tokens that depend on their neighbourhood alone."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from maskmend.errors import ConfigError
from maskmend.models.colour_blur import ColourBlur
from maskmend.models.quantizer import QuantizerConfig
from maskmend.models.tokenizer_config import coursework_config, small_config
from maskmend.models.vqgan import VQGAN, ResidualBlock

TINY = QuantizerConfig(codes=11, code_dim=4)


def tiny(*, resolution=16, factor=4, **changes):
    """The small preset with few channels."""
    halvings = factor.bit_length() - 1
    widths = {"encoder_channels": (8,) * (halvings + 2), "decoder_channels": (8,) * (halvings + 1)}
    return small_config(
        resolution=resolution, factor=factor, quantizer=TINY, decoder_blocks=1, **widths | changes
    )


def built(config, seed=0):
    """A model whose codes lie among its latents, so that several of them are used."""
    torch.manual_seed(seed)
    model = VQGAN(config).eval().requires_grad_(False)
    z = model.encoder(pictures(4, config.resolution)).permute(0, 2, 3, 1).flatten(0, 2)
    model.quantizer.codebook.copy_(z[torch.randperm(len(z))[: config.quantizer.codes]])
    return model


def pictures(count, height, width=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, height, width or height, generator=generator) * 2 - 1


def without_weights(config):
    """The model on a device that knows shapes only: the large presets cost nothing."""
    with torch.device("meta"):
        return VQGAN(config).eval()


def test_report_preset_is_the_reports():
    """Catches a preset that departs from the coursework: its results could not be compared."""
    config = coursework_config()
    assert (config.factor, config.grid) == (4, 16)
    model = without_weights(config)
    assert tuple(model.quantizer.codebook.shape) == (1024, 256)
    images = torch.empty(2, 3, 64, 64, device="meta")
    assert model.encoder(images).shape == (2, 256, 16, 16)
    assert model.encode(images).shape == (2, 16, 16)
    assert model.decode(torch.zeros(2, 16, 16, dtype=torch.long, device="meta")).shape == (2, 3, 64, 64)

    first = model.encoder.layers[0]
    assert isinstance(first, nn.Conv2d)
    blocks = [layer for layer in model.encoder.layers if isinstance(layer, ResidualBlock)]
    assert [first.out_channels, *(block.conv2.out_channels for block in blocks[::2])] == [
        128,
        128,
        128,
        256,
        256,
        512,
    ]
    assert [block.conv2.out_channels for block in blocks[1::2]] == [128, 128, 256, 256, 512]
    widths = [next(m for m in s.modules() if isinstance(m, ResidualBlock)) for s in model.decoder.stages]
    assert [block.conv2.out_channels for block in widths][::-1] == [128, 128, 256, 256, 512]


def test_report_preset_attends_at_the_latent_resolution_only():
    """Catches attention at full resolution: 4,096 positions would attend to each other."""
    model = without_weights(coursework_config())
    seen = []
    for module in model.modules():
        if type(module).__name__ == "AttentionBlock":
            module.register_forward_hook(lambda _, inputs, output: seen.append(tuple(inputs[0].shape[2:])))
    model(torch.empty(1, 3, 64, 64, device="meta"))
    assert len(seen) >= 2  # encoder and decoder
    assert set(seen) == {(16, 16)}


@pytest.mark.parametrize("resolution", [64, 128, 256])
@pytest.mark.parametrize("factor", [4, 8, 16])
def test_other_resolutions_and_factors_are_a_matter_of_config(resolution, factor):
    """Catches sizes that are fixed somewhere: no other model could be trained."""
    config = small_config(resolution=resolution, factor=factor)
    assert (config.factor, config.grid) == (factor, resolution // factor)
    model = VQGAN(tiny(resolution=resolution, factor=factor)).eval().requires_grad_(False)
    images = pictures(1, resolution)
    assert model.encode(images).shape == (1, config.grid, config.grid)
    assert model(images)[0].shape == images.shape


@pytest.mark.parametrize("factor", [2, 4, 8, 16, 32])
def test_the_small_preset_takes_all_factors(factor):
    """Catches widths that do not fit the number of stages."""
    model = without_weights(small_config(factor=factor))
    images = torch.empty(1, 3, 64, 64, device="meta")
    assert model.encoder(images).shape == (1, 32, 64 // factor, 64 // factor)
    assert model(images)[0].shape == images.shape


@pytest.mark.parametrize("factor", [4, 8, 16])
def test_encode_and_decode(factor):
    """Catches tokens out of range, pictures out of range, and sizes other than the training one refused."""
    model = built(tiny(resolution=32, factor=factor))
    for height, width in ((32, 32), (48, 16)):
        tokens = model.encode(pictures(2, height, width, seed=1))
        assert tokens.shape == (2, height // factor, width // factor)
        assert tokens.dtype == torch.int64
        assert tokens.min() >= 0
        assert tokens.max() < TINY.codes
        images = model.decode(tokens)
        assert images.shape == (2, 3, height, width)
        assert images.abs().max() <= 1


def test_encode_finds_the_tokens_of_the_training_pass():
    """Catches tokens that differ between training and inference: another language for the transformer."""
    model, images = built(tiny()), pictures(3, 16, seed=1)
    reconstruction, quantized = model(images)
    tokens = model.encode(images)
    assert len(tokens.unique()) > 3
    assert torch.equal(tokens, quantized.tokens)
    torch.testing.assert_close(model.decode(tokens), reconstruction.clamp(-1, 1), atol=1e-5, rtol=1e-5)


def test_decoding_clamps_what_training_must_not():
    """Catches pictures outside [-1, 1], and a clamp in training that would stop the gradient there."""
    model, images = built(tiny()), pictures(2, 16)
    model.decoder.conv_out.bias.fill_(9.0)
    assert torch.equal(model.decode(model.encode(images)), torch.ones(2, 3, 16, 16))
    assert model(images)[0].min() > 1


def test_without_quantization_the_latents_pass_unchanged():
    """Catches a codebook that learns, or a loss that pulls, before quantization starts."""
    model, images = built(tiny()).train(), pictures(2, 16)
    before = model.quantizer.codebook.clone()
    _, quantized = model(images, quantize=False)
    torch.testing.assert_close(quantized.vectors, model.encoder(images))
    assert quantized.tokens.shape == (2, 4, 4)
    assert float(quantized.loss.detach()) == 0
    assert torch.equal(before, model.quantizer.codebook)
    assert not model.quantizer.initialised


def test_the_loss_reaches_the_encoder_through_the_quantizer():
    """Catches an encoder cut off from the reconstruction loss."""
    model, images = built(tiny()).requires_grad_(True), pictures(2, 16)
    (model(images)[0] - images).abs().mean().backward()
    for name, parameter in model.encoder.named_parameters():
        assert parameter.grad is not None, name
    assert model.encoder.layers[0].weight.grad.abs().max() > 0


REACH = 18
"""Pixels around its cell that a token of the tiny f4 encoder can see: 1 of the first convolution, then, with
one block of two convolutions a stage and a strided convolution after it, 2 + 1, 4 + 2 and 8."""


@pytest.mark.parametrize(
    "box",
    [(slice(0, 64), slice(44, 64)), (slice(24, 29), slice(30, 33)), (slice(63, 64), slice(0, 1))],
    ids=["right end", "middle", "one pixel in the corner"],
)
def test_tokens_of_the_small_preset_are_local(box):
    """Catches a hole that changes tokens at the other end of the picture, as it does through group norm."""
    images = pictures(1, 64)
    changed = images.clone()
    changed[:, :, *box] = -images[:, :, *box]
    seen = torch.zeros(64 + 2 * REACH, 64 + 2 * REACH, dtype=torch.bool)
    rows, columns = (slice(s.start, s.stop + 2 * REACH) for s in box)
    seen[rows, columns] = True
    reached = seen[REACH:-REACH, REACH:-REACH].unflatten(0, (16, 4)).unflatten(2, (16, 4)).any(3).any(1)
    assert not reached.all()

    local = built(tiny(resolution=64))
    same = (local.encoder(images) == local.encoder(changed)).all(1)[0]
    assert same[~reached].all()
    assert not same[reached].all()

    grouped = built(tiny(resolution=64, encoder_norm="group"))
    assert not (grouped.encoder(images) == grouped.encoder(changed)).all(1)[0][~reached].any()


def test_attention_in_the_encoder_ends_locality():
    """Catches `encoder_attention` that does nothing."""
    images = pictures(1, 64)
    changed = images.clone()
    changed[..., :8] = 0
    model = built(tiny(resolution=64, encoder_attention=True))
    assert not torch.equal(model.encoder(images)[..., -1], model.encoder(changed)[..., -1])


def test_position_norm_takes_any_width():
    """Catches group norm's rule applied where there are no groups."""
    config = tiny(encoder_channels=(5, 5, 14, 14))
    assert built(config).encode(pictures(1, 16)).shape == (1, 4, 4)
    with pytest.raises(ConfigError, match="encoder_channels has 14"):
        replace(config, encoder_norm="group")


def test_a_decoder_blurs_its_colour_without_weights_of_its_own():
    """Catches a setting without effect, and one that keeps a trained decoder's weights from loading."""
    plain, soft = built(tiny()), VQGAN(tiny(colour_blur=1.0)).eval()
    soft.load_state_dict(plain.state_dict())
    tokens = torch.arange(16).view(1, 4, 4) % 11
    codes = plain.quantizer.lookup(tokens)
    torch.testing.assert_close(soft.decoder(codes), ColourBlur(1.0)(plain.decoder(codes)))
    with pytest.raises(ConfigError, match="colour_blur=-1"):
        tiny(colour_blur=-1.0)
