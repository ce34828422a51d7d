"""The decode loop's cases: what they count, and the plain loop they are compared with."""

import pytest
import torch
import torch.nn.functional as F

from maskmend.benchmark.decoding import example, fill, work_of_fill, work_of_pass
from maskmend.benchmark.reference import PlainTransformer, plain_decode
from maskmend.inference.cached_transformer import InferenceTransformer
from maskmend.inference.packed_linear import PackedLinear
from maskmend.models.transformer import MaskedTransformer, small_config

CONFIG = small_config(grid=4, codes=24, dim=16, heads=2, layers=2, mlp=32)


@pytest.mark.parametrize("share", [10, 50, 100])
def test_operations_are_those_that_happen(monkeypatch, share):
    """Catches a share of the ceiling that flatters: operations counted that nobody does."""
    done, attend = [], F.scaled_dot_product_attention

    def counted(method):
        def run(self, x, *rest):
            done.append(2 * x.numel() * len(self.weight))
            return method(self, x, *rest)

        return run

    def attended(q, k, v, **options):
        done.append(4 * q.numel() * k.shape[2])
        return attend(q, k, v, **options)

    for name in ("__call__", "gelu", "add"):
        monkeypatch.setattr(PackedLinear, name, counted(getattr(PackedLinear, name)))
    monkeypatch.setattr("maskmend.inference.cached_transformer.F.scaled_dot_product_attention", attended)
    ready = InferenceTransformer(MaskedTransformer(CONFIG).eval())
    hole = int(example(CONFIG, share)[1].sum())
    for linear in (ready.layers[0].qkv, ready.head):
        if linear.packed is None:
            pytest.skip("without packed layers gelu calls the plain one, and both are counted")
    fill(ready, share, 4)()
    assert sum(done) == work_of_fill(CONFIG, hole, 4)


def test_a_full_pass_on_paper():
    """Catches a factor of two."""
    d, n = CONFIG.dim, 16
    block = 4 * n * d * d + 2 * n * d * 32 + 2 * n * n * d
    assert work_of_pass(CONFIG, n, 3) == 2 * (2 * block + 3 * d * (d + 24))


def test_the_plain_loop_fills_holes_and_nothing_else():
    """Catches a peer that is fast because it stops early, or touches what is known."""
    tokens, hole, _ = example(CONFIG, 50)
    tokens, seen = tokens.masked_fill(hole, 0), []
    filled = plain_decode(PlainTransformer(CONFIG).eval(), tokens, hole, 3, seen.append)
    assert torch.equal(filled[~hole], tokens[~hole])
    assert (filled < 24).all()
    assert len(seen) == 3


def test_pictures_of_a_batch_have_holes_of_their_own():
    """Catches a batch that is cheap because all its pictures are alike, or have smaller holes."""
    one, batch = example(CONFIG, 20)[1], example(CONFIG, 20, 4)[1]
    assert torch.equal(batch[0], one[0])
    assert (batch.sum(1) == one.sum()).all()
    assert len(batch.unique(dim=0)) == 4
