"""Training a transformer in one process and in two over gloo, of one thread each: pictures a second.

    PYTHONPATH=src python bench/two_processes.py --steps 60

Give it a machine of two cores that does nothing else. Both runs have the same batch, of which two processes
take half each. The figure is the median of those in metrics.jsonl, without the first. Losses are compared
too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

TOKENIZER = Path("src/maskmend/assets/cats64/tokenizer")


def draw_pictures(folder: Path, count: int) -> Path:
    """Smooth pictures of 64 x 64 pixels."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


def train(folder: Path, processes: int, options: argparse.Namespace) -> tuple[float, list[float]]:
    """Pictures a second, and the losses."""
    recipe = folder / "recipe.toml"
    recipe.write_text(
        f"""
        stage = "transformer"
        data = {{ train = "{folder / "photos"}", validation = "{folder / "photos"}", crop_scale = 0.9 }}
        model = {{ layers = {options.layers} }}
        transformer = {{ tokenizer = "{TOKENIZER.resolve()}" }}
        training = {{ steps = {options.steps}, batch = {options.batch}, log_every = 5, threads = 1, \
device = "cpu", parallel = "{options.parallel}", validate_every = 100000, picture_every = 100000, \
checkpoint_every = 100000, validation_images = 2 }}
        """
    )
    out = folder / f"run-{processes}"
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*(start if processes > 1 else []), "-m", "maskmend", "train", "transformer"]
    subprocess.run(
        [sys.executable, *command, "--config", str(recipe), "-o", str(out), "--restart"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
    )
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line["kind"] == "train"]
    rate = statistics.median(line["images_per_second"] for line in lines[1:])
    return rate, [line["loss"] for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--parallel", choices=["ddp", "fsdp"], default="ddp")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_pictures(folder / "photos", 256)
        (one, losses), (two, others) = (train(folder, processes, options) for processes in (1, 2))
    furthest = max(abs(a - b) / a for a, b in zip(losses, others, strict=True))
    print(json.dumps({"one": one, "two": two, "gain": two / one, "losses differ by": furthest}, indent=1))


if __name__ == "__main__":
    main()
