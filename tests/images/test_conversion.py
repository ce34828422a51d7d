"""Pictures that an 8-bit RGB picture cannot keep: refused with the option, or converted and told."""

import base64
import io
import struct
import sys

import numpy as np
import pytest
from picture_files import FRAMES, PIXELS, deep_png, saved, with_chunks
from PIL import Image

from fakes import print_profile
from maskmend.errors import ConversionNeeded, ImageError
from maskmend.images.picture import load_image, picture_from, read_image
from maskmend.images.writing import check_holds, encode_picture
from maskmend.masks.reading import read_mask

# 24 x 16 pixels, red 10 x, green 15 y, blue 6 (x + y), written by avifenc with 10 bits a channel; the second
# one with the colours of BT.2100 PQ (--cicp 9/16/9).
AVIF_10 = base64.b64decode(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAADybWV0YQAAAAAAAAAoaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAA"
    "AGxpYmF2aWYAAAAADnBpdG0AAAAAAAEAAAAeaWxvYwAAAABEAAABAAEAAAABAAABGgAAADoAAAAoaWluZgAAAAAAAQAAABppbmZl"
    "AgAAAAABAABhdjAxQ29sb3IAAAAAamlwcnAAAABLaXBjbwAAABRpc3BlAAAAAAAAABgAAAAQAAAAEHBpeGkAAAAAAwoKCgAAAAxh"
    "djFDgSBAAAAAABNjb2xybmNseAABAA0ABoAAAAAXaXBtYQAAAAAAAAABAAEEAQKDBAAAAEJtZGF0EgAKCDgQ7+xgIaDSMiwWQAkk"
    "kkQAwyYGAsYVz3Vf/5RXJ8U3zB5BCnIHu77X/vi5q1WAaCWauNgLvQ=="
)
AVIF_PQ = base64.b64decode(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAADybWV0YQAAAAAAAAAoaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAA"
    "AGxpYmF2aWYAAAAADnBpdG0AAAAAAAEAAAAeaWxvYwAAAABEAAABAAEAAAABAAABGgAAADkAAAAoaWluZgAAAAAAAQAAABppbmZl"
    "AgAAAAABAABhdjAxQ29sb3IAAAAAamlwcnAAAABLaXBjbwAAABRpc3BlAAAAAAAAABgAAAAQAAAAEHBpeGkAAAAAAwoKCgAAAAxh"
    "djFDgSBAAAAAABNjb2xybmNseAAJABAACYAAAAAXaXBtYQAAAAAAAAABAAEEAQKDBAAAAEFtZGF0EgAKCDgQ7+xhIgEyMisWQAkk"
    "kkQAw1R7y/+C5Isf/TBDCkCOM598T9lvn9iT2qSn37SdGM6HFxQo"
)
ROWS, COLUMNS = np.mgrid[:16, :24]
RAMP = np.dstack([COLUMNS * 10, ROWS * 15, (COLUMNS + ROWS) * 6]).astype(np.uint8)
CMYK = Image.merge("CMYK", [Image.new("L", (8, 6), ink) for ink in (255, 0, 0, 0)])


def test_the_refusal_names_the_option_and_what_it_would_do():
    """Catches a refusal that leaves people to find another program."""
    with pytest.raises(
        ConversionNeeded, match=r"16 bits a channel.*--convert \(in Python: convert=True\)"
    ) as caught:
        read_image(deep_png(2))
    assert caught.value.offers == ("16 bits a channel to 8",)


@pytest.mark.parametrize("colour_type", [0, 2, 4, 6])
def test_sixteen_bits_become_the_upper_eight(colour_type):
    """Catches a low byte read for a high one, a grey scaled otherwise than colours, a lost alpha."""
    picture = read_image(deep_png(colour_type), convert=True)
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    first = np.arange(0, 2 * channels, 2)  # the upper byte of each channel of the first pixel
    np.testing.assert_array_equal(picture.pixels[0, 0], first[:3] if channels > 2 else first[[0, 0, 0]])
    assert (None if picture.alpha is None else picture.alpha[0, 0]) == (
        first[-1] if channels in (2, 4) else None
    )
    assert picture.converted == ("16 bits a channel to 8",)
    assert picture.grey == (colour_type == 0)


def test_a_deep_scan_in_which_white_is_zero_is_no_negative():
    """Catches the imaging library's omission: it turns such greys around in 8 bits, not in 16."""
    levels = np.linspace(0, 65535, 12).astype(np.uint16).reshape(3, 4)
    content = saved(Image.fromarray(levels), "TIFF", tiffinfo={262: 0})
    np.testing.assert_array_equal(read_image(content, convert=True).pixels[:, :, 0], 255 - (levels >> 8))
    usual = saved(Image.fromarray(levels), "TIFF")
    np.testing.assert_array_equal(read_image(usual, convert=True).pixels[:, :, 0], levels >> 8)


def test_a_deep_grey_that_stands_for_transparent():
    """Catches a hole in a picture that is filled in, and one that cannot be told."""
    transparent = with_chunks(deep_png(0), (b"tRNS", struct.pack(">H", 0x0001)))
    alpha = read_image(transparent, convert=True).alpha
    assert alpha is not None
    np.testing.assert_array_equal(alpha, [[0, 255], [0, 255]])
    with pytest.raises(ImageError, match="transparent colour"):
        read_image(with_chunks(deep_png(2), (b"tRNS", bytes(6))), convert=True)


def test_cmyk_goes_by_its_profile_and_says_where_it_has_none():
    """Catches the formula's colours where a profile says otherwise, and the profile left on RGB pixels."""
    # In this profile full cyan is a mid grey: no formula comes upon that.
    picture = read_image(saved(CMYK, "TIFF", icc_profile=print_profile()), convert=True)
    assert picture.converted == ("CMYK to sRGB by its colour profile",)
    assert np.abs(picture.pixels.astype(int) - 119).max() <= 3  # L* = 50
    assert picture.icc is None
    for profile, why in (
        (None, "it has no colour profile"),
        (b"nonsense", "its colour profile cannot be used"),
    ):
        plain = read_image(saved(CMYK, "TIFF", icc_profile=profile), convert=True)
        assert plain.converted == (f"CMYK to sRGB, approximately: {why}",)
        np.testing.assert_array_equal(plain.pixels[0, 0], [0, 255, 255])


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_frames_the_first(kind):
    content = saved(FRAMES[0], kind, save_all=True, append_images=FRAMES[1:])
    picture = read_image(content, convert=True)
    frames = "several frames" if kind in ("GIF", "TIFF") else "2 frames"  # those do not say how many
    assert picture.converted == (f"the first of {frames}",)
    assert np.abs(picture.pixels[0, 0].astype(int) - [255, 0, 0]).max() < 5
    with Image.open(io.BytesIO(content)) as image:
        image.seek(1)
        shown = picture_from(image, convert=True)
        assert image.tell() == 1
    assert shown.converted == (f"frame 2 of {frames}",)
    assert np.abs(shown.pixels[0, 0].astype(int) - [0, 0, 255]).max() < 5


def test_several_at_once_are_one_question():
    frames = [CMYK, CMYK]
    content = saved(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    with pytest.raises(ConversionNeeded, match="several frames, is of colour mode CMYK"):
        read_image(content)
    assert len(read_image(content, convert=True).converted) == 2


def test_what_needs_no_conversion_is_not_touched(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    picture = load_image(tmp_path / "a.png", convert=True)
    assert picture.converted == ()
    np.testing.assert_array_equal(picture.pixels, PIXELS)


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_what_has_no_one_right_way_is_refused_with_consent_too(mode):
    with pytest.raises(ImageError) as caught:
        read_image(saved(Image.new(mode, (4, 4)), "TIFF"), convert=True)
    assert not isinstance(caught.value, ConversionNeeded)
    assert "--convert" not in str(caught.value)


def test_arrays_of_16_bits():
    deep = PIXELS.astype(np.uint16) * 257
    with pytest.raises(ImageError, match="convert=True"):
        picture_from(deep)
    picture = picture_from(deep, convert=True)
    np.testing.assert_array_equal(picture.pixels, PIXELS)
    assert picture.converted == ("16 bits a channel to 8",)


def test_a_mask_is_refused_without_an_option_that_it_has_not():
    frames = saved(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:])
    with pytest.raises(Exception, match="several frames: extract one") as caught:
        read_mask(frames, size=(8, 8))
    assert "--convert" not in str(caught.value)


def test_avif_is_read_and_its_depth_and_colours_are_told():
    """Catches 10 bits read as 8 without a word, and colours of HDR shown as sRGB."""
    content = saved(Image.fromarray(RAMP), "AVIF", quality=100, subsampling="4:4:4")
    picture = read_image(content)
    assert (picture.format, picture.converted, picture.colour) == ("AVIF", (), {})
    assert np.abs(picture.pixels.astype(int) - RAMP).max() < 9
    with pytest.raises(ConversionNeeded, match="10 bits a channel"):
        read_image(AVIF_10)
    deep = read_image(AVIF_10, convert=True)
    assert deep.converted == ("10 bits a channel to 8",)
    assert np.abs(deep.pixels.astype(int) - RAMP).max() < 12
    hdr = read_image(AVIF_PQ, convert=True)
    assert hdr.colour["cICP"] == bytes([9, 16, 0, 1])
    assert read_image(encode_picture(hdr, "PNG")).colour["cICP"] == bytes([9, 16, 0, 1])
    with pytest.raises(ImageError, match="cICP"):
        check_holds("JPEG", hdr)


@pytest.mark.parametrize("length", [0, 40, 120, 200, 300, 330])
def test_a_cut_avif_is_an_error(length):
    """Catches what the boxes' reader makes of boxes that end too soon."""
    with pytest.raises(ImageError):
        read_image(AVIF_10[:length], convert=True)


def test_garbled_boxes_are_an_error_or_a_picture():
    """Catches exceptions of other kinds, and endless loops."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        garbled = bytearray(AVIF_10)
        for place in rng.integers(32, 280, 3):
            garbled[place] = rng.integers(256)
        try:
            read_image(bytes(garbled), convert=True, max_pixels=1_000_000)
        except ImageError:
            continue


def test_heic_without_its_library_names_the_extra(monkeypatch):
    """Catches "cannot be read" of the files that phones write."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    head = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"heic", 0, b"mif1", b"heic")
    with pytest.raises(ImageError, match=r"HEIC.*'\.\[heif\]'"):
        read_image(head + bytes(100))


def test_heic_is_read_and_its_depth_told():
    heif = pytest.importorskip("pillow_heif", reason="the extra heif is not installed")
    content = io.BytesIO()
    heif.from_pillow(Image.fromarray(RAMP)).save(content, quality=95)
    picture = read_image(content.getvalue())
    assert (picture.format, picture.converted) == ("HEIF", ())
    assert np.abs(picture.pixels.astype(int) - RAMP).mean() < 6
    content = io.BytesIO()
    heif.encode("RGB;16", (24, 16), (RAMP.astype(np.uint16) * 257).tobytes(), content, quality=95)
    with pytest.raises(ConversionNeeded, match=r"1[02] bits a channel"):
        read_image(content.getvalue())
    assert np.abs(read_image(content.getvalue(), convert=True).pixels.astype(int) - RAMP).mean() < 6
