"""Whether the fill that a ranking puts first is a good one: against the median of all fills of a hole.

    python bench/ranking.py --photographs val.tar --cats cats64/val [--limit 24] [--samples 16]

For each hole LPIPS (AlexNet) to the true picture and sharpness, the mean step in grey levels between
neighbouring pixels in the hole, of each fill. Printed: how much the pick of each ranking differs from the
median of the fills, as a share of it, mean over the pictures with a 95 % interval (bootstrap over pictures).
Below 0 is better in LPIPS; in sharpness below 0 is more washed-out.

Cases: photographs at 256 pixels with blobs, and at 64 pixels all hole, filled by `photo`; cats at 64 pixels
with boxes and all hole, filled by `cats64`.

Besides the rankings of `maskmend.settings`: `central`, the fill nearest to the others (root mean square of
the difference in the hole, blurred by three pixels), and `truth`, the lowest LPIPS, which is what choosing
among the fills could gain at most.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from scipy.ndimage import gaussian_filter

from maskmend.experiments.photographs.scenes import load_scenes
from maskmend.fill.result import best_of
from maskmend.images.tensors import to_tensor
from maskmend.masks.sets import draw_mask
from maskmend.metrics.bootstrap import mean_interval
from maskmend.perceptual.lpips import Lpips
from maskmend.pipeline import InpaintPipeline
from maskmend.settings import RANKINGS

CASES = (
    ("photo", "photographs", 256, "blobs"),
    ("photo", "photographs", 64, "all"),
    ("cats64", "cats", 64, "boxes"),
    ("cats64", "cats", 64, "all"),
)
"""Model, pictures, side, hole."""


def hole_of(kind: str, number: int, side: int) -> Bool[np.ndarray, "H W"]:
    return np.ones((side, side), dtype=bool) if kind == "all" else draw_mask(kind, 0, number, side, side)


def sharpness(pixels: UInt8[np.ndarray, "H W 3"], hole: Bool[np.ndarray, "H W"]) -> float:
    """Mean step between neighbouring pixels in the hole."""
    grey = pixels.astype(float).mean(2)
    down, right = np.abs(np.diff(grey, axis=0)), np.abs(np.diff(grey, axis=1))
    both = hole[1:] & hole[:-1], hole[:, 1:] & hole[:, :-1]
    return float(np.concatenate([down[both[0]], right[both[1]]]).mean())


def central(fills: list[UInt8[np.ndarray, "H W 3"]], hole: Bool[np.ndarray, "H W"]) -> int:
    """The fill with the smallest sum of distances to the others."""
    soft = np.stack([gaussian_filter(fill.astype(np.float32), (3, 3, 0))[hole] for fill in fills])
    distances = np.sqrt(np.square(soft[:, None] - soft[None]).mean(axis=(2, 3)))
    return int(distances.sum(axis=1).argmin())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photographs", type=Path, help="folder or tar file")
    parser.add_argument("--cats", type=Path, help="folder or tar file")
    parser.add_argument("--limit", type=int, default=24)
    parser.add_argument("--samples", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)
    network = Lpips.load("alexnet")
    print("| model, hole | pictures x fills | ranking | LPIPS, % | sharpness, % |")
    print("| --- | ---: | --- | ---: | ---: |")
    for model, pictures, side, kind in CASES:
        source = getattr(options, pictures)
        if source is None:
            continue
        pipe = InpaintPipeline.from_pretrained(model)
        differences: dict[str, list[list[float]]] = defaultdict(list)
        for number, scene in enumerate(load_scenes(source, side, options.limit)):
            mask = hole_of(kind, number, side)
            result = pipe(scene.pixels, mask, samples=options.samples, seed=number)
            fills = [picture.pixels for picture in result.pictures]
            with torch.inference_mode():
                truth = network.features(to_tensor(scene.pixels))
                distances = [
                    float(network.feature_distance(network.features(to_tensor(fill)), truth)[0])
                    for fill in fills
                ]
            figures = np.array([distances, [sharpness(fill, mask) for fill in fills]])
            middle = np.median(figures, axis=1)
            picks = {ranking: best_of(result.log_likelihood, ranking) for ranking in RANKINGS}
            picks |= {"central": central(fills, mask), "truth": int(np.argmin(distances))}
            for name, chosen in picks.items():
                differences[name].append((100 * (figures[:, chosen] / middle - 1)).tolist())
        for ranking, rows in differences.items():
            found = [mean_interval(values) for values in np.array(rows).T]
            cells = [f"{each.value:+.1f} [{each.low:+.1f}, {each.high:+.1f}]" for each in found]
            how = f"{len(rows)} x {options.samples}"
            print(f"| `{model}`, {kind}, {side} px | {how} | {ranking} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
