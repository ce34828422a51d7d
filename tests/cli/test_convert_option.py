"""`maskmend inpaint --convert`: what is refused without it, what is told with it, and in folders."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.cli import main
from maskmend.images.picture import load_image
from maskmend.pipeline import InpaintPipeline

PIXELS = smooth_pixels(20, 34)
MASK = box_mask(20, 34, 5, 6, 14, 19)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    InpaintPipeline(*tiny_models()).save_pretrained(folder)
    return folder


@pytest.fixture
def files(tmp_path):
    """photos/ with one plain picture and three that are not, masks/ for them."""
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    photos.mkdir()
    masks.mkdir()
    Image.fromarray(PIXELS).save(photos / "plain.png")
    Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257).save(photos / "deep.png")
    Image.fromarray(PIXELS).save(photos / "new.avif")
    Image.fromarray(PIXELS).save(
        photos / "moving.gif", save_all=True, append_images=[Image.fromarray(255 - PIXELS)]
    )
    for path in photos.iterdir():
        Image.fromarray(MASK).save(masks / f"{path.stem}.png")
    return photos, masks, tmp_path / "out"


def run(*command):
    return CliRunner().invoke(main, [str(part) for part in command])


def test_one_picture(files, model, tmp_path):
    """Catches a picture that is flattened without a word, or cannot be had at all."""
    photos, masks, _ = files
    command = ["inpaint", photos / "deep.png", "--mask", masks / "deep.png", "-o", tmp_path / "out.png",
               "--model", model, "--steps", "1"]  # fmt: skip
    refused = run(*command)
    assert refused.exit_code == 2
    assert "--convert" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    result = run(*command, "--convert")
    assert result.exit_code == 0, result.output
    assert "the image was converted: 16 bits a channel to 8" in result.stderr.splitlines()
    np.testing.assert_array_equal(load_image(tmp_path / "out.png").pixels[~MASK][:, 0], PIXELS[~MASK][:, 0])


def test_a_folder_goes_on_with_what_could_not_be_filled(files, model):
    """Catches --convert as another way of making pictures, for which all would have to be made anew."""
    photos, masks, out = files
    command = ["inpaint", "--input", photos, "--masks", masks, "--output", out, "--model", model,
               "--steps", "1"]  # fmt: skip
    first = run(*command)
    assert first.exit_code == 1
    assert "filled 2 of 4" in first.output
    assert first.stderr.count("--convert") == 2
    assert (out / "new.png").is_file()
    result = run(*command, "--convert")
    assert result.exit_code == 0, result.output
    assert "filled 2 of 4 pictures" in result.output
    assert "2 done before" in result.output
    assert "1 picture: converted: 16 bits a channel to 8" in result.stderr
    notes = json.loads((out / "fills.json").read_text())["notes"]
    assert notes["moving.gif"] == "converted: the first of several frames"


def test_in_python(files):
    photos, _, _ = files
    pipe = InpaintPipeline(*tiny_models())
    with Image.open(photos / "deep.png") as image:
        image.load()
        result = pipe(image, MASK, convert=True, steps=1)
    assert result.converted == ("16 bits a channel to 8",)
    assert pipe(PIXELS, MASK, convert=True, steps=1).converted == ()
    guide = np.dstack([PIXELS, np.full((20, 34), 255, np.uint8)]).astype(np.uint16) * 257
    assert pipe(PIXELS, MASK, guide=guide, convert=True, steps=1).pictures
