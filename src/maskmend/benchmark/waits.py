"""Benchmarks of waiting times for users: camera-sized photographs, a busy machine, the command line.

Each case has a limit. Pictures and holes are synthetic and the same in every run.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from maskmend.benchmark.timing import Bar, Case, clocked
from maskmend.pipeline import InpaintPipeline

GROUP = "waits"
PHOTOGRAPH = (768, 1024)
LARGE = (3000, 4000)
OBJECT = 300
"""Side in pixels of the object removed from the large photograph."""
LOOPS = 2
"""Number of busy programs beside which a fill is timed."""

SEGMENTS = {
    "0": "abcdef", "1": "bc", "2": "abdeg", "3": "abcdg", "4": "bcfg",
    "5": "acdfg", "6": "acdefg", "7": "abc", "8": "abcdefg", "9": "abcdfg",
}  # fmt: skip
STROKES = {
    "a": (0, 0, 2, 12), "b": (0, 10, 12, 12), "c": (10, 10, 22, 12), "d": (20, 0, 22, 12),
    "e": (10, 0, 22, 2), "f": (0, 0, 12, 2), "g": (10, 0, 12, 12),
}  # fmt: skip
"""Box of each segment of a digit: top, left, bottom, right."""


def photograph(height: int, width: int) -> UInt8[np.ndarray, "H W 3"]:
    """Smooth light, texture at two scales and a few edges: neither flat nor noise."""
    rng = np.random.default_rng(0)
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    light = np.stack([down / height, across / width, 1 - down / height], axis=2)
    texture = np.zeros((height, width), dtype=np.float32)
    for cell, weight in ((64, 0.25), (6, 0.12)):
        coarse = rng.random((-(-height // cell) + 1, -(-width // cell) + 1), dtype=np.float32)
        fine = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        texture += weight * (np.asarray(fine) - 0.5)
    walls = 0.2 * ((across // (width / 7) + down // (height / 5)) % 2)
    return np.rint(255 * np.clip(0.2 + 0.5 * light + (texture + walls)[:, :, None], 0, 1)).astype(np.uint8)


def scratch_and_date(height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """A scratch five pixels wide from side to side, and a date stamp in the corner."""
    down, across = np.mgrid[0:height, 0:width]
    hole = np.abs(down - height / 4 - across * height / (3 * width)) <= 2
    left = width - 9 * 18 - 20
    for digit in "28111999":
        for segment in SEGMENTS[digit]:
            top, start, bottom, end = STROKES[segment]
            hole[height - 50 + top : height - 50 + bottom, left + start : left + end] = True
        left += 18
    return hole


def square_hole(height: int, width: int, side: int) -> Bool[np.ndarray, "H W"]:
    """A square away from the centre."""
    hole = np.zeros((height, width), dtype=bool)
    hole[height // 3 : height // 3 + side, width // 2 : width // 2 + side] = True
    return hole


@contextmanager
def busy_loops(count: int = LOOPS) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Runs other programs that keep that many cores busy, and ends them at the end of the block."""
    loop = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    loops = [subprocess.Popen(loop, stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for process in loops:  # wait until it has started
            assert process.stdout is not None
            process.stdout.readline()
        yield loops
    finally:
        for process in loops:
            process.kill()
            process.communicate()


CHILD = """
import json, sys, time
from maskmend.benchmark.memory import peak_memory
from maskmend.pipeline import InpaintPipeline
from maskmend.images.picture import load_image
from maskmend.images.writing import save_image
from maskmend.masks.reading import load_mask

pipe = InpaintPipeline.from_pretrained(sys.argv[1])
begun = time.perf_counter()
picture = load_image(sys.argv[2])
mask = load_mask(sys.argv[3], size=picture.pixels.shape[:2])
save_image(pipe(picture, mask).pictures[0], sys.argv[4])
seconds = time.perf_counter() - begun
print(json.dumps({"seconds": seconds, "bytes": peak_memory()}))
"""
"""Reads, fills and writes a picture; prints the time taken and the peak memory of the process."""


class FilledByChild:
    """A fill in a separate process, to measure its peak memory alone."""

    def __init__(self, *arguments: str | Path) -> None:
        self.arguments = [str(argument) for argument in arguments]
        self.peak = 0
        """Peak memory in bytes over all runs so far."""

    def __call__(self) -> float:
        command = [sys.executable, "-c", CHILD, *self.arguments]
        measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        self.peak = max(self.peak, measured["bytes"])
        return measured["seconds"]


def wait_cases(pipe: InpaintPipeline, model: str, folder: Path) -> list[Case]:
    """Photographs filled by `pipe`, which is the model `model`, and by the command line.

    Pictures are written into `folder`.
    """
    image, hole = photograph(*PHOTOGRAPH), scratch_and_date(*PHOTOGRAPH)
    size = f"{PHOTOGRAPH[1]} x {PHOTOGRAPH[0]}, a scratch across and a date"
    fill = clocked(lambda: pipe(image, hole))

    def beside_others() -> float:
        with busy_loops():
            return fill()

    large = folder / "large.png", folder / "large-mask.png"
    _save(photograph(*LARGE), large[0])
    _save(square_hole(*LARGE, OBJECT), large[1])
    side = pipe.resolution
    small = folder / "small.png", folder / "small-mask.png"
    _save(photograph(side, side), small[0])
    _save(square_hole(side, side, side // 3), small[1])
    child = FilledByChild(model, *large, folder / "large-out.png")
    return [
        Case(group=GROUP, name=size, run=fill, every=8, bar=Bar(seconds=3.0)),
        Case(
            group=GROUP,
            name=f"{size}, beside {LOOPS} busy loops",
            run=beside_others,
            every=8,
            bar=Bar(times=3.0, of=size),
        ),
        Case(
            group=GROUP,
            name=f"{LARGE[1]} x {LARGE[0]}, an object of {OBJECT} pixels, read and written",
            run=child,
            every=12,
            bar=Bar(seconds=15.0, bytes=2e9),
            peak=lambda: child.peak,
        ),
        Case(
            group=GROUP,
            name=f"maskmend inpaint of {side} x {side}, the whole process",
            run=clocked(_command(model, *small, folder / "small-out.png")),
            every=3,
            bar=Bar(seconds=0.6),
        ),
    ]


def _command(model: str, image: Path, mask: Path, output: Path) -> Callable[[], object]:
    arguments = ["inpaint", image, "--mask", mask, "--model", model, "-o", output]
    command = [sys.executable, "-m", "maskmend", *map(str, arguments)]
    return lambda: subprocess.run(command, check=True, capture_output=True)


def _save(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).save(path, compress_level=1)
