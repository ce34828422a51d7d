"""`--mask-box`, `--mask-color` and `--context-box`: the fills that they ask for, of one picture and of
folders."""

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fakes import box_mask, smooth_pixels
from maskmend.cli import main
from maskmend.images.picture import load_image
from maskmend.pipeline import InpaintPipeline

HEIGHT, WIDTH = 20, 34
PIXELS = smooth_pixels(HEIGHT, WIDTH)
PAINTED = PIXELS.copy()
PAINTED[4:9, 20:26] = (255, 0, 255)
BOX = box_mask(HEIGHT, WIDTH, 5, 6, 14, 19)


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(PAINTED).save(folder / "painted.png")
    Image.fromarray(PIXELS).save(folder / "plain.png")
    Image.fromarray(BOX).convert("L").save(tmp_path / "mask.png")
    return tmp_path


@pytest.fixture
def inpaint(files, tiny_model):
    def run(*options, image="photos/painted.png"):
        first = [] if image is None else [str(files / image)]
        command = ["inpaint", *first, "--model", str(tiny_model), "--steps", "2", *map(str, options)]
        return CliRunner().invoke(main, command, prog_name="maskmend")

    return run


def filled(tiny_model, pixels, mask, **options):
    pipe = InpaintPipeline.from_pretrained(tiny_model)
    return pipe(pixels, mask, steps=2, **options).pictures[0].pixels


def test_a_box_a_colour_and_a_file_are_one_mask(inpaint, files, tiny_model):
    """Catches one of them that takes the place of the others."""
    out = files / "out.png"
    result = inpaint(
        "--mask", files / "mask.png", "--mask-box", "0,0,3,4", "--mask-box", "30,2,4,4",
        "--mask-color", "#ff00ff", "--grow", 1, "-o", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    mask = BOX.copy()
    mask[0:4, 0:3] = mask[2:6, 30:34] = mask[4:9, 20:26] = True
    from maskmend.masks.morphology import grow

    wanted = filled(tiny_model, PAINTED, grow(mask, 1))
    np.testing.assert_array_equal(load_image(out).pixels, wanted)


def test_either_alone_is_mask_enough(inpaint, files, tiny_model):
    """Catches a mask that is asked for although there is something to fill."""
    for option, mask in (
        (("--mask-box", "6,5,13,9"), BOX),
        (("--mask-color", "magenta"), PAINTED[..., 1] == 0),
    ):
        out = files / "out.png"
        result = inpaint(*option, "-o", out)
        assert result.exit_code == 0, result.output
        np.testing.assert_array_equal(load_image(out).pixels, filled(tiny_model, PAINTED, mask))


def test_boxes_are_of_the_picture_before_it_is_extended(inpaint, files, tiny_model):
    result = inpaint("--mask-box", "6,5,13,9", "--extend", "left=10", "-o", files / "out.png")
    assert result.exit_code == 0, result.output
    wanted = filled(tiny_model, PAINTED, BOX, extend="left=10")
    np.testing.assert_array_equal(load_image(files / "out.png").pixels, wanted)


def test_the_context_is_bounded(inpaint, files, tiny_model):
    result = inpaint("--mask-box", "6,5,13,9", "--context-box", "2,1,20,16", "-o", files / "out.png")
    assert result.exit_code == 0, result.output
    here = (slice(1, 17), slice(2, 22))
    wanted = PAINTED.copy()
    wanted[here] = filled(tiny_model, PAINTED[here], BOX[here])
    np.testing.assert_array_equal(load_image(files / "out.png").pixels, wanted)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--mask-box", "10,20,30"], ["--mask-box '10,20,30'", "X,Y,WIDTH,HEIGHT"]),
        (["--mask-box", "6,5,30,9"], ["reaches to 36 x 14", "the picture is 34 x 20"]),
        (["--mask-color", "#00ff00"], ["no pixel is within 8 of #00ff00", "--tolerance"]),
        (["--mask-color", "grene"], ["'grene' is no colour"]),
        (["--mask-box", "6,5,13,9", "--tolerance", "3"], ["without --mask-color does not take --tolerance"]),
        (["--mask-box", "6,5,13,9", "--context-box", "8,5,13,9"], ["beyond --context-box 8,5,13,9"]),
        (["--mask-box", "6,5,13,9", "--context-box", "all"], ["--context-box 'all'"]),
    ],
    ids=" ".join,
)
def test_what_cannot_be_used_is_one_line(inpaint, files, options, words):
    result = inpaint(*options, "-o", files / "out.png")
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert all(word in line for word in words), line
    assert not (files / "out.png").exists()


def test_a_mistake_is_told_before_pytorch_is_loaded():
    """Catches a second's wait for the word that an option is missing or miswritten."""
    program = (
        "import sys\nfrom maskmend.cli import main\n"
        "for more in ([], ['--mask-box', '1,2,3'], ['--mask-color', 'grene'], ['--tolerance', '9']):\n"
        "    try: main(['inpaint', 'x.png', '-o', 'y.png', *more], prog_name='maskmend')\n"
        "    except SystemExit as end: assert end.code == 2\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 4


@pytest.mark.parametrize("more", [[], ["--seed-by", "key"]], ids=["folder", "bulk"])
def test_of_a_folder_every_picture_gets_them(inpaint, files, tiny_model, more):
    """Catches a folder that still asks for masks, and a record that does not tell the fills apart."""
    out = files / "out"
    command = ["--input", files / "photos", "-o", out, *more]
    result = inpaint(*command, "--mask-box", "6,5,13,9", "--context-box", "2,1,20,16", image=None)
    assert result.exit_code == 0, result.output
    for name, pixels in (("painted", PAINTED), ("plain", PIXELS)):
        made = load_image(out / f"{name}.png").pixels
        np.testing.assert_array_equal(made[~BOX], pixels[~BOX])
        assert (made[BOX] != pixels[BOX]).any()
    if not more:
        assert json.loads((out / "fills.json").read_text())["mask_box"] == ["6,5,13,9"]
    other = inpaint(*command, "--mask-box", "6,5,12,9", "--context-box", "2,1,20,16", image=None)
    assert other.exit_code == 2
    assert "--overwrite" in other.stderr


@pytest.mark.parametrize("more", [[], ["--seed-by", "key"]], ids=["folder", "bulk"])
def test_a_picture_without_the_colour_is_a_failure_of_its_own(inpaint, files, more):
    result = inpaint(
        "--input", files / "photos", "--mask-color", "magenta", "-o", files / "out", *more, image=None
    )
    assert result.exit_code == 1
    assert "filled 1 of 2 pictures" in result.output
    assert "plain" in result.output
    assert "no pixel is within 8 of #ff00ff" in result.output
