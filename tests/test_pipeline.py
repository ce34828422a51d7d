"""The whole way on a tiny model: what must stay stays, what was hidden stays hidden, a seed is a picture."""

import io
import json
import os
import re
import shutil
import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

import maskmend
from fakes import CODES, box_mask, smooth_pixels, tiny_models
from maskmend.errors import ConfigError, ImageError, MaskError, MaskmendError, ModelError
from maskmend.fill.compositing import SEAMS
from maskmend.fill.events import FillEvents
from maskmend.images.infill import STRATEGIES
from maskmend.images.picture import Picture, load_image
from maskmend.images.tensors import to_tensor
from maskmend.images.writing import save_image
from maskmend.inference.kernel_caches import LIMITS
from maskmend.masks.reading import load_mask
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.component import save_transformer
from maskmend.pretrained.lookup import find_model
from maskmend.settings import ORDERS, Settings

SIDE = 16
IMAGE = smooth_pixels(SIDE, SIDE)
MASK = box_mask(SIDE, SIDE, 3, 5, 11, 14)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@st.composite
def pictures(draw, largest=50):
    """Pixels and a mask: smaller, larger and longer than the model's square, empty and full holes too."""
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    pixels = smooth_pixels(height, width, int(rng.integers(99)))
    if draw(st.booleans()):
        pixels = rng.choice(np.array([0, 255], np.uint8), pixels.shape)
    mask = rng.random((height, width)) < draw(st.sampled_from([0.0, 0.0, 0.05, 1.0]))
    if draw(st.booleans()):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        mask[top : top + draw(st.integers(1, 20)), left : left + draw(st.integers(1, 20))] = True
    return pixels, mask, rng


@pytest.fixture(scope="module", params=["prefix", "full", "levels"])
def pipes(request, tiny_pipeline):
    """A pipeline for each attention pattern, the second without hints and with a decoder of tokens alone; and
    one that draws wide holes anew at finer scales and interpolates plain ones."""
    if request.param == "prefix":
        return tiny_pipeline
    if request.param == "levels":
        return InpaintPipeline(*tiny_models(guesses=True), Settings(plain=8.0))
    return InpaintPipeline(*tiny_models(attention="full", hints=False, sees_known=False))


def assert_same(one, two):
    """Every picture, token and figure of two results, to the bit."""
    for a, b in zip(one.pictures, two.pictures, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
    np.testing.assert_array_equal(one.tokens, two.tokens)
    np.testing.assert_array_equal(one.uncertainty, two.uncertainty)
    np.testing.assert_array_equal(one.log_likelihood, two.log_likelihood)


def assert_alike(one, two):
    """Every picture and token to the bit; figures but for rounding, which depends on the size of a batch."""
    for a, b in zip(one.pictures, two.pictures, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
    np.testing.assert_array_equal(one.tokens, two.tokens)
    np.testing.assert_allclose(one.uncertainty, two.uncertainty, atol=1e-5)
    np.testing.assert_allclose(one.log_likelihood, two.log_likelihood, atol=1e-5)


# What must not change


@settings(max_examples=60)
@given(pictures(), st.sampled_from(SEAMS), st.sampled_from(sorted(STRATEGIES)), st.integers(0, 2))
def test_known_pixels_come_back_bit_identical(tiny_pipeline, picture, seam, infill, ring):
    """Catches seams, rings, scaling or rounding that touch a pixel outside the mask."""
    pixels, mask, _ = picture
    result = tiny_pipeline(pixels, mask, seam=seam, infill=infill, ring=ring, steps=2, samples=2)
    assert len(result.pictures) == 2
    for filled in result.pictures:
        assert filled.pixels.shape == pixels.shape
        np.testing.assert_array_equal(filled.pixels[~mask], pixels[~mask])


@settings(max_examples=60)
@given(pictures(), st.sampled_from(SEAMS), st.sampled_from(sorted(STRATEGIES)), st.data())
def test_pixels_inside_the_hole_are_ignored(tiny_pipeline, picture, seam, infill, data):
    """Catches any way for the erased content to reach the fill: scaling, encoding, seams, share of a cell."""
    pixels, mask, rng = picture
    content = data.draw(st.sampled_from(["noise", "black", "white"]))
    hidden = {
        "noise": rng.choice(np.array([0, 255], np.uint8), pixels.shape),
        "black": np.zeros_like(pixels),
        "white": np.full_like(pixels, 255),
    }[content]
    other = np.where(mask[:, :, None], hidden, pixels)
    options = {
        "seam": seam,
        "infill": infill,
        "steps": 2,
        "share": data.draw(st.sampled_from([0.0, 0.4])),
        "ring": data.draw(st.integers(0, 1)),
        "context": data.draw(st.sampled_from([0.0, 0.75, 3.0])),
    }
    one, two = tiny_pipeline(pixels, mask, **options), tiny_pipeline(other, mask, **options)
    if mask.any():
        assert_same(one, two)


def test_hidden_content_plays_no_part_in_a_large_picture(tiny_pipeline):
    """Catches a leak through scaling, and through Poisson's coarse levels, at the size of a photo."""
    pixels, mask = smooth_pixels(420, 500, 1), box_mask(420, 500, 30, 40, 390, 380)
    other = pixels.copy()
    other[mask] = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (int(mask.sum()), 3))
    one, two = tiny_pipeline(pixels, mask), tiny_pipeline(other, mask)
    assert_same(one, two)
    np.testing.assert_array_equal(one.pictures[0].pixels[~mask], pixels[~mask])


def test_alpha_inside_the_hole_plays_no_part(tiny_pipeline):
    """Catches the erased part's transparency showing in the result."""
    rng = np.random.default_rng(0)
    alpha = rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    one = tiny_pipeline(np.dstack([IMAGE, alpha]), MASK)
    two = tiny_pipeline(np.dstack([IMAGE, np.where(MASK, 255 - alpha, alpha)]), MASK)
    assert_same(one, two)
    np.testing.assert_array_equal(one.pictures[0].alpha, two.pictures[0].alpha)
    np.testing.assert_array_equal(one.pictures[0].alpha[~MASK], alpha[~MASK])
    assert (one.pictures[0].alpha[MASK] == 255).all()


# Seeds and batches


def test_a_seed_gives_the_same_picture_alone_and_in_any_row(pipes):
    """Catches noise, padding or packing that depends on the company: empty, full and ragged holes."""
    masks = [
        MASK,
        np.zeros((SIDE, SIDE), bool),
        np.ones((SIDE, SIDE), bool),
        box_mask(SIDE, SIDE, 0, 0, 1, 1),
        MASK | box_mask(SIDE, SIDE, 0, 0, 2, 9),
    ]
    images = [smooth_pixels(SIDE, SIDE, seed) for seed in range(5)]
    alone = [pipes(image, mask, seed=7) for image, mask in zip(images, masks, strict=True)]
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 1, 3], [3, 0], [2, 1]):
        together = pipes([images[i] for i in order], [masks[i] for i in order], seed=7)
        for i, result in zip(order, together, strict=True):
            np.testing.assert_array_equal(result.pictures[0].pixels, alone[i].pictures[0].pixels)
            np.testing.assert_array_equal(result.tokens, alone[i].tokens)
            np.testing.assert_allclose(result.uncertainty, alone[i].uncertainty, atol=1e-4)
            np.testing.assert_allclose(result.log_likelihood, alone[i].log_likelihood, atol=1e-4)


def test_samples_are_the_fills_of_consecutive_seeds(pipes):
    """Catches samples that cannot be made again one by one."""
    four = pipes(IMAGE, MASK, samples=4, seed=3)
    assert four.seeds == (3, 4, 5, 6)
    for n, seed in enumerate(four.seeds):
        one = pipes(IMAGE, MASK, seed=seed)
        np.testing.assert_array_equal(one.tokens[0], four.tokens[n])
        np.testing.assert_array_equal(one.pictures[0].pixels, four.pictures[n].pixels)
    assert len({tokens.tobytes() for tokens in four.tokens}) == 4
    assert four.best == int(np.argmax(four.log_likelihood))


def test_each_image_may_have_its_own_seed(tiny_pipeline):
    """Catches seeds that go to the wrong image once some holes are empty."""
    empty = np.zeros_like(MASK)
    results = tiny_pipeline([IMAGE, IMAGE, IMAGE], [MASK, empty, MASK], seed=[1, 2, 30], samples=2)
    assert [r.seeds for r in results] == [(1, 2), (2, 3), (30, 31)]
    assert_alike(results[2], tiny_pipeline(IMAGE, MASK, seed=30, samples=2))


@pytest.mark.parametrize("order", ORDERS)
def test_different_seeds_differ(tiny_pipeline, order):
    fills = {tiny_pipeline(IMAGE, MASK, seed=seed, order=order).tokens.tobytes() for seed in range(5)}
    assert len(fills) == 5


def test_global_random_state_is_left_alone(tiny_pipeline, tiny_model):
    """Catches a fill, or the loading of a model, that shifts the caller's random numbers."""
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    InpaintPipeline.from_pretrained(tiny_model)
    tiny_pipeline(IMAGE, MASK)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


# Empty and full holes


def test_an_empty_mask_returns_the_image_and_says_so(tiny_pipeline):
    result = tiny_pipeline(IMAGE, np.zeros_like(MASK), samples=2)
    assert result.note is not None
    assert "empty" in result.note
    assert len(result.pictures) == 2
    np.testing.assert_array_equal(result.pictures[1].pixels, IMAGE)
    assert result.history == ()
    assert result.uncertainty.shape == MASK.shape
    assert not result.uncertainty.any()
    with pytest.raises(ConfigError, match="step = 1"):
        tiny_pipeline.draw_step(result, 1)


@pytest.mark.parametrize("shape", [(SIDE, SIDE), (40, 60), (5, 9), (1, 1)])
def test_a_full_mask_is_drawn_from_nothing(pipes, shape):
    """Catches means over no known pixel, attention over nothing, seams without a known side."""
    results = [
        pipes(np.full((*shape, 3), grey, np.uint8), np.ones(shape, bool), seam="poisson") for grey in (0, 255)
    ]
    assert_same(*results)
    assert results[0].hole.all()
    assert results[0].pictures[0].pixels.shape == (*shape, 3)
    assert (results[0].uncertainty > 0).all()


# What comes in


def test_pil_numpy_torch_and_picture_are_the_same_image(tiny_pipeline):
    """Catches a kind of input that is scaled, transposed or rounded differently."""
    wanted = tiny_pipeline(IMAGE, MASK)
    tensor = to_tensor(IMAGE)[0]
    for image in (
        Image.fromarray(IMAGE),
        tensor,
        torch.from_numpy(IMAGE).permute(2, 0, 1),
        Picture(pixels=IMAGE),
    ):
        assert_same(tiny_pipeline(image, MASK), wanted)
    white = MASK.astype(np.uint8) * 255
    for mask in (Image.fromarray(white), torch.from_numpy(MASK)[None], white, MASK.astype(np.float32)):
        assert_same(tiny_pipeline(IMAGE, mask), wanted)


def test_a_list_or_a_stacked_array_is_a_batch(tiny_pipeline):
    """Catches a batch of one that comes back as a single result, and one image that comes back as a list."""
    images = np.stack([IMAGE, smooth_pixels(SIDE, SIDE, 1)])
    masks = np.stack([MASK, MASK.T])
    wanted = tiny_pipeline(list(images), list(masks))
    tensors = torch.cat([to_tensor(image) for image in images])
    for batch in (
        (images, masks),
        (tensors, torch.from_numpy(masks)),
        (tensors, torch.from_numpy(masks)[:, None]),
    ):
        results = tiny_pipeline(*batch)
        assert len(results) == 2
        for result, one in zip(results, wanted, strict=True):
            assert_alike(result, one)
    (only,) = tiny_pipeline(images[:1], masks[:1])
    assert_alike(only, wanted[0])
    (only,) = tiny_pipeline([IMAGE], MASK)
    assert_alike(only, wanted[0])


def test_pictures_of_different_sizes_go_in_one_batch(tiny_pipeline):
    sizes = [(SIDE, SIDE), (50, 30), (7, 90)]
    images = [smooth_pixels(*size) for size in sizes]
    masks = [box_mask(*size, 1, 2, 6, 7) for size in sizes]
    for result, size in zip(tiny_pipeline(images, masks), sizes, strict=True):
        assert result.pictures[0].pixels.shape == (*size, 3)
        assert result.uncertainty.shape == size


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda p: p([IMAGE, IMAGE], MASK), ImageError, "2 images and 1 masks"),
        (lambda p: p([], []), ImageError, "0 images"),
        (lambda p: p(IMAGE, MASK[:-1]), MaskError, "--fit-mask"),
        (lambda p: p(IMAGE.astype(np.uint16), MASK), ImageError, "uint16"),
        (lambda p: p(Image.new("I;16", (SIDE, SIDE)), MASK), ImageError, "16 bits"),
        (lambda p: p("photo.jpg", MASK), ImageError, "image is a str: .*load_image"),
        (lambda p: p(IMAGE, "mask.png"), MaskError, "mask is a str: .*load_mask"),
        (lambda p: p(IMAGE, MASK, samples=0), ConfigError, "samples = 0"),
        (lambda p: p(IMAGE, MASK, seed=-1), ConfigError, "seed -1"),
        (lambda p: p(IMAGE, MASK, seed=[1, 2]), ConfigError, "2 seeds for 1 images"),
        (lambda p: p(IMAGE, MASK, stesp=3), ConfigError, "did you mean 'steps'"),
        (lambda p: p(IMAGE, MASK, steps="8"), ConfigError, "steps = '8'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_one_clear_error(tiny_pipeline, call, kind, words):
    with pytest.raises(kind, match=words) as caught:
        call(tiny_pipeline)
    assert isinstance(caught.value, MaskmendError)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("unchecked")
def test_numpys_integers_are_seeds(tiny_pipeline):
    wanted = tiny_pipeline(IMAGE, MASK, seed=3)
    assert_same(tiny_pipeline(IMAGE, MASK, seed=np.int64(3)), wanted)
    assert_same(tiny_pipeline([IMAGE], [MASK], seed=np.array([3]))[0], wanted)
    assert_same(tiny_pipeline(IMAGE, MASK, seed=np.array(3)), wanted)
    assert_same(tiny_pipeline(IMAGE, MASK, seed=torch.tensor(3)), wanted)


@pytest.mark.usefixtures("unchecked")
def test_numpys_integers_are_samples(tiny_pipeline):
    """Catches a seed that is cut to the few bits of the number of samples."""
    assert tiny_pipeline(IMAGE, MASK, seed=300, samples=np.uint8(2)).seeds == (300, 301)


# What comes out


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


# Steps


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


# Models on disk


def test_a_saved_model_gives_the_same_fill(tiny_pipeline, tmp_path):
    """Catches weights, configuration or default settings that change on the way to disk and back."""
    defaults = Settings(steps=3, seam="hard", top_p=0.9)
    saved = InpaintPipeline(tiny_pipeline.tokenizer, tiny_pipeline.transformer, defaults)
    saved.save_pretrained(tmp_path / "model")
    loaded = InpaintPipeline.from_pretrained(tmp_path / "model")
    assert loaded.defaults == defaults
    assert_same(loaded(IMAGE, MASK, samples=2), saved(IMAGE, MASK, samples=2))
    assert loaded.resolution == SIDE
    assert InpaintPipeline.from_pretrained(str(tmp_path / "model")).to("cpu").device.type == "cpu"


def test_half_precision_halves_the_files(tiny_pipeline, tmp_path):
    tiny_pipeline.save_pretrained(tmp_path / "full")
    tiny_pipeline.save_pretrained(tmp_path / "half", half=True)
    full, half = (
        sum(path.stat().st_size for path in (tmp_path / name).rglob("*.safetensors"))
        for name in ("full", "half")
    )
    assert half < 0.7 * full
    loaded = InpaintPipeline.from_pretrained(tmp_path / "half")
    assert loaded.transformer.bias.dtype == torch.float32
    assert loaded(IMAGE, MASK).pictures[0].pixels.shape == IMAGE.shape


def test_parts_of_different_models_are_refused(tmp_path):
    """Catches a fill of nonsense from a tokenizer and a transformer that never met."""
    tokenizer, transformer = tiny_models()
    _, other_codes = tiny_models(codes=30)
    _, other_grid = tiny_models(grid=5)
    with pytest.raises(ConfigError, match="24 codes on a 4x4 grid, the transformer 30 on 4x4"):
        InpaintPipeline(tokenizer, other_codes)
    with pytest.raises(ConfigError, match="the transformer 24 on 5x5"):
        InpaintPipeline(tokenizer, other_grid)
    InpaintPipeline(tokenizer, transformer).save_pretrained(tmp_path)
    save_transformer(other_codes, tmp_path / "transformer")
    with pytest.raises(ModelError, match="take both from the same model"):
        InpaintPipeline.from_pretrained(tmp_path)


def test_defaults_of_a_folder_that_nobody_knows_are_an_error_with_its_name(tiny_model, tmp_path):
    """Catches a folder of a newer version whose settings would be dropped in silence."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["defaults"]["stepps"] = 3
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(
        ModelError, match=r"model .*model: unknown setting 'defaults.stepps' .did you mean 'steps'"
    ):
        InpaintPipeline.from_pretrained(folder)


def fake_hub(monkeypatch, download):
    """A `huggingface_hub` with the three exceptions where old and new releases have them."""
    hub, utils = types.ModuleType("huggingface_hub"), types.ModuleType("huggingface_hub.utils")
    hub.snapshot_download = download
    for name in ("HfHubHTTPError", "HFValidationError", "LocalEntryNotFoundError"):
        setattr(utils, name, type(name, (Exception,), {}))
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setitem(sys.modules, "huggingface_hub.utils", utils)
    return utils


def test_a_hub_id_is_fetched(monkeypatch, tiny_pipeline, tiny_model):
    asked = []

    def download(name, **options):
        asked.append((name, options))
        return str(tiny_model)

    fake_hub(monkeypatch, download)
    loaded = InpaintPipeline.from_pretrained("somebody/cats")
    assert_same(loaded(IMAGE, MASK), tiny_pipeline(IMAGE, MASK))
    ((name, options),) = asked
    assert name == "somebody/cats"
    assert "*/*.safetensors" in options["allow_patterns"]


def test_a_hub_that_cannot_deliver_is_an_error_of_ours(monkeypatch):
    def download(name, **options):
        raise utils.LocalEntryNotFoundError("offline")

    utils = fake_hub(monkeypatch, download)
    with pytest.raises(ModelError, match="cannot fetch model somebody/cats from the hub: offline"):
        InpaintPipeline.from_pretrained("somebody/cats")


def test_a_hub_id_without_the_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match=r"pip install '\.\[hub\]'"):
        InpaintPipeline.from_pretrained("somebody/cats")


def test_a_device_that_is_not_there_leaves_the_pipeline_usable(tiny_pipeline):
    """Catches PyTorch's own error, and a pipeline of which one half has moved."""
    with pytest.raises(ConfigError, match=r"device 'opencl' cannot be used.*stay on cpu"):
        tiny_pipeline.to("opencl")
    assert tiny_pipeline(IMAGE, MASK, steps=1).pictures


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


def test_a_pipeline_prints_what_it_is(tiny_pipeline):
    """Catches an address in place of what one wants to know."""
    said = repr(tiny_pipeline)
    assert re.fullmatch(
        r"<InpaintPipeline \d+ x \d+ pixels, .* tokens of \d+ codes, \d+ steps, \S+ on cpu>", said
    )
    assert str(CODES) in said


@pytest.mark.parametrize(
    ("argument", "word"),
    [
        ("mask_image", "`mask`"),
        ("generator", "`seed`"),
        ("num_inference_steps", "`steps`"),
        ("negative_prompt", "guidance"),
    ],
)
def test_the_words_of_other_libraries_are_answered_with_ours(tiny_pipeline, argument, word):
    """Catches a raw TypeError for the first thing that a user of diffusers tries."""
    with pytest.raises(ConfigError, match=f"{argument} is no argument here: .*{word}"):
        tiny_pipeline(IMAGE, **{argument: MASK})
    with pytest.raises(ConfigError, match=f"{argument} is no argument here: .*{word}"):
        tiny_pipeline(IMAGE, MASK, **{argument: MASK})
    with pytest.raises(MaskError, match="no mask: give one"):
        tiny_pipeline(IMAGE)


def test_a_model_is_loaded_onto_a_device(tiny_pipeline, tmp_path):
    """Catches a raw TypeError for `device`, and for arguments that there are not."""
    tiny_pipeline.save_pretrained(tmp_path)
    for device in ("cpu", torch.device("cpu"), "cpu:0"):
        assert InpaintPipeline.from_pretrained(tmp_path, device=device).device.type == "cpu"
    with pytest.raises(ConfigError, match="device 'opencl' cannot be used"):
        InpaintPipeline.from_pretrained(tmp_path, device="opencl")
    with pytest.raises(ConfigError, match="torch_dtype is no argument here: give `precision`"):
        InpaintPipeline.from_pretrained(tmp_path, torch_dtype=torch.float16)
    with pytest.raises(ConfigError, match=r"unknown argument 'devise' .did you mean 'device'"):
        InpaintPipeline.from_pretrained(tmp_path, devise="cpu")


def test_a_tensor_from_0_to_1_keeps_its_known_pixels(tiny_pipeline):
    """Catches known pixels that come back 56 levels brighter, with a warning only."""
    tensor = torch.from_numpy(IMAGE).permute(2, 0, 1).float() / 255
    with pytest.raises(ImageError, match="value_range"):
        tiny_pipeline(tensor, MASK, steps=1)
    wanted = tiny_pipeline(IMAGE, MASK, steps=1).pictures[0].pixels
    for form, scale in ((tensor, (0, 1)), (2 * tensor - 1, None), (2 * tensor - 1, (-1, 1))):
        result = tiny_pipeline(form, MASK, steps=1, value_range=scale)
        np.testing.assert_array_equal(result.pictures[0].pixels, wanted)
        np.testing.assert_array_equal(result.pictures[0].pixels[~MASK], IMAGE[~MASK])


def test_the_public_names_are_there():
    """Catches a name of the README that moved."""
    for name in maskmend.__all__:
        assert getattr(maskmend, name) is not None
    assert maskmend.InpaintPipeline is InpaintPipeline
    with pytest.raises(AttributeError, match="InpaintPipelin"):
        maskmend.InpaintPipelin  # noqa: B018


def test_the_shipped_model_fills_a_hole(tmp_path):
    """Catches a default model that does not load, is too large, or no longer fits the code."""
    shipped = find_model("default")
    sizes = [path.stat().st_size for path in shipped.rglob("*") if path.is_file()]
    assert sum(sizes) <= 40e6
    assert max(sizes) <= 16e6
    pipe = InpaintPipeline.from_pretrained()
    pixels, mask = smooth_pixels(64, 64), box_mask(64, 64, 20, 20, 40, 44)
    result = pipe(pixels, mask)
    save_image(result.pictures[0], tmp_path / "out.png")
    np.testing.assert_array_equal(load_image(tmp_path / "out.png").pixels[~mask], pixels[~mask])


def test_the_shipped_model_fills_a_hole_alike_in_any_batch():
    """Catches sums whose last bits depend on the batch, at the sizes where libraries begin to do that."""
    pipe = InpaintPipeline.from_pretrained()
    folder = find_model("default").parent / "samples"
    images = [load_image(path).pixels for path in sorted(folder.glob("*.png")) if ".mask" not in path.name]
    masks = [load_mask(path) for path in sorted(folder.glob("*.mask.png"))]
    together = pipe(images, masks, seed=list(range(len(images))), samples=2)
    for number, (image, mask, in_batch) in enumerate(zip(images, masks, together, strict=True)):
        alone = pipe(image, mask, seed=number)
        np.testing.assert_array_equal(alone.tokens[0], in_batch.tokens[0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"seed": None}, "seed = None: give a whole number"),
        ({"seed": "x"}, "seed = 'x'"),
        ({"seed": 1.5}, "seed = 1.5"),
        ({"samples": 1.5}, "samples = 1.5: give a whole number"),
        ({"samples": "2"}, "samples = '2'"),
        ({"samples": 0}, "samples = 0"),
        ({"seed": np.array(1.5)}, "seed = array(1.5)"),
        ({"seed": -1}, "seed -1 is out of range"),
        ({"seed": [-1]}, "seed -1 is out of range"),
        ({"seed": 2**63 - 1, "samples": 2}, f"from 0 to {2**63 - 2}, with 2 samples"),
        ({"ring": 10**12}, "ring = 1000000000000: give 0 to 1000"),
        ({"context": 1e308}, "context = 1e+308: give 0 to 1000"),
        ({"noise": 10**400}, "noise is larger than any float"),
    ],
    ids=str,
)
@pytest.mark.parametrize("hole", [box_mask(16, 16, 4, 4, 9, 9), box_mask(16, 16, 0, 0, 0, 0)])
@pytest.mark.usefixtures("unchecked")
def test_numbers_that_cannot_be_used_are_refused(
    tiny_pipeline: InpaintPipeline, call: dict, words: str, hole: np.ndarray
) -> None:
    """Would catch a TypeError or OverflowError from the depths, and what only a hole brings to light."""
    with pytest.raises(ConfigError, match=re.escape(words)):
        tiny_pipeline(smooth_pixels(16, 16), hole, **call)


def test_masks_are_read_as_the_call_says(tiny_pipeline: InpaintPipeline) -> None:
    """Would catch what the command line can and Python cannot."""
    picture, mask = smooth_pixels(16, 16), box_mask(16, 16, 4, 4, 8, 8)
    small = box_mask(8, 8, 2, 2, 4, 4)
    with pytest.raises(MaskError, match="fit_mask=True"):
        tiny_pipeline(picture, small)
    grey = np.where(mask, np.uint8(100), np.uint8(0))
    for mask_given, options in (
        (small, {"fit_mask": True}),
        (~mask, {"invert_mask": True}),
        (grey, {"mask_threshold": 0.3}),
        (np.dstack([grey, 255 - 255 * mask.astype(np.uint8)]), {"mask_channel": "alpha"}),
    ):
        np.testing.assert_array_equal(tiny_pipeline(picture, mask_given, **options).mask, mask)


def test_the_decoder_sees_one_picture_at_a_time(tiny_pipeline, monkeypatch):
    """Catches a pixel that differs by a level from batch to batch, because a convolution's last bits do.

    Seen in one of 16 fills under load, all of one picture of the shipped model.
    """
    sizes = []
    for name in ("encode_with_distances", "decode"):
        whole = getattr(tiny_pipeline.tokenizer, name)

        def watched(first, *rest, whole=whole):
            sizes.append(len(first))
            return whole(first, *rest)

        monkeypatch.setattr(tiny_pipeline.tokenizer, name, watched)
    tiny_pipeline([IMAGE] * 3, [MASK] * 3, samples=2)
    assert sizes == [1] * 9


def test_a_pipeline_bounds_the_kernel_caches(tiny_pipeline, monkeypatch):
    """Catches memory that grows with every new shape of hole, and limits of the user's that are overruled."""
    first, second = LIMITS
    monkeypatch.delenv(first, raising=False)
    monkeypatch.setenv(second, "7")
    InpaintPipeline(tiny_pipeline.tokenizer, tiny_pipeline.transformer)
    assert os.environ[first] == LIMITS[first]
    assert os.environ[second] == "7"


def test_samples_share_what_is_known_of_their_picture(tiny_pipeline, monkeypatch):
    """Catches the known pixels looked at anew for every sample, and those of another picture shown to it."""
    looks = []
    look = tiny_pipeline.tokenizer.decoder.encode_known

    def watched(known):
        looks.append(known)
        return look(known)

    monkeypatch.setattr(tiny_pipeline.tokenizer.decoder, "encode_known", watched)
    other = 255 - IMAGE
    together = tiny_pipeline([IMAGE, other], [MASK] * 2, samples=3)
    assert len(looks) == 2
    for picture, fills in zip((IMAGE, other), together, strict=True):
        alone = tiny_pipeline(picture, MASK, samples=3)
        for a, b in zip(alone.pictures, fills.pictures, strict=True):
            np.testing.assert_array_equal(a.pixels, b.pixels)
