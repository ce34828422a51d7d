"""What a fine-tuning costs here, and what shorter ones brought where that was measured."""

from typing import NamedTuple

from maskmend.training.finetune.plan import Plan


class Measured(NamedTuple):
    """A run of so many steps, and how it changed the LPIPS of held-out fills, as shares of it."""

    transformer: int
    decoder: int
    value: float
    low: float
    high: float


MEASURED: tuple[Measured, ...] = ()
"""docs/training.md has the commands, the pictures and the times."""


def price_list(plan: Plan) -> list[str]:
    """A table in lines: steps, time on this machine, what such a run brought; and how to choose another."""
    pace = ", ".join(f"{stage} {seconds:.2g} s" for stage, seconds in plan.seconds.items())
    lines = [f"a step takes here: {pace}"]
    rows = [
        (f"{row.transformer} + {row.decoder}", _minutes(plan, row.transformer, row.decoder),
         f"{row.value:+.0%} [{row.low:+.0%}, {row.high:+.0%}]")
        for row in MEASURED
    ]  # fmt: skip
    steps = plan.steps["transformer"], plan.steps["decoder"]
    mine = f"{steps[0]} + {steps[1]}"
    if mine not in [row[0] for row in rows]:
        rows.append((mine, _minutes(plan, *steps), "not measured"))
    rows.sort(key=lambda row: int(row[0].split()[0]))
    lines.append(f"{'steps':>12}  {'time here':>9}  LPIPS of held-out fills there")
    for row in rows:
        chosen = "  <- this run" if row[0] == mine else ""
        lines.append(f"{row[0]:>12}  {row[1]:>9}  {row[2]}{chosen}")
    lines.append(
        "there: 200 photographs of one kind (docs/training.md), yours will differ; another time: --minutes; "
        "Ctrl-C saves, and the same command goes on"
    )
    return lines


def _minutes(plan: Plan, transformer: int, decoder: int) -> str:
    return duration(transformer * plan.seconds["transformer"] + decoder * plan.seconds["decoder"])


def duration(seconds: float) -> str:
    """As a person says it: 40 s, 25 min, 3.2 h."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
