"""Masks: polarity, threshold and alpha rules, sizes that do not fit, tokens touched, crops around the
hole."""

import struct
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import maskmend
from maskmend.errors import ConfigError, MaskError, MaskWarning
from maskmend.masks.morphology import grow, token_hole
from maskmend.masks.options import MaskOptions
from maskmend.masks.reading import as_mask, load_mask, read_mask, reads_alpha

RNG = np.random.default_rng(0)
SAMPLES = Path(maskmend.__file__).parent / "assets" / "samples"
HOLE = RNG.random((12, 17)) < 0.4
WHITE = HOLE.astype(np.uint8) * 255


def every_form() -> dict[str, object]:
    layer = np.dstack([np.full((12, 17, 3), 90, np.uint8), 255 - WHITE])
    return {
        "bool": HOLE,
        "0/1 bytes": HOLE.astype(np.uint8),
        "0/1 longs": HOLE.astype(np.int64),
        "bytes": WHITE,
        "words": HOLE.astype(np.uint16) * 65535,
        "float": HOLE.astype(np.float32),
        "one channel": WHITE[:, :, None],
        "rgb": np.dstack([WHITE] * 3),
        "pil L": Image.fromarray(WHITE),
        "pil 1": Image.fromarray(WHITE).convert("1"),
        "pil rgb": Image.fromarray(WHITE).convert("RGB"),
        "pil opaque rgba": Image.fromarray(WHITE).convert("RGBA"),
        "pil opaque la": Image.fromarray(WHITE).convert("LA"),
        "pil palette": Image.fromarray(WHITE).convert("P"),
        "pil words": Image.fromarray(HOLE.astype(np.uint16) * 65535),
        "alpha": layer,
        "pil alpha": Image.fromarray(layer),
        "tensor": torch.from_numpy(HOLE),
        "tensor 1hw": torch.from_numpy(WHITE)[None],
        "tensor 11hw": torch.from_numpy(HOLE)[None, None].float(),
        "tensor alpha": torch.from_numpy(layer).permute(2, 0, 1),
    }


@pytest.mark.parametrize("form", every_form())
def test_every_form_of_the_same_mask_is_the_same_mask(form):
    """Catches 0/1 bytes read as black, transposed tensors, inverted alpha, 16-bit masks cut at 127."""
    mask = every_form()[form]
    np.testing.assert_array_equal(as_mask(mask, size=(12, 17)), HOLE)
    np.testing.assert_array_equal(as_mask(mask, options=MaskOptions(invert=True)), ~HOLE)


def test_threshold_cuts_jpeg_noise(tmp_path):
    """Catches every non-black pixel of a JPEG mask becoming a hole."""
    hole = np.zeros((64, 64), dtype=bool)
    hole[16:40, 8:48] = True
    Image.fromarray(hole.astype(np.uint8) * 255).save(tmp_path / "mask.jpg", quality=30)
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.jpg"), hole)
    grey = np.array([[0, 127, 128, 255]], dtype=np.uint8)
    assert as_mask(grey).tolist() == [[False, False, True, True]]
    assert as_mask(grey, options=MaskOptions(threshold=0.9)).tolist() == [[False, False, False, True]]


def test_a_dark_image_file_of_ones_is_not_taken_for_a_mask_of_ones():
    """Catches black JPEG masks whose noise of 1 in 255 would be read as 0/1 labels, and label images that
    would pass for empty masks; the threshold of the message takes the labels."""
    ones = Image.fromarray(HOLE.astype(np.uint8))
    with pytest.raises(MaskError, match=r"not black.*0\.00392 of white.*--mask-threshold 0\.002"):
        as_mask(ones)
    np.testing.assert_array_equal(as_mask(ones, options=MaskOptions(threshold=0.002)), HOLE)
    assert not as_mask(Image.new("L", (4, 4))).any()


@pytest.mark.parametrize("invert", [False, True])
def test_dark_paint_is_no_empty_mask(invert):
    """Catches red on black, of which nothing is as bright as the threshold, taken for nothing at all."""
    red = np.zeros((*HOLE.shape, 3), np.uint8)
    red[HOLE] = (255, 0, 0)
    with pytest.raises(MaskError, match=r"0\.299 of white.*--mask-threshold 0\.15"):
        as_mask(red, options=MaskOptions(invert=invert))
    np.testing.assert_array_equal(
        as_mask(red, options=MaskOptions(threshold=0.15, invert=invert)), invert != HOLE
    )


def test_a_photograph_given_as_mask_is_told_unless_it_is_meant():
    """Catches image and mask swapped, of which nothing was said; a threshold that switches the check off; and
    warnings where alpha says what is meant."""
    path = SAMPLES / "00385.png"
    floats = np.asarray(Image.open(path).convert("L"), np.float32) / 255
    refuse, threshold = MaskOptions(photo_check="refuse"), MaskOptions(threshold=0.5)
    for read in (
        lambda **more: load_mask(path, **more),
        lambda **more: as_mask(Image.open(path), **more),
        lambda **more: read_mask(path.read_bytes(), size=(64, 64), **more),
    ):
        with pytest.warns(MaskWarning, match=r"looks like a photograph.*swapped"):
            np.testing.assert_array_equal(read(), floats >= 0.5)
        with pytest.warns(MaskWarning):
            read(options=threshold)
        with pytest.raises(MaskError, match=r"looks like a photograph.*swapped.*--mask-photo-check off"):
            read(options=refuse)
        notes = []
        read(note=notes.append)
        assert len(notes) == 1
        read(options=MaskOptions(photo_check="off"))
    with pytest.raises(MaskError, match="photograph"):
        as_mask(floats, options=MaskOptions(invert=True, photo_check="refuse"))
    # Of a dark one the threshold that would be given anyway: one refusal, not two
    dark = 0.49 / floats.max() * floats
    with pytest.raises(MaskError, match=r"brightest pixel is 0\.49 .*--mask-threshold 0\.2"):
        as_mask(dark)
    hole = np.zeros((64, 64), bool)
    hole[10:30, 20:50] = True
    erased = np.dstack([np.asarray(Image.open(path).convert("RGB")), np.where(hole, 0, 255).astype(np.uint8)])
    np.testing.assert_array_equal(as_mask(erased), hole)


def test_a_soft_edge_of_alpha_is_not_taken_for_the_mask():
    """Catches white paint that is ignored for one pixel of alpha 254, with advice to paint white."""
    layer = np.dstack([WHITE] * 3 + [np.full_like(WHITE, 255)])
    layer[0, 0, 3] = 254
    with pytest.raises(MaskError, match=r"alpha.*0\.4% transparent.*--mask-channel luma"):
        as_mask(layer)
    np.testing.assert_array_equal(as_mask(layer, options=MaskOptions(channel="luma")), HOLE)


def test_who_speaks_can_be_asked(tmp_path):
    """Catches a note about alpha that is printed for opaque masks, or missing for painted layers."""
    layer = np.dstack([WHITE] * 4)
    Image.fromarray(layer).save(tmp_path / "layer.png")
    Image.fromarray(WHITE).save(tmp_path / "plain.png")
    assert reads_alpha(tmp_path / "layer.png")
    assert not reads_alpha(tmp_path / "layer.png", "luma")
    assert not reads_alpha(tmp_path / "plain.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(MaskError, match="cannot be read"):
        reads_alpha(tmp_path / "bad.png")


def test_alpha_rule():
    """Catches the wrong channel speaking: auto takes alpha only where it varies, luma and alpha as told."""
    opaque = np.dstack([WHITE] * 3 + [np.full_like(WHITE, 255)])
    erased = np.dstack([WHITE.T[:17, :12].T] * 3 + [np.where(~HOLE, 0, 255).astype(np.uint8)])
    np.testing.assert_array_equal(as_mask(opaque), HOLE)
    assert not as_mask(opaque, options=MaskOptions(channel="alpha")).any()
    np.testing.assert_array_equal(as_mask(erased), ~HOLE)
    np.testing.assert_array_equal(as_mask(erased, options=MaskOptions(channel="alpha")), ~HOLE)
    np.testing.assert_array_equal(as_mask(erased, options=MaskOptions(channel="luma")), HOLE)
    with pytest.raises(MaskError, match="no alpha"):
        as_mask(WHITE, options=MaskOptions(channel="alpha"))


@pytest.mark.parametrize(
    "wrong",
    [
        np.full((4, 4), 2.0),
        np.full((4, 4), np.nan),
        np.full((4, 4), -1),
        np.full((4, 4), 300),
        np.zeros((4, 4, 5), bool),
        np.zeros((2, 3, 4, 4), bool),
        np.zeros((0, 4), bool),
        Image.new("CMYK", (4, 4)),
    ],
)
def test_numbers_that_are_no_mask_are_refused(wrong):
    """Catches NaN or label maps silently becoming an empty mask."""
    with pytest.raises(MaskError):
        as_mask(wrong)


def test_bad_options_are_refused():
    """Catches threshold 0 (everything a hole) and misspelt channels."""
    for threshold in (0.0, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="threshold"):
            as_mask(HOLE, options=MaskOptions(threshold=threshold))
    # Where the annotations are checked at run time, the checker is first to speak.
    with pytest.raises((ConfigError, jaxtyping.TypeCheckError), match="channel"):
        as_mask(HOLE, options=MaskOptions(channel="alfa"))  # type: ignore[arg-type]


def test_another_size_is_refused_with_the_remedy_or_fitted(tmp_path):
    """Catches silent rescaling, and a fit that shifts the mask by half a pixel."""
    Image.fromarray(WHITE).save(tmp_path / "mask.png")
    with pytest.raises(MaskError, match=r"17 x 12.*34 x 24.*--fit-mask"):
        load_mask(tmp_path / "mask.png", size=(24, 34))
    doubled = load_mask(tmp_path / "mask.png", size=(24, 34), options=MaskOptions(fit=True))
    np.testing.assert_array_equal(doubled, HOLE.repeat(2, axis=0).repeat(2, axis=1))
    np.testing.assert_array_equal(as_mask(doubled, size=(12, 17), options=MaskOptions(fit=True)), HOLE)


def test_unreadable_mask_files_are_mask_errors(tmp_path):
    """Catches a traceback of the imaging library reaching the user."""
    (tmp_path / "text.png").write_text("no image")
    for name in ("missing.png", "text.png"):
        with pytest.raises(MaskError, match=name):
            load_mask(tmp_path / name)


def test_mask_files_follow_the_exif_orientation(tmp_path):
    """Catches a phone's mask lying on its side over an image that was turned upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(WHITE).copy()).save(tmp_path / "mask.png", exif=exif)
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.png", size=(12, 17)), HOLE)
    with Image.open(tmp_path / "mask.png") as image:
        np.testing.assert_array_equal(as_mask(image, size=(12, 17)), HOLE)
    content = (tmp_path / "mask.png").read_bytes()
    np.testing.assert_array_equal(read_mask(content, size=(12, 17)), HOLE)


def test_masks_of_the_other_byte_order_are_read():
    """Catches 16-bit masks refused that a scanner's program wrote big end first."""
    white = np.where(HOLE, 65535, 0)
    np.testing.assert_array_equal(as_mask(white.astype(">u2")), HOLE)
    np.testing.assert_array_equal(as_mask(white.astype("<u2")), HOLE)
    big = struct.pack(">2sHIH", b"MM", 42, 8, 8)
    tags = [(256, 17), (257, 12), (258, 16), (259, 1), (262, 1), (273, 110), (277, 1), (279, 2 * HOLE.size)]
    big += b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in tags) + bytes(4)
    content = big + white.astype(">u2").tobytes()
    assert len(big) == 110
    np.testing.assert_array_equal(read_mask(content, size=(12, 17)), HOLE)


@given(
    seed=st.integers(0, 2**31),
    h=st.integers(1, 6),
    w=st.integers(1, 6),
    patch=st.sampled_from([1, 2, 4]),
    ring=st.integers(0, 2),
    share=st.sampled_from([0.0, 0.3, 0.5]),
)
def test_token_hole_agrees_with_a_plain_loop(seed, h, w, patch, ring, share):
    """Catches a hole pixel whose token stays known, and rings that grow along one axis only."""
    rng = np.random.default_rng(seed)
    mask = torch.from_numpy(rng.random((2, 1, h * patch, w * patch)) < rng.choice([0.02, 0.3]))
    touched = np.zeros((2, h, w), dtype=bool)
    for b, y, x in np.ndindex(2, h, w):
        cell = mask[b, 0, y * patch : (y + 1) * patch, x * patch : (x + 1) * patch]
        touched[b, y, x] = cell.float().mean() > share
    expected = np.zeros_like(touched)
    for b, y, x in np.ndindex(2, h, w):
        expected[b, y, x] = touched[b, max(y - ring, 0) : y + ring + 1, max(x - ring, 0) : x + ring + 1].any()
    np.testing.assert_array_equal(token_hole(mask, patch, ring, share).numpy(), expected)


def test_token_hole_refuses_sizes_that_leave_part_cells():
    """Catches the last rows of a mask being dropped."""
    with pytest.raises(MaskError, match="10 x 8"):
        token_hole(torch.zeros(1, 1, 8, 10, dtype=torch.bool), 4)
    with pytest.raises(ConfigError, match="ring"):
        token_hole(torch.zeros(1, 1, 8, 8, dtype=torch.bool), 4, ring=-1)


@pytest.mark.parametrize(("alpha", "filled"), [(0, True), (255, False)])
def test_an_eraser_that_took_everything(alpha: int, filled: bool) -> None:
    """Would catch a wholly erased mask read as an empty one."""
    layer = Image.new("RGBA", (5, 4), (0, 0, 0, alpha))
    assert as_mask(layer).all() == filled
    assert as_mask(layer).any() == filled


# Growing


@given(st.integers(0, 5), st.integers(0, 2**31))
def test_a_grown_mask_holds_all_within_reach_and_nothing_else(pixels, seed):
    """Catches a hole that grows by squares, or that is cut off at the border of what was looked at."""
    mask = np.random.default_rng(seed).random((12, 17)) < 0.03
    rows, columns = np.mgrid[0:12, 0:17]
    wanted = mask.copy()
    for row, column in np.argwhere(mask):
        wanted |= (rows - row) ** 2 + (columns - column) ** 2 <= pixels**2
    np.testing.assert_array_equal(grow(mask, pixels), wanted)


def test_a_mask_does_not_shrink():
    with pytest.raises(ConfigError, match="0 or more"):
        grow(np.ones((2, 2), bool), -1)


def test_a_mask_s_content_is_read_like_its_file(tmp_path):
    mask = np.eye(6, dtype=bool)
    Image.fromarray(mask).convert("L").save(tmp_path / "mask.png")
    content = (tmp_path / "mask.png").read_bytes()
    np.testing.assert_array_equal(read_mask(content, size=(6, 6)), mask)
    np.testing.assert_array_equal(read_mask(content, size=(6, 6), options=MaskOptions(invert=True)), ~mask)
    for wrong, word in ((b"nothing", "cannot be used"), (content[:-30], "damaged")):
        with pytest.raises(MaskError, match=word):
            read_mask(wrong, size=(6, 6))
