"""Estimates the time of a fine-tuning, and shows the measured gain of runs of known length."""

from typing import NamedTuple

from maskmend.progress import duration
from maskmend.training.finetune.plan import Plan


class MeasuredRun(NamedTuple):
    """A run with its number of steps and the relative change of LPIPS of held-out fills."""

    transformer: int
    decoder: int
    value: float
    low: float
    high: float


MEASURED: tuple[MeasuredRun, ...] = (
    MeasuredRun(100, 100, -0.25, -0.35, -0.15),
    MeasuredRun(400, 400, -0.35, -0.43, -0.27),
)
"""docs/training.md has the commands, the pictures and the times."""
SHORTER = (0.25, 0.5)
"""Fractions of a run whose time is shown too."""


def price_list(plan: Plan) -> list[str]:
    """A table as lines of text: steps, time on this machine, measured gain; and how to change the length.

    Lengths without a measurement are marked as such.
    """
    pace = ", ".join(f"{stage} {seconds:.2g} s" for stage, seconds in plan.seconds.items())
    lines = [f"a step takes here: {pace}", f"{'steps':>12}  {'time here':>9}  LPIPS of held-out fills"]
    mine = (plan.steps["transformer"], plan.steps["decoder"])
    gains = {(row.transformer, row.decoder): row for row in MEASURED}
    shorter = {(round(mine[0] * share), round(mine[1] * share)) for share in SHORTER}
    for steps in sorted({mine, *shorter, *gains}):
        row = gains.get(steps)
        gain = f"{row.value:+.0%} [{row.low:+.0%}, {row.high:+.0%}]" if row else "not measured"
        line = f"{f'{steps[0]} + {steps[1]}':>12}  {_time(plan, *steps):>9}  {gain}"
        lines.append(line + ("  <- this run" if steps == mine else ""))
    where = ": as measured on 200 pictures of one kind (docs/training.md), yours will differ" if gains else ""
    lines.append(f"LPIPS{where}; yours is printed at the end" if where else "LPIPS is printed at the end")
    lines.append("shorter or longer: --minutes; Ctrl-C saves, and the same command resumes")
    return lines


def _time(plan: Plan, transformer: int, decoder: int) -> str:
    return duration(transformer * plan.seconds["transformer"] + decoder * plan.seconds["decoder"])
