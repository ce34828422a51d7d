"""aMUSEd in two tiny layouts, converted, and its predictions beside the published arithmetic."""

from pathlib import Path

import torch

from maskmend.importers.amused.convert import convert_amused
from maskmend.importers.writing import write_conversion
from maskmend.models.uvit import UViT
from maskmend.pipeline import InpaintPipeline
from restated_amused import Sizes, encode_prompt, logits

SMALL = Sizes()
"""4 x 4 tokens, as amused-256 is laid out."""
RESIZED = Sizes(resized=True, grid=8, blocks=2, vq=(32, 32, 64), vq_blocks=2)
"""8 x 8 tokens, 4 x 4 inside, as amused-512 is laid out."""


def converted(source: Path) -> tuple[UViT, InpaintPipeline]:
    write_conversion(convert_amused(source), source / "ours")
    pipe = InpaintPipeline.from_pretrained(source / "ours", precision="fp32")
    assert isinstance(pipe.transformer, UViT)
    return pipe.transformer, pipe


def both_logits(
    sizes: Sizes, parts, model: UViT, prompt: tuple[int, ...] = (), condition: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, sizes.codes, (sizes.grid, sizes.grid), generator=generator)
    hidden = torch.rand(tokens.shape, generator=generator) < 0.5
    text = encode_prompt(parts["text_encoder"], sizes, *prompt)
    theirs = logits(parts["transformer"], sizes, tokens.masked_fill(hidden, sizes.mask), *text)
    hole = hidden.flatten()[None]
    ours = model(
        tokens.masked_fill(hidden, model.config.mask_id).flatten()[None], hole, hole, condition=condition
    )
    return theirs[hidden.flatten()], ours
