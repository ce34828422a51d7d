"""Memory of the process that drives a run, from its first tenth to its end.

    PYTHONPATH=src python bench/bulk_memory.py --pictures 100000 --engine ray

Pictures of 8 x 8 pixels with empty masks, in ten tar shards: what is followed is listing and bookkeeping,
not the fills: the driver does what it does in any run, and the workers read, write and commit. Told are the
driver's resident memory, at most in each tenth of the run, and its CPU seconds. Needs Linux, whose /proc
tells them.
"""

import argparse
import io
import json
import os
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
        chunks, tenths, spent = options.pictures // 64, [0] * 10, 0.0
        driver = subprocess.Popen([sys.executable, "-m", "maskmend", *words], env=environment())
        while driver.poll() is None:
            time.sleep(0.5)
            tenth = min(9, 10 * done(folder / "filled") // chunks)
            tenths[tenth] = max(tenths[tenth], resident(driver.pid))
            spent = max(spent, cpu_seconds(driver.pid))
        ended = done(folder / "filled")
    figures = {
        "status": driver.returncode,
        "chunks": ended,
        "MB in each tenth": tenths,
        "MB grown from the second tenth on": max(tenths[2:]) - tenths[1],
        "CPU seconds of the driver": round(spent, 1),
    }
    print(json.dumps(figures, indent=1))


def resident(process: int) -> int:
    """Megabytes."""
    try:
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    except OSError:  # it ended
        return 0
    return int(found[1]) // 1024 if found else 0


def cpu_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
