"""Compares models or settings on photographs by LPIPS, and its change with a paired interval.

    python bench/photo_choices.py --images val.tar --limit 32 base=photo new=MODEL hot=photo,temperature=1.25

Pictures and holes are those of `maskmend photographs`: central squares of 256 pixels, evenly spaced over the
names, holes of seed 0. Each variant is NAME=MODEL with settings KEY=VALUE after commas; the first one is what
the others are compared with. LPIPS is that of the composited picture (AlexNet); intervals hold 95 % of the
means of redrawn pictures. `sharp` is the mean brightness gradient in the hole, as a share of the true one.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from maskmend.config import override
from maskmend.experiments.photographs.scenes import SIDE, Scene, holes_for, load_scenes
from maskmend.images.tensors import to_tensor
from maskmend.masks.generators import PHOTOGRAPHIC
from maskmend.metrics.bootstrap import bootstrap
from maskmend.perceptual.lpips import Lpips
from maskmend.pipeline import InpaintPipeline

Fill = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def variant(text: str) -> tuple[str, Fill]:
    """NAME=MODEL,KEY=VALUE,... as a name and a function of picture, hole and seed."""
    name, _, rest = text.partition("=")
    model, *assignments = rest.split(",")
    pipe, settings = InpaintPipeline.from_pretrained(model), override({}, assignments)
    return name, lambda pixels, hole, seed: pipe(pixels, hole, seed=seed, **settings).pictures[0].pixels


def gradient(pixels: np.ndarray, hole: np.ndarray) -> float:
    """Mean step of brightness between neighbours that both lie in the hole, down and across."""
    grey = pixels.mean(2)
    inside = [
        np.logical_and(*(hole.take(range(start, stop), axis) for start, stop in ((1, size), (0, size - 1))))
        for axis, size in enumerate(hole.shape)
    ]
    steps = [np.abs(np.diff(grey, axis=axis))[both] for axis, both in enumerate(inside)]
    return float(np.concatenate(steps).mean())


def measure(
    fill: Fill, scenes: list[Scene], holes: list[np.ndarray], network: Lpips
) -> tuple[np.ndarray, ...]:
    """LPIPS and sharpness of each fill."""
    distances, sharpness = [], []
    for seed, (scene, hole) in enumerate(zip(scenes, holes, strict=True)):
        filled = fill(scene.pixels, hole, seed)
        with torch.inference_mode():
            distances.append(float(network(to_tensor(filled), to_tensor(scene.pixels))[0]))
        sharpness.append(gradient(filled, hole) / max(gradient(scene.pixels, hole), 1e-6))
    return np.array(distances), np.array(sharpness)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=32)
    parser.add_argument("--kind", action="append", choices=PHOTOGRAPHIC, help="default: all four")
    parser.add_argument("variants", nargs="+", metavar="NAME=MODEL[,KEY=VALUE...]")
    options = parser.parse_args()
    torch.set_num_threads(1)
    variants, network = [variant(text) for text in options.variants], Lpips.load("alexnet")
    scenes = load_scenes(options.images, SIDE, options.limit)
    for kind in options.kind or PHOTOGRAPHIC:
        holes = holes_for(scenes, kind, 0)
        base = None
        for name, fill in variants:
            distances, sharpness = measure(fill, scenes, holes, network)
            base = distances if base is None else base

            def change(counts: np.ndarray, ours: np.ndarray = distances, base: np.ndarray = base) -> float:
                return float(counts @ ours / (counts @ base) - 1)

            spread = bootstrap(change, len(scenes), repeats=1000, seed=0)
            print(
                f"{kind:<14} {name:<12} LPIPS {distances.mean():.4f}  {100 * spread.value:+5.1f} % "
                f"[{100 * spread.low:+.1f}, {100 * spread.high:+.1f}]  sharp {np.median(sharpness):.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
