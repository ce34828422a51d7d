"""After extending, EXIF and XMP tell the canvas' size, and all else of them as it was."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fakes import smooth_pixels
from maskmend.images.canvas import extend_canvas
from maskmend.images.exif import resized_exif
from maskmend.images.metadata import resized_xmp
from maskmend.images.picture import read_image
from maskmend.images.writing import encode_picture

PIXELS = smooth_pixels(20, 34)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:ImageWidth="34" tiff:ImageLength=\'20\' '
    b'xmp:Rating="3" tiff:Orientation="1"><exif:PixelXDimension>34</exif:PixelXDimension>'
    b"<exif:PixelYDimension>20</exif:PixelYDimension><dc:title>34 x 20</dc:title></rdf:Description>"
    b"</x:xmpmeta>"
)


def tagged(orientation=1, size=(34, 20)):
    tags = Image.Exif()
    tags[0x0100], tags[0x0101] = size
    tags[0x010F], tags[0x0112] = "a maker", orientation
    inner = {0x9003: "2026:05:01 12:00:00", 0xA002: size[0], 0xA003: size[1]}
    tags.get_ifd(0x8769).update(inner)
    tags[0x8769] = inner
    return tags


def file_of(kind, tags, xmp=None):
    content = io.BytesIO()
    options = {} if xmp is None else {"xmp": xmp}
    if kind == "PNG" and xmp is not None:
        options = {"pnginfo": PngImagePlugin.PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    Image.fromarray(PIXELS).save(content, kind, exif=tags, **options)
    return content.getvalue()


def sizes_in(picture):
    tags = Image.Exif()
    tags.load(picture.exif)
    inner = tags.get_ifd(0x8769)
    assert (tags[0x010F], inner[0x9003]) == ("a maker", "2026:05:01 12:00:00")
    return tags.get(0x0100), tags.get(0x0101), inner[0xA002], inner[0xA003]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_what_is_written_tells_the_canvas_size(kind, orientation):
    """Catches a viewer, or another program, that goes by the size of the picture before."""
    picture = read_image(file_of(kind, tagged(orientation), xmp=XMP))
    height, width = picture.pixels.shape[:2]
    assert sizes_in(picture) == (34, 20, 34, 20)
    extended, _ = extend_canvas(picture, "left=10,top=5")
    again = read_image(encode_picture(extended, kind))
    assert again.pixels.shape[:2] == (height + 5, width + 10)
    assert sizes_in(again) == (width + 10, height + 5) * 2
    assert again.xmp is not None
    assert b'tiff:ImageWidth="%d"' % (width + 10) in again.xmp


def test_of_a_tiff_too():
    picture = read_image(file_of("TIFF", tagged()))
    extended, _ = extend_canvas(picture, {"right": 6})
    content = encode_picture(extended, "TIFF")
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (40, 20)
        inner = image.getexif().get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003]) == (40, 20)


def block(order, kind, width, after=b""):
    """EXIF of one directory with ImageWidth alone."""
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *([width, 0] if kind == 3 else [width]))
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return b"Exif\0\0" + head + struct.pack(order + "HHHI", 1, 0x0100, kind, 1) + value + bytes(4) + after


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
def test_bytes_that_tell_no_size_stay(order, kind):
    """Catches a block that is written anew, which loses maker notes, and one of the other order of bytes."""
    note = b"a maker's note at an absolute place"
    assert resized_exif(block(order, kind, 34, note), 20, 1234) == block(order, kind, 1234, note)
    assert resized_exif(block(order, kind, 34, note), 20, 70_000) == block(order, 4, 70_000, note)
    rational = block(order, kind, 34).replace(
        struct.pack(order + "HH", 0x0100, kind), struct.pack(order + "HH", 0x0100, 5)
    )
    assert resized_exif(rational, 20, 1234) == rational


def test_garbled_exif_stays_as_it_is():
    whole = block("<", 3, 34)
    for end in range(6, len(whole) - 5):
        cut = whole[:end]
        told = resized_exif(cut, 20, 34)
        assert told is not None
        assert len(told) == len(cut)
    assert resized_exif(None, 1, 1) is None
    assert resized_exif(b"Exif\0\0nothing of the kind", 1, 1) == b"Exif\0\0nothing of the kind"


def test_xmp_tells_the_size_wherever_it_did():
    """Catches a title that is taken for a size, and a size in the other way of writing it."""
    wanted = XMP.replace(b'"34"', b'"1234"').replace(b"'20'", b"'25'")
    wanted = wanted.replace(b">34<", b">1234<").replace(b">20<", b">25<")
    assert resized_xmp(XMP, 25, 1234) == wanted
    assert resized_xmp(None, 25, 1234) is None


def test_a_picture_that_tells_no_size_tells_none():
    picture = read_image(file_of("PNG", Image.Exif()))
    extended, _ = extend_canvas(picture, "left=3")
    assert (extended.exif, extended.xmp) == (picture.exif, picture.xmp)
    np.testing.assert_array_equal(extended.pixels[:, 3:], PIXELS)
