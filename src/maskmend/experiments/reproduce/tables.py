"""The trials of each table, and the verdict of a table on the defaults.

The coursework's table comes first: FID by mask schedule at 8 steps and sweet spot 8, decoded as in
the coursework and as by default. Then follow one table for each setting, with the others at the model's
defaults, and the grid over schedule, steps, order and choice of tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from maskmend.experiments.reproduce.trial import MEASURES, Measure, Trial, difference, tied
from maskmend.importers.coursework.published import COURSEWORK_DECODING, COURSEWORK_FID
from maskmend.settings import CHOICES, INFILLS, ORDERS, SEAMS, Settings

STEPS = (1, 2, 4, 8, 12, 16)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One trial of a table."""

    labels: tuple[str, ...]
    """One for each of the table's columns."""
    changes: dict[str, Any]
    """What differs from the model's default settings."""
    published: float | None = None
    """The coursework's figure."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Trials that belong side by side."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    by: Measure = "composited"
    """The FID the rows are compared by."""
    also: tuple[Measure, ...] = ()
    """What is measured and shown beside it; each costs a pass through Inception."""
    about: str = ""
    seam: bool = False
    """Show the mean error near the seam too."""
    sweep: bool = False
    """A sweep over settings, which may use fewer images."""

    @property
    def shown(self) -> tuple[Measure, ...]:
        """The FIDs that are measured, in the order of their columns."""
        return tuple(name for name in MEASURES if name == self.by or name in self.also)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A table's best row, the rows no worse than it, and what that says about the default."""

    best: int
    ties: frozenset[int] = field(default_factory=frozenset)
    """Rows that differ from the best by less than their confidence interval, the best left out."""
    sentence: str


def standard_tables(defaults: Settings, *, quick: bool = False) -> list[Table]:
    """All tables but the grid; `quick` leaves out all that is not in the coursework."""
    schedules = (*COURSEWORK_FID, "square_root")
    tables = [
        Table(
            name="schedule-report",
            title="FID by mask schedule, decoded as in the coursework",
            columns=("schedule",),
            rows=tuple(
                Row(
                    labels=(name,),
                    changes=COURSEWORK_DECODING | {"schedule": name},
                    published=COURSEWORK_FID.get(name),
                )
                for name in schedules
            ),
            by="tokens_alone",
            also=("composited",),
            about="8 iterations, sweet spot 8, argmax, raw probability plus 4.5 x annealed Gumbel noise, "
            "grey holes encoded as they are. Its protocol is the FID of the tokens alone: every "
            "pixel from a decoder shown nothing else. Its loop evaluates the schedule at step / 8 "
            "with steps 0 to 7, so tokens are still masked after it and take the last prediction.",
        ),
        Table(
            name="schedule",
            title="FID by mask schedule, decoded our way",
            columns=("schedule",),
            rows=rows_of("schedule", schedules),
            also=("uncomposited",),
            about="The model's default settings, 8 iterations.",
        ),
        Table(
            name="steps",
            title="FID by number of steps",
            columns=("steps",),
            rows=rows_of("steps", (1, 8) if quick else STEPS),
            about="A sound sampler does not get worse with more steps.",
        ),
    ]
    if quick:
        return tables
    single: list[tuple[str, str, Sequence[Any], str]] = [
        ("order", "Order", ORDERS, "Which tokens are kept first."),
        (
            "noise",
            "Gumbel noise on the confidence",
            (0.0, 0.5, 1.0, 2.0, 4.5),
            "0: most confident first.",
        ),
        ("sweet_spot", "Sweet spot", (1, 2, 4, 6, 8), "Steps after which the rest is taken at once, of 8."),
        ("temperature", "Temperature", (0.3, 0.5, 0.7, 0.8, 1.0, 1.2), "Of drawing a token."),
        ("top_p", "Top-p", (0.5, 0.7, 0.9, 1.0), "Share of the probability that is drawn from."),
        (
            "infill",
            "What is encoded in the hole",
            INFILLS,
            "It leaks into neighbours.",
        ),
        ("ring", "Ring of tokens predicted again", (0, 1, 2), "Around the hole."),
        ("share", "Share of a cell that must be missing", (0.0, 0.25, 0.5, 0.75), "0: every touched cell."),
        ("seam", "Seam", SEAMS, "How fill and known pixels meet."),
    ]
    return tables + [
        Table(
            name=name,
            title=title,
            columns=(name,),
            rows=rows_of(name, _with_default(values, name, defaults)),
            about=about,
            seam=name == "seam",
            sweep=True,
        )
        for name, title, values, about in single
    ]


def _with_default(values: Sequence[Any], name: str, defaults: Settings) -> Sequence[Any]:
    """The values of a setting and its default, in order where they are numbers."""
    default = getattr(defaults, name)
    if any(_same(name, default, value) for value in values):
        return values
    return sorted([*values, default])


def rows_of(setting: str, values: Sequence[Any]) -> tuple[Row, ...]:
    """A row for each value of one setting; the sweet spot and the schedule are measured over 8 steps."""
    fixed = {"steps": 8} if setting in ("sweet_spot", "schedule") else {}
    return tuple(Row(labels=(str(value),), changes=fixed | {setting: value}) for value in values)


def grid_table(*, quick: bool = False) -> Table:
    """Schedule x steps x order x token choice."""
    axes = (
        tuple(COURSEWORK_FID),
        (1, 8) if quick else STEPS,
        ("confidence",) if quick else ORDERS,
        ("sample",) if quick else CHOICES,
    )
    names = ("schedule", "steps", "order", "choice")
    return Table(
        name="grid",
        title="Schedule x steps x order x token choice",
        columns=names,
        rows=tuple(
            Row(labels=tuple(map(str, values)), changes=dict(zip(names, values, strict=True)))
            for values in product(*axes)
        ),
        sweep=True,
    )


def verdict_of(table: Table, trials: Sequence[Trial], defaults: Settings) -> Verdict:
    """The table's best row, its ties, and which default it justifies."""
    values = [trial.fid(table.by).value for trial in trials]
    best = min(range(len(values)), key=lambda n: values[n])
    ties = frozenset(n for n in range(len(values)) if n != best and tied(trials[n], trials[best], table.by))
    default = next(_defaults_of(table, defaults), None)
    name = _named(table, best)
    if default is None:
        sentence = f"Best: {name}. No default rests on this table."
    elif default == best:
        sentence = f"Default justified: {name} is best."
    else:
        gap = difference(trials[default], trials[best], table.by)
        apart = f"{gap.value:.2f} [{gap.low:.2f}, {gap.high:.2f}]"
        if default in ties:
            sentence = f"Default justified: {_named(table, default)} ties with the best, {name} ({apart})."
        else:
            sentence = (
                f"Default not justified here: {_named(table, default)} is worse than {name} by {apart}."
            )
    return Verdict(best=best, ties=ties, sentence=sentence)


def _named(table: Table, row: int) -> str:
    pairs = zip(table.columns, table.rows[row].labels, strict=True)
    return ", ".join(f"{column} = {label}".replace("_", " ") for column, label in pairs)


def _defaults_of(table: Table, defaults: Settings) -> Iterator[int]:
    for number, row in enumerate(table.rows):
        settings = {name: value for name, value in row.changes.items() if name in table.columns}
        others = {name: value for name, value in row.changes.items() if name not in table.columns}
        same = all(_same(name, getattr(defaults, name), value) for name, value in settings.items())
        if same and defaults.changed(**others) == defaults:
            yield number


def _same(name: str, default: Any, value: Any) -> bool:
    """Whether a value is the default, where None means: no limit."""
    if default is None:
        return value == {"top_p": 1.0, "sweet_spot": 8}.get(name)
    return default == value
