"""Matplotlib charts of the reproduction as PNG: schedules, FID against a setting."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from maskmend.decoding.schedules import SCHEDULES
from maskmend.errors import ConfigError, pip_install
from maskmend.metrics.bootstrap import Interval

INK, GRID, PAPER = "#202024", "#dcd9d2", "#faf9f6"
COLOURS = ("#2b5fa8", "#c4572b", "#3f8f5b", "#8a5aa5", "#b38a1e", "#5f6b75", "#c43f6b", "#2a9aa0")


def schedule_curves(shown: Sequence[str] | None = None) -> bytes:
    """Share of the hole still masked against the share of the steps done."""
    figure, axes = _canvas("share of the steps done", "share of the hole still masked")
    r = np.linspace(0, 1, 101)
    for name, colour in zip(shown or SCHEDULES, COLOURS, strict=False):
        axes.plot(r, [SCHEDULES[name](float(x)) for x in r], label=name.replace("_", " "), color=colour)
    if len(axes.get_lines()) > 1:
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return _png(figure)


def with_intervals(
    lines: Mapping[str, Sequence[tuple[float, Interval]]], x_label: str, y_label: str = "FID"
) -> bytes:
    """One line for each name: figures with their confidence intervals over numbers."""
    figure, axes = _canvas(x_label, y_label)
    for (name, points), colour in zip(lines.items(), COLOURS, strict=False):
        x = [place for place, _ in points]
        y = np.array([value.value for _, value in points])
        ends = np.array([[value.value - value.low, value.high - value.value] for _, value in points]).T
        axes.errorbar(
            x, y, yerr=np.clip(ends, 0, None), label=name, color=colour, marker="o", ms=4, capsize=3
        )
    ticks = sorted({place for points in lines.values() for place, _ in points})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    if len(axes.get_lines()) > 1:
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return _png(figure)


def figure_class() -> Any:
    """Matplotlib's. Raises ConfigError when it is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(f"the charts need Matplotlib: {pip_install('reproduce')}") from None
    return Figure


def _canvas(x_label: str, y_label: str) -> tuple[Any, Any]:
    figure = figure_class()(figsize=(7.2, 3.8), dpi=130, layout="constrained", facecolor=PAPER)
    axes = figure.add_subplot(facecolor=PAPER)
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylabel(y_label, color=INK)
    axes.grid(color=GRID, linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Any) -> bytes:
    content = BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
