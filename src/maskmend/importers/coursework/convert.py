"""Converts checkpoints of the coursework into models of ours.

Two files, the VQGAN's state dict and the transformer's, or one that holds both, become a tokenizer and a
transformer whose outputs are those of its code (assumptions: docs/coursework-checkpoints.md).
"""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

from maskmend.config import nearest
from maskmend.errors import ConfigError
from maskmend.importers.coursework.state_dict import read_state
from maskmend.importers.coursework.transformer import convert_transformer
from maskmend.importers.coursework.vqgan import PIXELS, convert_vqgan
from maskmend.importers.writing import Conversion
from maskmend.models.transformer import MaskedTransformer
from maskmend.models.vqgan import VQGAN
from maskmend.settings import Settings


class Converted(NamedTuple):
    """The converted models."""

    tokenizer: VQGAN
    transformer: MaskedTransformer
    notes: tuple[str, ...]
    """One line for each key that is not used, and for each assumption."""


def convert_coursework(
    vqgan: Path | str, transformer: Path | str, *, heads: int | None = None, pixels: str = "coursework"
) -> Converted:
    """Reads the two checkpoints.

    Args:
        vqgan: file with the VQGAN's state dict.
        transformer: file with the transformer's; the same file where one holds both.
        heads: of the transformer's attention; 16 if neither this nor the file gives them.
        pixels: normalisation of the VQGAN's pixels: "coursework" (mean and deviation of the coursework's
            images; older versions call it "lab") or "signed" ([-1, 1]).

    Raises ModelError when a file cannot be read or has layers that our models do not have, ConfigError for
    impossible `heads` or unknown `pixels`.
    """
    pixels = {"lab": "coursework"}.get(pixels, pixels)
    if pixels not in PIXELS:
        raise ConfigError(f"pixels = {pixels!r} is unknown{nearest(pixels, PIXELS)}")
    first = read_state(Path(vqgan), "codebook.embedding.weight", "VQGAN")
    second = read_state(Path(transformer), "tok_emb.weight", "transformer")
    codes = len(first.take("codebook.embedding.weight"))
    model = convert_transformer(second, codes, heads)
    tokenizer = convert_vqgan(first, model.config.grid, pixels)
    for state in (first, second):
        state.note_unused()
    return Converted(tokenizer, model, (*first.notes, *second.notes))


def as_conversion(made: Converted, vqgan: Path | str, transformer: Path | str) -> Conversion:
    """What `write_conversion` writes for the converted models; the card names the two files."""
    state = made.transformer.state_dict()
    config = made.transformer.config
    return Conversion(
        tokenizer=made.tokenizer,
        model=made.transformer,
        weights={name: partial(state.__getitem__, name) for name in state},
        defaults={name: value for name, value in asdict(Settings()).items() if value is not None},
        card=CARD.format(
            layers=config.layers,
            dim=config.dim,
            side=made.tokenizer.config.resolution,
            grid=config.grid,
            vqgan=Path(vqgan).name,
            transformer=Path(transformer).name,
        ),
        notes=made.notes,
    )


CARD = """# A model of the coursework that maskmend reproduces

Converted by `maskmend convert coursework` from {vqgan} and {transformer}: {layers} blocks, {dim} wide.

- What it fills: pictures of {side} x {side} pixels through {grid} x {grid} tokens; larger ones through
  windows of that size.
- Trained with tokens masked at random over the whole picture, and without a hint of what surrounds a cut
  cell. What was assumed of its files is in maskmend's documents under "Checkpoints and folders of the
  coursework".
- Licence and data: whoever trained it knows them.
"""
