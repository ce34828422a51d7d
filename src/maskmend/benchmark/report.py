"""The results of `maskmend bench` as JSON and as the Markdown quoted in the documentation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from maskmend.benchmark.fills import FIRST_FILL
from maskmend.benchmark.timing import Measured

TITLES = {
    "ceilings": "What the machine can do",
    "fill": "Decoding against hole size, 8 steps",
    "batch": "Decoding 8 pictures at once, holes in different places, 8 steps",
    "steps": "Decoding a 20 % hole against steps",
    "formats": "Number formats, a 20 % hole, 8 steps",
    "peers": "Peers of the same size, a 20 % hole, 8 steps",
    "whole fill": "Whole fills, picture in to picture out",
    "start": "Starting up",
    "waits": "Waiting times against their targets",
}


def ceilings_of(measured: Sequence[Measured]) -> dict[str, float]:
    """Peak operations (bytes, for copy) per second of each ceiling, from its fastest run."""
    return {m.case.name: m.case.operations / min(m.seconds) for m in measured if m.case.group == "ceilings"}


def as_json(
    measured: Sequence[Measured], training: Mapping[str, Mapping[str, float]], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Every case with its median, quartiles, number of runs and share of its ceiling."""
    ceilings = ceilings_of(measured)
    cases = [
        {
            "group": m.case.group,
            "name": m.case.name,
            "median": m.median,
            "quartiles": m.quartiles,
            "runs": len(m.seconds),
            "share_of_ceiling": share(m, ceilings),
            **({} if m.case.bar is None else {"bar": asdict(m.case.bar), "bar_met": meets_bar(m, measured)}),
            **({} if m.case.peak is None else {"peak_bytes": m.case.peak()}),
        }
        for m in measured
    ]
    first = first_fill(measured)
    return {**about, "ceilings": ceilings, "cases": cases, "first_fill": first, "training": training}


def first_fill(measured: Sequence[Measured]) -> float | None:
    """The first fill of a fresh process, divided by imports plus a fill in a running process; at best 1."""
    median = {m.case.name: m.median for m in measured if m.case.group == "start"}
    fills = [m.median for m in measured if m.case.group == "whole fill"]
    if not fills or not {"imports", FIRST_FILL} <= median.keys():
        return None
    return median[FIRST_FILL] / (median["imports"] + fills[0])


def share(measured: Measured, ceilings: Mapping[str, float]) -> float | None:
    """Operations per second as a share of the ceiling; None if they are not counted."""
    case = measured.case
    if not case.operations or case.ceiling not in ceilings:
        return None
    return case.operations / measured.median / ceilings[case.ceiling]


def meets_bar(m: Measured, measured: Sequence[Measured]) -> bool:
    """Whether the median and the peak memory are within the case's limits."""
    bar = m.case.bar
    assert bar is not None
    limits = [bar.seconds] if bar.seconds is not None else []
    if bar.times is not None:
        limits += [bar.times * other.median for other in measured if other.case.name == bar.of]
    within = bar.bytes is None or m.case.peak is None or m.case.peak() <= bar.bytes
    return within and all(m.median <= limit for limit in limits)


def as_markdown(
    measured: Sequence[Measured], training: Mapping[str, Mapping[str, float]], about: Mapping[str, Any]
) -> str:
    """The tables as Markdown."""
    ceilings = ceilings_of(measured)
    found = {(m.case.group, m.case.name): m for m in measured}
    out = [f"`{about['command']}` on {about['hardware']}. Median [quartiles]."]
    for group, title in TITLES.items():
        rows = [m for m in measured if m.case.group == group]
        if rows:
            out += ["", f"**{title}**", "", *_table(group, rows, found, ceilings)]
        if group == "start" and (first := first_fill(measured)) is not None:
            out.append(f"| the last, over imports plus one fill | {first:.2f} times |")
    if training:
        heads = "| stage | images a second | share of the fp32 ceiling (MFU) | waiting for data |"
        out += ["", "**Training**", "", heads, "| --- | ---: | ---: | ---: |"]
        out += [
            f"| {stage} | {t['images_per_second']:.1f} | {t['mfu']:.0%} | {t['data_wait']:.1%} |"
            for stage, t in training.items()
        ]
    return "\n".join(out) + "\n"


def _table(
    group: str,
    rows: Sequence[Measured],
    found: Mapping[tuple[str, str], Measured],
    ceilings: Mapping[str, float],
) -> list[str]:
    if group == "ceilings":
        lines = ["| | speed |", "| --- | ---: |"]
        for m in rows:
            unit = "GB/s" if m.case.name == "copy" else "GFLOP/s" if m.case.name != "int8" else "GOP/s"
            label = "memory copy" if m.case.name == "copy" else f"{m.case.name} matrix product"
            lines.append(f"| {label} | {ceilings[m.case.name] / 1e9:.0f} {unit} |")
        return lines
    ours, full = found.get(("fill", "hole 20 %")), found.get(("full pass", "hole 20 %"))
    whole = found.get((group, "hole 100 %"))
    paced = ("of a hole of 100 %", lambda m: _part(m, whole, 1))
    extra: Sequence[tuple[str, Callable[[Measured], str]]] = {
        "fill": (("of 8 full passes", lambda m: _part(m, found.get(("full pass", m.case.name)), 8)), paced),
        "batch": (paced,),
        "steps": (("of as many full passes", lambda m: _part(m, full, int(m.case.name.split()[0]))),),
        "peers": (("times our time", lambda m: _times(m, ours)),),
        "waits": (
            ("peak memory", lambda m: f"{m.case.peak() / 1e9:.1f} GB" if m.case.peak else "-"),
            ("target", _bar),
            ("met", lambda m: "yes" if meets_bar(m, list(found.values())) else "no"),
        ),
    }.get(group, ())
    counted = any(m.case.operations for m in rows)
    heads = ["", "time", *(head for head, _ in extra), *(["share of the ceiling"] if counted else [])]
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " ---: |" * (len(heads) - 1)]
    if group == "peers" and ours:
        rows = [ours, *rows]
    for m in rows:
        name = "maskmend" if group == "peers" and m is ours else m.case.name
        cells = [name, _time(m), *(cell(m) for _, cell in extra)]
        part = share(m, ceilings)
        if counted:
            cells.append("-" if part is None else f"{part:.0%}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _time(m: Measured) -> str:
    low, high = m.quartiles
    if m.median >= 1:
        return f"{m.median:.2f} s [{low:.2f}, {high:.2f}]"
    return f"{1e3 * m.median:.1f} ms [{1e3 * low:.1f}, {1e3 * high:.1f}]"


def _bar(m: Measured) -> str:
    bar = m.case.bar
    assert bar is not None
    parts = [f"{bar.seconds:g} s"] if bar.seconds is not None else []
    parts += [f"{bar.times:g} times the time without them"] if bar.times is not None else []
    parts += [f"{bar.bytes / 1e9:g} GB"] if bar.bytes is not None else []
    return ", ".join(parts)


def _part(m: Measured, full: Measured | None, passes: int) -> str:
    return "-" if full is None else f"{m.median / (passes * full.median):.0%}"


def _times(m: Measured, ours: Measured | None) -> str:
    # MI-GAN's time is that of a whole fill and not comparable with the decoding loop.
    return f"{m.median / ours.median:.1f}" if ours and "whole" not in m.case.name else "-"
