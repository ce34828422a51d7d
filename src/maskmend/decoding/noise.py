"""Counter-based noise: a pure function of (seed, step, position, code), without a generator or state.

A stateful generator returns numbers in the order of the calls, so a fill would depend on its batch, on how
hole tokens are packed, and on the device. Here every number is a hash of what it is used for, so the same
seed gives the same fill everywhere (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").

The hash uses 32-bit arithmetic: in int64 tensors, where no product overflows, and for large tables in int32,
where products wrap around to the same bits (a test compares them with NumPy's). It is not suitable for
cryptography.
"""

from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskmend.decoding.noise_words import LANES, LAST_SHIFT, MIX, STEP, Stream

_LOW = 0xFFFFFFFF  # the low 32 bits


def _mix(x: Tensor) -> Tensor:
    # A bijection of 32-bit words in which each input bit flips each output bit with probability near 1/2:
    # xor-shift and multiply, twice:
    #     x = (x ^ x >> 16) * 0x21F0AAAD;  x = (x ^ x >> 15) * 0x735A2D97;  x ^ x >> 15
    # In place on fresh tensors, which halves the time of large tables; the caller's x is left alone.
    for shift, factor in MIX:
        x = _shifted(x, shift).bitwise_xor_(x).mul_(factor)
        if x.dtype == torch.int64:
            x = x.bitwise_and_(_LOW)
    return _shifted(x, LAST_SHIFT).bitwise_xor_(x)


def _shifted(x: Tensor, bits: int) -> Tensor:
    # The shift of an int32 copies its sign; masked, it brings in zeros.
    return (x >> bits).bitwise_and_(_LOW >> bits)


def _absorb(lanes: Int[Tensor, "2 *S"], word: int | Tensor) -> Int[Tensor, "2 *R"]:
    return _mix((lanes ^ word) + STEP & _LOW)


@lru_cache(maxsize=8)
def _code_words(codes: int, device: torch.device) -> Int[Tensor, "{codes}"]:
    return _mix(torch.arange(codes, device=device) + STEP & _LOW).to(torch.int32)


def _seeded(seeds: Int[Tensor, "B"], stream: Stream) -> Int[Tensor, "2 B"]:
    # Calculated, as numbers that are copied to a GPU would make it wait.
    lanes = torch.arange(2, device=seeds.device) * (LANES[1] - LANES[0]) + LANES[0]
    lanes = lanes[:, None].expand(2, len(seeds))
    for word in (int(stream), seeds & _LOW, seeds >> 32):
        lanes = _absorb(lanes, word)
    return lanes


def _table(lanes: Int[Tensor, "2 *S"], codes: int) -> Float[Tensor, "*S {codes}"]:
    """Uniform noise: a row for each pair of lanes."""
    first, second = lanes.to(torch.int32)[..., None]
    bits = _mix(first ^ _code_words(codes, lanes.device)).add_(second)
    return _shifted(bits, 9).float().add_(0.5).mul_(2.0**-23)


def _gumbel(uniform: Tensor) -> Tensor:
    return uniform.log_().neg_().log_().neg_()


class SlotNoise:
    """The noise of a decoding: what does not depend on the code is hashed once, for all steps and slots.

    Two 32-bit lanes absorb the words stream, seed (low half, high half), step, position:

        lane = mix((lane ^ word) + c)
        bits = mix(first lane ^ mix(code + c)) + second lane
        u    = (bits // 2^9 + 1/2) / 2^23

    all modulo 2^32. Every such u is exact in float32, from 2^-24 to 1 - 2^-24.

    Args:
        seeds: the seed of each image, 0 to `seeds.MAX_SEED`, int64.
        stream: what the numbers are for.
        steps: the decoding steps, each 0 to 2^32 - 1.
        images: each slot's image.
        positions: each slot's place in its own image's grid (not in the batch), 0 to 2^32 - 1.
    """

    def __init__(
        self,
        seeds: Int[Tensor, "B"],
        stream: Stream,
        steps: Int[Tensor, "T"],
        images: Int[Tensor, "S"],
        positions: Int[Tensor, "S"],
    ) -> None:
        lanes = _absorb(_seeded(seeds, stream)[:, None], steps[:, None])  # (2, T, B)
        self.lanes = _absorb(lanes[:, :, images], positions).to(torch.int32)  # (2, T, S)

    def gumbel(self, step: int, slots: Int[Tensor, "M"], codes: int) -> Float[Tensor, "M {codes}"]:
        """Standard Gumbel noise -log(-log(u)), float32, between -2.82 and 16.64, for some of the slots.

        argmax(logits + gumbel) is a sample from softmax(logits). The uniform bits are the same everywhere;
        the two logarithms may differ in their last place between devices.

        Args:
            step: the place of the step in `steps`.
            slots: the places of the slots in `positions`.
            codes: the number of columns. A longer row starts with the shorter one.
        """
        return _gumbel(_table(self.lanes[:, step, slots], codes))

    def gumbels(self) -> Float[Tensor, "T S"]:
        """One number (that of code 0) for every step and slot."""
        return _gumbel(_table(self.lanes, 1))[..., 0]


def slot_noise(stream: Stream, seeds: Int[Tensor, "B"], hole: Bool[Tensor, "B N"], steps: int) -> SlotNoise:
    """The noise of steps 1 to `steps` for all tokens of the images' holes, in row-major order."""
    numbers = torch.arange(1, steps + 1, device=hole.device)
    return SlotNoise(seeds, stream, numbers, *hole.nonzero(as_tuple=True))


def uniform(
    seeds: Int[Tensor, "S"],
    step: int,
    positions: Int[Tensor, "S"],
    codes: int,
    *,
    stream: Stream = Stream.TOKEN,
) -> Float[Tensor, "S {codes}"]:
    """Uniform noise in the open interval (0, 1), float32: a row for each slot, a column for each code."""
    return _table(_absorb(_absorb(_seeded(seeds, stream), step), positions), codes)


def gumbel(
    seeds: Int[Tensor, "S"],
    step: int,
    positions: Int[Tensor, "S"],
    codes: int,
    *,
    stream: Stream = Stream.TOKEN,
) -> Float[Tensor, "S {codes}"]:
    """Standard Gumbel noise of slots with a seed each; see `SlotNoise.gumbel`."""
    return _gumbel(uniform(seeds, step, positions, codes, stream=stream))
