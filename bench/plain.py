"""How far interpolation should go: the setting `plain` on smooth patches, and what it costs elsewhere.

    python bench/plain.py --images val.tar [--patches 60] [--squares 30]

Smooth patches: of each picture the calmest 96x96 pixels, then the calmest pictures; each with a scratch of 7
pixels from side to side. PSNR in the hole against OpenCV's Telea: mean difference with a 95 % interval
(bootstrap over patches), and in how many patches ours is the better. Squares: 256x256 with holes of the kinds
`scratches` and `text`, mean LPIPS (AlexNet) and its change against `plain` = 0, picture by picture.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, UInt8
from scipy.ndimage import gaussian_filter, uniform_filter

from maskmend.experiments.photographs.scenes import load_scenes
from maskmend.fill.finishing import interpolated
from maskmend.images.tensors import to_tensor
from maskmend.masks.sets import draw_mask
from maskmend.metrics.bootstrap import mean_interval
from maskmend.perceptual.lpips import Lpips
from maskmend.pipeline import InpaintPipeline

LIMITS = (0.0, 1.0, 1.5, 2.0, 3.0)
PATCH, SIDE = 96, 256
SCRATCH = 7
"""Width in pixels."""


def calmest(pixels: UInt8[np.ndarray, "H W 3"]) -> tuple[float, UInt8[np.ndarray, "P P 3"]]:
    """The patch of least roughness, as `fill.plain` measures it, and that roughness."""
    levels = pixels.astype(np.float32)
    rough = np.abs(levels - gaussian_filter(levels, (2, 2, 0), mode="nearest")).mean(2)
    half = PATCH // 2
    mean = uniform_filter(rough, PATCH)[half:-half, half:-half]
    top, left = np.unravel_index(mean.argmin(), mean.shape)
    return float(mean[top, left]), np.ascontiguousarray(pixels[top : top + PATCH, left : left + PATCH])


def scratch(number: int) -> Bool[np.ndarray, "P P"]:
    """A slanting line from side to side."""
    rng = np.random.default_rng(number)
    start, end = rng.uniform(0.2, 0.8, 2) * PATCH
    rows, columns = np.indices((PATCH, PATCH))
    line = start + (end - start) * columns / (PATCH - 1)
    mask = np.abs(rows - line) <= SCRATCH / 2
    return mask if number % 2 else np.ascontiguousarray(mask.T)


def psnr(filled: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> float:
    error = np.square(filled[hole].astype(float) - truth[hole]).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-3)))


def patches(pipe: InpaintPipeline, source: Path, limit: int) -> None:
    found = sorted((calmest(scene.pixels) for scene in load_scenes(source)), key=lambda pair: pair[0])[:limit]
    print(f"{len(found)} smooth patches, roughness {found[0][0]:.2f} to {found[-1][0]:.2f} grey levels\n")
    print("| plain | PSNR, dB | Telea, dB | difference | better in |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    ours: dict[float, list[float]] = {limit: [] for limit in LIMITS}
    theirs = []
    for number, (_, pixels) in enumerate(found):
        mask = scratch(number)
        blank = np.where(mask[:, :, None], np.uint8(0), pixels)
        theirs.append(psnr(cv2.inpaint(blank, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA), pixels, mask))
        result = pipe(pixels, mask, plain=0.0)
        for plain, values in ours.items():
            filled = interpolated(result, plain) if plain else result
            values.append(psnr(filled.pictures[0].pixels, pixels, mask))
    for plain, values in ours.items():
        difference = np.array(values) - theirs
        mean = mean_interval(difference)
        print(
            f"| {plain:g} | {np.mean(values):.1f} | {np.mean(theirs):.1f} | {mean.value:+.1f} "
            f"[{mean.low:+.1f}, {mean.high:+.1f}] | {(difference > 0).sum()} of {len(difference)} |",
            flush=True,
        )


def squares(pipe: InpaintPipeline, source: Path, limit: int) -> None:
    network = Lpips.load("alexnet")
    scenes = load_scenes(source, SIDE, limit)
    print(f"\n{len(scenes)} squares\n\n| hole | plain | LPIPS | change, % |\n| --- | ---: | ---: | ---: |")
    for kind in ("scratches", "text"):
        found: dict[float, list[float]] = {limit: [] for limit in LIMITS}
        for number, scene in enumerate(scenes):
            mask = draw_mask(kind, 0, number, SIDE, SIDE)
            result = pipe(scene.pixels, mask, plain=0.0)
            with torch.inference_mode():
                truth = network.features(to_tensor(scene.pixels))
                for plain, values in found.items():
                    filled = interpolated(result, plain) if plain else result
                    features = network.features(to_tensor(filled.pictures[0].pixels))
                    values.append(float(network.feature_distance(features, truth)[0]))
        without = np.array(found[0.0])
        for plain, values in found.items():
            change = mean_interval(100 * (np.array(values) - without) / without.mean())
            print(
                f"| {kind} | {plain:g} | {np.mean(values):.4f} | {change.value:+.2f} "
                f"[{change.low:+.2f}, {change.high:+.2f}] |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--model", default="photo")
    parser.add_argument("--patches", type=int, default=60)
    parser.add_argument("--squares", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pipe = InpaintPipeline.from_pretrained(options.model)
    patches(pipe, options.images, options.patches)
    squares(pipe, options.images, options.squares)


if __name__ == "__main__":
    main()
