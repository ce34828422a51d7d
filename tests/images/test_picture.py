"""Pictures: nothing is lost in silence, refusals say why, files appear whole or not at all."""

import numpy as np
import pytest
import torch
from picture_files import ALPHA, FRAMES, LOSSLESS, PIXELS, deep_png, exif_block, saved
from PIL import Image, ImageCms

from maskmend.errors import ImageError, ImageSizeError, MaskError
from maskmend.images.picture import Picture, load_image, picture_from, read_image
from maskmend.images.tensors import to_tensor
from maskmend.images.writing import save_image
from maskmend.masks.reading import as_mask


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


def test_a_picture_does_not_change_with_the_array_it_came_from():
    """Catches a fill that turns black when the caller's buffer takes the next frame."""
    for form in (PIXELS.copy(), torch.from_numpy(PIXELS.copy()).permute(2, 0, 1)):
        picture = picture_from(form)
        form[:] = 0
        np.testing.assert_array_equal(picture.pixels, PIXELS)


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
