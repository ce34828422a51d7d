"""Decoding as it is used: holes painted and rubbed out, settings changed, fills accepted, in any order.

A state machine holds one image. Whatever came before, a fill leaves known tokens and the caller's tensors
alone, keeps as many tokens in each step as the schedule says (computed here anew, from its formula), does not
see what stands in the hole, and is the same for the same seed, in any batch.
"""

import math
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from torch import Tensor

from guards.cases import TRIED, cases
from maskmend.decoding import decode

CODES, MASK = 9, 9
GRID = (4, 6)
N = GRID[0] * GRID[1]
AT_NIGHT = 10_000

GAMMA = {
    "cosine": lambda r: math.cos(math.pi * r / 2),
    "linear": lambda r: 1 - r,
    "square": lambda r: 1 - r**2,
    "square_root": lambda r: 1 - math.sqrt(r),
    "arccos": lambda r: 2 * math.acos(r) / math.pi,
    "cubic": lambda r: 1 - r**3,
    "log": lambda r: 1 - math.log(1 + 255 * r, 256),
    "exp": lambda r: (256 - 256**r) / 255,
}
SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "steps": st.integers(1, 40),
    "schedule": st.sampled_from(sorted(GAMMA)),
    "order": st.sampled_from(["confidence", "random", "halton"]),
    "confidence": st.sampled_from(["log_probability", "probability"]),
    "choice": st.sampled_from(["sample", "argmax"]),
    "noise": st.floats(0, 10),
    "temperature": st.floats(0, 3),
    "top_k": st.none() | st.integers(1, CODES),
    "top_p": st.none() | st.floats(0.05, 1),
}


def predict(tokens: Tensor, masked: Tensor) -> Tensor:
    """Logits that depend on all tokens of the image and on the place: a hash, smoothed by nothing."""
    assert torch.equal(tokens == MASK, masked), "a known token is masked, or a hidden one is shown"
    row, position = masked.nonzero(as_tuple=True)
    weights = torch.arange(1, tokens.shape[1] + 1)
    state = (tokens * weights).sum(1)[row] * 31 + position * 17
    return torch.sin(state[:, None].double() * (1 + torch.arange(CODES))).float() * 3


def counts(hole: int, steps: int, schedule: str) -> list[int]:
    """Tokens masked after each step: floor(gamma(t/T) * hole), and at least one fewer than before."""
    left = [hole]
    for t in range(1, steps + 1):
        share = GAMMA[schedule](t / steps) if t < steps else 0.0
        left.append(max(0, min(math.floor(share * hole + 1e-9), left[-1] - 1)))
        if left[-1] == 0:
            break
    return left[1:] if hole else []


class Editing(RuleBasedStateMachine):
    @initialize(start=st.integers(0, 2**31), data=st.data())
    def begin(self, start: int, data: st.DataObject) -> None:
        TRIED["decoding state machine"] += 1
        self.tokens = torch.randint(CODES, (1, N), generator=torch.Generator().manual_seed(start))
        self.hole = torch.zeros(1, N, dtype=torch.bool)
        self.seed = start
        self.options = {name: data.draw(values, label=name) for name, values in SETTINGS.items()}
        self.filled: Tensor | None = None

    @rule(place=st.integers(0, N - 1), length=st.integers(1, N), erase=st.booleans())
    def paint(self, place: int, length: int, erase: bool) -> None:
        self.hole[:, place : place + length] = not erase
        self.filled = None

    @rule(data=st.data(), name=st.sampled_from(sorted(SETTINGS)))
    def change(self, data: st.DataObject, name: str) -> None:
        self.options[name] = data.draw(SETTINGS[name], label=name)
        self.filled = None

    @rule(seed=st.integers(0, 2**63 - 1))
    def roll(self, seed: int) -> None:
        self.seed, self.filled = seed, None

    @rule()
    def fill(self) -> None:
        before, hole = self.tokens.clone(), self.hole.clone()
        result = self._decode(self.tokens, self.hole, [self.seed])
        assert torch.equal(self.tokens, before), "the caller's tokens were written to"
        assert torch.equal(self.hole, hole), "the caller's hole was written to"
        assert torch.equal(result.tokens[~hole], before[~hole]), "a known token has changed"
        assert ((result.tokens >= 0) & (result.tokens < CODES)).all(), "something is still masked"
        left = [int(step.masked.sum()) for step in result.history]
        assert left == counts(int(hole.sum()), self.options["steps"], self.options["schedule"])
        masked = hole
        for step in result.history:
            assert not (step.masked & ~masked).any(), "a kept token was masked again"
            assert torch.equal(step.tokens[~step.masked], result.tokens[~step.masked]), "a kept token changed"
            masked = step.masked
        assert torch.isfinite(result.log_likelihood).all()
        if self.filled is not None:
            assert torch.equal(result.tokens, self.filled), "the same seed gave another fill"
        self.filled = result.tokens

    @precondition(lambda self: self.filled is not None)
    @rule(hidden=st.integers(0, 2**31))
    def change_what_is_hidden(self, hidden: int) -> None:
        other = torch.randint(CODES, (1, N), generator=torch.Generator().manual_seed(hidden))
        self.tokens = torch.where(self.hole, other, self.tokens)
        result = self._decode(self.tokens, self.hole, [self.seed])
        assert torch.equal(result.tokens, self.filled), "what stands in the hole was seen"

    @precondition(lambda self: self.filled is not None)
    @rule(others=st.integers(1, 3), row=st.integers(0, 3), start=st.integers(0, 2**31))
    def fill_among_others(self, others: int, row: int, start: int) -> None:
        generator = torch.Generator().manual_seed(start)
        row = min(row, others)
        tokens = torch.randint(CODES, (others + 1, N), generator=generator)
        hole = torch.rand(others + 1, N, generator=generator) < torch.rand(others + 1, 1, generator=generator)
        tokens[row], hole[row] = self.tokens[0], self.hole[0]
        seeds = [start + n for n in range(others + 1)]
        seeds[row] = self.seed
        result = self._decode(tokens, hole, seeds)
        assert torch.equal(result.tokens[row], self.filled[0]), "a fill depends on its batch"

    @precondition(lambda self: self.filled is not None)
    @rule()
    def accept(self) -> None:
        self.tokens, self.hole = self.filled.clone(), torch.zeros_like(self.hole)
        self.filled = None

    def _decode(self, tokens: Tensor, hole: Tensor, seeds: list[int]) -> Any:
        return decode(predict, tokens, hole, mask_id=MASK, grid=GRID, seeds=seeds, **self.options)


def play(examples: int) -> None:
    before = TRIED["decoding state machine"]
    chosen = settings(
        max_examples=examples,
        stateful_step_count=12,
        deadline=None,
        database=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Editing, settings=chosen)
    # It counts what it draws, which may be a little less than was asked for where it finds no more.
    assert TRIED["decoding state machine"] - before >= min(examples, 10)


@pytest.mark.slow
def test_a_few_edits_leave_known_tokens_alone() -> None:
    """Catches a known token that changes, a step that keeps too many, a fill that is not its seed's."""
    play(15)


@pytest.mark.nightly
def test_many_edits_leave_known_tokens_alone() -> None:
    play(cases(AT_NIGHT))
