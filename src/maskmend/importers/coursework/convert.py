"""Converts checkpoints of the published experiment into models of ours.

Two files, the VQGAN's state dict and the transformer's, or one that holds both, become a tokenizer and a
transformer whose outputs are those of its code (assumptions: docs/coursework-checkpoints.md).
"""

from pathlib import Path
from typing import NamedTuple

from maskmend.config import nearest
from maskmend.errors import ConfigError
from maskmend.importers.coursework.state_dict import read_state
from maskmend.importers.coursework.transformer import convert_transformer
from maskmend.importers.coursework.vqgan import PIXELS, convert_vqgan
from maskmend.models.transformer import MaskedTransformer
from maskmend.models.vqgan import VQGAN


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
        heads: of the transformer's attention; 16 where neither this nor the file says.
        pixels: normalisation of the VQGAN's pixels: "coursework" (mean and deviation of the published
            experiment's images; older versions call it "lab") or "signed" ([-1, 1]).

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
