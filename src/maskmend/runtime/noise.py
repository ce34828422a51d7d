"""The noise of `maskmend.decoding.noise` in NumPy: the same hash in 32-bit words, bit for bit the same."""

import numpy as np
from jaxtyping import Float32, Int, UInt32

TOKEN, CONFIDENCE, ORDER = 0, 1, 2
"""Streams, numbered as in `maskmend.decoding.noise.Stream`."""

LANES = (0x243F6A88, 0x85A308D3)
STEP = np.uint32(0x9E3779B9)


def mix(x: UInt32[np.ndarray, "*S"]) -> UInt32[np.ndarray, "*S"]:
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x21F0AAAD)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x735A2D97)
    return x ^ (x >> np.uint32(15))


def uniform(
    seeds: Int[np.ndarray, "S"], step: int, positions: Int[np.ndarray, "S"], codes: int, stream: int
) -> Float32[np.ndarray, "S {codes}"]:
    """In (0, 1), a row for each slot; see `maskmend.decoding.noise.SlotNoise`."""
    words = (stream, seeds & 0xFFFFFFFF, seeds >> 32, step, positions)
    lanes = []
    for start in LANES:
        lane = np.full(len(seeds), start, np.uint32)
        for word in words:
            lane = mix((lane ^ np.asarray(word).astype(np.uint32)) + STEP)
        lanes.append(lane[:, None])
    code = mix(np.arange(codes, dtype=np.uint32) + STEP)
    bits = mix(lanes[0] ^ code) + lanes[1]
    return ((bits >> np.uint32(9)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)


def gumbel(
    seeds: Int[np.ndarray, "S"], step: int, positions: Int[np.ndarray, "S"], codes: int, stream: int
) -> Float32[np.ndarray, "S {codes}"]:
    """Standard Gumbel noise, arguments as for `uniform`."""
    return -np.log(-np.log(uniform(seeds, step, positions, codes, stream)))
