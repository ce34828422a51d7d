"""The model card of a converted aMUSEd model."""

from maskmend.models.uvit import UViTConfig


def draft_card(name: str, config: UViTConfig, side: int) -> str:
    """The card, Markdown. `name` is that of the folder it came from, `side` the picture's in pixels."""
    inside = f", halved to {config.grid // 2} x {config.grid // 2} inside" if config.halves else ""
    return f"""# aMUSEd

Converted by `maskmend convert amused` from the folder {name}: {config.layers} transformer blocks, {config.dim} wide.

- Source: "aMUSEd: An Open MUSE Reproduction" (Patil et al. 2024, arXiv 2401.01808), as stored by diffusers.
- Licence of the published weights: CreativeML Open RAIL++-M (openrail++), which restricts some uses; read it
  before you pass the model on. diffusers' code: Apache-2.0.
- Data: the authors name LAION-2B and further web collections, filtered by aesthetic score; pictures whose
  owners may have rights of their own. Whether they bind what was learnt from them is for you to judge.
- What it fills: pictures of {side} x {side} pixels through {config.grid} x {config.grid} tokens of {config.codes} codes{inside}; larger ones
  through windows of that size.
- Conditioning: the empty prompt, folded into the weights. Prompts need the original.
- Trained to fill random tokens, not connected holes, and without a hint of what surrounds a cut cell: one ring
  of tokens around the hole is predicted anew (`ring = 1`).
"""
