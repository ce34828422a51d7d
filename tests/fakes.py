"""Tiny stand-ins that several test modules build on: random models, soft pictures, masks."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from PIL import Image

import maskmend
from maskmend.fill.windows import square_around
from maskmend.masks.box import Box
from maskmend.models.quantizer import QuantizerConfig
from maskmend.models.tokenizer_config import TokenizerConfig
from maskmend.models.transformer import MaskedTransformer, small_config
from maskmend.models.vqgan import VQGAN

CODES = 24
TINY_TOKENIZER = """[model]
resolution = 16
encoder_channels = [8, 8, 8]
decoder_channels = [8, 8]
decoder_blocks = 1
downsample_after = [1, 2]
upsample_after = [1, 2]
quantizer = { codes = 16, code_dim = 4 }
"""
"""A recipe's table: 16 x 16 pixels, 4 x 4 tokens of 16 codes."""


def tiny_models(
    grid: int = 4, codes: int = CODES, *, sees_known: bool = True, **changes: Any
) -> tuple[VQGAN, MaskedTransformer]:
    """A random tokenizer of factor 4 and a transformer for `grid` x `grid` tokens, the same on every call.

    Its decoder sees the known pixels and blurs its colour, or neither. `changes` are the transformer's.
    """
    config = small_config(codes=codes, grid=grid, dim=16, heads=2, layers=2, mlp=32, **changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tokenizer = VQGAN(
            TokenizerConfig(
                resolution=4 * grid,
                encoder_channels=(8, 8, 8),
                encoder_blocks=1,
                downsample_after=(1, 2),
                encoder_norm="position",
                encoder_attention=False,
                decoder_channels=(8, 8, 8),
                decoder_blocks=1,
                upsample_after=(1, 2),
                known_channels=(8, 8, 8) if sees_known else (),
                known_guesses=config.guesses,
                colour_blur=0.5 if sees_known else 0.0,
                quantizer=QuantizerConfig(codes=codes, code_dim=4),
            )
        )
        # Codes that lie among the latents, so that different pictures have different tokens.
        tokenizer.train()(torch.rand(16, 3, 4 * grid, 4 * grid) * 2 - 1)
        if tokenizer.decoder.known_encoder is not None:
            # Fresh merges are zero: then the known pixels would be seen to no effect.
            for merge in tokenizer.decoder.known_encoder.zero_convs:
                merge.weight.data.normal_()
        transformer = MaskedTransformer(config)
        # Fresh weights predict much the same for all tokens; larger ones have opinions.
        for parameter in transformer.parameters():
            if parameter.ndim > 1:
                parameter.data *= 20
    return tokenizer.eval(), transformer.eval()


class FakePerceptual:
    """A distance with a curved gradient, one number for each picture."""

    @property
    def widths(self) -> list[int]:
        return [3]

    def features(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [F.avg_pool2d(images, 3)]

    def feature_distance(self, a: list[torch.Tensor], b: list[torch.Tensor]) -> torch.Tensor:
        return (a[0] - b[0]).square().mean((1, 2, 3))


def smooth_pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture of soft colours, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [
        128 + 100 * np.sin(rng.uniform(2, 6) * rows + rng.uniform(2, 6) * columns + rng.uniform(0, 6))
        for _ in range(3)
    ]
    return np.stack(waves, axis=2).astype(np.uint8)


def box_mask(height: int, width: int, top: int, left: int, bottom: int, right: int) -> np.ndarray:
    """True in rows top to bottom and columns left to right, ends excluded."""
    mask = np.zeros((height, width), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def photograph() -> np.ndarray:
    """A true one, grey, uint8 (64, 64): as a mask it is refused unless it is meant."""
    path = Path(maskmend.__file__).parent / "assets" / "samples" / "00385.png"
    return np.asarray(Image.open(path).convert("L"))


def waves(count: int, seed: int) -> np.ndarray:
    """Coloured sine waves, (count, 64, 64, 3) uint8: images anyone can make again."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:64, 0:64]
    made = []
    for _ in range(count):
        frequency, phase = generator.uniform(0.02, 0.4, (3, 2)), generator.uniform(0, 6.28, 3)
        channels = [np.sin(f[0] * x + f[1] * y + p) for f, p in zip(frequency, phase, strict=True)]
        made.append((127.5 + 127.5 * np.stack(channels, axis=-1)).round().astype(np.uint8))
    return np.stack(made)


@st.composite
def holes(draw, largest=70):
    """A picture's size and a mask that is not empty: boxes and stray pixels."""
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    mask = rng.random((height, width)) < draw(st.sampled_from([0.0, 0.02, 0.5, 1.0]))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    mask[top : top + draw(st.integers(1, largest)), left : left + draw(st.integers(1, largest))] = True
    return mask, rng


def square(mask: np.ndarray, *, context: float, minimum: int = 1) -> Box:
    """What is seen of a picture whose hole is one part."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left, bottom, right = (int(n) for n in (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1))
    bounds = Box(top=top, left=left, height=bottom - top, width=right - left)
    return square_around(bounds, mask.shape, context=context, minimum=minimum)


def migan_stand_in(path: Path, *steps: tuple[str, list[str], str]) -> Path:
    """A network of MI-GAN's inputs and output, made of (operator, inputs, output)."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    helper = onnx.helper
    image, mask, result = (
        helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, [1, channels, "h", "w"])
        for name, channels in (("image", 3), ("mask", 1), ("result", 3))
    )
    nodes = [helper.make_node(name, inputs, [output]) for name, inputs, output in steps]
    graph = helper.make_graph(nodes, "in MI-GAN's place", [image, mask], [result])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def print_profile() -> bytes:
    """An ICC profile of a printer for which any ink is mid grey, and paper white (ICC.1:2001, 6.5.7)."""
    text = b"fake printer"
    identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    ramp = bytes(range(256))
    grid = bytes([255, 128, 128]) + bytes([128, 128, 128]) * 15  # Lab: L* of 100, or of 50
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + grid + ramp * 3
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text) + 1) + text + bytes(1 + 78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061),
        b"A2B0": lut,
        b"A2B1": lut,
    }
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02400000, b"prtr", b"CMYK", b"Lab ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body
