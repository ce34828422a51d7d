"""Files that differ in what is to be filled, and in nothing else, must come out the same byte for byte.

Random pictures, masks, scales of detail and metadata; the hidden part goes into the pixels, into the
thumbnail in EXIF and into the one in XMP, as cameras and editors write them.
"""

import base64
import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fakes import smooth_pixels
from guards.cases import TRIED, cases
from maskmend.images.picture import read_image
from maskmend.images.writing import encode_picture
from maskmend.pipeline import InpaintPipeline

KINDS = ("PNG", "WEBP", "TIFF")
"""Formats without loss: those with would spread what is hidden over its neighbours."""
AT_NIGHT = 1500
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><xmp:Thumbnails><rdf:Alt><rdf:li><xmpGImg:image>%s</xmpGImg:image>'
    b"</rdf:li></rdf:Alt></xmp:Thumbnails><xmp:Rating>4</xmp:Rating></x:xmpmeta>"
)


def hidden_in(pixels: np.ndarray, kind: str, *, exif: bool, xmp: bool, alpha: np.ndarray | None) -> bytes:
    """A file of this picture, with thumbnails that show all of it."""
    content, small = io.BytesIO(), io.BytesIO()
    Image.fromarray(pixels).resize((8, 8)).save(small, "PNG")
    options: dict[str, Any] = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    if exif and kind != "TIFF":  # a TIFF's directories are its own
        options["exif"] = _exif(small.getvalue())
    if xmp:
        if kind == "PNG":
            options["pnginfo"] = _text(XMP % base64.b64encode(small.getvalue()))
        elif kind == "WEBP":
            options["xmp"] = XMP % base64.b64encode(small.getvalue())
    levels = pixels if alpha is None else np.dstack([pixels, alpha])
    Image.fromarray(levels).save(content, kind, **options)
    return content.getvalue()


def _text(packet: bytes) -> Any:
    from PIL import PngImagePlugin

    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", packet.decode())
    return texts


def _exif(thumbnail: bytes) -> bytes:
    """An EXIF block of a maker's name, and a second directory with a thumbnail."""
    maker = b"maker\0"
    first, second = 8, 8 + 2 + 12 + 4
    after = second + 2 + 2 * 12 + 4
    block = b"II*\0" + struct.pack("<I", first)
    block += struct.pack("<HHHII", 1, 0x010F, 2, len(maker), after) + struct.pack("<I", second)
    block += struct.pack("<H", 2)
    block += struct.pack("<HHII", 0x0201, 4, 1, after + len(maker))
    block += struct.pack("<HHII", 0x0202, 4, 1, len(thumbnail)) + struct.pack("<I", 0)
    return b"Exif\0\0" + block + maker + thumbnail


def random_hole(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """One to three boxes or strokes; some reach the border, some cover nearly all."""
    mask = np.zeros((height, width), bool)
    for _ in range(rng.integers(1, 4)):
        top, left = rng.integers(height), rng.integers(width)
        tall = rng.integers(1, 4) if rng.random() < 0.4 else rng.integers(1, height + 1)
        wide = width if rng.random() < 0.2 else rng.integers(1, width + 1)
        mask[top : top + tall, left : left + wide] = True
    if mask.all():
        mask[0, 0] = False
    return mask


def one_case(pipe: InpaintPipeline, rng: np.random.Generator) -> None:
    """Two files that differ in what is hidden, filled and written alike."""
    TRIED["leak fuzzer"] += 1
    height, width = (int(side) for side in rng.integers(4, 90, 2))
    pixels, mask = smooth_pixels(height, width, int(rng.integers(2**31))), random_hole(rng, height, width)
    secrets = {
        "noise": rng.integers(0, 256, pixels.shape, dtype=np.uint8),
        "extremes": rng.choice(np.array([0, 255], np.uint8), pixels.shape),
        "white": np.full_like(pixels, 255),
    }
    other = np.where(mask[:, :, None], secrets[str(rng.choice(list(secrets)))], pixels)
    kind = str(rng.choice(KINDS))
    alphas: list[np.ndarray | None] = [None, None]
    if rng.random() < 0.3:
        known = rng.integers(1, 256, mask.shape, dtype=np.uint8)
        alphas = [known, np.where(mask, rng.integers(0, 256, mask.shape, dtype=np.uint8), known)]
    tags = {"exif": rng.random() < 0.5, "xmp": rng.random() < 0.5}
    files = [
        hidden_in(levels, kind, **tags, alpha=alpha)
        for levels, alpha in zip((pixels, other), alphas, strict=True)
    ]
    options: dict[str, Any] = {
        "seed": int(rng.integers(2**31)),
        "samples": int(rng.integers(1, 3)),
        "steps": int(rng.integers(1, 4)),
        "detail": [0, 1, "auto", "full"][rng.integers(4)],
        "seam": str(rng.choice(["hard", "feather", "multiband", "poisson"])),
        "infill": str(rng.choice(["grey", "mean", "nearest", "diffusion"])),
        "order": str(rng.choice(["confidence", "random", "halton"])),
        "share": float(rng.choice([0.0, 0.4])),
        "ring": int(rng.integers(0, 3)),
        "context": float(rng.choice([0.0, 0.75, 3.0])),
        "plain": float(rng.choice([0.0, 3.0])),
        "ranking": str(rng.choice(["likelihood", "typical"])),
    }
    results = [pipe(read_image(file), mask, **options) for file in files]
    for fill, twin in zip(results[0].pictures, results[1].pictures, strict=True):
        written = [encode_picture(picture, kind) for picture in (fill, twin)]
        assert written[0] == written[1], (height, width, kind, tags, options)
        np.testing.assert_array_equal(fill.pixels[~mask], pixels[~mask])
    np.testing.assert_array_equal(results[0].uncertainty, results[1].uncertainty)
    np.testing.assert_array_equal(results[0].log_likelihood, results[1].log_likelihood)


def test_the_files_do_differ() -> None:
    """Catches a fuzzer whose secrets never reach the file."""
    pixels, other = smooth_pixels(9, 9, 1), smooth_pixels(9, 9, 2)
    for kind in KINDS:
        one, two = (hidden_in(levels, kind, exif=True, xmp=True, alpha=None) for levels in (pixels, other))
        assert one != two
    with Image.open(io.BytesIO(hidden_in(pixels, "PNG", exif=True, xmp=True, alpha=None))) as image:
        assert b"xmpGImg:image" in image.info["xmp"]
        assert b"IHDR" in image.info["exif"]  # of the thumbnail


@pytest.mark.slow
def test_a_few_hidden_contents_leave_no_trace(tiny_pipeline: InpaintPipeline) -> None:
    """Catches any way for what is painted over to reach the result: pixels, transparency, metadata."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        one_case(tiny_pipeline, rng)


@pytest.mark.nightly
def test_many_hidden_contents_leave_no_trace(tiny_pipeline: InpaintPipeline) -> None:
    seed = np.random.SeedSequence().entropy
    print(f"leak fuzzer: seed {seed}")  # shown where it fails
    rng = np.random.default_rng(seed)
    for _ in range(cases(AT_NIGHT)):
        one_case(tiny_pipeline, rng)
