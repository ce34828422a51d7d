"""Picture files that are small and ask for a lot, as nobody's program writes them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

SIDE = 64
PIXELS = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def saved(kind: str, **options) -> bytes:
    content = io.BytesIO()
    Image.fromarray(PIXELS).save(content, kind, **options)
    return content.getvalue()


def tiff(*directories: list[tuple[int, int, int, int]], data: bytes = b"") -> bytes:
    """A TIFF of these directories: tag, type, count and value of each entry; `data` lies at byte 8."""
    content = bytearray(struct.pack("<2sHL", b"II", 42, 8 + len(data)) + data)
    for number, entries in enumerate(directories):
        end = len(content) + 2 + 12 * len(entries) + 4
        content += struct.pack("<H", len(entries))
        content += b"".join(struct.pack("<HHLL", *entry) for entry in entries)
        content += struct.pack("<L", end if number + 1 < len(directories) else 0)
    return bytes(content)


def pages(count: int) -> bytes:
    """A TIFF of `count` pictures of one pixel, of 42 bytes each."""
    return tiff(*[[(256, 4, 1, 1), (257, 4, 1, 1), (273, 4, 1, 0)]] * count)


def strips(side: int, count: int) -> bytes:
    """A black and white TIFF of `count` strips, each but one row as high as the picture, at one place."""
    data = bytes(side * side // 8) + struct.pack("<L", 8) * count
    head = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 1), (259, 3, 1, 1), (262, 3, 1, 1)]
    return tiff([*head, (273, 4, count, 8 + side * side // 8), (278, 4, 1, side - 1)], data=data)


def tile(side: int) -> bytes:
    """A TIFF of 16 x 16 pixels in one tile of `side` x `side`, deflated."""
    data = zlib.compress(bytes(side * side), 9)
    head = [(256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1)]
    return tiff(
        [*head, (322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 8), (325, 4, 1, len(data))], data=data
    )


def numbers(count: int, *, where: str) -> bytes:
    """A TIFF with a tag of `count` numbers: its own depths or resolution, or one of its EXIF (or of a
    directory in that)."""
    data = struct.pack("<LL", 8, 1) * count
    end = 8 + len(data)
    data += struct.pack("<HHHLLL", 1, 0x829A, 5, count, 8, 0)
    inner = 8 + len(data)
    data += struct.pack("<HHHLLL", 1, 0xA005, 4, 1, end, 0)
    entry = {
        "depths": (258, 3, count, 8),
        "resolution": (282, 5, count, 8),
        "EXIF": (0x8769, 4, 1, end),
        "within EXIF": (0x8769, 4, 1, inner),
    }[where]
    head = [(256, 4, 1, 1), (257, 4, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    kept = [one for one in head if one[0] != entry[0]]
    return tiff(sorted([*kept, (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, 1, 1), entry]), data=data)


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes `count` times."""
    content = saved("JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * count + b"\xff\xd9"


def chunks(count: int) -> bytes:
    """A PNG with `count` empty chunks that nobody knows."""
    content = saved("PNG")
    empty = struct.pack(">L4sL", 0, b"maSk", zlib.crc32(b"maSk"))
    return content[:33] + empty * count + content[33:]


def packet(content: bytes) -> bytes:
    """A PNG with this XMP, compressed."""
    plain = saved("PNG")
    text = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(content)
    return (
        plain[:33]
        + struct.pack(">L4s", len(text), b"iTXt")
        + text
        + struct.pack(">L", zlib.crc32(b"iTXt" + text))
        + plain[33:]
    )


def comment(count: int, *, behind: bool = False) -> bytes:
    """A GIF with a comment of `count` blocks, before its picture or behind it."""
    content = saved("GIF")
    place = len(content) - 1 if behind else 13 + 3 * 256
    return content[:place] + b"!\xfe" + (b"\xff" + bytes(255)) * count + b"\0" + content[place:]


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims to be huge and holds next to nothing."""
    parts = []
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, content in ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")):
        parts.append(struct.pack(">I", len(content)) + kind + content)
        parts.append(struct.pack(">I", zlib.crc32(kind + content)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep(side: int = 8) -> bytes:
    """A PNG of 16 bits for each of red, green and blue."""
    rows = b"".join(b"\0" + bytes(6 * side) for _ in range(side))
    content = b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)
    for kind, inside in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        content += struct.pack(">I", len(inside)) + kind + inside
        content += struct.pack(">I", zlib.crc32(kind + inside))
    return content


def moving(kind: str) -> bytes:
    """Two frames."""
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    content = io.BytesIO()
    frames[0].save(content, kind, save_all=True, append_images=frames[1:])
    return content.getvalue()
