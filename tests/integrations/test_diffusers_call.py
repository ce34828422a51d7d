"""The call of diffusers' inpainting pipelines; and, where diffusers is installed, the folder that it
loads."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from fakes import box_mask, smooth_pixels
from maskmend.errors import ConfigError, ImageError
from maskmend.integrations.diffusers_call import DiffusersInpaintPipeline, prompt_of

HEIGHT, WIDTH = 20, 34
PIXELS = smooth_pixels(HEIGHT, WIDTH)
MASK = box_mask(HEIGHT, WIDTH, 5, 6, 14, 19)
IMAGE, MASK_IMAGE = Image.fromarray(PIXELS), Image.fromarray(MASK)


@pytest.fixture(scope="module")
def pipe(tiny_pipeline):
    return DiffusersInpaintPipeline(tiny_pipeline)


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def test_a_script_for_diffusers_runs(pipe):
    """Catches an argument of a usual script that is refused, and known pixels that change."""
    pipe.to("cpu").set_progress_bar_config(disable=True)
    with pytest.warns(
        UserWarning,
        match="this model ignores prompt, negative_prompt, guidance_scale, strength, height, width",
    ):
        filled = pipe(
            prompt="a cat", negative_prompt="blurry", image=IMAGE, mask_image=MASK_IMAGE,
            num_inference_steps=3, guidance_scale=7.5, strength=0.99, height=512, width=512,
            generator=seeded(),
        ).images[0]  # fmt: skip
    assert (filled.size, filled.mode) == ((WIDTH, HEIGHT), "RGB")
    np.testing.assert_array_equal(np.asarray(filled)[~MASK], PIXELS[~MASK])
    assert (np.asarray(filled)[MASK] != PIXELS[MASK]).any()


def test_the_generator_decides_the_fill(pipe):
    """Catches fills that repeat however often a generator is used, or differ for one that is seeded anew."""

    def fills(generator, **more):
        return [
            np.asarray(one)
            for one in pipe(image=IMAGE, mask_image=MASK_IMAGE, generator=generator, **more).images
        ]

    one, two = fills(seeded(), num_images_per_prompt=2)
    assert (one != two).any()
    (again,) = fills(generator := seeded())
    np.testing.assert_array_equal(again, one)
    np.testing.assert_array_equal(fills(generator)[0], two)
    listed = fills([seeded(5), seeded(0)], num_images_per_prompt=2)
    np.testing.assert_array_equal(listed[1], one)
    with pytest.raises(ConfigError, match="1 generators for 2 fills"):
        fills([seeded()], num_images_per_prompt=2)
    torch.manual_seed(0)  # without one, PyTorch's own, as in diffusers
    np.testing.assert_array_equal(fills(None)[0], one)


def test_steps_and_settings_reach_the_model(pipe, tiny_pipeline):
    """Catches a number of steps that is passed over."""
    steps = []

    def told(pipeline, step, timestep, tensors):
        steps.append((pipeline is pipe, step, tensors))

    (filled,) = pipe(
        image=IMAGE, mask_image=MASK_IMAGE, num_inference_steps=3, generator=seeded(4), temperature=0.5,
        callback_on_step_end=told, return_dict=False,
    )[0]  # fmt: skip
    assert steps == [(True, 0, {}), (True, 1, {}), (True, 2, {})]
    seed = int(torch.randint(2**31, (1,), generator=seeded(4)))
    wanted = tiny_pipeline(IMAGE, MASK, seed=seed, steps=3, temperature=0.5).images[0]
    assert filled == wanted


@pytest.mark.parametrize("kind", ["np", "pt"])
@pytest.mark.parametrize("low", [0, -1])
def test_floats_come_back_as_they_were(pipe, kind, low):
    """Catches known values of an array or tensor that went through 8 bits."""
    values = torch.rand(2, 3, HEIGHT, WIDTH, generator=seeded(2))
    given = values * 2 - 1 if low else values
    image = given if kind == "pt" else given.permute(0, 2, 3, 1).numpy()
    masks = torch.from_numpy(MASK).float() if kind == "pt" else MASK.astype(np.float32)
    got = torch.as_tensor(pipe(image=image, mask_image=masks, output_type=kind, generator=seeded()).images)
    got = got if kind == "pt" else got.permute(0, 3, 1, 2)
    assert (got.shape, got.dtype) == (values.shape, torch.float32)
    known = torch.from_numpy(~MASK).expand_as(got)
    assert torch.equal(got[known], ((given + 1) / 2 if low else values)[known])
    assert got.min() >= 0
    assert got.max() <= 1
    assert (got[~known] != values[~known]).any()


def test_batches_masks_of_another_size_and_lists_are_taken(pipe):
    """Catches a mask that is not resized, as diffusers does, and a list that is read as one picture."""
    other = smooth_pixels(16, 16, 3)
    small = MASK_IMAGE.resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.NEAREST)
    images = pipe(
        image=[IMAGE, Image.fromarray(other)],
        mask_image=[small, Image.new("L", (16, 16))],
        generator=seeded(),
    ).images
    assert [one.size for one in images] == [(WIDTH, HEIGHT), (16, 16)]
    np.testing.assert_array_equal(np.asarray(images[1]), other)
    both = pipe(
        image=np.stack([PIXELS, PIXELS]), mask_image=MASK_IMAGE, generator=seeded(), output_type="np"
    ).images
    assert both.shape == (2, HEIGHT, WIDTH, 3)


def test_one_prompt_is_taken_and_several_are_not_mixed():
    """Catches two prompts for two images that are drawn as one sentence, in both."""
    assert prompt_of("a cat") == prompt_of(["a cat"]) == prompt_of(["a cat", "a cat"]) == "a cat"
    with pytest.raises(ConfigError, match="2 different prompts: give one"):
        prompt_of(["a cat", "a dog"])


def test_mistakes_are_told(pipe):
    with pytest.raises(ImageError, match="give both"):
        pipe(prompt="a cat", image=IMAGE)
    with pytest.raises(ConfigError, match="give pil, np or pt"):
        pipe(image=IMAGE, mask_image=MASK_IMAGE, output_type="latent")
    with pytest.raises(ConfigError, match="num_inference_stepz"):
        pipe(image=IMAGE, mask_image=MASK_IMAGE, num_inference_stepz=3)
    with pytest.raises(ImageError, match="differ in size"):
        pipe(image=[IMAGE, IMAGE.crop((0, 0, 9, 9))], mask_image=MASK_IMAGE, output_type="np")


def test_a_folder_that_was_saved_is_loaded_again(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    again = DiffusersInpaintPipeline.from_pretrained(tmp_path, torch_dtype=torch.float16)
    inputs = {"image": IMAGE, "mask_image": MASK_IMAGE}
    assert again(**inputs, generator=seeded()).images == pipe(**inputs, generator=seeded()).images


@pytest.mark.slow
def test_diffusers_loads_the_folder_and_calls_the_pipeline(pipe, tmp_path, monkeypatch):
    """Catches a folder that diffusers' own loader does not take, and an output that is not its own."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    monkeypatch.setattr("diffusers.utils.dynamic_modules_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "folder"
    pipe.save_pretrained(folder)
    loaded = diffusers.DiffusionPipeline.from_pretrained(folder, trust_remote_code=True, dtype=torch.float16)
    assert isinstance(loaded, diffusers.DiffusionPipeline)
    loaded.set_progress_bar_config(disable=True)
    output = loaded.to("cpu")(image=IMAGE, mask_image=MASK_IMAGE, generator=seeded())
    assert isinstance(output, diffusers.ImagePipelineOutput)
    wanted = pipe(image=IMAGE, mask_image=MASK_IMAGE, generator=seeded()).images
    assert output.images == output["images"] == output[0] == wanted
    loaded.save_pretrained(tmp_path / "again")
    again = diffusers.DiffusionPipeline.from_pretrained(tmp_path / "again", trust_remote_code=True)
    assert again(image=IMAGE, mask_image=MASK_IMAGE, generator=seeded()).images == wanted
