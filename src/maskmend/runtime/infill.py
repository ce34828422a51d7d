"""The smooth fill of a hole before encoding (`maskmend.images.infill`, "diffusion") in NumPy,
bit-identical."""

import numpy as np
from jaxtyping import Bool, Float32

from maskmend.images.relaxation import RELAXATIONS


def diffuse(
    image: Float32[np.ndarray, "C H W"], mask: Bool[np.ndarray, "H W"]
) -> Float32[np.ndarray, "C H W"]:
    """The image with its hole filled by the solution of the diffusion; known pixels unchanged."""
    levels = [(np.where(mask, np.float32(0), image), mask)]
    while max(levels[-1][1].shape) > 1:
        colour, hole = levels[-1]
        count = _sum_blocks((~hole).astype(np.float32)[None])
        levels.append((_sum_blocks(colour) / np.maximum(count, 1), count[0] == 0))
    filled = levels.pop()[0]
    while levels:
        colour, hole = levels.pop()
        filled = np.where(hole, _double(filled)[:, : hole.shape[0], : hole.shape[1]], colour)
        for _ in range(RELAXATIONS):
            filled = np.where(hole, _neighbour_mean(filled), filled)
    return filled


def _sum_blocks(cells: np.ndarray) -> np.ndarray:
    cells = np.pad(cells, ((0, 0), (0, cells.shape[1] % 2), (0, cells.shape[2] % 2)))
    rows = cells[:, 0::2] + cells[:, 1::2]
    return rows[..., 0::2] + rows[..., 1::2]


def _double(cells: np.ndarray) -> np.ndarray:
    for axis in (1, 2):
        edges = [(0, 0), (0, 0), (0, 0)]
        edges[axis] = (1, 1)
        padded, size = np.pad(cells, edges, mode="edge"), cells.shape[axis]
        before, after = np.take(padded, range(size), axis), np.take(padded, range(2, size + 2), axis)
        near, quarter = cells * np.float32(0.75), np.float32(0.25)
        pair = np.stack([near + before * quarter, near + after * quarter], axis + 1)
        shape = list(cells.shape)
        shape[axis] *= 2
        cells = pair.reshape(shape)
    return cells


def _neighbour_mean(cells: np.ndarray) -> np.ndarray:
    padded = np.pad(cells, ((0, 0), (1, 1), (1, 1)), mode="edge")
    vertical = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1]
    return (vertical + (padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:])) * np.float32(0.25)
