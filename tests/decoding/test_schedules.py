"""Schedules: exact ends, exact counts, and no step that fills nothing."""

from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskmend.decoding.mask_counts import mask_counts
from maskmend.decoding.schedules import SCHEDULES, schedule_named
from maskmend.errors import ConfigError
from maskmend.settings import SCHEDULES as NAMES

names = st.sampled_from(sorted(SCHEDULES))


def counts(holes: int, steps: int, schedule: str) -> list[int]:
    return mask_counts(torch.tensor([holes]), steps, schedule_named(schedule))[0].tolist()


def test_all_schedules_of_the_field_are_there():
    assert tuple(SCHEDULES) == NAMES
    assert set(NAMES) == {"cosine", "linear", "square", "square_root", "arccos", "cubic", "log", "exp"}


@pytest.mark.parametrize("name", SCHEDULES)
def test_ends_are_exact_and_it_falls_all_the_way(name):
    # Catches cos(pi/2) = 6e-17 and exp or log that start below 1 or end above 0.
    gamma = SCHEDULES[name]
    values = [gamma(i / 1000) for i in range(1001)]
    assert values[0] == 1
    assert values[-1] == 0
    assert all(a > b for a, b in pairwise(values))


@pytest.mark.parametrize(
    ("name", "r", "value"),
    [
        ("cosine", 2 / 3, 0.5),
        ("linear", 0.25, 0.75),
        ("square", 0.5, 0.75),
        ("square_root", 0.25, 0.5),
        ("arccos", 0.5, 2 / 3),
        ("cubic", 0.5, 0.875),
        ("log", 15 / 255, 0.5),  # 1 - log_256(16)
        ("exp", 0.5, 240 / 255),  # (256 - 16) / 255
    ],
)
def test_values_worked_out_by_hand(name, r, value):
    assert SCHEDULES[name](r) == pytest.approx(value, abs=1e-12)


@given(holes=st.integers(0, 400), steps=st.integers(1, 60), power=st.sampled_from([1, 2, 3]))
def test_floor_is_that_of_exact_arithmetic(holes, steps, power):
    # Catches a floor hurt by rounding: 10 holes, linear, step 9 of 10 is 1 token and not floor(0.9999999).
    expected = [holes]
    for t in range(1, steps + 1):
        exact = (1 - Fraction(t, steps) ** power) * holes
        expected.append(max(0, min(int(exact), expected[-1] - 1)))
    assert counts(holes, steps, {1: "linear", 2: "square", 3: "cubic"}[power]) == expected


def test_exact_values_of_irrational_schedules():
    assert counts(100, 3, "cosine") == [100, 86, 50, 0]  # cos 30 degrees = 0.866, cos 60 degrees = 1/2
    assert counts(30, 4, "square_root") == [30, 15, 8, 4, 0]
    assert counts(9, 2, "arccos") == [9, 6, 0]
    assert counts(256, 8, "cosine") == [256, 251, 236, 212, 181, 142, 97, 49, 0]


@given(holes=st.integers(0, 300), steps=st.integers(1, 400), name=names)
def test_every_step_fills_something_and_the_last_leaves_nothing(holes, steps, name):
    table = counts(holes, steps, name)
    assert table[0] == holes
    assert table[-1] == 0
    assert all(later < before or before == 0 for before, later in pairwise(table))


@given(holes=st.lists(st.integers(0, 300), min_size=1, max_size=5), steps=st.integers(1, 20), name=names)
def test_an_image_keeps_its_plan_in_a_batch(holes, steps, name):
    table = mask_counts(torch.tensor(holes), steps, SCHEDULES[name])
    assert table.tolist() == [counts(n, steps, name) for n in holes]


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"'cosin'.*'cosine'"):
        schedule_named("cosin")
    with pytest.raises(ConfigError, match="linear"):
        schedule_named("")


def test_impossible_numbers_are_refused():
    with pytest.raises(ConfigError, match="steps is 0"):
        mask_counts(torch.tensor([3]), 0, SCHEDULES["linear"])
    with pytest.raises(ConfigError, match="-1"):
        mask_counts(torch.tensor([3, -1]), 2, SCHEDULES["linear"])
