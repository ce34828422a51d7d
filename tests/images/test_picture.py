"""Pictures: nothing is lost in silence, refusals say why, files appear whole or not at all."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, PngImagePlugin

from maskmend.errors import ImageError, ImageSizeError, MaskError, OutputError
from maskmend.images.metadata import COMMENT
from maskmend.images.picture import Picture, load_image, picture_from, pil_from, read_image
from maskmend.images.tensors import to_tensor
from maskmend.images.writing import check_writable, encode_picture, save_image
from maskmend.masks.reading import as_mask

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (9, 14, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (9, 14), dtype=np.uint8)
LOSSLESS = ["png", "webp", "tif"]


def exif_block(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "A maker of cameras"
    exif.get_ifd(0x8769)[0x8827] = 400
    return exif


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


def test_a_still_gif_that_was_closed_can_be_used(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as image:
        image.load()
    assert picture_from(image).pixels.shape == PIXELS.shape


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF"])  # of a WebP the content is held
def test_an_image_closed_before_it_was_decoded_says_so(tmp_path, kind):
    """Catches an AssertionError of the imaging library, and a file called damaged that is not."""
    Image.fromarray(PIXELS).save(tmp_path / "a", kind)
    with Image.open(tmp_path / "a") as closed:
        pass
    with (tmp_path / "a").open("rb") as file:
        behind = Image.open(file)
    for image in (closed, behind):
        with pytest.raises(ImageError, match=r"closed.*load\(\)"):
            picture_from(image)
        with pytest.raises(MaskError, match=r"closed.*load\(\)"):
            as_mask(image)


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


def test_a_picture_does_not_change_with_the_array_it_came_from():
    """Catches a fill that turns black when the caller's buffer takes the next frame."""
    for form in (PIXELS.copy(), torch.from_numpy(PIXELS.copy()).permute(2, 0, 1)):
        picture = picture_from(form)
        form[:] = 0
        np.testing.assert_array_equal(picture.pixels, PIXELS)


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


def test_an_animation_is_refused_from_memory_too(tmp_path):
    """Catches the first frame filled for the whole."""
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "a.gif") as image:
        with pytest.raises(ImageError, match=r"several frames.*copy"):
            picture_from(image)
        picture_from(image.copy())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (torch.zeros(7, 4, 5, dtype=torch.uint8), r"tensor has shape \(7, 4, 5\)"),
        (torch.zeros(1, 7, 4, 5, dtype=torch.uint8), r"tensor has shape \(1, 7, 4, 5\)"),
        (torch.zeros(4, 5, dtype=torch.uint8), r"tensor has shape \(4, 5\)"),
        (torch.zeros(3, 4, 5, dtype=torch.int64), "tensor is torch.int64"),
        (torch.zeros(3, 4, 5, dtype=torch.bfloat16) - 1, "tensor is torch.bfloat16, too coarse"),
        (torch.full((3, 4, 5), -2.0), r"leaves \[-1, 1\]"),
        (np.zeros((0, 5), np.uint8), r"array has shape \(0, 5\)"),
    ],
)
def test_errors_tell_the_shape_that_was_given(wrong, words):
    """Catches a shape that the caller has never seen: turned, or with one axis more."""
    with pytest.raises(ImageError, match=words):
        picture_from(wrong)


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("alpha", [None, ALPHA])
def test_lossless_round_trip_keeps_pixels_alpha_profile_and_exif(tmp_path, suffix, alpha):
    """Catches dropped profiles and EXIF, and WebP rewriting the colour of transparent pixels."""
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Picture(pixels=PIXELS, alpha=alpha, icc=icc, exif=exif_block(1).tobytes())
    save_image(picture, tmp_path / f"a.{suffix}")
    again = load_image(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(again.pixels, PIXELS)
    if alpha is None:
        assert again.alpha is None
    else:
        np.testing.assert_array_equal(again.alpha, alpha)
    assert again.icc == icc
    assert again.exif is not None
    exif = Image.Exif()
    exif.load(again.exif)
    assert exif[0x010F] == "A maker of cameras"
    assert exif.get_ifd(0x8769)[0x8827] == 400
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{suffix}"]


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_grey_stays_grey(tmp_path, suffix):
    """Catches greyscale files coming back as RGB of three times the size."""
    grey = np.repeat(PIXELS[:, :, :1], 3, axis=2)
    save_image(Picture(pixels=grey, grey=True), tmp_path / f"a.{suffix}")
    with Image.open(tmp_path / f"a.{suffix}") as image:
        assert image.mode == "L"
    again = load_image(tmp_path / f"a.{suffix}")
    assert again.grey
    if suffix != "jpg":
        np.testing.assert_array_equal(again.pixels, grey)


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


@pytest.mark.parametrize("mode", ["P", "1", "PA", "L-key", "RGB-key", "P-key"])
def test_palettes_and_colour_keys_are_expanded(tmp_path, mode):
    """Catches palette indices taken for grey, and transparency by colour key being lost."""
    base, _, key = mode.partition("-")
    image = Image.fromarray(PIXELS).convert("RGBA" if base == "PA" else base)
    if base == "PA":
        image.putalpha(Image.fromarray(ALPHA))
        image = image.quantize(8)
    options = {"transparency": (1, 2, 3) if base == "RGB" else 3} if key else {}
    image.save(tmp_path / "a.png", **options)
    with Image.open(tmp_path / "a.png") as image:
        reference = image.convert("RGBA")
    picture = load_image(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.pixels, np.asarray(reference)[:, :, :3])
    assert (picture.alpha is not None) == (bool(key) or base == "PA")
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, np.asarray(reference)[:, :, 3])


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


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunks(png: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """These behind the head, which ends at byte 33."""
    return png[:33] + b"".join(chunk(*pair) for pair in chunks) + png[33:]


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


FRAMES = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
REFUSED = {
    "text.png": (b"no image", "cannot be read"),
    "empty.jpg": (b"", "cannot be read"),
    "grey16.png": (deep_png(0), "16 bits"),
    "rgb16.png": (deep_png(2), "16 bits"),
    "la16.png": (deep_png(4), "16 bits"),
    "rgba16.png": (deep_png(6), "16 bits"),
    "grey16.tif": (saved(Image.new("I;16", (4, 4)), "TIFF"), "16 bits"),
    "float.tif": (saved(Image.new("F", (4, 4)), "TIFF"), "32 bits"),
    "cmyk.jpg": (saved(Image.new("CMYK", (8, 8)), "JPEG"), "CMYK"),
    "cmyk.tif": (saved(Image.new("CMYK", (8, 8)), "TIFF"), "CMYK"),
    "lab.tif": (saved(Image.new("LAB", (8, 8)), "TIFF"), "LAB"),
    "moving.gif": (saved(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), "several frames"),
    "moving.png": (saved(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), "2 frames"),
    "moving.webp": (saved(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]), "2 frames"),
    "pages.tif": (saved(FRAMES[0], "TIFF", save_all=True, append_images=FRAMES[1:]), "several frames"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_kept_is_refused_by_name(tmp_path, name):
    """Catches silent flattening: 16-bit RGB read as 8-bit, the first frame of an animation, CMYK by
    formula."""
    content, words = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=words) as caught:
        load_image(tmp_path / name)
    assert name in str(caught.value)


def test_pictures_from_memory_agree():
    """Catches swapped axes or channels between the forms an image may come in."""
    forms = [
        PIXELS,
        Image.fromarray(PIXELS),
        torch.from_numpy(PIXELS).permute(2, 0, 1),
        to_tensor(PIXELS),
        Picture(pixels=PIXELS),
    ]
    for form in forms:
        picture = picture_from(form)
        np.testing.assert_array_equal(picture.pixels, PIXELS)
        assert picture.alpha is None
        assert not picture.grey
    both = picture_from(np.dstack([PIXELS, ALPHA]))
    np.testing.assert_array_equal(both.alpha, ALPHA)
    grey = picture_from(ALPHA)
    assert grey.grey
    np.testing.assert_array_equal(grey.pixels[:, :, 2], ALPHA)


@pytest.mark.parametrize(
    "wrong",
    [
        PIXELS.astype(np.float32),
        PIXELS.astype(np.uint16),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        torch.full((3, 4, 4), 3.0),
        torch.full((3, 4, 4), float("nan")),
        torch.zeros(2, 3, 4, 4),
        Image.new("I;16", (4, 4)),
        Image.new("CMYK", (4, 4)),
    ],
)
def test_wrong_arrays_are_refused(wrong):
    """Catches floats in 0..255 being clipped to white, and NaN to black."""
    with pytest.raises(ImageError):
        picture_from(wrong)


GAMMA_1 = struct.pack(">I", 100_000)
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


def test_save_refusals_leave_nothing_behind(tmp_path):
    """Catches partial output and a picture written where nobody asked for it."""
    for picture, path, words in [
        (Picture(pixels=PIXELS), tmp_path / "a.xyz", ".xyz"),
        (Picture(pixels=PIXELS), tmp_path / "plain", "suffix"),
        (Picture(pixels=PIXELS, alpha=ALPHA), tmp_path / "a.jpg", "alpha"),
        (Picture(pixels=PIXELS), tmp_path / "no" / "a.png", "folder"),
        (Picture(pixels=np.zeros((1, 17_000, 3), np.uint8)), tmp_path / "wide.webp", "cannot write"),
        (Picture(pixels=np.zeros((65_501, 1, 3), np.uint8)), tmp_path / "high.jpg", "65500 pixels a side"),
        (Picture(pixels=PIXELS, colour={"gAMA": GAMMA_1}), tmp_path / "a.jpg", "gAMA.*sRGB"),
    ]:
        with pytest.raises(ImageError, match=words):
            save_image(picture, path)
        # Before the work as after it.
        with pytest.raises(ImageError, match=rf"cannot write .*{words}|{words}"):
            check_writable(path, alpha=picture.alpha is not None, picture=picture)
    with pytest.raises(ImageError, match="quality"):
        save_image(Picture(pixels=PIXELS), tmp_path / "a.jpg", quality=0)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    """Catches overwriting in place: a full disk must not cost the picture that was there."""
    target = tmp_path / "a.png"
    target.write_bytes(b"old")

    def full(self: Path, other: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="No space"):
        save_image(Picture(pixels=PIXELS), target)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_new_files_follow_the_umask(tmp_path):
    """Catches results only their owner can read, as temporary-file helpers make them."""
    before = os.umask(0o022)
    try:
        save_image(Picture(pixels=PIXELS), tmp_path / "a.png")
    finally:
        os.umask(before)
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o644


# Contents of files


def test_a_file_s_content_is_read_like_the_file(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(path, icc_profile=b"a profile")
    from_file, from_bytes = load_image(path), read_image(path.read_bytes())
    np.testing.assert_array_equal(from_file.pixels, from_bytes.pixels)
    assert (from_file.icc, from_file.format) == (from_bytes.icc, from_bytes.format)
    with pytest.raises(ImageSizeError, match="the image has 4 x 4"):
        read_image(path.read_bytes(), max_pixels=15)
    with pytest.raises(ImageError, match="the image cannot be read"):
        read_image(b"nothing")


def test_webp_of_a_quality_is_smaller_than_a_lossless_one():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    picture = Picture(pixels=pixels, icc=b"a profile")
    exact, small = (encode_picture(picture, "WEBP", quality=30, lossless=choice) for choice in (True, False))
    assert len(small) < len(exact) / 2
    np.testing.assert_array_equal(read_image(exact).pixels, pixels)
    assert read_image(small).icc == b"a profile"


def test_what_a_format_cannot_hold_is_refused():
    picture = Picture(pixels=np.zeros((2, 2, 3), np.uint8), alpha=np.zeros((2, 2), np.uint8))
    for kind, quality, word in (("JPEG", 95, "alpha"), ("PNG", 0, "quality"), ("XCF", 95, "not supported")):
        with pytest.raises(ImageError, match=word):
            encode_picture(picture, kind, quality=quality)
