"""What the pipeline takes: images and masks of every kind, batches, numbers; the rest is one clear error."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from fakes import box_mask, smooth_pixels
from maskmend.errors import ConfigError, ImageError, MaskError, MaskmendError
from maskmend.images.picture import Picture
from maskmend.images.tensors import to_tensor
from maskmend.pipeline import InpaintPipeline
from pipeline_parts import assert_alike, assert_same

SIDE = 16
IMAGE = smooth_pixels(SIDE, SIDE)
MASK = box_mask(SIDE, SIDE, 3, 5, 11, 14)


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
