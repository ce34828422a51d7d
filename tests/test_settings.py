"""Settings of a fill: a typo or an impossible value is one clear error, never a default taken in silence."""

import inspect
import math
from dataclasses import asdict

import numpy as np
import pytest

from maskmend import settings
from maskmend.config import from_dict, to_dict
from maskmend.decoding.interface import decode
from maskmend.decoding.schedules import SCHEDULES
from maskmend.errors import ConfigError
from maskmend.fill.compositing import SEAMS
from maskmend.images.infill import STRATEGIES
from maskmend.settings import CHOICES, CONFIDENCES, ORDERS, Settings


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("schedule", SCHEDULES),
        ("order", ORDERS),
        ("infill", STRATEGIES),
        ("seam", SEAMS),
        ("choice", CHOICES),
        ("confidence", CONFIDENCES),
    ],
)
def test_every_name_of_the_lower_layers_is_accepted(name, values):
    """Catches a schedule, order or seam added below and refused here."""
    for value in values:
        assert getattr(Settings().changed(**{name: value}), name) == value


def test_names_of_the_lower_layers_are_all_there_are():
    """Catches a name that the settings still take and nobody below knows."""
    assert (tuple(SCHEDULES), tuple(STRATEGIES)) == (settings.SCHEDULES, settings.INFILLS)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown setting 'stpes' .did you mean 'steps'"):
        Settings().changed(stpes=4)
    with pytest.raises(ConfigError, match=r"schedule = 'cosin': choose one of .*\(did you mean 'cosine'\?\)"):
        Settings(schedule="cosin")
    with pytest.raises(ConfigError, match="unknown setting 'self'"):
        Settings().changed(self=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 0},
        {"steps": 10**12},
        {"sweet_spot": 9},
        {"sweet_spot": 0},
        {"noise": -0.1},
        {"temperature": math.nan},
        {"context": math.inf},
        {"context": 1e308},
        {"ring": -1},
        {"ring": 10**12},
        {"share": 1.0},
        {"share": math.nan},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"seam": "soft"},
        {"infill": "nothing"},
    ],
    ids=str,
)
def test_impossible_values_name_setting_and_value(changes):
    """Catches values that would only fail, or be taken as something else, deep inside a fill."""
    ((name, value),) = changes.items()
    with pytest.raises(ConfigError, match=name) as caught:
        Settings().changed(**changes)
    assert str(value) in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": "eight"},
        {"steps": 2.5},
        {"steps": True},
        {"temperature": "hot"},
        {"top_k": 0.5},
        {"seam": 3},
    ],
    ids=str,
)
def test_values_of_another_type_are_errors_of_ours(changes):
    """Catches a bare TypeError for `--set steps=eight`."""
    ((name, value),) = changes.items()
    with pytest.raises(ConfigError, match=name) as caught:
        Settings().changed(**changes)
    assert repr(value) in str(caught.value)


def test_numbers_of_numpy_and_whole_numbers_are_taken():
    """Catches `for steps in np.arange(...)` and `temperature=1` being refused."""
    changed = Settings().changed(steps=np.int64(3), temperature=1, noise=np.float32(0.5), top_k=None)
    assert changed == Settings(steps=3, temperature=1.0, noise=0.5)
    assert type(changed.steps) is int
    assert type(changed.temperature) is float


def test_round_trip_through_plain_values():
    """Catches defaults of a model folder that come back changed."""
    chosen = Settings(steps=5, top_p=0.9, seam="hard", sweet_spot=4)
    assert from_dict(Settings, to_dict(chosen)) == chosen
    assert from_dict(Settings, asdict(chosen)) == chosen


def test_decoding_passes_every_setting_that_decode_knows():
    """Catches a setting that is accepted and then ignored."""
    arguments = set(inspect.signature(decode).parameters)
    known = set(asdict(Settings()))
    assert set(Settings().decoding()) == known & arguments
