"""The page's text and tables: a summary, then a section for each kind of hole."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from maskmend.experiments.photographs.scores import Score, fid_ratio, lpips_ratio
from maskmend.experiments.reproduce.formatting import interval
from maskmend.experiments.reproduce.page import Drawing, Mark, Section, Shown
from maskmend.metrics.bootstrap import Interval

WORDS = {
    "scratches": "scratches, 3 to 10 pixels of 256",
    "text": "text over the picture",
    "strokes_photo": "strokes, 12 to 30 pixels of 256",
    "blobs": "object-like blobs, 68 to 112 pixels of 256",
}


@dataclass(frozen=True, kw_only=True)
class GroupScores:
    """All methods on one kind of hole over one set of photographs."""

    kind: str
    whole: bool
    """Whole photographs at their original size instead of squares."""
    scores: Mapping[str, Score]
    """By the method's name."""
    ours: Sequence[str]
    """Names of our models among them."""
    share: float
    """Mean share of missing pixels."""
    masks: str
    """SHA-256 of the holes."""

    @property
    def baselines(self) -> list[str]:
        return [name for name in self.scores if name not in self.ours]


def in_short(results: Sequence[GroupScores]) -> Section:
    """FID and LPIPS of every method and kind of hole, and our first model compared with the others."""
    squares = [result for result in results if not result.whole] or list(results)
    names = list(dict.fromkeys(name for result in squares for name in result.scores))
    rows = []
    for result in squares:
        found = [result.scores.get(name) for name in names]
        best = min(score.lpips.value for score in result.scores.values())
        rows.append([WORDS[result.kind], *("-" if s is None else _pair(s, best) for s in found)])
    return Section(
        title="In short",
        text=["FID / mean LPIPS, lower is better; the lowest LPIPS of a row in bold."],
        tables=[Shown(header=["hole", *names], rows=rows)],
    )


def _pair(score: Score, best: float) -> str:
    lpips = f"{score.lpips.value:.4f}"
    text = lpips if score.fid is None else f"{score.fid.value:.1f} / {lpips}"
    return f"**{text}**" if score.lpips.value == best else text


def section(result: GroupScores, drawings: Sequence[Drawing]) -> Section:
    """All results for one kind of hole, and the differences between ours and the others'."""
    fids = any(score.fid is not None for score in result.scores.values())
    header = ["method", *(["FID"] if fids else []), "LPIPS", "PSNR in the hole, dB", "known-pixel error",
              "s/picture"]  # fmt: skip
    rows = [
        [
            name,
            *([interval(score.fid)] if fids else []),
            interval(score.lpips, 4),
            interval(score.psnr),
            str(score.known_error),
            f"{score.seconds:.2f}",
        ]
        for name, score in result.scores.items()
    ]
    tables = [Shown(header=header, rows=rows, marks=_marks(list(result.scores.values())))]
    against = [
        [f"{ours} against {baseline}", *cells]
        for ours in result.ours
        for baseline in result.baselines
        if (cells := _against(result.scores[ours], result.scores[baseline], fids))
    ]
    if against:
        tables.append(Shown(header=["difference", *(["FID"] if fids else []), "LPIPS"], rows=against))
    where = "whole photographs" if result.whole else "squares"
    return Section(
        title=f"{WORDS[result.kind][0].upper()}{WORDS[result.kind][1:]}: {where}",
        text=[
            f"{100 * result.share:.1f} % of the pixels missing on average; holes' SHA-256 "
            f"{result.masks[:16]}. The best mean LPIPS is marked, and what ties with it."
        ],
        tables=tables,
        drawings=drawings,
    )


def _marks(scores: Sequence[Score]) -> list[Mark]:
    """The methods with the best LPIPS: the best one, and those not significantly different from it."""
    best = min(scores, key=lambda score: score.lpips.value)
    marks: list[Mark] = []
    for score in scores:
        gap = lpips_ratio(score, best)
        tie = gap is not None and gap.low <= 0
        marks.append("best" if score is best else "tie" if tie else "")
    return marks


def _against(ours: Score, theirs: Score, fids: bool) -> list[str]:
    gaps = [*([fid_ratio(ours, theirs)] if fids else []), lpips_ratio(ours, theirs)]
    return [_percent(gap) for gap in gaps]


def _percent(gap: Interval | None) -> str:
    if gap is None:
        return "-"
    return f"{100 * gap.value:+.0f} % [{100 * gap.low:+.0f}, {100 * gap.high:+.0f}]"


def facts(result: GroupScores) -> dict[str, Any]:
    """The same as JSON values, with LPIPS and PSNR of every photograph."""
    methods = {}
    for name, score in result.scores.items():
        values = asdict(score)
        del values["fid_draws"]
        values["lpips_each"] = np.round(values["lpips_each"], 6).tolist()
        values["psnr_each"] = np.round(values["psnr_each"], 3).tolist()
        methods[name] = values
    against = {
        f"{ours} against {baseline}": {
            "fid": _plain(fid_ratio(result.scores[ours], result.scores[baseline])),
            "lpips": _plain(lpips_ratio(result.scores[ours], result.scores[baseline])),
        }
        for ours in result.ours
        for baseline in result.baselines
    }
    return {
        "kind": result.kind,
        "whole": result.whole,
        "missing": result.share,
        "masks": result.masks,
        "methods": methods,
        "against": against,
    }


def _plain(gap: Interval | None) -> dict[str, float] | None:
    return None if gap is None else asdict(gap)
