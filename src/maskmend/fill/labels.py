"""Class labels of a fill: what a caller gives, as class numbers of the model.

    None ─► no class    281, "281", "tabby" ─► (281,)    "tabby/alp" ─► (281, 970)    "auto" ─► several

With several classes the hole is filled under each, and the likeliest fill of each sample is kept. Likelihoods
under different classes can be compared, as all are over the same codes at the same positions.
"""

from collections.abc import Sequence

import torch

from maskmend.config import nearest
from maskmend.decoding.loop import Decoded, Step
from maskmend.errors import ConfigError

TRIED = 8
"""Classes that "auto" tries, spread evenly: ImageNet's range from animals to objects and landscapes."""
SEPARATOR = "/"


def chosen_labels(
    label: str | int | None, names: Sequence[str], count: int, *, unconditional: bool
) -> tuple[int | None, ...]:
    """The classes to try; None for unconditional.

    Args:
        label: a number, a name or a part of one that no other class has, several with / between, or "auto".
        names: of the classes, synonyms with commas between; empty if unknown.
        count: how many classes the model has; 0 for one without.
        unconditional: whether it also predicts without one.

    Raises ConfigError for an unknown class, and for any class if the model has none.
    """
    if label is None:
        if not unconditional:
            raise ConfigError(
                "label is None and the model fills only with a class: give a name or number, or 'auto'"
            )
        return (None,)
    if count == 0:
        raise ConfigError(f"label = {label!r}: this model has no classes, leave it out")
    if label == "auto":
        tries = min(TRIED, count)
        return tuple(round((n + 0.5) * count / tries - 0.5) for n in range(tries))
    given = [label] if isinstance(label, int) else label.split(SEPARATOR)
    return tuple(dict.fromkeys(_number(one, names, count) for one in given))


def _number(label: str | int, names: Sequence[str], count: int) -> int:
    text = str(label).strip()
    if text.lstrip("-").isdigit():
        if 0 <= int(text) < count:
            return int(text)
        raise ConfigError(f"label = {text}: give a class from 0 to {count - 1}")
    synonyms = [[word.strip().lower() for word in name.split(",")] for name in names]
    whole = [n for n, words in enumerate(synonyms) if text.lower() in words]
    part = whole or [n for n, words in enumerate(synonyms) if any(text.lower() in word for word in words)]
    if not part:
        known = [word for words in synonyms for word in words]
        close = nearest(text.lower(), known) if known else ""
        close = close if close.startswith(" (did") else f" (its classes: 0 to {count - 1})"
        raise ConfigError(f"label = {text!r} is no class of this model{close}")
    if len(part) > 1:
        shown = ", ".join(f"{n} ({names[n].partition(',')[0]})" for n in part[:4])
        more = f" and {len(part) - 4} more" if len(part) > 4 else ""
        raise ConfigError(f"label = {text!r} matches several classes, {shown}{more}: give the number")
    return part[0]


def likeliest(fills: Sequence[Decoded]) -> Decoded:
    """The likeliest of several fills of the same holes, row by row."""
    if len(fills) == 1:
        return fills[0]
    best = torch.stack([fill.log_likelihood for fill in fills]).argmax(0).tolist()

    def rows(values: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.stack([values[n][row] for row, n in enumerate(best)])

    history = tuple(
        Step(
            index=steps[0].index,
            tokens=rows([step.tokens for step in steps]),
            masked=rows([step.masked for step in steps]),
            candidate=rows([step.candidate for step in steps]),
        )
        for steps in zip(*(fill.history for fill in fills), strict=True)
    )
    return Decoded(
        tokens=rows([fill.tokens for fill in fills]),
        entropy=rows([fill.entropy for fill in fills]),
        log_likelihood=rows([fill.log_likelihood for fill in fills]),
        history=history,
    )
