"""Decoding with kept keys and values against the plain full pass, what it costs, and samples and formats."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmend.decoding.interface import decode
from maskmend.inference.cached_transformer import InferenceTransformer
from maskmend.inference.packed_linear import PackedLinear
from maskmend.inference.ragged import round_up
from maskmend.models.attention import reference_attention
from maskmend.models.transformer import Hints, MaskedTransformer, small_config
from tiny_transformers import KINDS, MASK, TINY, N, a_hint, built, codes, holes, midway

MODELS = {name: built(**kind) for name, kind in KINDS.items()}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
@settings(deadline=None, max_examples=12)
@given(counts=st.lists(st.integers(0, N), min_size=1, max_size=4), seed=st.integers(0, 999))
def test_cached_decoding_agrees_with_the_full_pass(model, counts, seed):
    """Catches keys that are stale or turned twice, and padding that is seen."""
    hole = holes(*counts, seed=seed)
    hints = a_hint(len(hole), seed)
    predict = InferenceTransformer(model).predictor(midway(hole, 1.0, seed)[0], hole, hints)
    for share in (1.0, 0.6, 0.2, 0.0):
        tokens, masked = midway(hole, share, seed)
        cached, uncached = predict(tokens, masked), model(tokens, hole, masked, hints)
        assert cached.shape == (int(masked.sum()), TINY.codes)
        torch.testing.assert_close(cached, uncached, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "counts", [(0,), (0, 0), (N,), (N, N), (5, 5), (0, N), (N, 0, 3), (1, N - 1)], ids=str
)
def test_cached_decoding_of_empty_full_and_equal_holes(counts):
    """Catches the corners that random holes meet rarely: nothing known, nothing to fill, nothing to pad."""
    hole = holes(*counts)
    (tokens, masked), hints = midway(hole, 1.0), a_hint(len(hole))
    for model in MODELS.values():
        cached = InferenceTransformer(model).predictor(tokens, hole, hints)(tokens, masked)
        torch.testing.assert_close(cached, model(tokens, hole, masked, hints), atol=1e-4, rtol=0)


def test_cache_never_attends_over_nothing(monkeypatch):
    """Catches NaN with kernels (such as PyTorch 2.4's) whose softmax over no key at all is 0 / 0."""
    hole = holes(0, N, 4)
    tokens, masked = midway(hole, 1.0)
    model = built()
    expected = model(tokens, hole, masked)
    monkeypatch.setattr(
        "maskmend.inference.ragged.F.scaled_dot_product_attention",
        lambda q, k, v, attn_mask=None: reference_attention(q, k, v, attn_mask),
    )
    torch.testing.assert_close(
        InferenceTransformer(model).predictor(tokens, hole)(tokens, masked), expected, atol=1e-4, rtol=0
    )


def test_decoding_with_and_without_the_cache_gives_the_same_fill():
    """Catches a predictor that does not fit `decode`, or logits in another order than it expects."""
    model, hole = built(marks_hole=True), holes(3, 0, N, 9)
    tokens = codes(4).masked_fill(hole, MASK)
    options = {"mask_id": MASK, "steps": 5, "seeds": [4, 3, 2, 1]}
    cached = decode(InferenceTransformer(model).predictor(tokens, hole), tokens, hole, **options)
    full = decode(lambda now, masked: model(now, hole, masked), tokens, hole, **options)
    assert torch.equal(cached.tokens, full.tokens)
    assert len(cached.history) == 5


def work(monkeypatch):
    """Multiply-adds of all products of decoding from here on, in a list that is added to."""
    done = []
    attend = F.scaled_dot_product_attention

    def counted(method):
        def run(self, x, *rest):
            done.append(x.numel() * len(self.weight))
            return method(self, x, *rest)

        return run

    for name in ("__call__", "gelu", "add"):
        monkeypatch.setattr(PackedLinear, name, counted(getattr(PackedLinear, name)))

    def attended(q, k, v, **options):
        done.append(2 * q.numel() * k.shape[2])
        return attend(q, k, v, **options)

    monkeypatch.setattr("maskmend.inference.ragged.F.scaled_dot_product_attention", attended)
    return done


def test_a_step_costs_the_holes_tokens_only(monkeypatch):
    """Catches known tokens computed again, padding of short holes, and logits nobody asked for."""
    model, hole = built(), holes(3, 5)
    tokens, masked = midway(hole, 0.5)
    predict, done = InferenceTransformer(model).predictor(tokens, hole), work(monkeypatch)
    predict(tokens, masked)
    d, rows, wanted = TINY.dim, 8, int(masked.sum())
    products = TINY.layers * rows * (4 * d * d + 2 * d * TINY.mlp)
    attention = TINY.layers * 2 * (2 * 5) * N * d  # queries padded to the longest hole
    assert sum(done) == products + attention + wanted * (d * d + d * TINY.codes)


@pytest.mark.parametrize(("share", "most"), [(0.05, 0.25), (0.2, 0.4)])
def test_eight_steps_cost_a_share_of_eight_full_passes(monkeypatch, share, most):
    """Catches work that grows with the picture, not the hole; `maskmend bench` shows the same in time."""
    config = small_config(dim=48, heads=6, mlp=144, codes=256)
    model = MaskedTransformer(config).eval()
    hole = (torch.arange(config.tokens) < share * config.tokens)[None]
    tokens, hints = torch.zeros_like(hole).long(), Hints(torch.zeros_like(hole).long(), hole.float())
    tokens = tokens.masked_fill(hole, config.mask_id)
    done = work(monkeypatch)
    decode(
        InferenceTransformer(model).predictor(tokens, hole, hints),
        tokens,
        hole,
        mask_id=config.mask_id,
        steps=8,
    )
    n, d = config.tokens, config.dim
    block = n * (4 * d * d + 2 * d * config.mlp) + 2 * n * n * d
    full = config.layers * block + int(hole.sum()) * (d * d + d * config.codes)
    assert sum(done) <= most * 8 * full


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_samples_share_the_known_tokens(model):
    """Catches samples that get each other's picture, and known tokens read once for each of them."""
    hole = holes(3, 0, N, 9)
    tokens, hints = codes(4).masked_fill(hole, MASK), a_hint(4)
    options = {"mask_id": MASK, "steps": 4, "seeds": list(range(8))}
    one = decode(
        InferenceTransformer(model).predictor(tokens, hole, hints, samples=2),
        tokens.repeat_interleave(2, 0),
        hole.repeat_interleave(2, 0),
        **options,
    )
    twice = hints.at(torch.arange(len(hole)).repeat_interleave(2))
    tokens, hole = tokens.repeat_interleave(2, 0), hole.repeat_interleave(2, 0)
    assert torch.equal(
        one.tokens,
        decode(InferenceTransformer(model).predictor(tokens, hole, twice), tokens, hole, **options).tokens,
    )


def test_full_attention_is_recomputed_in_each_step():
    """Catches known tokens of a `full` model that are kept although they see the hole."""
    model, hole = built(attention="full", marks_hole=True), holes(6, 1, 3)
    predict = InferenceTransformer(model).predictor(midway(hole, 1.0)[0], hole)
    for share in (1.0, 0.5):
        tokens, masked = midway(hole, share)
        torch.testing.assert_close(predict(tokens, masked), model(tokens, hole, masked), atol=1e-4, rtol=0)


def test_bfloat16_stays_near():
    """Catches a part that is left in float32, which would not multiply, and weights changed in place."""
    model, hole = built(**KINDS["pre, both, marked, hints"]), holes(6, 3)
    tokens, masked = midway(hole, 1.0)
    predict = InferenceTransformer(model, torch.bfloat16).predictor(tokens, hole, a_hint(2))
    logits, expected = predict(tokens, masked), model(tokens, hole, masked, a_hint(2))
    assert logits.dtype == torch.bfloat16
    assert model.bias.dtype == torch.float32
    assert (logits.float() - expected).norm() < 0.05 * expected.norm()


def test_an_images_logits_do_not_depend_on_the_other_images():
    """Catches padding that leaks: the same seed would fill differently in another batch."""
    hole = holes(2, 11, N, 0)
    tokens, masked = midway(hole, 0.7)
    model = built(positions="both")
    together = (
        InferenceTransformer(model).predictor(tokens, hole)(tokens, masked).split(masked.sum(1).tolist())
    )
    for i, expected in enumerate(together):
        alone = InferenceTransformer(model).predictor(tokens[i : i + 1], hole[i : i + 1])(
            tokens[i : i + 1], masked[i : i + 1]
        )
        torch.testing.assert_close(alone, expected, atol=1e-5, rtol=0)


def test_very_different_holes_are_not_padded(monkeypatch):
    """Catches a batch in which every small hole costs as much attention as the largest one."""
    model, hole = built(**KINDS["pre, both, marked, hints"]), holes(N, 1, 0, 2)
    tokens, masked = midway(hole, 1.0)
    done = work(monkeypatch)
    logits = InferenceTransformer(model).predictor(tokens, hole, a_hint(4))(tokens, masked)
    d, rows, known = TINY.dim, N + 3, [0, N - 1, N, N - 2]
    products = (rows + sum(known)) * (3 * d * d) * TINY.layers
    rest = (rows * TINY.layers + sum(known) * (TINY.layers - 1)) * (d * d + 2 * d * TINY.mlp)
    attention = 2 * d * (TINY.layers * rows * N + (TINY.layers - 1) * sum(n * n for n in known))
    assert sum(done) == products + rest + attention + rows * (d * d + d * TINY.codes)
    torch.testing.assert_close(logits, model(tokens, hole, masked, a_hint(4)), atol=1e-4, rtol=0)


def test_rows_are_rounded_to_few_numbers():
    """Catches rows that are cut off, waste beyond a sixteenth, and a product prepared for every hole anew."""
    numbers = {round_up(count) for count in range(1, 257)}
    assert all(count <= round_up(count) <= count * 17 / 16 for count in range(1, 4096))
    assert len(numbers) == 31 + 3 * 16 + 1


@pytest.mark.parametrize("counts", [(37,), (37, 37), (33, 61, 2)], ids=str)
def test_repeated_rows_change_nothing(counts):
    """Catches rows added for round numbers that are seen as keys, or come out as logits."""
    config = small_config(grid=8, dim=24, heads=2, layers=2, mlp=32, codes=11)
    torch.manual_seed(0)
    model = MaskedTransformer(config).eval()
    hole = torch.zeros(len(counts), 64, dtype=torch.bool)
    for row, count in zip(hole, counts, strict=True):
        row[torch.randperm(64)[:count]] = True
    tokens = torch.randint(11, hole.shape).masked_fill(hole, config.mask_id)
    hints = Hints(torch.randint(11, hole.shape), torch.rand(hole.shape))
    predict = InferenceTransformer(model).predictor(tokens, hole, hints)
    torch.testing.assert_close(predict(tokens, hole), model(tokens, hole, hole, hints), atol=1e-4, rtol=0)
    fewer = hole & (torch.rand(hole.shape) < 0.9)
    tokens[hole & ~fewer] = 3
    torch.testing.assert_close(predict(tokens, fewer), model(tokens, hole, fewer, hints), atol=1e-4, rtol=0)
