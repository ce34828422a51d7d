"""Image files: what is missing, cut or too large is refused, and no warning of the library is left behind."""

import contextlib
import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskmend.errors import ImageError
from maskmend.images.picture import load_image, read_image

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (9, 14, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue()


def test_missing_files_and_folders_are_named(tmp_path):
    """Catches a bare FileNotFoundError."""
    with pytest.raises(ImageError, match="missing"):
        load_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="folder"):
        load_image(tmp_path)


def test_bombs_are_refused_before_decoding(tmp_path):
    """Catches a decode of gigabytes: this file has no pixel data at all, so only its header can be judged."""
    for name, width in (("huge.png", 60_000), ("big.png", 1_500)):
        head = struct.pack(">IIBBBBB", width, 60_000, 8, 2, 0, 0, 0)
        body = b"IHDR" + head
        (tmp_path / name).write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + struct.pack(">I", 13)
            + body
            + struct.pack(">I", zlib.crc32(body))
            + b"\0\0\0\0IDAT"
        )
        with pytest.raises(ImageError, match=r"scale it down"):
            load_image(tmp_path / name)
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="14 x 9"):
        load_image(tmp_path / "a.png", max_pixels=100)


WHOLE = {
    kind: saved(Image.fromarray(RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)), kind)
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
}


@settings(deadline=None, max_examples=60)
@given(kind=st.sampled_from(sorted(WHOLE)), share=st.floats(0, 1))
def test_a_cut_file_is_an_error_or_still_complete(tmp_path_factory, kind, share):
    """Catches truncated files read as images with a grey lower half, and tracebacks from odd places."""
    whole = WHOLE[kind]
    folder = tmp_path_factory.mktemp("cut")
    (folder / "whole").write_bytes(whole)
    (folder / "cut").write_bytes(whole[: int(share * len(whole))])
    try:
        picture = load_image(folder / "cut")
    except ImageError:
        return
    np.testing.assert_array_equal(picture.pixels, load_image(folder / "whole").pixels)


def test_odd_metadata_is_no_warning(recwarn):
    """Catches a warning of the imaging library that becomes an error, or a line in a server's log."""
    content = io.BytesIO()
    Image.new("RGB", (4, 4)).save(content, "TIFF")
    for end in range(8, len(content.getvalue())):
        with contextlib.suppress(ImageError):
            read_image(content.getvalue()[:end])
    assert [str(warning.message) for warning in recwarn] == []


def test_warnings_are_as_they_were_after_several_threads_read():
    """Catches filters put back in the wrong order, after which the whole process warns of nothing."""
    content = saved(Image.fromarray(PIXELS), "PNG")
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read_image, [content] * 400))
    assert list(warnings.filters) == before
