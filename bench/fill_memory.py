"""Peak memory of fills of a camera's picture, by the hole: how much a machine or a container must have.

    python bench/fill_memory.py --size 8000x6000 --samples 1 4

A synthetic photograph is written as JPEG, each mask as PNG. Each fill (reading, filling, writing PNG) runs in
a process of its own with one thread, whose peak of resident memory (VmHWM) and CPU time are printed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from maskmend.benchmark.waits import photograph

CHILD = """
import json, sys, time
import torch
torch.set_num_threads(1)
from maskmend.benchmark.memory import peak_memory
from maskmend.images.picture import load_image
from maskmend.images.writing import save_image
from maskmend.masks.reading import load_mask
from maskmend.pipeline import InpaintPipeline

model, image, mask, samples, seam, output = sys.argv[1:]
pipe = InpaintPipeline.from_pretrained(model)
picture = load_image(image, max_pixels=10**9)
hole = load_mask(mask, size=picture.pixels.shape[:2], max_pixels=10**9)
result = pipe(picture, hole, samples=int(samples), seam=seam)
save_image(result.pictures[result.best], output)
print(json.dumps({"peak": peak_memory(), "seconds": time.process_time()}))
"""


def masks(height: int, width: int) -> dict[str, np.ndarray]:
    down, across = np.mgrid[:height, :width].astype(np.float32)
    found = {}
    for tall, wide in ((60, 80), (300, 300)):
        found[f"{tall} x {wide}"] = hole = np.zeros((height, width), dtype=bool)
        hole[height // 3 : height // 3 + tall, width // 2 : width // 2 + wide] = True
    found["a diagonal scratch"] = np.abs(down * width - across * height) <= 4 * np.hypot(height, width)
    for share, name in ((0.5, "half of it"), (0.95, "95 %")):
        edge = (1 - share**0.5) / 2
        top, left = round(height * edge), round(width * edge)
        found[name] = np.zeros((height, width), dtype=bool)
        found[name][top : height - top, left : width - left] = True
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--size", default="8000x6000", help="width and height")
    parser.add_argument("--samples", type=int, nargs="+", default=[1])
    parser.add_argument("--seam", default="poisson")
    parser.add_argument("--holes", nargs="+", help="names of holes; all if left out")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    print("| hole | samples | peak, MiB | CPU, s |\n| --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as scratch:
        image, mask, output = (Path(scratch) / name for name in ("image.jpg", "mask.png", "out.png"))
        Image.fromarray(photograph(height, width)).save(image, quality=92)
        for name, hole in masks(height, width).items():
            if given.holes and name not in given.holes:
                continue
            Image.fromarray(hole).save(mask)
            for samples in given.samples:
                arguments = (given.model, image, mask, samples, given.seam, output)
                command = [sys.executable, "-c", CHILD, *map(str, arguments)]
                ran = subprocess.run(command, check=True, capture_output=True, text=True)
                told = json.loads(ran.stdout)
                peak, seconds = told["peak"] / 2**20, told["seconds"]
                print(f"| {name} | {samples} | {peak:.0f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
