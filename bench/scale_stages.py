"""Seconds that a picture takes, stage by stage: of one thread, as CPU time and as time on the clock.

    OMP_NUM_THREADS=1 python bench/scale_stages.py

CPU time is that of the process: other work on the machine changes it by what it does to caches alone. Time on
the clock is worth something on an idle machine only. Photographs that are shipped, mirrored side by side up
to the size; the model `photo` with its defaults. Each figure is the median of `--rounds` rounds after a first
one.
"""

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

import maskmend.fill.timer
from maskmend.assets import PHOTOGRAPHS
from maskmend.assets.samples import sample_pairs
from maskmend.images.picture import read_image
from maskmend.images.writing import encode_picture
from maskmend.masks.reading import read_mask
from maskmend.pipeline import InpaintPipeline

STAGES = {
    "read": "decode the JPEG and the mask",
    "crop": "find the windows, cut them out",
    "encode": "tokenizer's encoder",
    "predict": "transformer",
    "draw": "tokenizer's decoder",
    "composite": "put the fill into the picture",
    "rest": "the rest of the fill",
    "write": "encode the JPEG",
}
"""What happens to a picture, in this order. Windows of a wide hole's finer scales count as encoder,
transformer and decoder too."""


@dataclass(frozen=True)
class Case:
    name: str
    height: int
    width: int
    hole: Callable[[int, int], np.ndarray]


def date(height: int, width: int) -> np.ndarray:
    """A date in the lower right corner: a fifth of the width, a thirtieth of the height."""
    mask = np.zeros((height, width), dtype=bool)
    mask[-height // 15 : -height // 30, -width // 4 : -width // 20] = True
    return mask


def scratch(height: int, width: int) -> np.ndarray:
    """A line of five pixels across the picture."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.abs(rows - height * 0.4 - columns / 8) <= 2


def square(height: int, width: int) -> np.ndarray:
    """A quarter of each side, in the middle."""
    mask = np.zeros((height, width), dtype=bool)
    mask[height * 3 // 8 : height * 5 // 8, width * 3 // 8 : width * 5 // 8] = True
    return mask


CASES = (
    Case("thumbnail, 256 x 256, a square", 256, 256, square),
    Case("2 megapixels, a date", 1200, 1600, date),
    Case("12 megapixels, a scratch across", 3000, 4000, scratch),
)


def files(case: Case) -> tuple[bytes, bytes]:
    """The picture as JPEG, and its mask as PNG."""
    tile = np.asarray(Image.open(sample_pairs(PHOTOGRAPHS)[0][1]).convert("RGB"))
    row = np.concatenate([tile, tile[:, ::-1]], 1)
    tile = np.concatenate([row, row[::-1]])
    times = -(-case.height // len(tile)), -(-case.width // tile.shape[1]), 1
    picture, mask = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.tile(tile, times)[: case.height, : case.width]).save(picture, "jpeg", quality=92)
    hole = case.hole(case.height, case.width)
    Image.fromarray(hole.astype(np.uint8) * 255).save(mask, "png")
    return picture.getvalue(), mask.getvalue()


class Clock:
    """Stands in for `time` where the pipeline adds up its stages: `perf_counter` tells both times at once."""

    @staticmethod
    def perf_counter() -> "Both":
        return Both(time.process_time(), time.perf_counter())


class Both(complex):
    """CPU seconds and seconds on the clock, as the two parts of a complex number: they add and subtract."""


def once(pipe: InpaintPipeline, content: tuple[bytes, bytes], kinds: tuple[str, ...]) -> dict[str, complex]:
    began = Clock.perf_counter()
    picture = read_image(content[0])
    mask = read_mask(content[1], size=picture.pixels.shape[:2])
    told = {"read": Clock.perf_counter() - began}
    began = Clock.perf_counter()
    result = pipe(picture, mask)
    whole = Clock.perf_counter() - began
    own = {stage: pipe.seconds[stage] for stage in STAGES if stage in pipe.seconds}
    told |= own | {"rest": whole - sum(own.values())}
    for kind in kinds:
        began = Clock.perf_counter()
        encode_picture(result.pictures[0], kind, quality=95)
        told["write" if kind == "JPEG" else f"write {kind}"] = Clock.perf_counter() - began
    return told


def measured(rounds: int) -> dict[str, Any]:
    """By case the median seconds of each stage: {"cpu": ..., "clock": ...}."""
    torch.set_num_threads(1)
    maskmend.fill.timer.time = Clock  # pyright: ignore[reportAttributeAccessIssue]
    pipe = InpaintPipeline.from_pretrained("photo")
    found = {}
    for case in CASES:
        content = files(case)
        once(pipe, content, ("JPEG",))
        runs = [once(pipe, content, ("JPEG", "PNG")) for _ in range(rounds)]
        stages = dict.fromkeys(stage for run in runs for stage in run)
        found[case.name] = {
            name: {
                stage: statistics.median(getattr(complex(run.get(stage, 0)), part) for run in runs)
                for stage in stages
            }
            for name, part in (("cpu", "real"), ("clock", "imag"))
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    print(json.dumps(measured(parser.parse_args().rounds), indent=1))


if __name__ == "__main__":
    main()
