"""Detects photographs that were given as masks by mistake.

A grey picture counts as a photograph if three statistics all say so:

1. Local extrema: at two scales, many pixels of intermediate brightness are brighter or darker than both
   neighbours in their row. In masks brightness mostly rises or falls monotonically between black and white.
2. Between-class variance (Otsu 1979): the best split into two levels explains only part of the variance. In
   masks it explains nearly all of it.
3. Most common level: no narrow range of grey levels holds many of the pixels. Masks have a background.

No statistic is enough by itself: noise, JPEG and grey paint add extrema, soft edges reduce the between-class
variance, and scaled dithering has no most common level.

Colour helps: the colours of a mask (one paint on one background, with soft edges) lie on a line in colour
space, and those of a photograph do not. For such pictures the first and third criterion are relaxed, and the
second is not used.

The thresholds favour missing a photograph over refusing a mask. Of 250 photographs in colour 239 are detected
(141 by their brightness alone), of 500 cat faces of 64x64 pixels, in grey, 344. Of 4308 masks 16 are refused:
holes of every kind and text, blurred, scanned with noise, in grey, red or low contrast, dithered and scaled,
as JPEG. Those 16 are 10 dithered ones of less than 100 pixels, 5 of single low-contrast pixels as JPEG of
quality 40, and a blurred scan. Of 4914 masks in two colours, blurred, noisy and as JPEG, 118 are refused,
most of them thin strokes and single pixels as JPEG.
"""

import numpy as np
from jaxtyping import Float, Shaped

SIDE = 48
"""Larger pictures are reduced by a whole factor; the shorter side keeps this many pixels or more."""
SMALLEST = 32
"""Minimum shorter side: in smaller masks JPEG's 8x8 blocks distort the statistics."""
GREYS = (1 / 16, 15 / 16)
DEPTH = (6 / 255, 96 / 255)
"""Range of an extremum's depth: less is noise, more is an edge between black and white."""
EXTREMA = 0.2
"""Minimum share of pixels that are local extrema."""
TWO_LEVELS = 0.85
"""Maximum between-class variance, as a share of the variance."""
COMMON = 0.25
"""Maximum share of pixels within the most common 16 of 256 levels."""
COLOUR = 8 / 255
"""Minimum standard deviation of a photograph's colours perpendicular to their first principal component."""
EXTREMA_IN_COLOUR, COMMON_IN_COLOUR = 0.08, 0.5


def is_photograph(
    brightness: Float[np.ndarray, "H W"],
    colours: Shaped[np.ndarray, "H W 3"] | None = None,
    white: float = 1.0,
) -> bool:
    """Whether the statistics are those of a photograph.

    Args:
        brightness: from 0 to 1.
        colours: of the same pixels, from 0 to `white`; None for a grey picture.
        white: see `colours`.
    """
    shorter = min(brightness.shape)
    if shorter < SMALLEST:
        return False
    step = max(1, shorter // SIDE)
    small = _block_means(brightness, step)
    extrema = min(_extrema(small), _extrema(_block_means(small, 2)))
    if extrema < EXTREMA_IN_COLOUR:
        return False
    picked = brightness[::step, ::step]  # means would add greys that the mask lacks
    shares = np.histogram(picked, bins=256, range=(0, 1))[0] / picked.size
    common = np.convolve(shares, np.ones(16)).max()
    if colours is not None and common < COMMON_IN_COLOUR:
        blocks = np.stack([_block_means(colours[:, :, i] / white, 2 * step) for i in range(3)], axis=-1)
        if _colour_spread(blocks) > COLOUR:
            return True
    return bool(extrema >= EXTREMA and common < COMMON and _between_class_variance(shares) < TWO_LEVELS)


def _colour_spread(colours: Float[np.ndarray, "h w 3"]) -> float:
    """The standard deviation of colours along their second principal component."""
    axes = np.linalg.eigvalsh(np.cov(colours.reshape(-1, 3).T))
    return float(np.sqrt(max(axes[1], 0)))


def _block_means(brightness: Float[np.ndarray, "H W"], step: int) -> Float[np.ndarray, "h w"]:
    """The means of blocks of `step` x `step` pixels."""
    height, width = (side // step for side in brightness.shape)
    blocks = brightness[: height * step, : width * step].reshape(height, step, width, step)
    return blocks.mean(axis=(1, 3))


def _extrema(rows: Float[np.ndarray, "h w"]) -> float:
    """Share of pixels of intermediate brightness that are local extrema of their row."""
    left, here, right = rows[:, :-2], rows[:, 1:-1], rows[:, 2:]
    three = np.stack([left, here, right])
    depth = three.max(axis=0) - three.min(axis=0)
    found = (here - left) * (here - right) > 0
    found &= (here > GREYS[0]) & (here < GREYS[1]) & (depth >= DEPTH[0]) & (depth <= DEPTH[1])
    return float(found.mean())


def _between_class_variance(shares: Float[np.ndarray, "256"]) -> float:
    """Otsu's between-class variance of a histogram at the best split, as a share of the variance."""
    levels = np.arange(256) - (shares * np.arange(256)).sum()
    below, moment = shares.cumsum()[:-1], (shares * levels).cumsum()[:-1]
    inner = (below > 1e-9) & (below < 1 - 1e-9)
    between = moment[inner] ** 2 / (below[inner] * (1 - below[inner]))
    return float(between.max(initial=0) / (shares * levels**2).sum())
