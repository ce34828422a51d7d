"""The noise of `maskmend.decoding.noise` in NumPy: the same hash in 32-bit words, bit for bit the same."""

import numpy as np
from jaxtyping import Float32, Int, UInt32

from maskmend.decoding.noise_words import LANES, LAST_SHIFT, MIX, STEP


def mix(x: UInt32[np.ndarray, "*S"]) -> UInt32[np.ndarray, "*S"]:
    for shift, factor in MIX:
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x ^ (x >> np.uint32(LAST_SHIFT))


def uniform(
    seeds: Int[np.ndarray, "S"], step: int, positions: Int[np.ndarray, "S"], codes: int, stream: int
) -> Float32[np.ndarray, "S {codes}"]:
    """In (0, 1), a row for each slot; see `maskmend.decoding.noise.SlotNoise`."""
    words = (stream, seeds & 0xFFFFFFFF, seeds >> 32, step, positions)
    lanes = []
    for start in LANES:
        lane = np.full(len(seeds), start, np.uint32)
        for word in words:
            lane = mix((lane ^ np.asarray(word).astype(np.uint32)) + np.uint32(STEP))
        lanes.append(lane[:, None])
    code = mix(np.arange(codes, dtype=np.uint32) + np.uint32(STEP))
    bits = mix(lanes[0] ^ code) + lanes[1]
    return ((bits >> np.uint32(9)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)


def gumbel(
    seeds: Int[np.ndarray, "S"], step: int, positions: Int[np.ndarray, "S"], codes: int, stream: int
) -> Float32[np.ndarray, "S {codes}"]:
    """Standard Gumbel noise, arguments as for `uniform`."""
    return -np.log(-np.log(uniform(seeds, step, positions, codes, stream)))
