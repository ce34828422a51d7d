"""EXIF: applied once, carried on without the thumbnail, never at the picture's cost."""

import io
import struct
import subprocess
import sys
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from maskmend.errors import ImageError
from maskmend.images.picture import Picture, picture_from, read_image
from maskmend.images.writing import encode_picture
from waiting import PATIENCE

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8)
LAYOUT = {256: 48, 257: 40, 258: (8, 8, 8), 259: 6, 262: 6, 266: 2, 273: 8, 277: 1, 278: 3, 279: 9, 284: 2}
LAYOUT |= {317: 2, 320: (0,) * 768, 322: 16, 323: 16, 338: 2, 339: 3, 530: (2, 2)}
THUMBNAIL = b"\xff\xd8\xff what was painted away \xff\xd9"


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def exif_block(tags: dict[int, object]) -> bytes:
    exif = Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    exif[0x010F] = "A maker of cameras"
    exif[0x4746] = 4  # the rating
    exif[0x8769] = {0x8827: 400, 0xA005: {1: "R98"}}
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 13.5)}
    return exif.tobytes()


def tags_of(picture: Picture) -> Image.Exif:
    assert picture.exif is not None
    tags = Image.Exif()
    tags.load(picture.exif)
    return tags


def bare_block(order: str, kind: int, count: int, value: bytes, after: bytes = b"") -> bytes:
    """A directory of one orientation entry."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    entry = struct.pack(order + "HHHI", 1, 0x0112, kind, count) + value.ljust(4, b"\0")
    return b"Exif\0\0" + head + entry + (after or bytes(4))


@pytest.mark.parametrize("tag", LAYOUT)
def test_a_block_s_layout_is_not_taken_for_the_tiff_s(tag):
    """Catches a photo's pixels scrambled in a TIFF, whose width, samples or strips the EXIF overwrote:
    cameras and editors write the size before the turn, and what the original was compressed with."""
    block = exif_block({0x0112: 6, tag: LAYOUT[tag]})
    picture = read_image(saved(Image.fromarray(PIXELS), "PNG", exif=block))
    again = read_image(encode_picture(picture, "TIFF"))
    np.testing.assert_array_equal(again.pixels, np.rot90(PIXELS, -1))
    tags = tags_of(again)
    assert (tags[0x010F], tags[0x4746]) == ("A maker of cameras", 4)
    assert tags.get_ifd(0x8769)[0x8827] == 400
    assert tags.get_ifd(0xA005)[1] == "R98"
    assert tags.get_ifd(0x8825)[2] == (48.0, 8.0, 13.5)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("type_", "value"), [(1, b"\6"), (2, b"6\0"), (7, b"\6"), (3, b"\x09"), (12, b"")])
def test_an_orientation_of_another_type_turns_nothing(kind, type_, value):
    """Catches a TypeError for one odd tag."""
    block = bare_block("<", type_, 1, value)
    picture = read_image(saved(Image.fromarray(PIXELS), kind, exif=block))
    assert picture.pixels.shape == PIXELS.shape
    assert picture.exif == block


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("type_", "layout"), [(3, "H"), (4, "I")])
@pytest.mark.parametrize("heads", [1, 2])
def test_the_orientation_is_reset_however_it_is_written(order, type_, layout, heads):
    """Catches a long integer of which half was reset, and a block whose head stands twice: turned again."""
    block = bare_block(order, type_, 1, struct.pack(order + layout, 6))
    image = Image.fromarray(PIXELS)
    image.info["exif"] = b"Exif\0\0" * (heads - 1) + block
    picture = picture_from(image)
    assert picture.pixels.shape == (48, 40, 3)
    assert tags_of(picture)[0x0112] == 1


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("strips", [True, False])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_thumbnail_is_dropped(kind, strips, last, order):
    """Catches what was painted away still to be seen in the thumbnail, and one that lies on its side."""
    places, lengths = (273, 279) if strips else (513, 514)
    start = 8 + 2 + 12 + 4  # of the second directory
    pixels = start + 2 + 3 * 12 + 4
    second = struct.pack(order + "I", start) + struct.pack(order + "H", 3)
    second += struct.pack(order + "HHIHH", 0x0103, 3, 0xFFFFFF, 0, 0)  # one that is garbled
    second += struct.pack(order + "HHII", places, 4, 1, pixels)
    second += struct.pack(order + "HHII", lengths, 4, 1, len(THUMBNAIL)) + bytes(4) + THUMBNAIL
    note = b"" if last else b"a maker note at an absolute place"
    block = bare_block(order, 3, 1, struct.pack(order + "H", 6), second + note)
    picture = read_image(saved(Image.fromarray(PIXELS), kind, exif=block))
    assert tags_of(picture).get_ifd(1) == {}
    content = encode_picture(picture, kind)
    assert b"painted away" in block
    assert b"painted away" not in content
    assert read_image(content).exif == picture.exif
    assert picture.exif is not None
    assert len(picture.exif) == len(block) - (len(THUMBNAIL) if last else 0)
    assert picture.exif.endswith(note)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("strips", [1, 3])
def test_how_long_the_thumbnail_was_is_not_told(order, strips):
    """Catches the length of a packed thumbnail, which depends on what it shows, left behind when it goes."""
    start = 8 + 2 + 12 + 4
    blocks = []
    for length in (40, 400):
        arrays = start + 2 + 2 * 12 + 4
        pixels = arrays + (8 * strips if strips > 1 else 0)
        starts, lengths = [pixels + n * length for n in range(strips)], [length] * strips
        second = struct.pack(order + "IH", start, 2)
        if strips > 1:
            second += struct.pack(order + "HHII", 273, 4, strips, arrays)
            second += struct.pack(order + "HHII", 279, 4, strips, arrays + 4 * strips) + bytes(4)
            second += struct.pack(f"{order}{2 * strips}I", *starts, *lengths)
        else:
            second += struct.pack(order + "HHII", 513, 4, 1, pixels)
            second += struct.pack(order + "HHII", 514, 4, 1, length) + bytes(4)
        second += b"x" * length * strips
        block = bare_block(order, 3, 1, struct.pack(order + "H", 1), second)
        picture = read_image(saved(Image.fromarray(PIXELS), "PNG", exif=block))
        assert picture.exif is not None
        blocks.append(picture.exif)
    assert blocks[0] == blocks[1]


def test_thumbnails_in_xmp_are_dropped():
    """Catches what was painted away in the packet that photo editors write."""
    thumbnail = (
        b"<xmp:Thumbnails>\n<rdf:Alt><xmpGImg:image>/9j/4AAQ</xmpGImg:image></rdf:Alt>\n</xmp:Thumbnails>"
    )
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">%s<xmp:Rating>4</xmp:Rating></x:xmpmeta>'
    picture = read_image(saved(Image.fromarray(PIXELS), "WEBP", xmp=packet % thumbnail))
    assert picture.xmp == packet % b""


@pytest.mark.parametrize("prefix", [b"xap:", b"ns1:", b""])
def test_thumbnails_in_xmp_are_dropped_by_any_name(prefix):
    """Catches a thumbnail whose element another prefix names, or that has no end, or another alphabet."""
    start, end = b"<%sThumbnails rdf:parseType='Resource'>" % prefix, b"</%sThumbnails >" % prefix
    packet = b"<x:xmpmeta><a/>%s<b/></x:xmpmeta>"
    for inside, kept in (
        (start + b"/9j/" + end, b""),
        (start + b"/9j/" + end + b"<c/>" + start + b"/9k/" + end, b"<c/>"),
        (start + b"</other:Thumbnails>/9j/" + end, b""),
        (b"<%sThumbnails />" % prefix, b"<%sThumbnails />" % prefix),
    ):
        picture = read_image(saved(Image.fromarray(PIXELS), "WEBP", xmp=packet % inside))
        assert picture.xmp == packet % kept
    for damaged in (packet % start, (packet % (start + b"/9j/" + end)).decode().encode("utf-16-le")):
        assert read_image(saved(Image.fromarray(PIXELS), "WEBP", xmp=damaged)).xmp is None


@pytest.mark.parametrize(
    "packet",
    [
        b"<xmp:Thumbnails " * 500_000,
        b"<xmp:Thumbnails>" + b"</xap:Thumbnails>" * 400_000,
        b"<xmp:Thumbnails></xmp:Thumbnails" + b" " * 8_000_000,
        b"tiff:Orientation" + b" " * 8_000_000,
        b"".join(b"<a%d:Thumbnails></a%d:Thumbnails>" % (n, n) for n in range(200_000)),
        b"<" * 8_000_000,
    ],
    ids=["starts", "other ends", "blanks in an end", "blanks", "many names", "brackets"],
)
def test_xmp_is_searched_in_linear_time(packet):
    """Catches a packet of a megabyte that takes minutes, in which the whole server stands still.

    These are eight times as long as any that is kept: a search that takes the square of their length takes
    hours, and a linear one next to nothing, so that the limit says nothing about the machine.
    """
    program = (
        "import sys\nfrom PIL import Image\nfrom maskmend.images import metadata\n"
        "metadata._LONGEST = 1 << 30\nimage = Image.open(sys.stdin.buffer)\n"
        "metadata.read_metadata(image, 1, {})\nprint(len(image.info['xmp']))\n"
    )
    content = saved(Image.fromarray(PIXELS), "WEBP", xmp=packet)
    command = [sys.executable, "-c", program]
    read = subprocess.run(command, input=content, stdout=subprocess.PIPE, check=True, timeout=PATIENCE)
    assert int(read.stdout) == len(packet)


def test_a_thumbnail_of_a_million_strips_takes_no_gigabytes():
    """Catches numbers of tags that nobody needs, of which 2 MB became 2 GB."""
    count, size, start = 40, 1_000_000, 8 + 2 + 12 + 4
    for first, kept in ((1000, True), (273, False)):
        entries = b"".join(
            struct.pack("<HHII", first + n, 3, size // 2, start + 6 + 12 * count) for n in range(count)
        )
        second = struct.pack("<IH", start, count) + entries + bytes(4) + bytes(size)
        block = bare_block("<", 3, 1, struct.pack("<H", 1), second)
        content = saved(Image.fromarray(PIXELS), "PNG", exif=block)
        tracemalloc.start()
        picture = read_image(content)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (picture.exif is not None) == kept
        assert most < 20 * size


def test_exif_that_imagemagick_wrote_as_text_is_kept():
    """Catches the camera and the date lost, though the orientation beside them was applied."""
    block = exif_block({0x0112: 6})
    lines = "\n".join(block.hex()[i : i + 72] for i in range(0, 2 * len(block), 72))
    for text, kept in ((lines, True), (lines + "no number", False)):
        chunks = PngImagePlugin.PngInfo()
        chunks.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{text}\n")
        picture = read_image(saved(Image.fromarray(PIXELS), "PNG", pnginfo=chunks))
        assert picture.pixels.shape == ((48, 40, 3) if kept else PIXELS.shape)
        if kept:
            assert tags_of(picture)[0x010F] == "A maker of cameras"
            assert tags_of(picture)[0x0112] == 1
        else:
            assert picture.exif is None
        assert picture.texts == {}


def test_exif_that_unfolds_is_left_out():
    """Catches an upload of kilobytes whose every result carries half a megabyte."""
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Raw profile type exif", "\nexif\n400000\n" + "00" * 400_000, zip=True)
    assert read_image(saved(Image.fromarray(PIXELS), "PNG", pnginfo=chunks)).exif is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_garbled_exif_costs_no_picture(kind):
    """Catches errors of the imaging library, of any type, for a few wrong bytes; and warnings of it."""
    rng = np.random.default_rng(1)
    block, image = exif_block({0x0112: 6, 282: 72.0, 40091: b"t\0"}), Image.fromarray(PIXELS)
    for _ in range(150):
        garbled = bytearray(block)
        for place in rng.integers(6, min(len(block), 200), 3):
            garbled[place] = rng.integers(256)
        picture = read_image(saved(image, kind, exif=bytes(garbled)))
        assert read_image(encode_picture(picture, kind)).pixels.shape == picture.pixels.shape
        np.testing.assert_array_equal(read_image(encode_picture(picture, "TIFF")).pixels, picture.pixels)


def test_a_garbled_tiff_is_read_or_refused():
    """Catches struct.error, AttributeError and their kin out of directories that cannot be."""
    rng = np.random.default_rng(2)
    exif = Image.Exif()
    exif.load(exif_block({0x0112: 6}))
    whole = saved(Image.fromarray(PIXELS[:4, :4]), "TIFF", exif=exif)
    read = 0
    for _ in range(600):
        garbled = bytearray(whole)
        for place in rng.integers(4, len(whole), 4):
            garbled[place] = rng.integers(256)
        with suppress(ImageError):
            picture = read_image(bytes(garbled), max_pixels=10_000)
            encode_picture(picture, "TIFF")
            encode_picture(picture, "PNG")
            read += 1
    assert read > 100
