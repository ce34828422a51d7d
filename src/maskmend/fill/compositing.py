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

It is computed some rows at a time (`images.strips`), bit for bit as over the whole image.
"""

from collections.abc import Callable

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float, UInt8
from scipy.sparse.linalg import splu

from maskmend.config import nearest
from maskmend.errors import ConfigError, ImageError, MaskError
from maskmend.images.strips import strips, widened
from maskmend.settings import SEAMS

FEATHER_REACH = 8  # pixels from the seam over which the correction fades to nothing
LARGEST_SOLVED = 100_000  # hole pixels up to which the equation is solved directly, in half a second
SMOOTHING = 20  # sweeps over a larger hole after doubling its correction
LARGE = 1 << 22  # pixels of the hole's bounds above which fewer are enough, as its steps are finer
FEW = 6  # sweeps there, each of which takes a second for 48 megapixels
BANDS = (1.0, 2.0, 4.0, 8.0)  # standard deviations in pixels between which multiband's frequency bands lie

Rows = Callable[[slice], np.ndarray]
"""Gives rows of an array (H, W, 3) that is not made as a whole."""


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
    if fill.shape != original.shape or not all(np.isfinite(fill[rows]).all() for rows in strips(fill.shape)):
        raise ImageError(f"the fill is {fill.shape}: give finite grey levels of shape {original.shape}.")
    correction: Rows | None = None
    if seam != "hard" and mask.any() and not mask.all():
        correct = {"feather": _feather, "multiband": _multiband, "poisson": _poisson}[seam]
        # Each seam reads it at known pixels only.
        correction = correct(lambda rows: original[rows] - fill[rows].astype(np.float64), mask)
    result = original.copy()
    for rows in strips(mask.shape):
        hole = mask[rows]
        if not hole.any():
            continue
        levels = fill[rows].astype(np.float64)
        if correction is not None:
            levels = levels + correction(rows)
        rounded = np.rint(levels).clip(0, 255).astype(np.uint8)
        result[rows] = np.where(hole[:, :, None], rounded, original[rows])
    return result


def _feather(wanted: Rows, mask: np.ndarray) -> Rows:
    from scipy.ndimage import distance_transform_edt  # takes as long to load as a small hole to fill

    membrane = _membrane(wanted, mask)

    def correction(rows: slice) -> np.ndarray:
        # As far as the fade reaches, and one more: pixels farther from the seam have no influence.
        around, here = widened(rows, FEATHER_REACH + 2, len(mask))
        hole = mask[around]
        if hole.all():
            return np.zeros((rows.stop - rows.start, mask.shape[1], 3))
        # The seam lies half a pixel outside the outermost hole pixels, whose distance is one.
        distance = np.asarray(distance_transform_edt(hole))[here] - 0.5
        share = np.clip(1 - distance / FEATHER_REACH, 0, 1)
        smooth = share * share * (3 - 2 * share)
        return membrane(rows) * smooth[:, :, None]

    return correction


def _multiband(wanted: Rows, mask: np.ndarray) -> Rows:
    from scipy.ndimage import gaussian_filter  # takes as long to load as a small hole to fill

    membrane = _membrane(wanted, mask)
    reach = sum(int(4 * sigma + 0.5) for sigma in BANDS)  # of one blur after the other, cut off as SciPy does

    def correction(rows: slice) -> np.ndarray:
        around, here = widened(rows, reach, len(mask))
        remaining, known = membrane(around), np.where(mask[around], 0.0, 1.0)
        total = np.zeros_like(remaining)
        share = known
        for sigma in BANDS:
            coarser = gaussian_filter(remaining, (sigma, sigma, 0), mode="nearest")
            total += (remaining - coarser) * share[:, :, None]
            # Blurred, the known side weighs one half at a straight seam: doubled, the fade starts there.
            share = np.clip(2 * gaussian_filter(known, sigma, mode="nearest"), 0, 1)
            remaining = coarser
        return (total + remaining * share[:, :, None])[here]

    return correction


def _poisson(wanted: Rows, mask: np.ndarray) -> Rows:
    """The harmonic extension; exact for holes of up to `LARGEST_SOLVED` pixels.

    Factorizing costs time and memory that grow faster than the hole: the correction of a larger one is found
    at half the size, doubled, and smoothed towards the equation's solution.
    """
    spans = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    (top, bottom), (left, right) = ((max(int(span[0]) - 1, 0), int(span[-1]) + 2) for span in spans)
    bottom, right = min(bottom, mask.shape[0]), min(right, mask.shape[1])
    solve = _solve_poisson if mask.sum() <= LARGEST_SOLVED else _approach_poisson
    inside = solve(
        lambda rows: wanted(slice(rows.start + top, rows.stop + top))[:, left:right],
        mask[top:bottom, left:right],
    )

    def correction(rows: slice) -> np.ndarray:
        values = np.zeros((rows.stop - rows.start, mask.shape[1], 3))
        start, stop = max(rows.start, top), min(rows.stop, bottom)
        if start < stop:
            here = slice(start - rows.start, stop - rows.start)
            values[here, left:right] = inside(slice(start - top, stop - top))
        return values

    return correction


def _approach_poisson(wanted: Rows, mask: np.ndarray) -> Rows:
    height, width = mask.shape
    sweeps = FEW if mask.size > LARGE else SMOOTHING
    coarse = np.empty((-(-height // 2), -(-width // 2), 3))
    whole = np.empty(coarse.shape[:2], dtype=bool)
    for rows in strips(mask.shape):
        hole, here = mask[rows, :, None], slice(rows.start // 2, -(-rows.stop // 2))
        counts = _halved((~hole).astype(np.float64))
        coarse[here] = _halved(np.where(hole, 0.0, wanted(rows))) / np.maximum(counts, 1)
        # A coarse cell with any known pixel is known; smoothing does the rest.
        whole[here] = counts[:, :, 0] == 0
    if whole.any():
        correction_of_coarse = _poisson(lambda rows: coarse[rows], whole)
        for rows in strips(whole.shape):
            coarse[rows] += correction_of_coarse(rows)

    def correction(rows: slice) -> np.ndarray:
        around, here = widened(rows, sweeps, height)
        first, last = around.start // 2, -(-around.stop // 2)
        doubled = coarse[first:last].repeat(2, axis=0).repeat(2, axis=1)
        doubled = doubled[around.start - 2 * first : around.stop - 2 * first, :width]
        hole, given = mask[around, :, None], wanted(around)
        values = np.where(hole, doubled, given)
        for _ in range(sweeps):
            padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
            mean = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4
            values = np.where(hole, mean, given)
        return np.where(hole, values, 0.0)[here]

    return correction


def _halved(values: np.ndarray) -> np.ndarray:
    """Sums of 2 x 2 blocks of (H, W, C); values outside are zero."""
    padded = np.pad(values, ((0, values.shape[0] % 2), (0, values.shape[1] % 2), (0, 0)))
    rows = padded[0::2] + padded[1::2]
    return rows[:, 0::2] + rows[:, 1::2]


def _solve_poisson(wanted: Rows, mask: np.ndarray) -> Rows:
    """Solves, for every hole pixel p: sum over its neighbours q inside the image of (c_p - c_q) = 0.

    c_q is given where q is known; a neighbour beyond the image's border does not exist (no flow through it).
    """
    height, width = mask.shape
    flat, holes = np.flatnonzero(mask), mask.ravel()
    count = len(flat)
    row, column = np.divmod(flat, width)
    degree, given = np.zeros(count), np.zeros((count, 3))
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for there, step in (
        (row < height - 1, width), (row > 0, -width), (column < width - 1, 1), (column > 0, -1),
    ):  # fmt: skip
        numbers = np.flatnonzero(there)
        neighbours = flat[numbers] + step
        inside = holes[neighbours]
        degree[numbers] += 1  # each pixel occurs once a direction
        given[numbers[~inside]] += _picked(wanted, neighbours[~inside], mask.shape)
        pairs.append((numbers[inside], np.searchsorted(flat, neighbours[inside])))
    rows, columns = (np.concatenate(side) for side in zip(*pairs, strict=True))
    links = scipy.sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    laplacian = (scipy.sparse.diags(degree) - links).tocsc()
    # Symmetric positive definite: every part of the hole borders on a known pixel.
    solver = splu(
        laplacian, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    solved = solver.solve(given)

    def correction(rows: slice) -> np.ndarray:
        values = np.zeros((rows.stop - rows.start, width, 3))
        first, last = np.searchsorted(flat, (rows.start * width, rows.stop * width))
        values[mask[rows]] = solved[first:last]
        return values

    return correction


def _picked(wanted: Rows, places: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The values at `places`, ascending numbers of pixels."""
    values, width = np.empty((len(places), 3)), shape[1]
    for rows in strips(shape):
        first, last = np.searchsorted(places, (rows.start * width, rows.stop * width))
        if first < last:
            values[first:last] = wanted(rows).reshape(-1, 3)[places[first:last] - rows.start * width]
    return values


def _membrane(wanted: Rows, mask: np.ndarray) -> Rows:
    """The values of the known pixels, extended smoothly into the hole."""
    # Only here: the other seams serve runtimes without PyTorch too.
    import torch

    from maskmend.images.infill import Membrane

    def read(rows: slice) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(wanted(rows).transpose(2, 0, 1)))[None]

    membrane = Membrane(read, mask)
    return lambda rows: membrane(rows)[0].numpy().transpose(1, 2, 0)


def _check(image: np.ndarray, mask: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"the image is {image.dtype} {image.shape}: give uint8 (H, W, 3).")
    if mask.dtype != bool or mask.shape != image.shape[:2]:
        raise MaskError(f"the mask is {mask.dtype} {mask.shape}: give bool {image.shape[:2]}, True = fill.")
