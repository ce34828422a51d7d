"""Guided fills: painted colours reach the fill, and nothing else that a guide's file holds does."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.errors import ConfigError, ImageError
from maskmend.fill.crops import cut_region
from maskmend.fill.guide import as_guide, guided
from maskmend.fill.region_filler import RegionFiller
from maskmend.fill.windows import lay_windows
from maskmend.images.picture import Picture, picture_from
from maskmend.images.tensors import to_tensor
from maskmend.pipeline import InpaintPipeline
from maskmend.settings import Settings

SIDE = 16
PIXELS = smooth_pixels(60, 70)
MASK = box_mask(60, 70, 10, 10, 50, 50)


def layer(pixels, painted):
    """RGBA: `pixels` where painted, beside it the same colours under full transparency."""
    return np.dstack([pixels, np.where(painted, 255, 0).astype(np.uint8)])


def red(painted):
    return layer(np.broadcast_to(np.array([230, 30, 20], np.uint8), (*painted.shape, 3)), painted)


GUIDE = red(box_mask(60, 70, 14, 14, 40, 30))


@pytest.fixture(scope="module", params=["guesses", "plain", "none"])
def pipe(request, tiny_pipeline):
    """Models that know guesses, without and with interpolation of plain surroundings; one that knows none."""
    if request.param == "none":
        return tiny_pipeline
    return InpaintPipeline(
        *tiny_models(guesses=True), Settings(plain=8.0 if request.param == "plain" else 0.0)
    )


@st.composite
def guided_pictures(draw, largest=50):
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    mask = rng.random((height, width)) < draw(st.sampled_from([0.0, 0.05, 1.0]))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    mask[top : top + draw(st.integers(1, 30)), left : left + draw(st.integers(1, 30))] = True
    alpha = rng.choice(np.array([0, 1, 255], np.uint8), (height, width))
    if draw(st.booleans()):
        alpha = np.where(np.arange(width) < width // 2, np.uint8(255), np.uint8(0)) + np.zeros_like(alpha)
    guide = np.dstack([rng.integers(0, 256, (height, width, 3), dtype=np.uint8), alpha])
    return smooth_pixels(height, width, int(rng.integers(99))), mask, guide, rng


@settings(max_examples=8)
@given(guided_pictures(), st.sampled_from([0.3, 1.0]))
def test_known_pixels_stay_and_hidden_ones_play_no_part(pipe, picture, strength):
    """Catches a guide that is painted over known pixels, and the erased content showing where it is not."""
    pixels, mask, guide, rng = picture
    other = np.where(mask[:, :, None], rng.choice(np.array([0, 255], np.uint8), pixels.shape), pixels)
    one, two = (pipe(each, mask, guide=guide, guide_strength=strength) for each in (pixels, other))
    np.testing.assert_array_equal(one.pictures[0].pixels[~mask], pixels[~mask])
    np.testing.assert_array_equal(one.pictures[0].pixels[mask], two.pictures[0].pixels[mask])
    np.testing.assert_array_equal(one.tokens, two.tokens)


@settings(max_examples=8)
@given(guided_pictures())
def test_colours_outside_the_hole_and_under_transparency_change_nothing(pipe, picture):
    pixels, mask, guide, rng = picture
    painted = mask & (guide[:, :, 3] > 0)
    other = guide.copy()
    other[~painted, :3] = rng.integers(0, 256, (int((~painted).sum()), 3))
    other[~mask, 3] = rng.integers(0, 256, int((~mask).sum()))
    one, two = (pipe(pixels, mask, guide=each) for each in (guide, other))
    np.testing.assert_array_equal(one.pictures[0].pixels, two.pictures[0].pixels)


@pytest.mark.parametrize(
    ("guide", "strength"),
    [(red(np.zeros_like(MASK)), 1.0), (red(~MASK), 1.0), (GUIDE, 0.0), (None, 0.5)],
    ids=["transparent", "beside the hole", "strength 0", "no guide"],
)
def test_an_empty_guide_is_none(pipe, guide, strength):
    """Catches results without a guide that are no longer what they were."""
    one, two = pipe(PIXELS, MASK), pipe(PIXELS, MASK, guide=guide, guide_strength=strength)
    np.testing.assert_array_equal(one.pictures[0].pixels, two.pictures[0].pixels)
    np.testing.assert_array_equal(one.tokens, two.tokens)


def test_a_seed_gives_the_same_picture_in_any_batch(pipe):
    """Catches a guide that goes to another image, and one that depends on the company."""
    images = [smooth_pixels(60, 70, seed) for seed in range(3)]
    guides = [GUIDE, None, Image.fromarray(red(box_mask(60, 70, 20, 20, 60, 60)))]
    alone = [pipe(image, MASK, guide=guide, seed=4) for image, guide in zip(images, guides, strict=True)]
    for order in ([0, 1, 2], [2, 0], [1, 2]):
        together = pipe(
            [images[n] for n in order], [MASK] * len(order), guide=[guides[n] for n in order], seed=4
        )
        for n, result in zip(order, together, strict=True):
            np.testing.assert_array_equal(result.pictures[0].pixels, alone[n].pictures[0].pixels)
            np.testing.assert_array_equal(result.tokens, alone[n].tokens)


def test_a_guide_reaches_the_fill_and_its_strength_says_how_far(pipe):
    """Catches a guide that is read and then dropped."""
    fills = [pipe(PIXELS, MASK, guide=GUIDE, guide_strength=s).pictures[0].pixels for s in (0.0, 0.5, 1.0)]
    assert (fills[0] != fills[1]).any()
    assert (fills[1] != fills[2]).any()


@pytest.mark.parametrize("box", [(0, 0, 60, 70), (5, 5, 21, 21)], ids=["scaled", "at its size"])
def test_a_region_holds_the_colours_where_they_were_painted(box):
    """The model sees the guide at its strength where it is painted and is told so; known pixels stay."""
    top, left, bottom, right = box
    pixels, mask = PIXELS[top:bottom, left:right], MASK[top:bottom, left:right]
    guide = as_guide(picture_from(GUIDE[top:bottom, left:right]), mask)
    assert guide is not None
    (window,) = lay_windows(mask, SIDE, context=2.0, most=1)
    before = cut_region(pixels, mask, window, SIDE, strategy="diffusion")
    full, half = (
        guided(before, pixels, mask, guide, strategy="diffusion", strength=strength)
        for strength in (1.0, 0.5)
    )
    assert isinstance(full.guess, torch.Tensor)
    assert full.guess.any()
    assert not (full.guess & ~full.mask).any()
    assert not full.guess[full.mask].all()
    known = ~full.mask.expand_as(full.image)
    assert torch.equal(full.image[known], before.image[known])
    assert torch.allclose(half.image, (full.image + before.image) / 2, atol=1e-6)
    painted = torch.from_numpy(GUIDE[:1, :1, :3].copy()).permute(2, 0, 1)[None] / 127.5 - 1
    inside = full.guess & (torch.nn.functional.avg_pool2d(full.guess.float(), 3, 1, 1) > 0.99)
    assert inside.any()
    away = (full.image - painted).abs().amax(1, keepdim=True)[inside]
    assert away.max() < 0.25
    assert before.image.sub(painted).abs().amax(1, keepdim=True)[inside].min() > 0.25


def test_unpainted_parts_of_the_hole_take_colour_from_the_painted_ones():
    """Catches an infill that knows nothing of the guide: it would show a step around every stroke."""
    mask = np.ones((SIDE, SIDE), bool)
    guide = as_guide(picture_from(red(box_mask(SIDE, SIDE, 4, 4, 8, 8))), mask)
    assert guide is not None
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    (window,) = lay_windows(mask, SIDE, context=0.0, most=1)
    before = cut_region(pixels, mask, window, SIDE, strategy="diffusion")
    region = guided(before, pixels, mask, guide, strategy="diffusion", strength=1.0)
    wanted = to_tensor(red(mask)[:, :, :3].copy())
    assert torch.allclose(region.image, wanted, atol=1e-5)
    assert isinstance(region.guess, torch.Tensor)
    assert int(region.guess.sum()) == 16


def test_plain_surroundings_are_not_interpolated_over_a_guide():
    """In a clear sky the interpolation would wipe out what was painted."""
    sky = np.full((60, 70, 3), 150, np.uint8)
    sky[:, :, 2] = 200
    models = tiny_models(guesses=True)
    drawn, plain = (
        InpaintPipeline(*models, Settings(plain=limit, detail=0))(sky, MASK, guide=GUIDE).pictures[0].pixels
        for limit in (0.0, 4.0)
    )
    painted = GUIDE[:, :, 3] > 0
    np.testing.assert_array_equal(plain[painted], drawn[painted])
    assert (plain[MASK & ~painted] != drawn[MASK & ~painted]).any()


def test_a_model_is_told_of_the_painted_tokens_alone(monkeypatch):
    """Catches colours passed off as a smooth infill, and an infill passed off as painted."""
    pipe = InpaintPipeline(*tiny_models(guesses=True))
    hints, decode = [], RegionFiller._decode

    def watched(self, tokens, hole, given, *rest):
        hints.append(given)
        return decode(self, tokens, hole, given, *rest)

    monkeypatch.setattr(RegionFiller, "_decode", watched)
    pixels, mask = smooth_pixels(SIDE, SIDE), box_mask(SIDE, SIDE, 0, 0, 8, 16)
    pipe(pixels, mask, guide=red(box_mask(SIDE, SIDE, 4, 0, 16, 5)))
    (seen,) = hints
    assert seen.guess.view(4, 4).tolist() == [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("guide", "words"),
    [
        (GUIDE[:50], "the guide is 70 x 50, the image 70 x 60"),
        (GUIDE[:, :, :3], "no transparency: give RGBA"),
        (GUIDE.astype(np.float32), "the guide cannot be used: .*float32"),
    ],
)
def test_a_guide_that_does_not_fit_is_refused(tiny_pipeline, unchecked, guide, words):
    with pytest.raises(ImageError, match=words) as caught:
        tiny_pipeline(PIXELS, MASK, guide=guide)
    assert "\n" not in str(caught.value)


def test_guides_and_images_must_be_as_many(tiny_pipeline):
    with pytest.raises(ImageError, match="1 guides for 2 images"):
        tiny_pipeline([PIXELS, PIXELS], [MASK, MASK], guide=[GUIDE])


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan")])
def test_a_strength_beyond_0_to_1_is_refused(tiny_pipeline, strength):
    with pytest.raises(ConfigError, match="guide_strength"):
        tiny_pipeline(PIXELS, MASK, guide=GUIDE, guide_strength=strength)


def test_grey_guides_do(tiny_pipeline):
    """Two channels end with alpha."""
    grey = np.full(MASK.shape, 90, np.uint8)
    picture = Picture(pixels=grey[:, :, None].repeat(3, 2), alpha=GUIDE[:, :, 3].copy())
    one = tiny_pipeline(PIXELS, MASK, guide=np.dstack([grey, GUIDE[:, :, 3]]))
    two = tiny_pipeline(PIXELS, MASK, guide=picture)
    np.testing.assert_array_equal(one.pictures[0].pixels, two.pictures[0].pixels)
