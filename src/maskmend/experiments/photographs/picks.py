"""Selects the photographs shown on the page: by score, never by hand.

The score is our LPIPS minus the baseline's (MI-GAN if it takes part, else Telea). The photographs with the
lowest, the median and the highest score are shown.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskmend.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A photograph to show."""

    why: str
    number: int
    """Index in the test set, from 0."""


def pick(ours: Sequence[float], theirs: Sequence[float], baseline: str) -> list[Pick]:
    """Best, median and worst photograph by LPIPS; the first one on ties. No photograph appears twice."""
    order = np.argsort(np.array(ours) - np.array(theirs), kind="stable")
    places = {
        f"best against {baseline}": order[0],
        "median": order[(len(order) - 1) // 2],
        f"worst against {baseline}": order[-1],
    }
    picks: list[Pick] = []
    for why, number in places.items():
        if int(number) not in [known.number for known in picks]:
            picks.append(Pick(why=why, number=int(number)))
    return picks


def read_credits(*files: Path) -> dict[str, str]:
    """Licence and author's page of each photograph, by name, from CSV files.

    The files have the columns `file` and `licence`, and optionally `attribution_url` and `source_repository`.
    Raises DataError for a file that cannot be read or lacks the required columns.
    """
    found: dict[str, str] = {}
    for path in files:
        try:
            with path.open(newline="", encoding="utf-8") as opened:
                rows = list(csv.DictReader(opened))
        except (OSError, ValueError, csv.Error) as error:
            raise DataError(f"cannot read the credits in {path} ({error}): give a CSV file") from None
        if not rows or not {"file", "licence"} <= rows[0].keys():
            raise DataError(f"{path} has no columns 'file' and 'licence': add them, or leave --credits out")
        for row in rows:
            where = row.get("attribution_url") or row.get("source_repository") or ""
            found[row["file"]] = ", ".join(part for part in (row["licence"], where) if part)
    return found
