"""Memory of the process that drives a run, from its first tenth to its end.

    PYTHONPATH=src python bench/bulk_memory.py --pictures 100000 --engine ray

Pictures of 8 x 8 pixels with empty masks, in ten tar shards: what is followed is listing and bookkeeping,
not the fills. Needs Linux, whose /proc tells the memory.
"""

import argparse
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from kill_workers import done, environment
from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--engine", default="ray", choices=["local", "ray"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_shards(folder / "shards", options.pictures)
        words = ["inpaint", "--input", f"{folder}/shards", "-o", f"{folder}/filled", "--write-as", "tar"]
        words += ["--model", "cats64", "--engine", options.engine]
        tenth, early, late = options.pictures // 64 // 10, 0, 0
        driver = subprocess.Popen([sys.executable, "-m", "maskmend", *words], env=environment())
        while driver.poll() is None:
            time.sleep(0.5)
            memory = resident(driver.pid)
            if done(folder / "filled") < tenth:
                early = max(early, memory)
            else:
                late = max(late, memory)
    print(json.dumps({"status": driver.returncode, "MB up to a tenth": early, "MB after": late}, indent=1))


def resident(process: int) -> int:
    """Megabytes."""
    try:
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    except OSError:  # it ended
        return 0
    return int(found[1]) // 1024 if found else 0


def write_shards(folder: Path, pictures: int) -> None:
    folder.mkdir()
    files = {}
    for name, mode in ((".png", "RGB"), (".mask.png", "L")):
        content = io.BytesIO()
        Image.new(mode, (8, 8)).save(content, format="png")
        files[name] = content.getvalue()
    for shard in range(10):
        with tarfile.open(folder / f"{shard}.tar", "w") as archive:
            for number in range(shard, pictures, 10):
                for name, content in files.items():
                    head = tarfile.TarInfo(f"{number:08}{name}")
                    head.size = len(content)
                    archive.addfile(head, io.BytesIO(content))


if __name__ == "__main__":
    main()
