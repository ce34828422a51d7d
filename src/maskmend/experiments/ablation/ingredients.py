"""The rows of the ablation, from the coursework's recipe (`published`) to ours.

Each row changes one ingredient and keeps those of the rows before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from maskmend.importers.coursework.published import COURSEWORK_DECODING, COURSEWORK_MODEL, COURSEWORK_TRAINING


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """One change of model, training or filling; a row of the ablation has all those before it too."""

    name: str
    about: str
    """What changes, in a few words."""
    model: dict[str, Any] = field(default_factory=dict)
    """Of the transformer; a change means another training."""
    training: dict[str, Any] = field(default_factory=dict)
    """Of the recipe's [transformer] table; likewise."""
    averaged: bool = False
    """Whether the moving average of the weights fills, or the last weights."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the fill."""
    composited: bool = False
    """Whether known pixels come from the image: what the result then is."""


PUBLISHED = Ingredient(
    name="the coursework's recipe",
    about="Bernoulli(0.5) masks, loss over all tokens, argmax, raw probability + 4.5 x noise, grey holes",
    model=COURSEWORK_MODEL,
    training=COURSEWORK_TRAINING,
    settings=COURSEWORK_DECODING,
)

CHANGES: tuple[Ingredient, ...] = (
    Ingredient(
        name="blocks",
        about="pre-norm, rotary and learned positions, no dropout",
        model={"norm": "pre", "positions": "both", "dropout": 0.0},
    ),
    Ingredient(
        name="mask family",
        about="holes as people and the test draw them, partly filled",
        training={"bernoulli": 0.0, "scheduled": 0.15, "boxes": 0.15, "strokes": 0.2, "random_walk": 0.5},
    ),
    Ingredient(name="loss on masked", about="from the masked tokens only", training={"loss_on": "masked"}),
    Ingredient(
        name="hole filling",
        about="smooth instead of grey before encoding",
        training={"infill": "diffusion"},
        settings={"infill": "diffusion"},
    ),
    Ingredient(
        name="log-probability confidence",
        about="log p + 4.5 x Gumbel noise instead of p + 4.5 x",
        settings={"confidence": "log_probability"},
    ),
    Ingredient(name="less noise", about="1.0 x Gumbel noise on it instead of 4.5 x", settings={"noise": 1.0}),
    Ingredient(
        name="order: Halton",
        about="tokens spread evenly over the hole first, instead of the most confident",
        settings={"order": "halton"},
    ),
    Ingredient(
        name="order: confidence again",
        about="back to the default order",
        settings={"order": "confidence"},
    ),
    Ingredient(
        name="order: to the end",
        about="schedule evaluated at (step + 1) / T: nothing is left over",
        settings={"sweet_spot": None},
    ),
    Ingredient(
        name="token choice",
        about="drawn at temperature 0.6 instead of argmax",
        settings={"choice": "sample", "temperature": 0.6},
    ),
    Ingredient(
        name="attention pattern",
        about="known tokens attend to known ones only",
        model={"attention": "prefix"},
    ),
    Ingredient(name="EMA", about="moving average of the weights (0.99)", averaged=True),
    Ingredient(name="label smoothing", about="0.05", training={"label_smoothing": 0.05}),
    Ingredient(
        name="hints",
        about="masked tokens carry the infilled image's token as a hint; embedding starts from the codebook",
        model={"marks_hole": True, "hints": True},
        training={"codebook_start": True},
    ),
    Ingredient(name="compositing", about="known pixels from the image", composited=True),
    Ingredient(name="seam: ours", about="levels matched by a Poisson equation", settings={"seam": "poisson"}),
)


def cumulative(lowest: Ingredient = PUBLISHED, changes: Sequence[Ingredient] = CHANGES) -> list[Ingredient]:
    """Each ingredient together with all those before it: the rows of the ablation."""
    ingredients = [lowest]
    for change in changes:
        below = ingredients[-1]
        ingredients.append(
            replace(
                change,
                model=below.model | change.model,
                training=below.training | change.training,
                averaged=below.averaged or change.averaged,
                settings=below.settings | change.settings,
                composited=below.composited or change.composited,
            )
        )
    return ingredients
