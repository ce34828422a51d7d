"""Attention: the fused kernel against the formula and against PyTorch's own layer; rotary positions."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from maskmend.models.attention import (
    MultiHeadAttention,
    Rotation,
    apply_rope,
    reference_attention,
    rope_angles,
)

DIM, HEADS = 24, 3


def layer(seed=0):
    torch.manual_seed(seed)
    attention = MultiHeadAttention(DIM, HEADS)
    for linear in (attention.query, attention.key, attention.value, attention.out):
        nn.init.normal_(linear.weight, std=0.5)
        nn.init.normal_(linear.bias, std=0.5)
    return attention.requires_grad_(False)


def normal(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def a_mask(*shape, seed=2):
    """A random mask in which every query may attend to something."""
    attn_mask = torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    attn_mask[..., 0] |= ~attn_mask.any(-1)
    return attn_mask


MASKS = {
    "none": None,
    "each query": a_mask(2, 1, 7, 7),
    "each head": a_mask(2, HEADS, 7, 7),
    "keys only": a_mask(2, 1, 1, 7),
    "all images alike": a_mask(1, 1, 7, 7),
}


def test_plain_formula_on_paper():
    """Catches a wrong scale, softmax over the wrong axis, and masked keys that still weigh something."""
    q = torch.tensor([[math.sqrt(2) * math.log(3), 0.0]])
    k = torch.tensor([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    v = torch.tensor([[4.0, 0.0], [0.0, 8.0], [100.0, 100.0]])
    attn_mask = torch.tensor([[True, True, False]])
    # scores / sqrt(2) = log 3, 0: weights 3/4 and 1/4
    torch.testing.assert_close(reference_attention(q, k, v, attn_mask), torch.tensor([[3.0, 2.0]]))


@pytest.mark.parametrize("attn_mask", MASKS.values(), ids=MASKS.keys())
def test_fused_kernel_is_the_plain_formula(attn_mask):
    """Catches a mask of the wrong polarity, and heads that are split or joined in the wrong order."""
    attention, x = layer(), normal(2, 7, DIM)
    heads = []
    for i in range(HEADS):
        part = slice(i * DIM // HEADS, (i + 1) * DIM // HEADS)
        q, k, v = (f(x)[..., part] for f in (attention.query, attention.key, attention.value))
        mask = None if attn_mask is None else attn_mask[:, min(i, attn_mask.shape[1] - 1)]
        heads.append(reference_attention(q, k, v, mask))
    expected = attention.out(torch.cat(heads, dim=-1))
    torch.testing.assert_close(attention(x, attn_mask=attn_mask), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_agrees_with_torch_multihead_attention(masked):
    """Catches any departure from the layer everyone knows, biases included."""
    attention, x = layer(), normal(2, 7, DIM)
    theirs = nn.MultiheadAttention(DIM, HEADS, batch_first=True).requires_grad_(False)
    ours = (attention.query, attention.key, attention.value)
    theirs.in_proj_weight.copy_(torch.cat([linear.weight for linear in ours]))
    theirs.in_proj_bias.copy_(torch.cat([linear.bias for linear in ours]))
    theirs.out_proj.weight.copy_(attention.out.weight)
    theirs.out_proj.bias.copy_(attention.out.bias)
    attn_mask = a_mask(7, 7) if masked else None
    expected, _ = theirs(x, x, x, attn_mask=None if attn_mask is None else ~attn_mask, need_weights=False)
    mine = attention(x, attn_mask=None if attn_mask is None else attn_mask[None, None])
    torch.testing.assert_close(mine, expected, atol=1e-5, rtol=1e-5)


def test_queries_and_keys_are_turned_values_are_not():
    """Catches rotary positions put on one side only: the product would depend on absolute places."""
    attention, x = layer(), normal(1, 9, DIM)
    rope = Rotation.by(rope_angles(torch.arange(9)[None], 3, DIM // HEADS))
    q, k, v = (attention.split_heads(f(x)) for f in (attention.query, attention.key, attention.value))
    heads = reference_attention(apply_rope(q, rope), apply_rope(k, rope), v)
    expected = attention.out(heads.transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(x, rope=rope), expected, atol=1e-5, rtol=1e-5)


def test_gradient_reaches_all_projections():
    """Catches a projection that is left out: it would stay at its initial value for ever."""
    attention = layer().requires_grad_(True)
    attention(normal(2, 7, DIM)).square().sum().backward()
    for name, parameter in attention.named_parameters():
        # The key's bias adds the same to all scores of a query, which softmax takes away again.
        if name != "key.bias":
            assert parameter.grad is not None
            assert parameter.grad.abs().max() > 1e-3, name


SIDE = 8
CELL = st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1))


def turned_product(q, k, at, other, side=SIDE):
    """q k^T with q turned as at cell `at`, k as at cell `other`."""
    positions = torch.tensor([[at[0] * side + at[1]], [other[0] * side + other[1]]])
    rope = Rotation.by(rope_angles(positions, side, len(q)))
    a, b = apply_rope(torch.stack([q, k])[:, None, None], rope)
    return float((a * b).sum())


@settings(deadline=None)
@given(at=CELL, other=CELL, shifted=CELL, seed=st.integers(0, 99))
def test_rotary_products_depend_on_the_offset_alone(at, other, shifted, seed):
    """Catches angles that are not linear in row and column, and rows taken for columns at a line's end."""
    q, k = normal(2, 16, seed=seed)
    row, column = other[0] - at[0], other[1] - at[1]
    there = (shifted[0] + row, shifted[1] + column)
    assume(all(0 <= i < SIDE for i in there))
    assert turned_product(q, k, at, other) == pytest.approx(turned_product(q, k, shifted, there), abs=1e-4)


def test_rotary_products_do_depend_on_the_offset():
    """Catches angles that are all zero, and rows that count the same as columns."""
    q, k = normal(2, 16)
    products = [turned_product(q, k, (0, 0), cell) for cell in ((0, 0), (0, 1), (1, 0), (1, 1), (7, 0))]
    assert min(abs(a - b) for i, a in enumerate(products) for b in products[:i]) > 1e-3


def test_rotary_turns_half_of_the_pairs_by_row_and_half_by_column():
    """Catches positions counted along one line, where the token below is far away."""
    by_row, by_column = rope_angles(torch.arange(16)[None], 4, 16)[0].unflatten(0, (4, 4)).chunk(2, dim=-1)
    assert torch.equal(by_row, by_row[:, :1].expand_as(by_row))
    assert torch.equal(by_column, by_column[:1].expand_as(by_column))
    assert torch.equal(by_row[:, 0], by_column[0])


@pytest.mark.parametrize("head_dim", [8, 32, 48])
@pytest.mark.parametrize("side", [1, 4, 16, 32])
def test_rotary_tells_all_positions_of_the_grid_apart(side, head_dim):
    """Catches waves so fast that they come round within the grid, or so slow that they do not move."""
    angles = rope_angles(torch.arange(side**2)[None], side, head_dim)[0]
    assert angles.shape == (side**2, head_dim // 2)
    wheel = torch.cat([angles.cos(), angles.sin()], dim=1).double()
    distance = torch.cdist(wheel, wheel) + 9 * torch.eye(side**2)
    assert distance.min() > 0.1


def test_rotation_keeps_lengths_and_types():
    """Catches a rotation that scales (attention would sharpen with the position) or that widens bf16."""
    x = normal(2, HEADS, 9, 8)
    rope = Rotation.by(rope_angles(torch.arange(9).expand(2, 9), 3, 8))
    torch.testing.assert_close(apply_rope(x, rope).norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(apply_rope(x, rope)[:, :, 0], x[:, :, 0])  # at row 0, column 0 nothing turns
    assert apply_rope(x.bfloat16(), rope).dtype == torch.bfloat16
