"""Orders of unmasking: Halton spreads, random is uniform, the best stay within the mask."""

import torch
from fake_predictors import GRID, N, batches, fill
from hypothesis import given
from hypothesis import strategies as st

from maskmend.decoding.orders import halton_rank, top_n_mask


@given(height=st.integers(1, 24), width=st.integers(1, 24))
def test_halton_visits_each_cell_once(height, width):
    assert sorted(halton_rank(height, width).tolist()) == list(range(height * width))


def test_halton_starts_as_the_sequence_does():
    # (1/2, 1/3), (1/4, 2/3), (3/4, 1/9), (1/8, 4/9), (5/8, 7/9) on 8 x 9 cells, exactly on their borders.
    visited = halton_rank(8, 9).argsort()[:5]
    assert [(int(v) // 9, int(v) % 9) for v in visited] == [(4, 3), (2, 6), (6, 1), (1, 4), (5, 7)]


def test_halton_spreads_each_quarter_over_the_grid():
    rank = halton_rank(16, 16).view(16, 16)
    quadrants = (rank < 64).float().unfold(0, 8, 8).unfold(1, 8, 8).sum(dim=(2, 3))
    assert ((quadrants >= 14) & (quadrants <= 18)).all()


@given(batch=batches())
def test_halton_order_is_kept_within_the_hole(batch):
    tokens, hole = batch
    decoded = fill(tokens, hole, order="halton", steps=N)
    rank = halton_rank(*GRID)
    for image in range(len(tokens)):
        was_masked, visited = hole[image], []
        for step in decoded.history:
            visited += (was_masked & ~step.masked[image]).nonzero().flatten().tolist()
            was_masked = step.masked[image]
        inside = hole[image].nonzero().flatten().tolist()
        assert visited == sorted(inside, key=lambda cell: rank[cell].item())


def test_random_order_is_uniform_over_tokens():
    # Catches a random order with favourites: each of 20 tokens is among the first 10 half of the time.
    images = 600
    tokens = torch.zeros(images, N, dtype=torch.int64)
    decoded = fill(
        tokens, torch.ones_like(tokens, dtype=torch.bool), order="random", steps=2, schedule="linear"
    )
    early = (~decoded.history[0].masked).float().mean(dim=0)
    assert (early - 0.5).abs().max() < 4.5 * 0.5 / images**0.5


def test_best_never_leaves_the_mask_whatever_the_scores():
    # Catches -inf or NaN confidences that tie with known tokens and let one of them be overwritten.
    masked = torch.tensor([[False, True, False, True, True]])
    for value in (-torch.inf, torch.inf, torch.nan, 0.0):
        for count in range(4):
            keep = top_n_mask(torch.full((1, 5), value), masked, torch.tensor([count]))
            assert keep.sum() == count
            assert not (keep & ~masked).any()
    tie = top_n_mask(torch.zeros(1, 5), masked, torch.tensor([2]))
    assert tie.tolist() == [[False, True, False, True, False]]
