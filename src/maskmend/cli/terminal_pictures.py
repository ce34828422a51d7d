"""Pictures in a terminal: finds out which protocol it supports, and encodes pictures for it.

- kitty's graphics protocol: PNG in base64, in chunks of 4096 bytes (kitty, Ghostty, Konsole).
- iTerm2's inline images: a file in base64 (iTerm2, WezTerm, VS Code, mintty).
- Sixel: six rows at a time, one colour after the other (foot, mlterm, xterm, Windows Terminal, tmux).

The first two are recognised by environment variables; for the third the terminal is queried (DA1), with a
short timeout.
"""

import base64
import io
import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image

Protocol = Literal["kitty", "iterm", "sixel"]

LARGEST = (1000, 600)
"""Width and height of a picture in pixels if the size of the terminal is unknown."""
PIECE = 4096
"""Characters of base64 in one sequence of kitty's protocol."""
COLOURS = 255
"""Of a sixel picture."""
ANSWER = 0.2
"""Seconds to wait for a terminal's answer."""


def protocol_of(environment: Mapping[str, str]) -> Protocol | None:
    """The protocol by the terminal's name; None if unknown.

    In tmux and screen, which support neither of the first two, the name is that of another terminal.
    """
    terminal, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if environment.get("TMUX") or terminal.startswith(("screen", "tmux")):
        return None
    if "KITTY_WINDOW_ID" in environment or "kitty" in terminal or "ghostty" in terminal:
        return "kitty"
    if program.lower() == "ghostty" or environment.get("KONSOLE_VERSION", "") >= "220400":
        return "kitty"
    if program in ("iTerm.app", "WezTerm", "vscode", "mintty") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    if "sixel" in terminal or terminal.startswith(("foot", "mlterm", "yaft")):
        return "sixel"
    return None


def knows_sixel(answer: bytes) -> bool:
    """Whether the answer to DA1, such as ``ESC [ ? 62 ; 4 ; 22 c``, names sixel graphics (4)."""
    found = re.search(rb"\x1b\[\?([0-9;]+)c", answer)
    return found is not None and b"4" in found[1].split(b";")[1:]


def terminal_protocol() -> Protocol | None:
    """The protocol of the terminal on standard output; None without a terminal or pictures in it."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return protocol_of(os.environ) or ("sixel" if knows_sixel(_asked(b"\x1b[c")) else None)


def in_protocol(image: "Image.Image", protocol: Protocol) -> bytes:
    """The picture encoded for the terminal, on a line of its own."""
    written = {"kitty": _kitty, "iterm": _iterm, "sixel": _sixel}[protocol](image)
    return written + b"\n"


def fitted(images: "list[Image.Image]", largest: tuple[int, int] = LARGEST) -> "Image.Image":
    """The pictures side by side, over a grey ground where they are transparent, made smaller where they are
    larger than `largest` together."""
    from PIL import Image

    gap = 8 if len(images) > 1 else 0
    width = sum(image.width for image in images) + gap * (len(images) - 1)
    height = max(image.height for image in images)
    scale = min(1.0, largest[0] / width, largest[1] / height)
    strip = Image.new("RGB", (max(1, round(width * scale)), max(1, round(height * scale))), (128, 128, 128))
    left = 0.0
    for image in images:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        small = image.convert("RGBA")
        if size != small.size:
            small = small.resize(size, Image.Resampling.LANCZOS)
        strip.paste(small, (round(left * scale), 0), small)
        left += image.width + gap
    return strip


def terminal_pixels() -> tuple[int, int]:
    """The size that fits: nearly the terminal's width and height, if known."""
    try:
        import fcntl
        import struct
        import termios

        packed = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8))
        _, _, width, height = struct.unpack("HHHH", packed)
    except (ImportError, OSError, ValueError):
        return LARGEST
    return (width * 9 // 10, height * 3 // 4) if width and height else LARGEST


def _png(image: "Image.Image") -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG", compress_level=1)
    return content.getvalue()


def _kitty(image: "Image.Image") -> bytes:
    text = base64.b64encode(_png(image))
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    written = []
    for number, piece in enumerate(pieces):
        more = int(number + 1 < len(pieces))
        # a=T: send and show; f=100: PNG; q=2: do not answer, nobody would read it.
        keys = f"a=T,f=100,q=2,m={more}" if number == 0 else f"m={more}"
        written.append(b"\x1b_G" + keys.encode() + b";" + piece + b"\x1b\\")
    return b"".join(written)


def _iterm(image: "Image.Image") -> bytes:
    content = _png(image)
    keys = f"inline=1;size={len(content)};width={image.width}px;height={image.height}px"
    return b"\x1b]1337;File=" + keys.encode() + b":" + base64.b64encode(content) + b"\x07"


def _sixel(image: "Image.Image") -> bytes:
    import numpy as np

    small = image.convert("RGB").quantize(COLOURS)
    index = np.asarray(small)
    palette = np.asarray((small.getpalette() or [])[: 3 * COLOURS]).reshape(-1, 3)
    written = [f'\x1bPq"1;1;{image.width};{image.height}']
    for number, (red, green, blue) in enumerate(palette):
        levels = ";".join(str(round(int(level) * 100 / 255)) for level in (red, green, blue))
        written.append(f"#{number};2;{levels}")
    weights = 1 << np.arange(6)[:, None]
    for top in range(0, image.height, 6):
        band = index[top : top + 6]
        rows = []
        for colour in np.unique(band).tolist():
            bits = ((band == colour) * weights[: len(band)]).sum(axis=0)
            rows.append(f"#{colour}" + _run_lengths(bits))
        written.append("$".join(rows) + "-")
    return "".join(written).encode() + b"\x1b\\"


def _run_lengths(bits: "object") -> str:
    """Columns of six pixels as characters; four and more of the same are counted."""
    import numpy as np

    columns = np.asarray(bits)
    starts = np.flatnonzero(np.concatenate(([True], columns[1:] != columns[:-1])))
    lengths = np.diff(np.concatenate((starts, [len(columns)])))
    words = []
    for value, length in zip(columns[starts].tolist(), lengths.tolist(), strict=True):
        letter = chr(63 + value)
        words.append(f"!{length}{letter}" if length > 3 else letter * length)
    return "".join(words)


def _asked(question: bytes) -> bytes:
    """The terminal's response; empty if it cannot be queried."""
    try:
        import select
        import termios
        import tty

        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except (ImportError, OSError):
        return b""
    answer = b""
    try:
        before = termios.tcgetattr(terminal)
        try:
            tty.setcbreak(terminal)
            os.write(terminal, question)
            while not answer.endswith(b"c") and select.select([terminal], [], [], ANSWER)[0]:
                answer += os.read(terminal, 64)
        finally:
            termios.tcsetattr(terminal, termios.TCSANOW, before)
    except (OSError, termios.error):
        return b""
    finally:
        os.close(terminal)
    return answer
