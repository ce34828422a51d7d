"""The shipped models fill holes closer to the truth than OpenCV's Telea: wrong weights would not.

LPIPS (AlexNet) over the whole picture, of composited fills; its weights come by `maskmend weights fetch`.
"""

import itertools

import cv2
import numpy as np
import pytest
import torch

from maskmend.assets import PHOTOGRAPHS
from maskmend.assets.samples import sample_pairs
from maskmend.images.picture import load_image
from maskmend.images.tensors import to_tensor
from maskmend.masks.generators import HOLES
from maskmend.masks.reading import load_mask
from maskmend.perceptual.lpips import Lpips
from maskmend.pipeline import InpaintPipeline


def cats():
    for _, image, mask in sample_pairs():
        pixels = load_image(image).pixels
        yield pixels, load_mask(mask, size=pixels.shape[:2])


def photographs():
    """Five squares of the shipped photographs, each with another hole.

    At 128 pixels a blob or stroke fits into the model's view; the two at 256 are drawn at finer levels too.
    """
    pictures = {name: load_image(image).pixels for name, image, _ in sample_pairs(PHOTOGRAPHS)}
    cases = (
        ("text", 40, 10, 128, "scratches", 0),
        ("text", 150, 150, 128, "text", 1),
        ("object", 85, 256, 256, "blobs", 0),
        ("object", 85, 0, 256, "strokes_photo", 1),
        ("object", 150, 330, 128, "scratches", 4),
    )
    for name, top, left, side, kind, seed in cases:
        pixels = np.ascontiguousarray(pictures[name][top : top + side, left : left + side])
        yield pixels, HOLES[kind](np.random.default_rng(seed), side, side)


def wide_holes():
    """Those of them that take finer levels."""
    return [pair for pair in photographs() if len(pair[0]) == 256]


@pytest.fixture(scope="module")
def distance():
    network = Lpips.load("alexnet")

    @torch.inference_mode()
    def between(a, b):
        one, two = (network.features(to_tensor(each)) for each in (a, b))
        return float(network.feature_distance(one, two)[0])

    return between


def gains(pipe, examples, distance):
    """How much smaller our distance from the truth is than Telea's, as a share, picture by picture."""
    shares = []
    for pixels, mask in examples:
        ours = pipe(pixels, mask).pictures[0].pixels
        shares.append(1 - distance(ours, pixels) / distance(telea(pixels, mask), pixels))
    return np.array(shares)


def telea(pixels, mask):
    blank = np.where(mask[:, :, None], np.uint8(0), pixels)
    return cv2.inpaint(blank, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "examples"), [("cats64", cats), ("photo", photographs)])
def test_five_fills_are_each_closer_to_the_truth_than_telea(model, examples, distance):
    shares = gains(InpaintPipeline.from_pretrained(model), examples(), distance)
    assert len(shares) == 5
    assert shares.min() > 0, shares


@pytest.mark.slow
@pytest.mark.parametrize(("model", "examples"), [("cats64", cats), ("photo", photographs)])
def test_random_weights_fail_that_test(model, examples, distance):
    """A test that random weights pass would show nothing."""
    pipe = InpaintPipeline.from_pretrained(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for weight in pipe.tokenizer.decoder.parameters():
            if weight.ndim > 1:
                weight.copy_(weight.flatten()[torch.randperm(weight.numel())].view_as(weight))
    assert gains(pipe, examples(), distance).min() <= 0


def gains_of_levels(pipe, distance):
    """How much smaller the distance from the truth is than that of the coarse fill alone, as a share."""
    shares = []
    for pixels, mask in wide_holes():
        coarse, fine = (
            distance(pipe(pixels, mask, detail=detail).pictures[0].pixels, pixels) for detail in (0, "auto")
        )
        shares.append(1 - fine / coarse)
    return np.array(shares)


@pytest.mark.slow
def test_finer_levels_come_closer_to_the_truth_than_the_coarse_fill(distance):
    """Catches wrong weights for guesses, which only finer levels use: Telea is easily beaten without them."""
    shares = gains_of_levels(InpaintPipeline.from_pretrained("photo"), distance)
    assert len(shares) == 2
    assert shares.min() > 0, shares


@pytest.mark.slow
def test_scratches_across_a_clear_sky_leave_no_track():
    """Catches texture drawn into a gradient: there Telea is hard to beat."""
    _, image, drawn = next(pair for pair in sample_pairs(PHOTOGRAPHS) if pair[0] == "scratch")
    pixels = load_image(image).pixels
    sky = slice(0, 130), slice(265, 512)
    mask = np.ascontiguousarray(load_mask(drawn, size=pixels.shape[:2])[sky])
    pixels = np.ascontiguousarray(pixels[sky])
    ours = InpaintPipeline.from_pretrained("photo")(pixels, mask).pictures[0].pixels
    wrong, theirs = (
        np.square(each[mask].astype(float) - pixels[mask]).mean() for each in (ours, telea(pixels, mask))
    )
    assert wrong < theirs


@pytest.mark.slow
def test_four_fills_of_a_wide_hole_differ(distance):
    """Catches alternatives that are four times the same picture."""
    _, image, _ = sample_pairs(PHOTOGRAPHS)[0]
    pixels = np.ascontiguousarray(load_image(image).pixels[40:296, 150:406])
    result = InpaintPipeline.from_pretrained("photo")(
        pixels, HOLES["blobs"](np.random.default_rng(2), 256, 256), samples=4
    )
    fills = [picture.pixels for picture in result.pictures]
    apart = [distance(one, two) for one, two in itertools.combinations(fills, 2)]
    assert np.mean(apart) > 0.02
