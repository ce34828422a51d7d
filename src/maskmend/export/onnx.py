"""Exports a model as four ONNX graphs, for runtimes without PyTorch and other languages (docs/onnx.md).

    encoder   image ─► tokens                        prefill   known tokens ─► their keys and values
    step      hole tokens, keys, values ─► logits    decoder   tokens (and known pixels) ─► image

Batches are padded, not ragged; the sizes of the batch, the known part and the hole are dynamic. model.json
beside the graphs has everything a program needs to run them.
"""

import copy
import logging
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maskmend.errors import ConfigError, ModelError, pip_install
from maskmend.models.architectures import only_ours
from maskmend.models.attention import Rotation, rope_angles
from maskmend.models.known_encoder import KnownPixels
from maskmend.models.transformer import Block, Hints, MaskedTransformer
from maskmend.models.vqgan import VQGAN
from maskmend.pipeline import InpaintPipeline
from maskmend.storage.files import json_bytes, write_files

FORMAT = 2
"""Of model.json. Format 1 called the graph `prefill` and the attention "prefix" both "context"."""
OPSET = 18


class EncoderGraph(nn.Module):
    """image (B, 3, R, R) in [-1, 1], its hole filled in ─► tokens (B, h, w).

    With `distances` also the squared distance (B, h, w) of each latent vector from its code.
    """

    def __init__(self, tokenizer: VQGAN, *, distances: bool = False) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.distances = distances

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        z = self.tokenizer.encoder(image).permute(0, 2, 3, 1)
        book = self.tokenizer.quantizer.codebook
        tokens = (book.square().sum(1) - 2 * z @ book.T).argmin(-1)
        return (tokens, (z - book[tokens]).square().sum(-1)) if self.distances else tokens


class DecoderGraph(nn.Module):
    """tokens (B, h, w), for some models also the image and mask of the encoder ─► image (B, 3, R, R).

    `guess` marks the pixels of the hole that hold a guess of its content; without it none do.
    """

    def __init__(self, tokenizer: VQGAN) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def forward(
        self,
        tokens: Tensor,
        image: Tensor | None = None,
        mask: Tensor | None = None,
        guess: Tensor | None = None,
    ) -> Tensor:
        # Not None: `decode` would then read the batch size, which would become a constant of the graph.
        known = () if image is None or mask is None else KnownPixels(image, mask, guess)
        return self.tokenizer.decode(tokens, known)


class TransformerGraph(nn.Module):
    """What the two graphs of the transformer share: its blocks, and the rotations of all positions.

    The rotations are a table of the graph, so that their cosines are the same on every runtime.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, model: MaskedTransformer) -> None:
        super().__init__()
        self.model = model
        config = model.config
        self.rotary = config.positions != "learned"
        if self.rotary:
            angles = rope_angles(torch.arange(config.tokens), config.grid, config.dim // config.heads)
            self.register_buffer("cos", angles.cos())
            self.register_buffer("sin", angles.sin())

    def blocks(self) -> list[Block]:
        return cast("list[Block]", list(self.model.blocks))

    def rope(self, positions: Int[Tensor, "B T"]) -> Rotation | None:
        return Rotation(self.cos[positions], self.sin[positions]) if self.rotary else None


class PrefillGraph(TransformerGraph):
    """Known tokens and positions, padded where `valid` is False ─► keys, values (L, B, h, K, d)."""

    def forward(
        self, tokens: Int[Tensor, "B K"], positions: Int[Tensor, "B K"], valid: Bool[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "L B h K d"], Float[Tensor, "L B h K d"]]:
        outside, rope = torch.zeros_like(valid), self.rope(positions)
        x = self.model.embed_visible(tokens, self.model.embed_position(positions, outside))
        keys, values = [], []
        for block in self.blocks():
            q, k, v = block.project(x, rope)
            keys.append(k)
            values.append(v)
            x = block.finish(x, _attend(q, k, v, valid))
        return torch.stack(keys), torch.stack(values)


class StepGraph(TransformerGraph):
    """A step over padded rows ─► logits of the rows `asked` for, indices into the flattened batch."""

    def forward(
        self,
        tokens: Int[Tensor, "B M"],
        positions: Int[Tensor, "B M"],
        valid: Bool[Tensor, "B M"],
        hole: Bool[Tensor, "B M"],
        hint: Int[Tensor, "B M"],
        missing: Float[Tensor, "B M"],
        keys: Float[Tensor, "L B h K d"],
        values: Float[Tensor, "L B h K d"],
        known: Bool[Tensor, "B K"],
        asked: Int[Tensor, "S"],
        guessed: Float[Tensor, "B M"] | None = None,
    ) -> Float[Tensor, "S codes"]:
        model, rope = self.model, self.rope(positions)
        hints = Hints(hint, missing, guessed)
        x = model.embed(tokens, model.embed_position(positions, hole), hints)
        attended = torch.cat([known, valid], dim=1)
        for block, old_k, old_v in zip(self.blocks(), keys.unbind(0), values.unbind(0), strict=True):
            q, k, v = block.project(x, rope)
            k, v = torch.cat([old_k, k], dim=2), torch.cat([old_v, v], dim=2)
            x = block.finish(x, _attend(q, k, v, attended))
        return model.logits(x.flatten(0, 1)[asked], positions.flatten()[asked])


def _attend(q: Tensor, k: Tensor, v: Tensor, valid: Tensor) -> Tensor:
    # A finite number: rows of padding only, whose results are not used, do not become NaN.
    bias = torch.where(valid, 0.0, -1e9)[:, None, None]
    return torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias, dim=-1) @ v


def export_onnx(pipe: InpaintPipeline, folder: Path) -> list[Path]:
    """Writes the four graphs and model.json into `folder`; returns their paths. The pipeline is unchanged.

    Each graph is tested with another batch size before anything is written. Raises ConfigError if ONNX is not
    installed or the architecture is not ours, ModelError if a graph's outputs differ from the model's,
    OutputError if nothing can be written.
    """
    graphs, about = onnx_graphs(pipe)
    contents = {folder / f"{name}.onnx": content for name, content in graphs.items()}
    contents[folder / "model.json"] = json_bytes(about)
    write_files(contents)
    return list(contents)


def onnx_graphs(
    pipe: InpaintPipeline, *, guesses: bool = False, distances: bool = False
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The four graphs by name, and their description in model.json; raises as `export_onnx`.

    Args:
        pipe: the model.
        guesses: where the model was trained to refine a coarser fill, the step has one more input
            `guessed` (B, M) and the decoder `guess` (B, 1, R, R), which mark the guesses.
        distances: the encoder has one more output, see `EncoderGraph`.
    """
    try:
        import onnx  # noqa: F401  # pyright: ignore[reportMissingImports]
        import onnxruntime  # noqa: F401  # pyright: ignore[reportMissingImports]
        import onnxscript  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ConfigError(f"exporting needs ONNX: {pip_install('onnx')}") from None
    model = copy.deepcopy(only_ours(pipe.transformer, "exporting to ONNX")).cpu()
    tokenizer = copy.deepcopy(pipe.tokenizer).cpu()
    model, tokenizer = model.float(), tokenizer.float()
    config, side = model.config, tokenizer.config.resolution
    b, k, m, s, grid = 2, 5, 7, 3, config.grid
    head = config.dim // config.heads
    rows = {
        "tokens": torch.zeros(b, m, dtype=torch.long),
        "positions": torch.arange(m).repeat(b, 1),
        "valid": torch.ones(b, m, dtype=torch.bool),
        "hole": torch.ones(b, m, dtype=torch.bool),
        "hint": torch.zeros(b, m, dtype=torch.long),
        "missing": torch.ones(b, m),
        "keys": torch.zeros(config.layers, b, config.heads, k, head),
        "values": torch.zeros(config.layers, b, config.heads, k, head),
        "known": torch.ones(b, k, dtype=torch.bool),
        "asked": torch.arange(s),
    }
    known = {name: rows[name][:, :k] for name in ("tokens", "positions", "valid")}
    image = {"image": torch.zeros(b, 3, side, side)}
    tokens = {"tokens": torch.zeros(b, grid, grid, dtype=torch.long)}
    if guesses and config.guesses:
        rows["guessed"] = torch.ones(b, m)
    decoder_inputs = dict(tokens)
    if tokenizer.config.known_channels:
        decoder_inputs |= image | {"mask": torch.zeros(b, 1, side, side, dtype=torch.bool)}
    if guesses and tokenizer.config.known_guesses:
        decoder_inputs["guess"] = torch.zeros(b, 1, side, side, dtype=torch.bool)
    free = {"hole": {0: "batch", 1: "hole"}, "known": {0: "batch", 1: "known"}}
    axes = dict.fromkeys(("tokens", "positions", "valid", "hole", "hint", "missing"), free["hole"])
    axes |= {"keys": {1: "batch", 3: "known"}, "values": {1: "batch", 3: "known"}, "known": free["known"]}
    if "guessed" in rows:
        axes["guessed"] = free["hole"]
    only = {0: "batch"}
    graphs: dict[str, tuple[nn.Module, dict[str, Tensor], dict[str, dict[int, str]], Sequence[str]]] = {
        "encoder": (
            EncoderGraph(tokenizer, distances=distances),
            image,
            {"image": only},
            ["tokens", "distances"] if distances else ["tokens"],
        ),
        "prefill": (PrefillGraph(model), known, dict.fromkeys(known, free["known"]), ["keys", "values"]),
        "step": (StepGraph(model), rows, axes | {"asked": {0: "asked"}}, ["logits"]),
        "decoder": (
            DecoderGraph(tokenizer),
            decoder_inputs,
            dict.fromkeys(decoder_inputs, only),
            ["picture"],
        ),
    }
    contents: dict[str, bytes] = {}
    for name, (graph, inputs, shapes, outputs) in graphs.items():
        content = _exported(graph.eval(), inputs, shapes, outputs)
        _check(name, content, graph, inputs, shapes)
        contents[name] = content
    about: dict[str, Any] = {
        "format": FORMAT,
        "kind": "maskmend-onnx",
        "codes": config.codes,
        "mask_id": config.mask_id,
        "grid": config.grid,
        "factor": tokenizer.config.factor,
        "resolution": side,
        "layers": config.layers,
        "heads": config.heads,
        "head_dim": head,
        "attention": config.attention,
        "known_pixels": bool(tokenizer.config.known_channels),
        "defaults": {n: v for n, v in asdict(pipe.defaults).items() if v is not None},
    }
    return contents, about


def _exported(
    graph: nn.Module, inputs: dict[str, Tensor], axes: dict[str, dict[int, str]], outputs: Sequence[str]
) -> bytes:
    sizes: dict[str, Any] = {}
    shapes = {
        name: {axis: sizes.setdefault(size, torch.export.Dim(size)) for axis, size in axes[name].items()}
        for name in inputs
    }
    # The exporter warns of its own missing parts, such as torchvision, which are not needed.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph, (), kwargs=inputs, input_names=list(inputs), output_names=list(outputs),
            dynamic_shapes=shapes, opset_version=OPSET, dynamo=True, verbose=False, optimize=True,
        )  # fmt: skip
    assert program is not None
    return program.model_proto.SerializeToString()


@torch.no_grad()
def _check(
    name: str,
    content: bytes,
    graph: nn.Module,
    inputs: dict[str, Tensor],
    axes: dict[str, dict[int, str]],
) -> None:
    """Raises ModelError where the exported graph differs from its model with a larger batch than it was
    traced with: the exporter silently turns a size that the model reads into a constant."""
    from onnxruntime import InferenceSession  # pyright: ignore[reportMissingImports]

    larger = dict(inputs)
    for given, sizes in axes.items():
        for axis, size in sizes.items():
            if size == "batch":
                value = larger[given]
                larger[given] = torch.cat([value, value.narrow(axis, 0, 1)], dim=axis)
    wanted = graph(**larger)
    try:
        session = InferenceSession(content, providers=["CPUExecutionProvider"])
        feed = {one.name: larger[one.name].numpy() for one in session.get_inputs()}
        found = [torch.from_numpy(value) for value in session.run(None, feed)]
    except Exception as error:  # the runtime has its own exception class for each kind of error
        raise ModelError(
            f"the exported {name} fails with another batch size ({error}): nothing was written"
        ) from None
    for have, want in zip(found, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        # Only the shape of tokens: where two codes are equally near, either is right.
        off = have.shape != want.shape or (
            want.is_floating_point() and not torch.allclose(have, want, atol=1e-2, rtol=1e-2)
        )
        if off:
            raise ModelError(f"the exported {name} differs from the model: nothing was written")
