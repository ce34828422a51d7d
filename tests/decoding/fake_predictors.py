"""Tiny tasks for decoding, and predictors in the place of a transformer."""

import torch
from hypothesis import strategies as st

from maskmend.decoding.interface import decode
from maskmend.decoding.noise import uniform
from maskmend.decoding.schedules import SCHEDULES
from maskmend.settings import CHOICES, CONFIDENCES, ORDERS

CODES = 11
MASK = CODES
GRID = (4, 5)
N = 20


def hashed(tokens, masked):
    """Logits that depend on all of the image's tokens and on the place, and on nothing else."""
    assert masked.any(), "called with nothing masked"
    assert torch.equal(tokens == MASK, masked)
    state = (tokens * torch.arange(1, tokens.shape[1] + 1)).sum(dim=1)  # (B,)
    row, position = masked.nonzero(as_tuple=True)
    return 4 * uniform(state[row], 0, position, CODES) - 2


@st.composite
def batches(draw, largest=4):
    """Tokens, and holes of any size: empty and full ones included."""
    images = draw(st.integers(1, largest))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    tokens = torch.randint(CODES, (images, N), generator=generator)
    sizes = torch.tensor([draw(st.integers(0, N)) for _ in range(images)])
    hole = torch.rand(images, N, generator=generator).argsort(dim=1).argsort(dim=1) < sizes[:, None]
    return tokens, hole


options = st.fixed_dictionaries(
    {
        "steps": st.integers(1, 30),
        "schedule": st.sampled_from(sorted(SCHEDULES)),
        "order": st.sampled_from(ORDERS),
        "confidence": st.sampled_from(CONFIDENCES),
        "choice": st.sampled_from(CHOICES),
        "noise": st.sampled_from([0.0, 1.0, 4.5]),
        "temperature": st.sampled_from([0.0, 0.3, 1.0, 2.0]),
        "top_k": st.sampled_from([None, 1, 3, 100]),
        "top_p": st.sampled_from([None, 0.2, 0.9, 1.0]),
    }
)


def fill(tokens, hole, predict=hashed, **kwargs):
    return decode(predict, tokens, hole, mask_id=MASK, **{"grid": GRID, **kwargs})


def example(images=3, size=12):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(CODES, (images, N), generator=generator)
    hole = torch.rand(images, N, generator=generator).argsort(dim=1).argsort(dim=1) < size
    return tokens, hole
