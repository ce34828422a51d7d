"""Checkpoints of the published coursework on this experiment, turned into models of ours.

Two files, the VQGAN's state dict and the transformer's, or one that holds both, become a tokenizer and a
transformer whose outputs are those of the coursework's code (docs/lab-checkpoints.md says what is assumed).
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
    """What two checkpoints became."""

    tokenizer: VQGAN
    transformer: MaskedTransformer
    notes: tuple[str, ...]
    """One line for each key that found no place, and for what was taken as given."""


def convert_lab(
    vqgan: Path | str, transformer: Path | str, *, heads: int | None = None, pixels: str = "lab"
) -> Converted:
    """Reads the two checkpoints.

    Args:
        vqgan: file with the VQGAN's state dict.
        transformer: file with the transformer's; the same file where one holds both.
        heads: of the transformer's attention; 16 where neither this nor the file says.
        pixels: what the VQGAN's pixels were scaled with: "lab" (mean and deviation of the coursework's
            pictures) or "signed" ([-1, 1]).

    Raises ModelError when a file cannot be read or has what ours does not have, ConfigError for `heads` or
    `pixels` that cannot be.
    """
    if pixels not in PIXELS:
        raise ConfigError(f"pixels = {pixels!r} is unknown{nearest(pixels, PIXELS)}")
    first = read_state(Path(vqgan), "codebook.embedding.weight", "VQGAN")
    second = read_state(Path(transformer), "tok_emb.weight", "transformer")
    codes = len(first.take("codebook.embedding.weight"))
    model = convert_transformer(second, codes, heads)
    tokenizer = convert_vqgan(first, model.config.grid, pixels)
    for state in (first, second):
        state.note_unplaced()
    return Converted(tokenizer, model, (*first.notes, *second.notes))
