"""A PNG's words on its colours are kept where they can be, and never changed in silence."""

import io
import struct
import zlib

import numpy as np
import pytest
from picture_files import GAMMA_1, PIXELS, chunk, exif_block, saved, with_chunks
from PIL import Image

from maskmend.errors import ImageError
from maskmend.images.picture import Picture, load_image, picture_from, read_image
from maskmend.images.writing import encode_picture, save_image


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("turned", [False, True])
def test_the_transparent_grey_of_a_shallow_png_is_found(depth, turned):
    """Catches alpha lost: the imaging library stretches such greys, but not the one that is transparent."""
    greys = bytes([0b10110001, 0b11100100])
    levels = np.array(
        [byte >> (8 - depth - n) & (2**depth - 1) for byte in greys for n in range(0, 8, depth)]
    )
    head = struct.pack(">IIBBBBB", len(levels), 1, depth, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" + greys)) + chunk(b"IEND", b"")
    key = int(levels[0])
    chunks = [(b"tRNS", struct.pack(">H", key))]
    if turned:
        chunks.append((b"eXIf", exif_block(3).tobytes()[6:]))
    content = with_chunks(b"\x89PNG\r\n\x1a\n" + body, *chunks)
    expected = np.where(levels == key, 0, 255)
    picture = read_image(content)
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha[0], expected[::-1] if turned else expected)
    with Image.open(io.BytesIO(content)) as image:
        before = image.info["transparency"]
        picture_from(image)
        assert image.info["transparency"] == before  # the caller's stays as it is


GAMMA_SRGB = struct.pack(">I", 45_455)
COLOUR = {
    "cICP": bytes([9, 16, 0, 1]),
    "gAMA": GAMMA_1,
    "cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    "sRGB": b"\1",
}


def test_a_png_s_words_on_its_colours_are_kept(tmp_path):
    """Catches a fill whose known pixels are shown in other colours than the picture's."""
    content = with_chunks(
        saved(Image.fromarray(PIXELS), "PNG"), *((k.encode(), v) for k, v in COLOUR.items())
    )
    picture = read_image(content)
    assert picture.colour == COLOUR
    save_image(picture, tmp_path / "a.png")
    assert load_image(tmp_path / "a.png").colour == COLOUR
    with Image.open(tmp_path / "a.png") as image:
        assert picture_from(image).colour == COLOUR
        # Decoded, what the imaging library knows is left.
        assert picture_from(image).colour == {k: v for k, v in COLOUR.items() if k != "cICP"}


@pytest.mark.parametrize(
    ("colour", "icc", "refused"),
    [
        ({"gAMA": GAMMA_1}, None, True),
        ({"gAMA": GAMMA_1}, b"a profile", False),
        ({"gAMA": GAMMA_1, "sRGB": b"\0"}, None, False),
        ({"gAMA": GAMMA_SRGB, "cHRM": COLOUR["cHRM"]}, None, False),
        ({"gAMA": bytes(4)}, None, False),
        ({"cICP": COLOUR["cICP"], "sRGB": b"\0"}, None, True),
        ({"cICP": COLOUR["cICP"]}, b"a profile", False),
        ({"cICP": bytes([1, 13, 0, 1]), "gAMA": GAMMA_1}, None, False),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF", "PNG"])
def test_colours_that_only_a_png_can_tell_of_are_not_changed_in_silence(kind, colour, icc, refused):
    """Catches a linear or HDR picture that comes out dark, and a refusal of any PNG that says it is sRGB."""
    picture = Picture(pixels=PIXELS, colour=colour, icc=icc)
    if refused and kind != "PNG":
        with pytest.raises(ImageError, match="convert the image to sRGB"):
            encode_picture(picture, kind)
    else:
        assert read_image(encode_picture(picture, kind)).icc == icc


def test_odd_words_on_colours_cost_no_picture():
    for name, value in (("gamma", "x"), ("chromaticity", 1), ("srgb", 300), ("gamma", -1.0)):
        image = Image.fromarray(PIXELS)
        image.info[name] = value
        assert picture_from(image).colour == {}
