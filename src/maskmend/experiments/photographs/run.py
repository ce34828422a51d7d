"""`maskmend photographs`: inpaints photographs with every method, scores the fills and writes a page.

    photographs ─► holes of four kinds ─► fills (kept on disk) ─► scores ─► page, pictures, JSON

The page is rewritten after each kind of hole, so that an interrupted run leaves its results so far.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from maskmend import __version__
from maskmend.choices import choice_error
from maskmend.errors import ConfigError
from maskmend.experiments.identity import installed, opencv_version
from maskmend.experiments.photographs.fills import TimedFill, fill_all
from maskmend.experiments.photographs.methods import Method
from maskmend.experiments.photographs.page import GroupScores, facts, in_short, section
from maskmend.experiments.photographs.picks import Pick, pick
from maskmend.experiments.photographs.scenes import Scene, holes_for
from maskmend.experiments.photographs.scores import Meter, Score, composited
from maskmend.experiments.photographs.strips import Row, jpeg_bytes, strip
from maskmend.experiments.reproduce.page import Drawing, Section, markdown
from maskmend.masks.generators import PHOTOGRAPHIC
from maskmend.masks.sets import masks_hash
from maskmend.metrics.features import content_hash
from maskmend.progress import StageProgress
from maskmend.storage.files import json_bytes, write_files

TITLE = "Photographs repaired"
FOOT = "Made by `maskmend photographs`. Every figure, photograph by photograph, is in {folder}/page.json."


@dataclass(frozen=True, kw_only=True)
class Group:
    """A set of photographs that are scored together."""

    name: str
    """Prefix of its pictures' file names."""
    scenes: list[Scene]
    whole: bool = False


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The setup of a comparison.

    Args:
        methods: in the order of the columns; ours last.
        groups: sets of photographs.
        meter: networks for the scores; without FID for whole photographs.
        work: folder for cached fills and features.
        kinds: kinds of holes.
        seed: photograph i is filled with seed + i; its hole is drawn from (seed, i).
        credits: licence and author by photograph name, for the photographs that are shown.
    """

    methods: Sequence[Method]
    groups: Sequence[Group]
    meter: Meter
    work: Path
    kinds: Sequence[str] = PHOTOGRAPHIC
    seed: int = 0
    credits: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in PHOTOGRAPHIC:
                raise ConfigError(choice_error("kind of hole", kind, PHOTOGRAPHIC))
        names = [method.name for method in self.methods]
        if len(set(names)) < len(names):
            raise ConfigError(f"two methods of one name among {', '.join(names)}: name each model once")


def repair_photographs(
    comparison: Comparison, page: Path, *, command: str = "", progress: StageProgress | None = None
) -> dict[str, Any]:
    """Writes `page` (Markdown) and a folder of that name with pictures and `page.json`; returns the JSON."""
    folder = folder_of(page)
    about: dict[str, Any] = {
        "command": command,
        "versions": _versions(),
        "seed": comparison.seed,
        "repeats": comparison.meter.repeats,
        "methods": {method.name: method.identity for method in comparison.methods},
        "photographs": {
            group.name: {
                "count": len(group.scenes),
                "sha256": content_hash([scene.pixels for scene in group.scenes]),
                "names": [scene.name for scene in group.scenes],
            }
            for group in comparison.groups
        },
        "results": [],
    }
    results: list[GroupScores] = []
    sections: list[Section] = []
    for group in comparison.groups:
        for kind in comparison.kinds:
            result, drawing, picks = _measure(comparison, group, kind, folder, progress)
            results.append(result)
            sections.append(section(result, [drawing] if drawing else []))
            shown = [{"why": one.why, "name": group.scenes[one.number].name} for one in picks]
            about["results"].append(facts(result) | {"group": group.name, "shown": shown})
            content = markdown(
                TITLE, _lead(comparison), [in_short(results), *sections], FOOT.format(folder=folder.name)
            )
            files = {page: content.encode(), folder / "page.json": json_bytes(about)}
            if drawing:
                files[page.parent / drawing.file] = drawing.png
            write_files(files)
    return about


def folder_of(page: Path) -> Path:
    """The folder of the page's pictures. Raises ConfigError for a page without a suffix, as folder and page
    would have the same name."""
    folder = page.with_suffix("")
    if folder == page:
        raise ConfigError(f"{page} has no suffix: name a Markdown file, such as {page}.md")
    return folder


def _measure(
    comparison: Comparison, group: Group, kind: str, folder: Path, progress: StageProgress | None
) -> tuple[GroupScores, Drawing | None, list[Pick]]:
    holes = holes_for(group.scenes, kind, comparison.seed)
    meter = replace(comparison.meter, extract=None) if group.whole else comparison.meter
    fills: dict[str, list[TimedFill]] = {}
    scores: dict[str, Score] = {}
    for method in comparison.methods:
        if kind not in method.kinds:
            continue

        def on_fill(done: int, total: int, what: str = f"{group.name}, {kind}: {method.name}") -> None:
            if progress is not None:
                progress(what, done, total)

        fills[method.name] = fill_all(
            method,
            group.scenes,
            holes,
            comparison.work / "fills" / _slug(method.name),
            seed=comparison.seed,
            progress=on_fill,
        )
        scores[method.name] = meter.score(group.scenes, holes, fills[method.name])
    result = GroupScores(
        kind=kind,
        whole=group.whole,
        scores=scores,
        ours=[method.name for method in comparison.methods if method.ours],
        share=float(np.mean([hole.mean() for hole in holes])),
        masks=masks_hash(holes),
    )
    drawing, picks = _picture(comparison, group, result, holes, fills, folder)
    return result, drawing, picks


def _picture(
    comparison: Comparison,
    group: Group,
    result: GroupScores,
    holes: list[np.ndarray],
    fills: dict[str, list[TimedFill]],
    folder: Path,
) -> tuple[Drawing | None, list[Pick]]:
    """The selected photographs; none if our models or all others are missing."""
    if not result.ours or not result.baselines:
        return None, []
    baseline = "MI-GAN" if "MI-GAN" in result.baselines else result.baselines[0]
    first, other = result.scores[result.ours[0]], result.scores[baseline]
    picks = pick(first.lpips_each, other.lpips_each, baseline)
    pictures = {name: composited(group.scenes, holes, filled) for name, filled in fills.items()}
    rows = [
        Row(
            title=f"{one.why}: {group.scenes[one.number].name}",
            truth=group.scenes[one.number].pixels,
            hole=holes[one.number],
            fills={
                name: (pixels[one.number], f"LPIPS {result.scores[name].lpips_each[one.number]:.4f}")
                for name, pixels in pictures.items()
            },
        )
        for one in picks
    ]
    names = [group.scenes[one.number].name for one in picks]
    licences = [f"{name}: {comparison.credits[name]}" for name in names if name in comparison.credits]
    caption = (
        f"Picked by number: by the LPIPS of {result.ours[0]} less that of {baseline}, the lowest, the median "
        "and the highest."
    )
    drawing = Drawing(
        file=f"{folder.name}/{group.name}-{result.kind}.jpg",
        png=jpeg_bytes(strip(rows, zoom=group.whole)),
        caption=caption,
        credit=f"Photographs: {'; '.join(licences)}." if licences else "",
    )
    return drawing, picks


def _lead(comparison: Comparison) -> list[str]:
    sets = []
    for group in comparison.groups:
        if group.whole:
            sizes = sorted({scene.pixels.shape[1::-1] for scene in group.scenes}, reverse=True)
            shown = ", ".join(f"{wide}x{tall}" for wide, tall in sizes[:4]) + (", ..." if sizes[4:] else "")
            sets.append(f"{len(group.scenes)} whole photographs ({shown})")
        else:
            side = group.scenes[0].pixels.shape[0]
            sets.append(f"the central squares of {len(group.scenes)} photographs at {side}x{side} pixels")
    lines = [
        f"{' and '.join(sets).capitalize()}, each with holes of {len(comparison.kinds)} kinds, drawn "
        f"by `maskmend masks make` with seed {comparison.seed}; number i is filled with seed "
        f"{comparison.seed} + i.",
        "All pictures are composited: known pixels from the photograph, the hole from the method. 95 % "
        "bootstrap intervals over the photographs; differences of two methods are of the same draws, and "
        "below zero ours is better. FID by the TF Inception, LPIPS by AlexNet; seconds are the median of one "
        "photograph at a time on the machine that made this page.",
    ]
    names = [method.name for method in comparison.methods]
    if "MI-GAN" in names:
        lines.append(
            "MI-GAN's pipeline blends what stood in the hole into the hole's border. It is shown Telea's "
            "fill there, never the truth."
        )
    if "scikit-image biharmonic" in names:
        lines.append("The biharmonic fill is measured on thin holes only: in wide ones it takes minutes.")
    if any(len(group.scenes) < 200 and not group.whole for group in comparison.groups):
        lines.append("FID over so few photographs is noisy and biased upwards: compare along a row only.")
    return lines


def _versions() -> dict[str, str]:
    import platform

    packages = ("torch", "numpy", "pillow", "scipy", "scikit-image", "onnxruntime")
    return (
        {"maskmend": __version__, "python": platform.python_version()}
        | {name: installed(name) for name in packages}
        | {"opencv": opencv_version()}
    )


def _slug(name: str) -> str:
    """A method's name as a folder name."""
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())
