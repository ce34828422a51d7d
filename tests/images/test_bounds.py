"""Files that would keep the imaging library busy for minutes or hours are refused; ordinary ones are read."""

import io
import struct

import pytest
from PIL import ImageFile

from crafted_files import SIDE, chunks, comment, numbers, pages, saved, scans, strips, tile
from maskmend.errors import ConversionNeeded, ImageError
from maskmend.images import bounds
from maskmend.images.picture import load_image, read_image

CRAFTED = {
    "strips over strips": (lambda: strips(2048, 20_000), "strips that cover it"),
    "a million strips": (lambda: strips(64, 1_000_000), "a TIFF of 1000000 strips"),
    "a large tile": (lambda: tile(4096), "tiles are much larger"),
    "depths": (lambda: numbers(400_000, where="depths"), "400000 numbers"),
    "resolution": (lambda: numbers(50_000, where="resolution"), "50000 numbers"),
    "EXIF": (lambda: numbers(50_000, where="EXIF"), "numbers in its EXIF"),
    "directory in EXIF": (lambda: numbers(50_000, where="within EXIF"), "numbers in its EXIF"),
    "scans": (lambda: scans(2000), "more than 100 scans"),
    "segments": (lambda: saved("JPEG")[:2] + b"\xff\xfe\0\2" * 20_000 + saved("JPEG")[2:], "10000 segments"),
    "chunks": (lambda: chunks(300_000), "more than 200000 chunks"),
    "comment": (lambda: comment(20_000), "too many comments"),
    "comment behind": (lambda: comment(20_000, behind=True), "too many comments"),
}


class Counted(io.BytesIO):
    """Counts how often files are read from and gone through."""

    calls = 0

    def read(self, *count):
        Counted.calls += 1
        return super().read(*count)

    def seek(self, *place):
        Counted.calls += 1
        return super().seek(*place)


@pytest.fixture
def counted(monkeypatch):
    """Counts from 0; no picture may be decoded."""
    monkeypatch.setattr(Counted, "calls", 0)
    monkeypatch.setattr("maskmend.images.opening.io.BytesIO", Counted)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it is decoded"))


@pytest.mark.parametrize("name", CRAFTED)
@pytest.mark.parametrize("convert", [False, True])
def test_what_asks_for_hours_is_refused_at_once(name, convert, request):
    """Catches a small file that holds the lock of all decoding, so that nobody else's picture is read."""
    make, reason = CRAFTED[name]
    content = make()
    request.getfixturevalue("counted")
    with pytest.raises(ImageError, match=reason):
        read_image(content, convert=convert)
    assert 0 < Counted.calls <= 2 * bounds.CHUNKS + 1000


def test_frames_are_not_counted_where_the_file_does_not_say_how_many(request):
    """Catches a chain of directories that is followed to its end, in time that grows with its square: a
    minute for this file of 4 MB, an hour for one of 32 MB.
    """
    content = pages(100_000)
    request.getfixturevalue("counted")
    with pytest.raises(ConversionNeeded, match="has several frames") as told:
        read_image(content)
    assert told.value.offers == ("the first of several frames",)
    assert 0 < Counted.calls < 1000


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"progressive": True}), ("JPEG", {"exif": b"Exif\0\0" + bytes(60_000)}),
        ("PNG", {}), ("GIF", {"comment": b"x" * 5000}), ("TIFF", {}),
        ("TIFF", {"compression": "jpeg"}),
        ("TIFF", {"tiffinfo": {34000: (1.5,) * 20_000}}), ("TIFF", {"tiffinfo": {278: 1}}), ("WEBP", {}),
        ("BMP", {}),
    ],
)  # fmt: skip
def test_ordinary_files_are_read(tmp_path, kind, options):
    """Catches bounds that a picture comes upon, and a file that is not read from its start."""
    content = saved(kind, **options)
    (tmp_path / "a").write_bytes(content)
    for picture in (read_image(content), load_image(tmp_path / "a")):
        assert picture.pixels.shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize("prefix", ["<", ">"])
@pytest.mark.parametrize("large", [False, True])
def test_strips_are_counted_in_every_kind_of_tiff(prefix, large):
    """Catches a check that knows one byte order only."""
    mark = b"II" if prefix == "<" else b"MM"
    if large:
        head = mark + struct.pack(f"{prefix}HHHQ", 43, 8, 0, 16) + struct.pack(f"{prefix}Q", 1)
        content = head + struct.pack(f"{prefix}HHQQ", 273, 16, 400_000, 60) + bytes(8)
    else:
        head = mark + struct.pack(f"{prefix}HL", 42, 8) + struct.pack(f"{prefix}H", 1)
        content = head + struct.pack(f"{prefix}HHLL", 273, 4, 400_000, 60) + bytes(4)
    with pytest.raises(ImageError, match="400000 strips"):
        read_image(content)


@pytest.mark.parametrize("kind", [1, 3, 4, 16])
@pytest.mark.parametrize("order", "<>")
def test_the_sides_of_tiles_are_read_in_every_type(kind, order):
    """Catches a side that is written as another integer, elsewhere in the file, or twice."""
    layout = order + {1: "B", 3: "H", 4: "L", 16: "Q"}[kind]
    for twice in (False, True):
        entries = [(tag, kind, 200 if kind == 1 else 40_000) for tag in (322, 323)] + [(322, 3, 1)] * twice
        wanted = kind != 1  # 200 x 200 are few
        after = 8 + 2 + 12 * len(entries)
        content = struct.pack(f"{order}2sHLH", b"II" if order == "<" else b"MM", 42, 8, len(entries))
        for tag, one, value in entries:
            packed = struct.pack(layout if one == kind else order + "H", value)
            if len(packed) > 4:
                packed = struct.pack(order + "L", after)
            content += struct.pack(order + "HHL", tag, one, 1) + packed.ljust(4, b"\0")
        file = io.BytesIO(content + struct.pack(order + "Q", 40_000))
        if wanted:
            with pytest.raises(ImageError, match="tiles are much larger"):
                bounds.check_demand(file)
        else:
            bounds.check_demand(file)


@pytest.mark.parametrize("start", [b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"II*\0\xff\xff\xff\xff", b"GIF89a"])
@pytest.mark.parametrize("rest", [b"", b"\xff", bytes(40), b"\xff" * 300, b"!\xfe\xff" * 9])
def test_damage_is_left_to_the_library(start, rest):
    """Catches a check of what is asked for that itself stumbles over what is not there."""
    file = io.BytesIO(start + rest)
    bounds.check_demand(file)
    assert file.tell() == 0
    with pytest.raises(ImageError):
        read_image(start + rest)
