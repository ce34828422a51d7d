"""Is a picture that was given as a mask plainly a photograph?

It is one if three things hold. Brightness turns back among the greys in many places, at two scales, where a
mask runs from dark to bright and back. The variance between two levels (Otsu 1979) is far from all the
variance there is, where a mask has little else. And no level is that of many pixels, where a mask has a
ground. One alone would not do: noise, JPEG and grey paint make masks turn, soft edges are many levels, and
dithered masks, once scaled, have no level of their own.

In colour it is easier: the colours of a mask, paint of one colour on another with soft edges between, lie on
a line, those of a photograph do not. Where they do not, less of the first and the last is asked for, and
nothing of the second.

Better to miss a photograph than to refuse a mask. Of 250 photographs in colour 239 are known (141 by their
brightness alone), of 500 cat faces of 64x64 pixels, in grey, 344. Of 4308 masks 16 are refused: holes of
every kind and text, blurred, scanned with noise, in grey, red or low contrast, dithered and scaled, as JPEG.
Those 16 are 10 dithered ones of less than 100 pixels, 5 of single low-contrast pixels as JPEG of quality 40,
and a blurred scan. Of 4914 masks in two colours, blurred, noisy and as JPEG, 118 are refused, most of them
thin strokes and single pixels as JPEG.
"""

import numpy as np
from jaxtyping import Float, Shaped

SIDE = 48
"""Larger pictures are looked at as if the shorter side had so many pixels, or a few more."""
SMALLEST = 32
"""Pixels along the shorter side below which nothing is said: JPEG's 8x8 blocks are too coarse for the shapes
of such small masks."""
GREYS = (1 / 16, 15 / 16)
TURN = (6 / 255, 96 / 255)
"""A turn's depth: less is noise in plain grey, more an edge between black and white."""
TURNING = 0.2
"""Share of pixels that turn, at least."""
TWO_LEVELS = 0.85
"""Share of the variance that lies between two levels, at most."""
GROUND = 0.25
"""Share of pixels within 16 of 256 levels of each other, at most."""
COLOUR = 8 / 255
"""Standard deviation of colours across the line on which they spread most, from which they are no mask's."""
TURNING_IN_COLOUR, GROUND_IN_COLOUR = 0.08, 0.5


def is_photograph(
    brightness: Float[np.ndarray, "H W"],
    colours: Shaped[np.ndarray, "H W 3"] | None = None,
    white: float = 1.0,
) -> bool:
    """Whether brightness, from 0 to 1, turns and spreads as it does in photographs.

    `colours` are those of the same pixels, from 0 to `white`; None for a grey picture.
    """
    shorter = min(brightness.shape)
    if shorter < SMALLEST:
        return False
    step = max(1, shorter // SIDE)
    small = _smaller(brightness, step)
    turning = min(_turning(small), _turning(_smaller(small, 2)))
    if turning < TURNING_IN_COLOUR:
        return False
    picked = brightness[::step, ::step]  # means would add greys that a mask has not
    shares = np.histogram(picked, bins=256, range=(0, 1))[0] / picked.size
    ground = np.convolve(shares, np.ones(16)).max()
    if colours is not None and ground < GROUND_IN_COLOUR:
        blocks = np.stack([_smaller(colours[:, :, i] / white, 2 * step) for i in range(3)], axis=-1)
        if _off_line(blocks) > COLOUR:
            return True
    return bool(turning >= TURNING and ground < GROUND and _between_two(shares) < TWO_LEVELS)


def _off_line(colours: Float[np.ndarray, "h w 3"]) -> float:
    """How far colours spread across their main axis: the second standard deviation of their principal
    components."""
    axes = np.linalg.eigvalsh(np.cov(colours.reshape(-1, 3).T))
    return float(np.sqrt(max(axes[1], 0)))


def _smaller(brightness: Float[np.ndarray, "H W"], step: int) -> Float[np.ndarray, "h w"]:
    """Blocks of `step` x `step` pixels, each as its mean."""
    height, width = (side // step for side in brightness.shape)
    blocks = brightness[: height * step, : width * step].reshape(height, step, width, step)
    return blocks.mean(axis=(1, 3))


def _turning(rows: Float[np.ndarray, "h w"]) -> float:
    """Share of pixels that are grey, and brighter or darker than both neighbours of their row."""
    left, here, right = rows[:, :-2], rows[:, 1:-1], rows[:, 2:]
    three = np.stack([left, here, right])
    depth = three.max(axis=0) - three.min(axis=0)
    turns = (here - left) * (here - right) > 0
    turns &= (here > GREYS[0]) & (here < GREYS[1]) & (depth >= TURN[0]) & (depth <= TURN[1])
    return float(turns.mean())


def _between_two(shares: Float[np.ndarray, "256"]) -> float:
    """Of the variance of a histogram the share between its lower and its upper part, cut where it is most."""
    levels = np.arange(256) - (shares * np.arange(256)).sum()
    below, moment = shares.cumsum()[:-1], (shares * levels).cumsum()[:-1]
    inner = (below > 1e-9) & (below < 1 - 1e-9)
    between = moment[inner] ** 2 / (below[inner] * (1 - below[inner]))
    return float(between.max(initial=0) / (shares * levels**2).sum())
