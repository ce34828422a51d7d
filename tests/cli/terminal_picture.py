"""The documents' picture of `maskmend inpaint --show`: run in xterm, which draws sixel graphics.

PYTHONPATH=src python tests/cli/terminal_picture.py docs/images/terminal.png

It needs Debian's `xvfb` and `xterm`.
"""

import os
import shlex
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from maskmend.assets import PHOTOGRAPHS
from maskmend.assets.samples import sample_pairs

COMMAND = "maskmend inpaint text.jpg --mask text.mask.png --show -o mended.png"
WIDTH, HEIGHT = 960, 390
XTERM = (
    "xterm", "-ti", "vt340", "-xrm", "XTerm*numColorRegisters: 256",
    "-xrm", "XTerm*maxGraphicSize: 2000x2000",
    "-fa", "DejaVu Sans Mono", "-fs", "11", "-bg", "#18181b", "-fg", "#edeae3", "-b", "12",
    "-geometry", "103x20+0+0",
)  # fmt: skip
PATIENCE = 1500
"""Seconds."""


def script(folder: Path) -> Path:
    """What a person would type, with `maskmend` as it is installed here."""
    path = folder / "typed"
    path.write_text(
        f"cd {shlex.quote(str(folder))}\n"
        f'maskmend() {{ {shlex.quote(sys.executable)} -m maskmend "$@"; }}\n'
        f"echo '$ {COMMAND}'\n{COMMAND}\necho '$ '\ntouch finished\nsleep 1000\n"
    )
    return path


def screen(path: Path) -> Image.Image:
    """A file in X's format for window dumps, as Xvfb keeps its screen."""
    content = path.read_bytes()
    header = struct.unpack(">25I", content[:100])
    size, width, height, line, colours = header[0], header[4], header[5], header[12], header[19]
    rows = np.frombuffer(content, np.uint8, offset=size + 12 * colours, count=line * height)
    return Image.fromarray(rows.reshape(height, line // 4, 4)[:, :width, 2::-1].copy())


def main(target: Path) -> None:
    name = ":97"
    with tempfile.TemporaryDirectory() as scratch:
        folder, frames = Path(scratch) / "work", Path(scratch) / "frames"
        folder.mkdir()
        frames.mkdir()
        for _, image, mask in sample_pairs(PHOTOGRAPHS):
            for path in (image, mask):
                (folder / path.name).write_bytes(path.read_bytes())
        size = f"{WIDTH}x{HEIGHT}x24"
        x = subprocess.Popen(
            ["Xvfb", name, "-screen", "0", size, "-fbdir", str(frames), "-nolisten", "tcp", "-nocursor"]
        )
        time.sleep(3)
        terminal = subprocess.Popen(
            [*XTERM, "-e", "bash", str(script(folder))], env=os.environ | {"DISPLAY": name}
        )
        try:
            begun = time.monotonic()
            while not (folder / "finished").exists():
                if time.monotonic() - begun > PATIENCE or terminal.poll() is not None:
                    raise SystemExit("the command did not end")
                time.sleep(1)
            time.sleep(3)  # the picture is drawn
            screen(frames / "Xvfb_screen0").save(target, optimize=True)
        finally:
            terminal.terminate()
            x.terminate()
            x.wait(30)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
