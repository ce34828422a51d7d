"""Noise: the same everywhere, pinned for good, and as random as the decoder needs."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from maskmend.decoding.noise import Stream, gumbel, uniform
from maskmend.seeds import MAX_SEED

LOW = np.int64(0xFFFFFFFF)


def numpy_mix(x):
    x = ((x ^ (x >> 16)) * np.int64(0x21F0AAAD)) & LOW
    x = ((x ^ (x >> 15)) * np.int64(0x735A2D97)) & LOW
    return x ^ (x >> 15)


def numpy_uniform(seed: int, step: int, position: int, codes: int, stream: int):
    """The same numbers written again for one slot in NumPy, as a runtime without torch would."""
    lanes = []
    for lane in (0x243F6A88, 0x85A308D3):
        for word in (stream, seed % 2**32, seed // 2**32, step, position):
            lane = numpy_mix(((np.int64(lane) ^ np.int64(word)) + np.int64(0x9E3779B9)) & LOW)
        lanes.append(lane)
    code = numpy_mix((np.arange(codes, dtype=np.int64) + 0x9E3779B9) & LOW)
    bits = (numpy_mix(lanes[0] ^ code) + lanes[1]) & LOW
    return ((bits >> 9).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)


def row(seed=0, step=1, position=0, codes=1000, stream=Stream.TOKEN):
    return uniform(torch.tensor([seed]), step, torch.tensor([position]), codes, stream=stream)[0]


@pytest.mark.parametrize(
    ("seed", "step", "position", "stream", "golden"),
    [
        (0, 1, 0, Stream.TOKEN, [7878106, 7267765, 5349720, 746939]),
        (42, 3, 77, Stream.CONFIDENCE, [6147068, 6957389, 3007238, 7542741]),
        (MAX_SEED, 8, 255, Stream.ORDER, [7328852, 6626303, 7781254, 649397]),
    ],
)
def test_golden_values_never_change(seed, step, position, stream, golden):
    # Catches any change of the hash: every published fill with its seed would change with it.
    assert [int(u * 2**23) for u in row(seed, step, position, 4, stream).double()] == golden


@given(
    seed=st.integers(0, MAX_SEED),
    step=st.integers(0, 2**32 - 1),
    position=st.integers(0, 2**32 - 1),
    stream=st.sampled_from(Stream),
)
def test_numpy_gets_the_same_bits(seed, step, position, stream):
    ours = row(seed, step, position, 9, stream)
    assert ours.dtype == torch.float32
    np.testing.assert_array_equal(ours.numpy(), numpy_uniform(seed, step, position, 9, int(stream)))


def test_nothing_is_copied_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch constants that are made on the CPU: a GPU waits for each such copy."""

    def copied(*_: object, **__: object) -> None:
        raise AssertionError("numbers of the CPU are sent to the device")

    seeds, positions = torch.arange(3, device="meta"), torch.arange(3, device="meta")
    monkeypatch.setattr(torch, "tensor", copied)
    assert uniform(seeds, 3, positions, 5).is_meta
    assert gumbel(seeds, 3, positions, 5).is_meta


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gets_the_same_bits():
    seeds, positions = torch.arange(500) * 2**50, torch.arange(500)
    ours = uniform(seeds, 3, positions, 1024)
    assert torch.equal(uniform(seeds.cuda(), 3, positions.cuda(), 1024).cpu(), ours)


@given(seeds=st.lists(st.integers(0, MAX_SEED), min_size=1, max_size=6), step=st.integers(0, 100))
def test_a_slot_keeps_its_numbers_however_slots_are_packed(seeds, step):
    seed, position = torch.tensor(seeds), torch.arange(len(seeds)) * 7
    packed = uniform(seed, step, position, 12)
    for i in range(len(seeds)):
        assert torch.equal(packed[i], row(seeds[i], step, 7 * i, 12))
        assert torch.equal(packed[i, :5], row(seeds[i], step, 7 * i, 5))


def test_range_is_open():
    # Catches a u of exactly 0 or 1, whose Gumbel noise would be infinite; the ends of the grid are finite.
    u = uniform(torch.arange(2000), 1, torch.arange(2000), 1000)
    assert u.min() > 0
    assert u.max() < 1
    ends = torch.tensor([2.0**-24, 1 - 2.0**-24])
    assert (-(-ends.log()).log()).isfinite().all()


def test_no_slots_and_no_step_make_an_empty_table():
    none = torch.zeros(0, dtype=torch.int64)
    assert uniform(none, 1, none, 5).shape == (0, 5)


def test_uniform_in_distribution():
    u = uniform(torch.full((256,), 5), 1, torch.arange(256), 1024).double().flatten().numpy()
    assert abs(u.mean() - 0.5) < 4 * np.sqrt(1 / 12 / u.size)
    assert abs(u.var() - 1 / 12) < 4 * np.sqrt(1 / 180 / u.size)
    assert stats.chisquare(np.histogram(u, 64, (0, 1))[0]).pvalue > 1e-4


@pytest.mark.parametrize("axis", ["seed", "high seed", "step", "position", "code", "stream"])
def test_every_bit_is_fair_and_neighbours_are_unrelated(axis):
    # Catches a counter that leaks through: neighbouring seeds, steps, positions or codes with related noise.
    count = 60_000
    i = torch.arange(count)
    zero = torch.zeros_like(i)
    u = {
        "seed": lambda: uniform(i, 1, zero, 1)[:, 0],
        "high seed": lambda: uniform(i << 32, 1, zero, 1)[:, 0],
        "step": lambda: torch.cat([row(step=s, codes=1) for s in range(3000)]),
        "position": lambda: uniform(zero, 1, i, 1)[:, 0],
        "code": lambda: row(codes=count),
        "stream": lambda: torch.stack([uniform(i, 1, zero, 1, stream=s)[:, 0] for s in Stream], 1).flatten(),
    }[axis]()
    bits = (u.double() * 2**23).long()[:, None] >> torch.arange(23) & 1  # (count, 23)
    ones = bits.double().mean(dim=0)
    assert (ones - 0.5).abs().max() < 5 * 0.5 / len(u) ** 0.5
    centred = (u.double() - 0.5).numpy() * 12**0.5
    for lag in (1, 2, 3, 16, 256):
        assert abs((centred[:-lag] * centred[lag:]).mean()) < 4.5 / (len(u) - lag) ** 0.5
    # Joint distribution of neighbours, which a correlation of 0 does not settle.
    pairs = np.histogram2d(u[:-1:2].numpy(), u[1::2].numpy(), 8, ((0, 1), (0, 1)))[0]
    assert stats.chisquare(pairs.flatten()).pvalue > 1e-4


def test_single_bit_flips_of_any_input_change_half_the_output():
    # Catches weak mixing of one input: each flipped bit must flip about half of the 23 output bits.
    base = (row(123, 5, 9, 4096).double() * 2**23).long()
    changed = [row(123 ^ 1 << b, 5, 9, 4096) for b in range(63)]
    changed += [row(123, 5 ^ 1 << b, 9, 4096) for b in range(32)]
    changed += [row(123, 5, 9 ^ 1 << b, 4096) for b in range(32)]
    for other in changed:
        flips = (base ^ (other.double() * 2**23).long())[:, None] >> torch.arange(23) & 1
        assert abs(flips.double().mean() - 0.5) < 0.01


def test_seeds_never_share_their_state():
    # Catches a 32-bit bottleneck: 600,000 seeds would meet in about 42 pairs, and equal fills with them.
    u = uniform(torch.arange(600_000), 1, torch.zeros(600_000, dtype=torch.int64), 4).double()
    key = u[:, 0] * 2**23 * 2**23 + u[:, 1] * 2**23  # the first 46 bits of each row
    assert len(key.unique()) == len(u)


def test_gumbel_samples_from_the_softmax():
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, -2.0])
    count = 40_000
    noise = gumbel(torch.zeros(count, dtype=torch.int64), 1, torch.arange(count), 5)
    drawn = (logits + noise).argmax(dim=1).bincount(minlength=5).numpy()
    assert stats.chisquare(drawn, logits.double().softmax(0).numpy() * count).pvalue > 1e-4
    assert noise.mean().item() == pytest.approx(np.euler_gamma, abs=0.01)
    assert noise.var().item() == pytest.approx(np.pi**2 / 6, abs=0.03)
