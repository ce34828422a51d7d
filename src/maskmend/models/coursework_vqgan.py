"""The blocks of a VQGAN laid out as in the coursework (`design = "coursework"`).

This is the layout of Taming Transformers (Esser et al. 2021), with GroupNorm of 32 groups at every width, for
checkpoints of the coursework (docs/coursework-checkpoints.md) and of other projects (docs/checkpoints.md).
Beyond the plain layout of `vqgan` there are

- 1x1 convolutions at both ends: of the image, of the latents, and of the codes;
- attention after every block at the latent resolution, not only after the last, in the decoder too;
- the decoder's middle blocks at the end of the encoder as well;
- downsampling padded at the right and bottom only, and upsampling that keeps the width.
"""

from torch import nn

from maskmend.models.blocks import AttentionBlock, Downsample, ResidualBlock, Upsample, middle, normalisation
from maskmend.models.tokenizer_config import TokenizerConfig

NORM = "32 groups"


def encoder_layers(config: TokenizerConfig) -> list[nn.Module]:
    """From the image to the latents."""
    width, code_dim, heads = config.encoder_channels[0], config.quantizer.code_dim, config.attention_heads
    # The first convolution takes the image to the scale of the coursework's pixels.
    layers: list[nn.Module] = [nn.Conv2d(3, 3, 1), nn.Conv2d(3, width, 3, padding=1)]
    latent_from = 1 + max(config.downsample_after, default=0)
    for stage, outer in enumerate(config.encoder_channels[1:], start=1):
        for _ in range(config.encoder_blocks):
            layers.append(ResidualBlock(width, outer, NORM))
            width = outer
            if config.encoder_attention and stage >= latent_from:
                layers.append(AttentionBlock(width, heads, NORM))
        if stage in config.downsample_after:
            layers.append(nn.AvgPool2d(2) if config.downsampling == "average" else Downsample(width))
    layers += middle(width, heads, NORM, config.attention)
    layers += [normalisation(NORM, width), nn.SiLU()]
    return [*layers, nn.Conv2d(width, code_dim, 3, padding=1), nn.Conv2d(code_dim, code_dim, 1)]


def decoder_layers(
    config: TokenizerConfig,
) -> tuple[nn.Module, nn.Sequential, nn.ModuleList, nn.Module]:
    """The decoder's conv_in, middle, stages and norm."""
    width, code_dim, heads = config.decoder_channels[0], config.quantizer.code_dim, config.attention_heads
    inner = nn.Conv2d(code_dim, width, 3, padding=1)  # made first: a seed draws the weights it always drew
    conv_in = nn.Sequential(nn.Conv2d(code_dim, code_dim, 1), inner)
    center = middle(width, heads, NORM, config.attention)
    latent_until = min(config.upsample_after, default=len(config.decoder_channels))
    stages = nn.ModuleList()
    for stage, outer in enumerate(config.decoder_channels, start=1):
        blocks: list[nn.Module] = []
        for _ in range(config.decoder_blocks):
            blocks.append(ResidualBlock(width, outer, NORM))
            width = outer
            if config.attention and stage <= latent_until:
                blocks.append(AttentionBlock(width, heads, NORM))
        if stage in config.upsample_after:
            blocks.append(Upsample(width, width))
        stages.append(nn.Sequential(*blocks))
    return conv_in, center, stages, normalisation(NORM, width)
