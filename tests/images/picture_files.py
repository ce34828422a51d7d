"""Pictures as files, whole and odd ones."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (9, 14, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (9, 14), dtype=np.uint8)
GAMMA_1 = struct.pack(">I", 100_000)
LOSSLESS = ["png", "webp", "tif"]
FRAMES = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]


def exif_block(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "A maker of cameras"
    exif.get_ifd(0x8769)[0x8827] = 400
    return exif


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def with_chunks(png: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """These behind the head, which ends at byte 33."""
    return png[:33] + b"".join(chunk(*pair) for pair in chunks) + png[33:]


def deep_png(colour_type: int) -> bytes:
    """A 2 x 2 PNG of 16 bits a channel, written by hand since the imaging library cannot."""

    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    rows = b"".join(b"\0" + bytes(range(4 * channels)) for _ in range(2))
    head = struct.pack(">IIBBBBB", 2, 2, 16, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
