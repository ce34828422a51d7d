"""Compares models or settings on photographs by LPIPS, and its change with a paired interval.

    python bench/photo_choices.py --images val.tar --limit 32 base=photo new=MODEL hot=photo,temperature=1.25

Pictures and holes are those of `maskmend photographs`: central squares of 256 pixels, evenly spaced over the
names, holes of seed 0. Each variant is NAME=MODEL with settings KEY=VALUE after commas; the first one is what
the others are compared with; the MODEL `telea` is OpenCV's. LPIPS is that of the composited picture
(AlexNet); intervals hold 95 % of the means of redrawn pictures. `sharp` is the mean brightness gradient in
the hole, as a share of the true one (median), and the seconds are the median of a picture on one thread.
`--fid` adds FID (TF Inception) with the interval of its change; FID rises as pictures get fewer.
`--sheet` draws three pictures of the last kind, picked by number: by the LPIPS of the second variant less
that of the first, the lowest, the median and the highest.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from maskmend.config import override
from maskmend.experiments.photographs.picks import pick
from maskmend.experiments.photographs.scenes import SIDE, Scene, holes_for, load_scenes
from maskmend.experiments.photographs.strips import Row, jpeg_bytes, strip
from maskmend.experiments.reproduce.baselines import telea
from maskmend.images.tensors import to_tensor
from maskmend.masks.generators import PHOTOGRAPHIC
from maskmend.metrics.bootstrap import bootstrap, centred_interval
from maskmend.metrics.features import FeatureFunction, extract_features
from maskmend.metrics.fid import fid_draws
from maskmend.perceptual.inception import Inception
from maskmend.perceptual.lpips import Lpips
from maskmend.pipeline import InpaintPipeline

Fill = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def variant(text: str) -> tuple[str, Fill]:
    """NAME=MODEL,KEY=VALUE,... as a name and a function of picture, hole and seed."""
    name, _, rest = text.partition("=")
    model, *assignments = rest.split(",")
    if model == "telea":
        fill = telea()
        return name, lambda pixels, hole, seed: fill(pixels, hole)
    pipe, settings = InpaintPipeline.from_pretrained(model), override({}, assignments)
    return name, lambda pixels, hole, seed: pipe(pixels, hole, seed=seed, **settings).pictures[0].pixels


def gradient(pixels: np.ndarray, hole: np.ndarray) -> float:
    """Mean step of brightness between neighbours that both lie in the hole, down and across."""
    grey, steps = pixels.mean(2), []
    for axis, size in enumerate(hole.shape):
        both = hole.take(range(1, size), axis) & hole.take(range(size - 1), axis)
        steps.append(np.abs(np.diff(grey, axis=axis))[both])
    return float(np.concatenate(steps).mean())


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Of each picture: the fill, its LPIPS, its sharpness, and the seconds it took."""

    fills: list[np.ndarray]
    lpips: np.ndarray
    sharpness: np.ndarray
    seconds: np.ndarray


def measure(fill: Fill, scenes: list[Scene], holes: list[np.ndarray], network: Lpips) -> Measured:
    fills, figures = [], []
    for seed, (scene, hole) in enumerate(zip(scenes, holes, strict=True)):
        start = time.perf_counter()
        filled = np.where(hole[:, :, None], fill(scene.pixels, hole, seed), scene.pixels)
        seconds = time.perf_counter() - start
        with torch.inference_mode():
            distance = float(network(to_tensor(filled), to_tensor(scene.pixels))[0])
        sharpness = gradient(filled, hole) / max(gradient(scene.pixels, hole), 1e-6)
        fills.append(filled)
        figures.append((distance, sharpness, seconds))
    lpips, sharpness, seconds = np.array(figures).T
    return Measured(fills=fills, lpips=lpips, sharpness=sharpness, seconds=seconds)


def fid_change(results: dict[str, Measured], truths: np.ndarray, extract: FeatureFunction) -> list[str]:
    """A line for each variant: FID, and its change against the first one's from the same draws."""
    lines, base = [], None
    for name, result in results.items():
        value, draws = fid_draws(extract_features(result.fills, extract), truths, repeats=200, seed=0)
        base = base or (value, draws)
        spread = centred_interval(value / base[0] - 1, draws / base[1] - 1)
        change = f"{100 * spread.value:+5.1f} % [{100 * spread.low:+.1f}, {100 * spread.high:+.1f}]"
        lines.append(f"{name:<12} FID {value:.2f}  {change}")
    return lines


def sheet(scenes: list[Scene], holes: list[np.ndarray], results: dict[str, Measured]) -> bytes:
    """JPEG of the pictures that `pick` chooses."""
    base, other = list(results)[:2]
    picks = pick(results[other].lpips, results[base].lpips, base)
    rows = [
        Row(
            title=f"{one.why}: {scenes[one.number].name}",
            truth=scenes[one.number].pixels,
            hole=holes[one.number],
            fills={
                name: (result.fills[one.number], f"LPIPS {result.lpips[one.number]:.4f}")
                for name, result in results.items()
            },
        )
        for one in picks
    ]
    return jpeg_bytes(strip(rows))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=32)
    parser.add_argument("--kind", action="append", choices=PHOTOGRAPHIC, help="default: all four")
    parser.add_argument("--fid", action="store_true")
    parser.add_argument("--sheet", type=Path, help="JPEG file for three of the pictures")
    parser.add_argument("variants", nargs="+", metavar="NAME=MODEL[,KEY=VALUE...]")
    options = parser.parse_args()
    torch.set_num_threads(1)
    variants, network = [variant(text) for text in options.variants], Lpips.load("alexnet")
    scenes = load_scenes(options.images, SIDE, options.limit)
    extract = Inception.load(device="cpu").features if options.fid else None
    truths = extract_features([scene.pixels for scene in scenes], extract) if extract else None
    for kind in options.kind or PHOTOGRAPHIC:
        holes = holes_for(scenes, kind, 0)
        results: dict[str, Measured] = {}
        for name, fill in variants:
            result = results[name] = measure(fill, scenes, holes, network)
            base = next(iter(results.values())).lpips

            def change(counts: np.ndarray, ours: np.ndarray = result.lpips, base: np.ndarray = base) -> float:
                return float(counts @ ours / (counts @ base) - 1)

            spread = bootstrap(change, len(scenes), repeats=1000, seed=0)
            print(
                f"{kind:<14} {name:<12} LPIPS {result.lpips.mean():.4f}  {100 * spread.value:+5.1f} % "
                f"[{100 * spread.low:+.1f}, {100 * spread.high:+.1f}]  "
                f"sharp {np.median(result.sharpness):.2f}  {np.median(result.seconds):.1f} s",
                flush=True,
            )
        if extract is not None and truths is not None:
            for line in fid_change(results, truths, extract):
                print(f"{kind:<14} {line}", flush=True)
        if options.sheet is not None:
            options.sheet.write_bytes(sheet(scenes, holes, results))


if __name__ == "__main__":
    main()
