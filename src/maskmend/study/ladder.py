"""The ladder from the report's recipe to ours: each rung changes one ingredient and keeps all changes below it.

The lowest rung is the report's method where it is well defined: each token of the whole picture hidden with
probability 0.5; loss over all tokens; plain full attention in post-norm blocks; last weights, not averaged;
filling by argmax with raw probability plus 4.5 x annealed Gumbel noise, grey holes encoded as they are, every
pixel from the decoder.

Its loop evaluates the schedule at step / T with steps 0 to T - 1. At step 0 nothing is kept, so its 8
iterations are the first 7 steps of ours at T = 8; what is then still masked takes the last prediction. In our
settings that is steps = 8, sweet_spot = 7 (a test restates the loop and compares).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

REPORT_MODEL: dict[str, Any] = {
    "norm": "post",
    "positions": "learned",
    "attention": "full",
    "marks_hole": False,
    "hints": False,
    "dropout": 0.1,
}
"""The report's blocks; their size is the study's."""

REPORT_TRAINING: dict[str, Any] = {
    "bernoulli": 1.0,
    "bernoulli_p": 0.5,
    "scheduled": 0.0,
    "boxes": 0.0,
    "strokes": 0.0,
    "random_walk": 0.0,
    "loss_on": "all",
    "label_smoothing": 0.0,
    "infill": "grey",
    "codebook_start": False,
}
"""The report's [transformer] table, but for the tokenizer."""

REPORT_DECODING: dict[str, Any] = {
    "steps": 8,
    "sweet_spot": 7,
    "schedule": "cosine",
    "order": "confidence",
    "confidence": "probability",
    "choice": "argmax",
    "noise": 4.5,
    "infill": "grey",
    "seam": "hard",
}
"""The report's filling: 8 iterations, sweet spot 8, counted as its loop counts."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One ingredient, and with it all of the rungs below."""

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
    beside: bool = False
    """A side branch: compared with the rung below, not built upon."""


REPORT = Rung(
    name="the report's recipe",
    about="Bernoulli(0.5) masks, loss over all tokens, argmax, raw probability + 4.5 x Gumbel noise, grey holes",
    model=REPORT_MODEL,
    training=REPORT_TRAINING,
    settings=REPORT_DECODING,
)

CHANGES: tuple[Rung, ...] = (
    Rung(
        name="mask family",
        about="holes as people and the test draw them, partly filled",
        training={"bernoulli": 0.0, "scheduled": 0.15, "boxes": 0.15, "strokes": 0.2, "random_walk": 0.5},
    ),
    Rung(name="loss on masked", about="from the hidden tokens only", training={"loss_on": "masked"}),
    Rung(
        name="hole filling",
        about="smooth instead of grey before encoding",
        training={"infill": "diffusion"},
        settings={"infill": "diffusion"},
    ),
    Rung(
        name="log-probability confidence",
        about="log p + 1.0 x Gumbel noise instead of p + 4.5 x",
        settings={"confidence": "log_probability", "noise": 1.0},
    ),
    Rung(
        name="order: to the end",
        about="schedule evaluated at (step + 1) / T: nothing is left over",
        settings={"sweet_spot": None},
    ),
    Rung(
        name="token choice",
        about="drawn at temperature 0.8 instead of argmax",
        settings={"choice": "sample", "temperature": 0.8},
    ),
    Rung(name="attention pattern", about="known tokens see known ones only", model={"attention": "context"}),
    Rung(name="EMA", about="moving average of the weights (0.99)", averaged=True),
    Rung(name="label smoothing", about="0.05", training={"label_smoothing": 0.05}),
    Rung(
        name="blocks",
        about="pre-norm, rotary and learned positions, no dropout",
        model={"norm": "pre", "positions": "both", "dropout": 0.0},
    ),
    Rung(
        name="hints",
        about="hidden tokens know the smooth fill's code at their place; embedding starts from the codebook",
        model={"marks_hole": True, "hints": True},
        training={"codebook_start": True},
    ),
    Rung(name="compositing", about="known pixels from the image", composited=True),
    Rung(name="seam: ours", about="levels matched by a Poisson equation", settings={"seam": "poisson"}),
    Rung(name="ours, random order", about="instead of confidence", settings={"order": "random"}, beside=True),
    Rung(name="ours, Halton order", about="instead of confidence", settings={"order": "halton"}, beside=True),
)


def ladder(lowest: Rung = REPORT, changes: Sequence[Rung] = CHANGES) -> list[Rung]:
    """Every rung with all that it inherits from those below."""
    rungs, below = [lowest], lowest
    for change in changes:
        rungs.append(
            replace(
                change,
                model=below.model | change.model,
                training=below.training | change.training,
                averaged=below.averaged or change.averaged,
                settings=below.settings | change.settings,
                composited=below.composited or change.composited,
            )
        )
        below = below if change.beside else rungs[-1]
    return rungs
