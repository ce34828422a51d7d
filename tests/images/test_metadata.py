"""What comes with the pixels: EXIF, XMP, resolution and texts are kept; garbled ones cost no picture."""

import numpy as np
import pytest
from picture_files import LOSSLESS, PIXELS, exif_block
from PIL import Image, PngImagePlugin

from maskmend.errors import ImageError
from maskmend.images.metadata import COMMENT
from maskmend.images.picture import Picture, load_image, picture_from, pil_from
from maskmend.images.writing import encode_picture, save_image

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" xmp:Rating="4"/></x:xmpmeta>'
)


@pytest.mark.parametrize("suffix", [*LOSSLESS, "jpg"])
@pytest.mark.parametrize("came", ["png", "jpg", "webp", "tif"])
def test_xmp_resolution_and_texts_are_kept(tmp_path, came, suffix):
    """Catches ratings, copyright and resolution dropped in silence, and an orientation that turns upright
    pixels once more."""
    texts = {COMMENT: "für \u732b"}
    picture = Picture(pixels=PIXELS, exif=exif_block(1).tobytes(), xmp=XMP, dpi=(300.0, 150.0), texts=texts)
    save_image(picture, tmp_path / f"a.{came}")
    save_image(load_image(tmp_path / f"a.{came}"), tmp_path / f"b.{suffix}")
    again = load_image(tmp_path / f"b.{suffix}")
    assert again.xmp is not None
    assert b'xmp:Rating="4"' in again.xmp
    assert b'Orientation="6"' not in again.xmp  # 1, or with TIFF gone
    assert again.exif is not None
    exif = Image.Exif()
    exif.load(again.exif)
    assert exif[0x010F] == "A maker of cameras"
    assert exif.get_ifd(0x8769)[0x8827] == 400
    if "webp" not in (came, suffix):
        assert again.dpi == pytest.approx((300, 150), abs=0.1)
    if came in ("png", "jpg") and suffix in ("png", "jpg"):
        assert again.texts == texts
    assert pil_from(again).info["xmp"] == again.xmp


def test_what_a_jpeg_cannot_hold_does_not_cost_the_picture(tmp_path):
    """Catches a fill that is lost for a comment: bytes of another encoding grow when they are read."""
    image = Image.fromarray(PIXELS)
    image.save(tmp_path / "a.jpg", comment=b"\xe9" * 60_000)
    picture = load_image(tmp_path / "a.jpg")
    long = Picture(
        pixels=PIXELS, texts=picture.texts, xmp=b"x" * 70_000, exif=b"Exif\0\0MM\0*" + bytes(65_524)
    )
    save_image(long, tmp_path / "b.jpg")
    again = load_image(tmp_path / "b.jpg")
    assert (again.texts, again.xmp, again.exif) == ({}, None, None)
    assert long.exif is not None
    fitting = Picture(pixels=PIXELS, exif=long.exif[:-1])
    save_image(fitting, tmp_path / "b.jpg")
    assert load_image(tmp_path / "b.jpg").exif == fitting.exif


def test_garbled_exif_beside_xmp_costs_no_picture(tmp_path):
    upright = XMP.replace(b'"6"', b'"1"')
    picture = Picture(pixels=PIXELS, exif=b"Exif\0\0 nonsense", xmp=upright)
    for suffix in LOSSLESS:
        save_image(picture, tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(load_image(tmp_path / f"a.{suffix}").pixels, PIXELS)


def test_profiles_written_as_text_do_not_turn_the_picture_again(tmp_path):
    """Catches ImageMagick's EXIF in a text chunk, which turned the pixels and came back beside them."""
    block = exif_block(6).tobytes()
    lines = "\n".join(block.hex()[i : i + 72] for i in range(0, 2 * len(block), 72))
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{lines}\n")
    chunks.add_text("Author", "somebody")
    Image.fromarray(PIXELS).save(tmp_path / "a.png", pnginfo=chunks)
    once = load_image(tmp_path / "a.png")
    assert once.pixels.shape == (14, 9, 3)
    assert once.texts == {"Author": "somebody"}
    save_image(once, tmp_path / "b.png")
    np.testing.assert_array_equal(load_image(tmp_path / "b.png").pixels, once.pixels)


def test_texts_that_unfold_are_left_out(tmp_path):
    """Catches an upload of kilobytes that comes back as megabytes."""
    chunks = PngImagePlugin.PngInfo()
    for n in range(3):
        chunks.add_text(f"text {n}", "x" * 500_000, zip=True)
    Image.fromarray(PIXELS).save(tmp_path / "a.png", pnginfo=chunks)
    assert (tmp_path / "a.png").stat().st_size < 10_000
    assert load_image(tmp_path / "a.png").texts == {}


def test_comments_of_old_programs_are_read(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", comment="Müller".encode("latin-1"))
    assert load_image(tmp_path / "a.jpg").texts == {COMMENT: "Müller"}


def test_no_resolution_is_made_up(tmp_path):
    """Catches the library's guess of 72 where there is only EXIF without one, and what no file can hold."""
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif_block(1))
    content = (tmp_path / "a.jpg").read_bytes()
    start = content.index(b"JFIF") - 4
    (tmp_path / "b.jpg").write_bytes(content[:start] + content[start + 18 :])
    assert load_image(tmp_path / "a.jpg").dpi is None
    assert load_image(tmp_path / "b.jpg").dpi is None
    Image.fromarray(PIXELS).save(tmp_path / "a.tif", dpi=(4_294_967_295, 4_294_967_295))
    assert load_image(tmp_path / "a.tif").dpi is None
    with pytest.raises(ImageError, match="cannot hold it"):
        encode_picture(Picture(pixels=PIXELS, dpi=(1e12, 1e12)), "PNG")


def test_damaged_exif_never_costs_the_picture(tmp_path):
    """Catches EXIF that can be read but not written again."""
    block, rng = exif_block(1).tobytes(), np.random.default_rng(0)
    for _ in range(300):
        garbled = bytearray(block)
        for place in rng.integers(6, len(block), 3):
            garbled[place] = rng.integers(256)
        encode_picture(Picture(pixels=PIXELS, exif=bytes(garbled)), "TIFF")


def test_a_turned_pictures_resolution_is_turned_too(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif_block(6), dpi=(300, 150))
    assert load_image(tmp_path / "a.jpg").dpi == (150, 300)


def test_a_resolution_of_nothing_is_left_out():
    for dpi in ((0, 0), None, (float("nan"), 1), "300"):
        image = Image.fromarray(PIXELS)
        image.info["dpi"] = dpi
        assert picture_from(image).dpi is None


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_orientation_is_applied_once_and_its_tag_reset(tmp_path, orientation, suffix):
    """Catches pictures on their side, and viewers that turn the result a second time."""
    upright = np.zeros((24, 40, 3), dtype=np.uint8)
    upright[:8, :8], upright[:8, -8:], upright[-8:, :8] = 255, 160, 80
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(
        path, exif=exif_block(orientation), quality=95, lossless=True
    )
    picture = load_image(path)
    assert np.abs(picture.pixels.astype(int) - upright).max() < 12
    assert picture.exif is not None
    exif = Image.Exif()
    exif.load(picture.exif)
    assert exif.get(0x0112, 1) == 1
    assert exif[0x010F] == "A maker of cameras"
    save_image(picture, tmp_path / f"b.{suffix}")
    assert load_image(tmp_path / f"b.{suffix}").pixels.shape == upright.shape


def test_exif_is_kept_byte_for_byte_but_for_the_orientation(tmp_path):
    """Catches maker notes broken by rewriting the block."""
    block = bytearray(exif_block(6).tobytes()) + b"maker note at an absolute offset"
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=bytes(block))
    kept = load_image(tmp_path / "a.jpg").exif
    assert kept is not None
    assert len(kept) == len(block)
    assert [(a, b) for a, b in zip(block, kept, strict=True) if a != b] == [(6, 1)]


@pytest.mark.parametrize("block", [b"garbage", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"])
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_garbled_exif_costs_neither_the_picture_nor_a_traceback(tmp_path, block, suffix):
    """Catches one bad tag making a good photo unreadable."""
    block = b"Exif\0\0" + block
    Image.fromarray(PIXELS).save(tmp_path / f"a.{suffix}", exif=block, lossless=True)
    picture = load_image(tmp_path / f"a.{suffix}")
    assert picture.pixels.shape == PIXELS.shape
    save_image(picture, tmp_path / f"b.{suffix}")
    assert load_image(tmp_path / f"b.{suffix}").exif == block
