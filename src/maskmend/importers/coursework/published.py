"""The coursework's method as settings, where it is well defined: training and decoding.

    training   each token of the whole picture masked with probability 0.5, loss over all tokens, no
               smoothing, plain full attention in post-norm blocks, learned positions, dropout, last weights
    filling    grey holes encoded as they are; argmax; raw probability + 4.5 x annealed Gumbel noise; every
               pixel from the decoder

Its loop evaluates the schedule at step / T with steps 0 to T - 1. Step 0 keeps no token, so its 8 iterations
are the first 7 steps of ours at T = 8, and tokens that are then still masked take the last prediction:
steps = 8, sweet_spot = 7 in our settings (a test restates the loop and compares).
"""

from typing import Any

COURSEWORK_FID = {"cosine": 38.02, "linear": 39.12, "square": 39.30}
"""From its table, uncomposited, on its own split. The table calls the third square root, the text square."""

COURSEWORK_MODEL: dict[str, Any] = {
    "norm": "post",
    "positions": "learned",
    "attention": "full",
    "marks_hole": False,
    "hints": False,
    "dropout": 0.1,
}
"""The transformer's blocks; `transformer.coursework_config` is the whole configuration, with its size."""

COURSEWORK_TRAINING: dict[str, Any] = {
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
"""The [transformer] table of a recipe but for the tokenizer, as in recipes/coursework/01-transformer.toml."""

COURSEWORK_DECODING: dict[str, Any] = {
    "steps": 8,
    "sweet_spot": 7,
    "schedule": "cosine",
    "order": "confidence",
    "confidence": "probability",
    "choice": "argmax",
    "noise": 4.5,
    "infill": "grey",
    "ring": 0,
    "share": 0.0,
    "seam": "hard",
}
"""Settings of a fill: its 8 iterations at sweet spot 8."""

PRESETS = {"coursework": COURSEWORK_DECODING, "report": COURSEWORK_DECODING}
"""Settings of a fill by name, for `maskmend evaluate --preset`; "report" is the older name."""
