"""The result of a fill: pictures with all they came with, uncertainty, tokens, steps."""

import io
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from PIL import Image, ImageCms

from fakes import CODES, box_mask, smooth_pixels
from maskmend.errors import ConfigError
from maskmend.fill.events import FillEvents
from maskmend.images.picture import load_image
from maskmend.images.tensors import to_tensor
from pipeline_parts import pictures

SIDE = 16
IMAGE = smooth_pixels(SIDE, SIDE)
MASK = box_mask(SIDE, SIDE, 3, 5, 11, 14)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_block(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "A maker of cameras"
    return exif.tobytes()


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_alpha_profile_exif_and_orientation_survive_to_the_saved_file(tiny_pipeline, tmp_path, suffix):
    """Catches anything of the file that a fill loses on the way."""
    pixels, alpha = smooth_pixels(20, 30), np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    Image.fromarray(np.dstack([pixels, alpha])).save(
        tmp_path / "in.png", icc_profile=ICC, exif=exif_block(6)
    )  # "turn me right": the upright picture is 20 wide
    picture = load_image(tmp_path / "in.png")
    assert picture.pixels.shape == (30, 20, 3)
    mask = box_mask(30, 20, 4, 5, 14, 13)
    result = tiny_pipeline(picture, mask)
    result.save(tmp_path / f"out{suffix}")
    again = load_image(tmp_path / f"out{suffix}")
    np.testing.assert_array_equal(again.pixels[~mask], np.rot90(pixels, -1)[~mask])
    np.testing.assert_array_equal(again.alpha, np.where(mask, 255, np.rot90(alpha, -1)))
    assert again.icc == ICC
    with Image.open(tmp_path / f"out{suffix}") as opened:
        exif = opened.getexif()
        assert exif[0x010F] == "A maker of cameras"
        assert exif.get(0x0112, 1) == 1


def test_images_of_a_result_keep_alpha_and_profile(tiny_pipeline, tmp_path):
    """Catches `result.images[0].save(...)` writing a file that lost its transparency."""
    source = Image.fromarray(np.dstack([IMAGE, np.full((SIDE, SIDE), 90, np.uint8)]))
    source.info["icc_profile"] = ICC
    (image,) = tiny_pipeline(source, MASK).images
    assert image.mode == "RGBA"
    image.save(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as again:
        assert again.mode == "RGBA"
        assert again.info["icc_profile"] == ICC


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_stays_grey(tiny_pipeline, tmp_path, mode):
    """Catches coloured fills in a grey picture, and known greys that change on the way through RGB."""
    source = Image.fromarray(IMAGE).convert(mode)
    result = tiny_pipeline(source, MASK)
    pixels = result.pictures[0].pixels
    assert (pixels == pixels[:, :, :1]).all()
    result.save(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as again:
        assert again.mode == ("LA" if mode == "LA" else "L")
        known = np.asarray(again.convert("L"))[~MASK]
        np.testing.assert_array_equal(known, np.asarray(source.convert("L"))[~MASK])


def test_save_takes_the_best_or_the_sample_asked_for(tiny_pipeline, tmp_path):
    result = tiny_pipeline(IMAGE, MASK, samples=4)
    result.save(tmp_path / "best.png")
    result.save(tmp_path / "second.png", 1)
    for name, number in (("best", result.best), ("second", 1)):
        again = load_image(tmp_path / f"{name}.png").pixels
        np.testing.assert_array_equal(again, result.pictures[number].pixels)


@settings(max_examples=40)
@given(pictures())
def test_uncertainty_is_zero_at_known_pixels_and_positive_in_the_hole(tiny_pipeline, picture):
    """Catches maps that are shifted, scaled beyond the hole, or negative beside a steep edge."""
    pixels, mask, _ = picture
    uncertainty = tiny_pipeline(pixels, mask, steps=1).uncertainty
    assert uncertainty.dtype == np.float32
    assert not uncertainty[~mask].any()
    assert (uncertainty[mask] > 0).all()
    assert uncertainty.max() <= np.log(CODES) + 1e-4


def test_tokens_and_hole_belong_together(tiny_pipeline):
    """Catches known tokens that are predicted anew, and mask tokens that are left over."""
    result = tiny_pipeline(IMAGE, MASK, samples=3)
    cells = MASK.reshape(4, 4, 4, 4).any(axis=(1, 3))
    np.testing.assert_array_equal(result.hole, cells)
    with torch.no_grad():
        image = torch.where(torch.from_numpy(MASK), result.region.image, to_tensor(IMAGE))
        known = tiny_pipeline.tokenizer.encode(image)[0].numpy()
    assert (result.tokens[:, ~cells] == known[~cells]).all()
    assert result.tokens.min() >= 0
    assert result.tokens.max() < CODES


def test_a_ring_and_a_share_change_which_tokens_are_predicted(tiny_pipeline):
    mask = box_mask(SIDE, SIDE, 5, 5, 7, 7)  # 4 pixels of 16 in one cell
    assert tiny_pipeline(IMAGE, mask).hole.sum() == 1
    assert tiny_pipeline(IMAGE, mask, ring=1).hole.sum() == 9
    result = tiny_pipeline(IMAGE, mask, share=0.25)
    assert result.hole.sum() == 0
    assert len(result.pictures) == 1
    assert not np.isnan(result.log_likelihood).any()


def test_callback_history_and_pictures_of_the_steps(tiny_pipeline):
    """Catches steps that are reported late, twice, or with another image's rows."""
    seen = []
    images = [IMAGE, smooth_pixels(SIDE, SIDE, 1)]
    results = tiny_pipeline(
        images, [MASK, MASK.T], steps=4, samples=2, events=FillEvents(on_step=seen.append)
    )
    assert [step.index for step in seen] == [1, 2, 3, 4]
    assert seen[0].tokens.shape == (4, SIDE)
    for row, result in enumerate(results):
        assert [step.index for step in result.history] == [1, 2, 3, 4]
        for step, whole in zip(result.history, seen, strict=True):
            assert torch.equal(step.tokens, whole.tokens[2 * row : 2 * row + 2])
        left = [int(step.masked[0].sum()) for step in result.history]
        assert left == sorted(left, reverse=True)
        assert left[-1] == 0
        np.testing.assert_array_equal(result.history[-1].tokens.view(2, 4, 4), result.tokens)
        for sample, filled in enumerate(result.images):
            last = tiny_pipeline.draw_step(result, 4, sample)
            np.testing.assert_array_equal(np.asarray(last), np.asarray(filled))
        first = np.asarray(tiny_pipeline.draw_step(result, 1))
        np.testing.assert_array_equal(first[~result.mask], result.source.pixels[~result.mask])


def test_draw_step_refuses_a_step_that_was_not_taken(tiny_pipeline):
    result = tiny_pipeline(IMAGE, MASK, steps=3)
    for step in (0, 4, -1):
        with pytest.raises(ConfigError, match=f"step = {step}: .* 3 steps"):
            tiny_pipeline.draw_step(result, step)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("sample", [2, 5, -1, 0.0, "1"])
def test_a_sample_that_there_is_not_is_refused(tiny_pipeline, tmp_path, sample):
    """Catches an IndexError, or another sample than was meant."""
    result = tiny_pipeline(IMAGE, MASK, steps=3, samples=2)
    wanted = re.escape(f"sample = {sample!r}: this fill has 2 samples, give 0 to 1")
    for call in (
        lambda: tiny_pipeline.draw_step(result, 1, sample),
        lambda: tiny_pipeline.draw_candidate(result, 1, sample),
        lambda: result.save(tmp_path / "a.png", sample),
    ):
        with pytest.raises(ConfigError, match=wanted):
            call()
    assert list(tmp_path.iterdir()) == []
    result.save(tmp_path / "a.png", np.int64(1))
    with pytest.raises(ConfigError, match=r"step = 1.5: this fill took 3 steps, give 1 to 3"):
        tiny_pipeline.draw_step(result, 1.5)


def test_an_empty_mask_has_no_steps_to_draw(tiny_pipeline):
    """Catches the advice to give a step from 1 to 0."""
    result = tiny_pipeline(IMAGE, np.zeros_like(MASK))
    with pytest.raises(ConfigError, match="step = 1: nothing was predicted"):
        tiny_pipeline.draw_step(result, 1)


def test_draw_tokens_is_the_decoder_alone(tiny_pipeline):
    result = tiny_pipeline(IMAGE, MASK, samples=2, seam="hard")
    for drawn, filled in zip(
        tiny_pipeline.draw_tokens(result.tokens, result.region), result.pictures, strict=True
    ):
        np.testing.assert_array_equal(np.asarray(drawn)[MASK], filled.pixels[MASK])


def test_seconds_of_each_stage_are_kept(tiny_pipeline):
    tiny_pipeline(IMAGE, MASK)
    assert set(tiny_pipeline.seconds) == {"crop", "encode", "predict", "draw", "composite"}
    assert all(spent >= 0 for spent in tiny_pipeline.seconds.values())


def test_a_result_prints_in_a_line(tiny_pipeline):
    """Catches a notebook full of arrays."""
    result = tiny_pipeline(IMAGE, MASK, steps=1, samples=2, seed=3)
    share = 100 * MASK.mean()
    assert repr(result) == f"<Inpainted {SIDE} x {SIDE}, {share:.1f} % filled, seeds 3, 4>"


def test_a_result_shows_itself_in_a_notebook(tiny_pipeline):
    """Catches a result of which a notebook shows a line of text, and pictures too large for its file."""
    result = tiny_pipeline(IMAGE, MASK, steps=1, seed=3)
    assert result._repr_html_() is None
    with Image.open(io.BytesIO(result._repr_png_())) as shown:
        np.testing.assert_array_equal(np.asarray(shown), result.pictures[0].pixels)
    several = tiny_pipeline(IMAGE, MASK, steps=1, samples=3, seed=3)
    html = several._repr_html_()
    assert [html.count(f"seed {seed}") for seed in (3, 4, 5)] == [2, 2, 2]
    assert html.count("<img ") == 3
    assert html.count("(best)") == 2
    large = np.zeros((1500, 30, 3), np.uint8)
    untouched = tiny_pipeline(large, np.zeros((1500, 30), bool))
    with Image.open(io.BytesIO(untouched._repr_png_())) as shown:
        assert shown.height == 1024
