"""What a caller calls a class, and which of several fills is kept."""

import pytest
import torch

from maskmend.decoding.loop import Decoded, Step
from maskmend.errors import ConfigError
from maskmend.fill.labels import chosen_labels, likeliest

NAMES = ("tench, Tinca tinca", "crane", "tabby, tabby cat", "Crane", "alp")


def chosen(label, *, names=NAMES, count=5, unconditional=True):
    return chosen_labels(label, names, count, unconditional=unconditional)


@pytest.mark.parametrize(
    ("label", "numbers"),
    [
        (None, (None,)),
        (2, (2,)),
        ("2", (2,)),
        ("tabby", (2,)),
        ("Tinca Tinca", (0,)),
        ("tinc", (0,)),
        ("alp/tench/4", (4, 0)),
        ("auto", (0, 1, 2, 3, 4)),
    ],
)
def test_labels_by_number_name_and_several(label, numbers):
    """A name that is also a part of others' must be the one that has it whole; each class is tried once."""
    assert chosen(label) == numbers


def test_auto_spreads_over_all_classes():
    found = chosen_labels("auto", (), 1000, unconditional=False)
    assert found == (62, 187, 312, 437, 562, 687, 812, 937)


@pytest.mark.parametrize(
    ("label", "told", "about"),
    [
        (None, "fills only with a class", {"unconditional": False}),
        (3, "has no classes", {"count": 0}),
        ("auto", "has no classes", {"count": 0}),
        (5, "label = 5: give a class from 0 to 4", {}),
        (-1, "label = -1: give a class from 0 to 4", {}),
        ("tabbi", r"no class of this model \(did you mean 'tabby'\?\)", {}),
        ("dog", r"no class of this model \(its classes: 0 to 4\)", {"names": ()}),
        ("crane", r"matches several classes, 1 \(crane\), 3 \(Crane\): give the number", {}),
    ],
)
def test_labels_that_there_are_not(label, told, about):
    with pytest.raises(ConfigError, match=told):
        chosen(label, **about)


def decoded(*likelihoods, code):
    tokens = torch.full((len(likelihoods), 3), code)
    step = Step(index=1, tokens=tokens, masked=tokens < 0, candidate=tokens)
    entropy = torch.full((len(likelihoods), 3), float(code))
    return Decoded(tokens=tokens, entropy=entropy, log_likelihood=torch.tensor(likelihoods), history=(step,))


def test_of_several_fills_each_row_takes_its_likeliest():
    """One class for the whole batch would give a picture another's."""
    best = likeliest([decoded(-3.0, -1.0, code=4), decoded(-2.0, -5.0, code=7)])
    assert best.tokens[:, 0].tolist() == [7, 4]
    assert best.history[0].candidate[:, 0].tolist() == [7, 4]
    assert best.entropy[:, 0].tolist() == [7, 4]
    assert best.log_likelihood.tolist() == [-2.0, -1.0]
