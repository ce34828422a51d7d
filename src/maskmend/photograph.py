"""Is a picture that was given as a mask plainly a photograph?

In a mask brightness runs from black to white and back; antialiased edges, soft brushes and JPEG only slow it
down on its way. In a photograph it turns back among the greys everywhere. So turning points are counted:
pixels of a row that are neither near black nor near white, and brighter, or darker, than both neighbours.
Of 500 photographs of 64x64 pixels half have more than 35 % of them, all but a few more than 15 %; masks of
every kind in `holes`, blurred or not, saved as JPEG of quality 20 or not, have less than that, but for
blurred single pixels. The line is drawn above both: better to miss a photograph, such as one of the night,
than to refuse a mask.
"""

import numpy as np
from jaxtyping import Float

SIDE = 48
"""Of larger pictures so many rows, or columns, are looked at along the shorter side, or a few more."""
SMALLEST = 32
"""Pixels along the shorter side below which nothing is said: JPEG's 8x8 blocks are too coarse for the shapes
of such small masks."""
GREYS = (1 / 16, 15 / 16)
TURN = (3 / 255, 96 / 255)
"""A turn's depth: less is JPEG's noise in plain grey, more an edge between black and white."""
SHARE = 0.2


def is_photograph(brightness: Float[np.ndarray, "H W"]) -> bool:
    """Whether brightness, from 0 to 1, turns as it does in photographs."""
    shorter = min(brightness.shape)
    if shorter < SMALLEST:
        return False
    step = max(1, shorter // SIDE)
    rows = brightness[::step, ::step]
    left, here, right = rows[:, :-2], rows[:, 1:-1], rows[:, 2:]
    three = np.stack([left, here, right])
    depth = three.max(axis=0) - three.min(axis=0)
    turns = (here - left) * (here - right) > 0
    turns &= (here > GREYS[0]) & (here < GREYS[1]) & (depth >= TURN[0]) & (depth <= TURN[1])
    return bool(turns.mean() >= SHARE)
