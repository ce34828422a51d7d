"""Counter-based noise: a pure function of (seed, step, position, code), with no generator and no state.

A stateful generator hands out numbers in the order they are asked for, so a fill would change with the batch
it ran in, with how hole tokens are packed, and with the device. Here every number is a hash of what it is
for, so the same seed gives the same fill everywhere (Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3", for the idea).

The hash is 32-bit arithmetic in int64 tensors. Both multipliers are below 2^31, so no product leaves int64
and the bits are the same in PyTorch on any device and in NumPy. It is not meant for cryptography.
"""

from enum import IntEnum

import torch
from jaxtyping import Float, Int
from torch import Tensor

_LOW = 0xFFFFFFFF  # the low 32 bits
_STEP = 0x9E3779B9  # 2^32 / golden ratio: keeps a word of 0 from leaving a state of 0 unchanged
_LANES = (0x243F6A88, 0x85A308D3)  # the first 64 fractional bits of pi: start values of the two lanes

MAX_SEED = 2**63 - 1
"""Seeds are 0 to MAX_SEED: they travel in int64 tensors."""


class Stream(IntEnum):
    """What a number is used for: different uses of one (seed, step, position) must not share their noise."""

    TOKEN = 0
    CONFIDENCE = 1
    ORDER = 2


def _mix(x: Tensor) -> Tensor:
    # A bijection of 32-bit words in which each input bit flips each output bit with probability near 1/2:
    # xor-shift and multiply, twice, with constants C. Wellons found by search (hash-prospector, bias 0.107).
    #     x = (x ^ x >> 16) * 0x21F0AAAD;  x = (x ^ x >> 15) * 0x735A2D97;  x ^ x >> 15
    # In place on fresh tensors, which halves the time of large tables; the caller's x is left alone.
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        x = (x >> shift).bitwise_xor_(x).mul_(factor).bitwise_and_(_LOW)
    return (x >> 15).bitwise_xor_(x)


def uniform(
    seeds: Int[Tensor, "S"],
    step: int,
    positions: Int[Tensor, "S"],
    codes: int,
    *,
    stream: Stream = Stream.TOKEN,
) -> Float[Tensor, "S {codes}"]:
    """Uniform noise in the open interval (0, 1), float32, one row for each slot and one column for each code.

    Two 32-bit lanes absorb the words stream, seed (low half, high half), step, position:

        lane = mix((lane ^ word) + c)
        bits = mix(first lane ^ mix(code + c)) + second lane
        u    = (bits // 2^9 + 1/2) / 2^23

    all modulo 2^32. Every such u is exact in float32, from 2^-24 to 1 - 2^-24.

    Args:
        seeds: the seed of each slot's image, 0 to MAX_SEED, int64.
        step: the decoding step, 0 to 2^32 - 1.
        positions: each slot's place in its own image's grid (not in the batch), 0 to 2^32 - 1.
        codes: the number of columns. A longer row starts with the shorter one.
        stream: what the numbers are for.
    """
    words = (int(stream), seeds & _LOW, seeds >> 32, step, positions)
    lanes = []
    for start in _LANES:
        lane = torch.full_like(seeds, start)
        for word in words:
            lane = _mix((lane ^ word) + _STEP & _LOW)
        lanes.append(lane[:, None])
    code = _mix(torch.arange(codes, device=seeds.device) + _STEP & _LOW)
    bits = _mix(lanes[0] ^ code) + lanes[1] & _LOW  # (S, K)
    return ((bits >> 9).float() + 0.5) * 2.0**-23


def gumbel(
    seeds: Int[Tensor, "S"],
    step: int,
    positions: Int[Tensor, "S"],
    codes: int,
    *,
    stream: Stream = Stream.TOKEN,
) -> Float[Tensor, "S {codes}"]:
    """Standard Gumbel noise -log(-log(u)), float32, between -2.82 and 16.64; arguments as for `uniform`.

    argmax(logits + gumbel) is a sample from softmax(logits). The uniform bits are the same everywhere; the
    two logarithms may differ in their last place between devices.
    """
    return -(-uniform(seeds, step, positions, codes, stream=stream).log()).log()
