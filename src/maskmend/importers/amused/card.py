"""The model card of a converted aMUSEd model."""

from maskmend.models.uvit import UViTConfig


def draft_card(name: str, config: UViTConfig, side: int, prompts: bool = False) -> str:
    """The card, Markdown.

    `name` is that of the folder it came from, `side` the picture's in pixels; `prompts`: whether they are
    included.
    """
    return CARD.format(
        name=name,
        layers=config.layers,
        dim=config.dim,
        side=side,
        grid=config.grid,
        codes=config.codes,
        words=KEPT if prompts else LEFT,
        inside=f", {config.grid // 2} x {config.grid // 2} inside" if config.halves else "",
    )


KEPT = "What other prompts need is kept (`prompts/`)."
LEFT = "What other prompts need is left out."
CARD = """# aMUSEd

Converted by `maskmend convert amused` from the folder {name}: {layers} transformer blocks, {dim} wide.

- Source: "aMUSEd: An Open MUSE Reproduction" (Patil et al. 2024, arXiv 2401.01808), as diffusers stores it.
- Licence of the published weights: Open RAIL++-M (openrail++), which forbids some uses and must be handed on
  with the model: read it first. diffusers' code: Apache-2.0.
- Data: pictures and captions from the web, LAION's among them. Whether the terms of that collection, or the
  rights of those who made the pictures, bind what was learnt from them is for you to judge.
- What it fills: pictures of {side} x {side} pixels through {grid} x {grid} tokens of {codes} codes{inside};
  larger ones through windows of that size.
- Conditioning: the empty prompt, folded into the weights. {words}
- Trained to fill random tokens, not connected holes, and without a hint of what surrounds a cut cell: one
  ring of tokens around the hole is predicted again (`ring = 1`).
"""
