"""diffusers' VQModel as our tokenizer: Taming Transformers' layout under other names, without attention.

    encoder.down_blocks.I.resnets.J     encoder.down.I.block.J        conv_shortcut      nin_shortcut
    encoder.mid_block.resnets.0, .1     encoder.mid.block_1, _2       conv_norm_out      norm_out
    decoder.up_blocks.I.resnets.J       decoder.up.LAST - I.block.J   downsamplers.0     downsample

It takes pixels in [0, 1].
"""

import re

from maskmend.errors import ModelError
from maskmend.importers.amused.component import Component
from maskmend.importers.source import Source
from maskmend.importers.vqgan_layout import Layout, expected_shapes
from maskmend.importers.vqgans import convert_vqgan
from maskmend.models.vqgan import VQGAN

FIXED = {
    "in_channels": 3,
    "out_channels": 3,
    "act_fn": "silu",
    "norm_num_groups": 32,
    "norm_type": "group",
    "mid_block_add_attention": False,
}
SIZES = ("layers_per_block", "latent_channels", "num_vq_embeddings", "vq_embed_dim", "block_out_channels")
KNOWN = (
    "down_block_types", "up_block_types", "sample_size", "scaling_factor", "lookup_from_codebook",
    "force_upcast", *FIXED, *SIZES,
)  # fmt: skip
WHAT = "a VQModel of its config.json"


def convert_tokenizer(component: Component, grid: int) -> VQGAN:
    """Our tokenizer for `grid` x `grid` tokens. Raises ModelError where the component does not fit."""
    layout = read_layout(component)
    shapes = expected_shapes(layout)
    depth = len(layout.multipliers)
    names = {name: _theirs(name, depth) for name in shapes}
    component.source.check({names[name]: shape for name, shape in shapes.items()}, WHAT)
    renamed = {name: component.source.tensors[theirs] for name, theirs in names.items()}
    return convert_vqgan(Source(component.source.path, renamed), layout, grid * 2 ** (depth - 1), WHAT)


def read_layout(component: Component) -> Layout:
    """The tokenizer's sizes. Raises ModelError where ours cannot have them."""
    path, config = component.path, component.config
    component.allow(KNOWN)
    component.expect(FIXED)
    widths = config.get("block_out_channels")
    if (
        not isinstance(widths, list)
        or not widths
        or not all(type(w) is int and 1 <= w <= 8192 for w in widths)
    ):
        raise ModelError(f"{path}: block_out_channels is {widths!r}, expected a list of widths")
    if any(width % widths[0] for width in widths):
        raise ModelError(
            f"{path}: block_out_channels is {widths}, and only multiples of the first can be converted"
        )
    for name, kind in (("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")):
        component.expect({name: [kind] * len(widths)})
    blocks = component.counted("layers_per_block", 1, r"encoder\.down_blocks\.0\.resnets\.(\d+)\.")
    latents = component.size("latent_channels", 3)
    named = config.get("vq_embed_dim")
    return Layout(
        channels=widths[0],
        multipliers=tuple(width // widths[0] for width in widths),
        blocks=blocks,
        decoder_blocks=blocks + 1,
        latents=latents,
        code_dim=latents if named is None else component.size("vq_embed_dim"),
        codes=component.size("num_vq_embeddings", 256),
        attention=False,
        unit_pixels=True,
    )


def _theirs(name: str, depth: int) -> str:
    """The key of taming's `name` in a VQModel of `depth` resolutions."""
    name = re.sub(r"mid\.block_(\d)", lambda m: f"mid_block.resnets.{int(m[1]) - 1}", name)
    name = re.sub(r"decoder\.up\.(\d+)", lambda m: f"decoder.up_blocks.{depth - 1 - int(m[1])}", name)
    name = re.sub(r"encoder\.down\.", "encoder.down_blocks.", name)
    name = re.sub(r"\.(down|up)sample\.", r".\1samplers.0.", name)
    name = name.replace(".block.", ".resnets.").replace("nin_shortcut", "conv_shortcut")
    return name.replace("norm_out", "conv_norm_out")
