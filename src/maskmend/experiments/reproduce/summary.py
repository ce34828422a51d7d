"""The first sections of the page: baselines and bounds to compare all other scores with, and checks.

grey holes, OpenCV's Telea, MI-GAN if its file is given           composited only
the model at its defaults, and decoded as in the coursework       composited and uncomposited
the whole image encoded and decoded by the tokenizer              lower bound of the uncomposited FID
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from maskmend.experiments.identity import code_hash, installed, opencv_version
from maskmend.experiments.reproduce.baselines import Picture, leave_grey, migan, telea
from maskmend.experiments.reproduce.formatting import interval
from maskmend.experiments.reproduce.page import Mark, Section, Shown, Tile
from maskmend.experiments.reproduce.trial import (
    BOTH,
    MEASURES,
    Measure,
    Trial,
    TrialRunner,
    difference,
    tied,
)
from maskmend.importers.coursework.published import COURSEWORK_DECODING
from maskmend.metrics.bootstrap import Interval
from maskmend.progress import StageProgress

REPEATED_FILLS = 16
"""Number of pictures that are filled twice, to check that the results are bit-identical."""

Fill = Callable[[Picture, np.ndarray], Picture]


def baselines(migan_file: Path | None = None) -> dict[str, Fill]:
    """The other methods by name. Raises ConfigError where one cannot run."""
    found: dict[str, Fill] = {"nothing (grey holes)": leave_grey, "OpenCV Telea": telea()}
    if migan_file is not None:
        found["MI-GAN"] = migan(migan_file)
    return found


def baseline_identities(migan_file: Path | None = None) -> dict[str, dict[str, str]]:
    """What determines the fills of each of `baselines`, besides its name: part of the key of its trial."""
    found: dict[str, dict[str, str]] = {"OpenCV Telea": {"opencv": opencv_version()}}
    if migan_file is not None:
        found["MI-GAN"] = {
            "file": hashlib.sha256(migan_file.read_bytes()).hexdigest(),
            "onnxruntime": installed("onnxruntime"),
            "under": code_hash("images.infill"),
        }
    return found


def summary_section(
    runner: TrialRunner, migan_file: Path | None, progress: StageProgress
) -> tuple[Section, dict[str, dict[str, Any]]]:
    """The section, and its trials by name."""
    identities = baseline_identities(migan_file)
    trials = {
        name: runner.baseline(name, fill, progress, identity=identities.get(name))
        for name, fill in baselines(migan_file).items()
    }
    trials["this model, decoded as in the coursework"] = runner.measure(
        progress, by=MEASURES, **COURSEWORK_DECODING
    )
    trials["this model, default settings"] = runner.measure(progress)
    bound = runner.reconstruction(progress)
    rows = [[name, *_row(trial)] for name, trial in trials.items()]
    marks: list[Mark] = [*_marks(list(trials.values())), ""]
    rows.append(
        ["its tokenizer, nothing missing", "", "", interval(bound.uncomposited), f"{bound.lpips.value:.4f}"]
        + [""] * 4
    )
    shown = Shown(
        header=[
            "method", "FID composited", "FID uncomposited", "FID tokens alone", "LPIPS", "L1 hole", "L1 seam",
            "known error",
            "s/image",
        ],
        rows=rows,
        marks=marks,
    )  # fmt: skip
    section = Section(
        title="Baselines and bounds",
        text=[
            "Composited: known pixels from the image, the hole from the method: what a user gets. "
            "Uncomposited: every pixel from the decoder, which may see the known ones. The best composited "
            "FID is marked, and what ties with it. LPIPS, L1, known error are of the composited pictures.",
            "The last row is the whole image as tokens and back, nothing missing: the lower bound of "
            "what the tokens alone can score.",
        ],
        tables=[shown],
    )
    return section, {name: facts_of(trial) for name, trial in (trials | {"reconstruction": bound}).items()}


def _marks(trials: Sequence[Trial]) -> list[Mark]:
    """The best composited FID and those that differ from it by less than the interval of the difference."""
    best = min(trials, key=lambda trial: trial.fid("composited").value)
    return ["best" if trial is best else "tie" if tied(trial, best, "composited") else "" for trial in trials]


def verdict_section(runner: TrialRunner, progress: StageProgress) -> tuple[Section, dict[str, Any]]:
    """What must hold: no worse with more steps, known pixels kept, the same fill twice."""
    many, one = (runner.measure(progress, by=BOTH, steps=steps) for steps in (8, 1))
    gaps = {by: difference(many, one, by) for by in BOTH}
    again = determinism_section(runner)
    default = runner.measure(progress)
    tiles = [
        Tile(what=f"FID, {by}", value=f"{default.fid(by).value:.2f}", note=_ends(default.fid(by)))
        for by in BOTH
    ]
    tiles.append(Tile(what="LPIPS", value=f"{default.lpips.value:.4f}", note=_ends(default.lpips, 4)))
    tiles += [
        Tile(
            what=f"8 steps less 1, FID {by}",
            value=f"{gap.value:+.2f}",
            note=_ends(gap, sign="+"),
            held=gap.low <= 0,
        )
        for by, gap in gaps.items()
    ]
    known = default.known_error
    tiles += [
        Tile(what="known-pixel error", value=str(known), note="grey levels", held=known == 0),
        Tile(
            what="the same fill twice",
            value="yes" if again else "no",
            note=f"to the bit, first {min(REPEATED_FILLS, len(runner.data.images))} pictures",
            held=again,
        ),
    ]
    section = Section(
        title="In short",
        text=["Default settings. Checks: more steps are no worse beyond the interval of the difference, "
              "known pixels stay as they are, the same seeds give the same pictures."],
        tiles=tiles,
    )  # fmt: skip
    facts = {
        "eight_less_one": {by: asdict(gap) for by, gap in gaps.items()},
        "known_error": default.known_error,
        "same_twice": again,
    }
    return section, facts


def _ends(value: Interval, digits: int = 2, sign: str = "") -> str:
    return f"[{value.low:{sign}.{digits}f}, {value.high:{sign}.{digits}f}]"


def determinism_section(runner: TrialRunner) -> bool:
    """Whether the same images, holes and seeds give the same pictures, to the bit."""
    count = min(REPEATED_FILLS, len(runner.data.images))
    images, masks = list(runner.data.images[:count]), list(runner.data.masks[:count])
    seeds = [runner.seed + n for n in range(count)]
    first, second = (
        [result.pictures[0].pixels for result in runner.pipe(images, masks, seed=seeds)] for _ in range(2)
    )
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def cells(trial: Trial, shown: tuple[Measure, ...], *, seam: bool = False) -> list[str]:
    """The FIDs of a table, LPIPS, the seam's error if asked for, and seconds an image."""
    return [
        *(interval(trial.fid(by)) for by in shown),
        f"{trial.lpips.value:.4f}",
        *([f"{trial.seam_l1:.4f}"] if seam else []),
        f"{trial.seconds_per_image:.3f}",
    ]


def _row(trial: Trial) -> list[str]:
    return [
        interval(trial.composited),
        interval(trial.uncomposited),
        interval(trial.tokens_alone),
        f"{trial.lpips.value:.4f}",
        f"{trial.hole_l1:.4f}",
        f"{trial.seam_l1:.4f}",
        f"{trial.known_error}",
        f"{trial.seconds_per_image:.3f}",
    ]


def facts_of(trial: Trial) -> dict[str, Any]:
    """A trial as plain values; bootstrap draws and single images are left to its file in trials/."""
    facts = asdict(trial)
    del facts["draws"], facts["lpips_each"]
    return facts
