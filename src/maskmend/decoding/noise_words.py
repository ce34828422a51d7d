"""The constants of the noise's hash, for PyTorch (`decoding.noise`) and for NumPy (`runtime.noise`).

They determine every fill of every seed. The browser's `export/site/browser/noise.js` has the same.
"""

from enum import IntEnum

LANES = (0x243F6A88, 0x85A308D3)
"""The first 64 fractional bits of pi: start values of the two lanes."""
STEP = 0x9E3779B9
"""2^32 / golden ratio: keeps a word of 0 from leaving a state of 0 unchanged."""
MIX = ((16, 0x21F0AAAD), (15, 0x735A2D97))
"""Shift and factor of each round: constants C. Wellons found by search (hash-prospector, bias 0.107)."""
LAST_SHIFT = 15


class Stream(IntEnum):
    """What a number is used for: different uses of one (seed, step, position) must not share their noise."""

    TOKEN = 0
    CONFIDENCE = 1
    ORDER = 2
