"""Composites the fill with the original: known pixels keep their exact values, whatever the seam.

As known pixels must not change, every soft seam works inside the hole, on the correction (original - fill)
that is known around the hole:

- ``hard``: none; the fill is used unchanged.
- ``feather``: its smooth extension into the hole, faded out over a few pixels.
- ``multiband``: its frequency bands, each faded out over its own wavelength (Burt and Adelson, A
  Multiresolution Spline, 1983; as a stack of Gaussians without subsampling, with the transition inside the
  hole).
- ``poisson``: its harmonic extension, the solution of the discrete Laplace equation over the hole (Pérez et
  al., Poisson Image Editing, 2003): the fill keeps its gradients and takes its level from the surroundings.
"""

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float, UInt8
from scipy.sparse.linalg import splu

from maskmend.config import nearest
from maskmend.errors import ConfigError, ImageError, MaskError
from maskmend.settings import SEAMS

FEATHER_REACH = 8  # pixels from the seam over which the correction fades to nothing
LARGEST_SOLVED = 100_000  # hole pixels up to which the equation is solved directly, in half a second
SMOOTHING = 20  # sweeps over a larger hole after doubling its correction
BANDS = (1.0, 2.0, 4.0, 8.0)  # standard deviations in pixels between which multiband's frequency bands lie


def composite(
    original: UInt8[np.ndarray, "H W 3"],
    fill: Float[np.ndarray, "H W 3"] | UInt8[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
    *,
    seam: str = "hard",
) -> UInt8[np.ndarray, "H W 3"]:
    """The original with its hole (mask True) taken from `fill`.

    `fill` is in grey levels 0-255, uint8 or unrounded float; it covers the whole image, since the soft seams
    compare it with the known pixels. `seam` is one of `SEAMS`. The original's pixels inside the hole are
    ignored. Raises ConfigError for an unknown seam, ImageError or MaskError for unusable shapes or types.
    """
    if seam not in SEAMS:
        raise ConfigError(f"unknown seam {seam!r}{nearest(seam, SEAMS)}")
    _check(original, mask)
    if fill.shape != original.shape or not np.isfinite(fill).all():
        raise ImageError(f"the fill is {fill.shape}: give finite grey levels of shape {original.shape}.")
    levels = fill.astype(np.float64)
    if seam != "hard" and mask.any() and not mask.all():
        wanted = original - levels  # each seam reads it at known pixels only
        correct = {"feather": _feather, "multiband": _multiband, "poisson": _poisson}[seam]
        levels = levels + correct(wanted, mask)
    rounded = np.rint(levels).clip(0, 255).astype(np.uint8)
    return np.where(mask[:, :, None], rounded, original)


def _feather(wanted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt  # takes as long to load as a small hole to fill

    # The seam lies half a pixel outside the outermost hole pixels, whose distance is one.
    distance = np.asarray(distance_transform_edt(mask)) - 0.5
    share = np.clip(1 - distance / FEATHER_REACH, 0, 1)
    smooth = share * share * (3 - 2 * share)
    return _membrane(wanted, mask) * smooth[:, :, None]


def _multiband(wanted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter  # takes as long to load as a small hole to fill

    remaining, known = _membrane(wanted, mask), np.where(mask, 0.0, 1.0)
    correction = np.zeros_like(wanted)
    share = known
    for sigma in BANDS:
        coarser = gaussian_filter(remaining, (sigma, sigma, 0), mode="nearest")
        correction += (remaining - coarser) * share[:, :, None]
        # Blurred, the known side weighs one half at a straight seam: doubled, the fade starts there.
        share = np.clip(2 * gaussian_filter(known, sigma, mode="nearest"), 0, 1)
        remaining = coarser
    return correction + remaining * share[:, :, None]


def _poisson(wanted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The harmonic extension; exact for holes of up to `LARGEST_SOLVED` pixels.

    Factorizing costs time and memory that grow faster than the hole: the correction of a larger one is found
    at half the size, doubled, and smoothed towards the equation's solution.
    """
    spans = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    window = tuple(slice(max(int(span[0]) - 1, 0), int(span[-1]) + 2) for span in spans)
    correction = np.zeros_like(wanted)
    solve = _solve_poisson if mask.sum() <= LARGEST_SOLVED else _approach_poisson
    correction[window] = solve(wanted[window], mask[window])
    return correction


def _approach_poisson(wanted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    hole = mask[:, :, None]
    counts = _halved((~hole).astype(np.float64))
    coarse = _halved(np.where(hole, 0.0, wanted)) / np.maximum(counts, 1)
    # A coarse cell with any known pixel is known; smoothing does the rest.
    whole = counts[:, :, 0] == 0
    if whole.any():
        coarse += _poisson(coarse, whole)
    doubled = coarse.repeat(2, axis=0).repeat(2, axis=1)[: mask.shape[0], : mask.shape[1]]
    values = np.where(hole, doubled, wanted)
    for _ in range(SMOOTHING):
        around = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
        mean = (around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]) / 4
        values = np.where(hole, mean, wanted)
    return np.where(hole, values, 0.0)


def _halved(values: np.ndarray) -> np.ndarray:
    """Sums of 2 x 2 blocks of (H, W, C); values outside are zero."""
    padded = np.pad(values, ((0, values.shape[0] % 2), (0, values.shape[1] % 2), (0, 0)))
    rows = padded[0::2] + padded[1::2]
    return rows[:, 0::2] + rows[:, 1::2]


def _solve_poisson(wanted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Solves, for every hole pixel p: sum over its neighbours q inside the image of (c_p - c_q) = 0.

    c_q is given where q is known; a neighbour beyond the image's border does not exist (no flow through it).
    """
    count = int(mask.sum())
    index = np.full(mask.shape, -1)
    index[mask] = np.arange(count)
    degree, given = np.zeros(count), np.zeros((count, 3))
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    flat, colours = index.ravel(), wanted.reshape(-1, 3)
    places = np.arange(mask.size).reshape(mask.shape)
    for axis in (0, 1):
        before = np.take(places, range(mask.shape[axis] - 1), axis).ravel()
        after = np.take(places, range(1, mask.shape[axis]), axis).ravel()
        for here, there in ((before, after), (after, before)):
            here, there = here[flat[here] >= 0], there[flat[here] >= 0]
            rows, inside = flat[here], flat[there] >= 0
            degree[rows] += 1  # each pixel occurs once a direction
            given[rows[~inside]] += colours[there[~inside]]
            pairs.append((rows[inside], flat[there[inside]]))
    rows, columns = (np.concatenate(side) for side in zip(*pairs, strict=True))
    links = scipy.sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    laplacian = (scipy.sparse.diags(degree) - links).tocsc()
    # Symmetric positive definite: every part of the hole borders on a known pixel.
    solver = splu(
        laplacian, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    correction = np.zeros_like(wanted)
    correction[mask] = solver.solve(given)
    return correction


def _membrane(wanted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The values of the known pixels, extended smoothly into the hole."""
    # Only here: the other seams serve runtimes without PyTorch too.
    import torch

    from maskmend.images.infill import infill

    values = torch.from_numpy(np.ascontiguousarray(wanted.transpose(2, 0, 1)))[None]
    return infill(values, torch.from_numpy(mask)[None, None], "diffusion")[0].numpy().transpose(1, 2, 0)


def _check(image: np.ndarray, mask: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"the image is {image.dtype} {image.shape}: give uint8 (H, W, 3).")
    if mask.dtype != bool or mask.shape != image.shape[:2]:
        raise MaskError(f"the mask is {mask.dtype} {mask.shape}: give bool {image.shape[:2]}, True = fill.")
