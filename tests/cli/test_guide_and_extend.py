"""`--guide` and `--extend`: the same as in Python to the bit, and one line for what cannot be used."""

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
MASK = box_mask(HEIGHT, WIDTH, 5, 6, 14, 19)


def red(height, width, *box):
    painted = box_mask(height, width, *box)
    return np.dstack([np.full((height, width, 3), (230, 30, 20)), np.where(painted, 255, 0)]).astype(np.uint8)


GUIDE = red(HEIGHT, WIDTH, 6, 8, 12, 15)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("input")
    Image.fromarray(PIXELS).save(folder / "photo.png", dpi=(300, 300))
    Image.fromarray(MASK).convert("L").save(folder / "mask.png")
    Image.fromarray(GUIDE).save(folder / "guide.png")
    Image.fromarray(GUIDE[:10]).save(folder / "short.png")
    Image.fromarray(PIXELS).save(folder / "opaque.png")
    Image.fromarray(red(HEIGHT, WIDTH, 0, 0, 2, 2)).save(folder / "beside.png")
    Image.fromarray(red(HEIGHT, WIDTH + 12, 2, 2, 15, 10)).save(folder / "wide-guide.png")
    (folder / "noise.png").write_bytes(b"this is no picture")
    return folder


@pytest.fixture
def inpaint(files, tiny_model, tmp_path):
    def run(*options, mask="mask.png", output="out.png", image="photo.png", data=None):
        command = ["inpaint", str(files / image) if image != "-" else "-", "--model", str(tiny_model)]
        command += ["-o", str(tmp_path / output)]
        command += [] if mask is None else ["--mask", str(files / mask)]
        named = [str(files / option) if option.endswith(".png") else option for option in options]
        return CliRunner().invoke(main, [*command, *named], prog_name="maskmend", input=data)

    return run


def assert_refused(result, tmp_path, *words):
    assert result.exit_code == 2, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_a_guide_does_what_it_does_in_python(inpaint, tiny_model, tmp_path):
    result = inpaint("--guide", "guide.png", "--set", "guide_strength=0.8")
    assert result.exit_code == 0, result.output
    pipe = InpaintPipeline.from_pretrained(tiny_model)
    wanted = pipe(PIXELS, MASK, guide=GUIDE, guide_strength=0.8).pictures[0].pixels
    np.testing.assert_array_equal(load_image(tmp_path / "out.png").pixels, wanted)
    assert (wanted != pipe(PIXELS, MASK).pictures[0].pixels).any()


def test_a_guide_may_come_from_standard_input(inpaint, files, tmp_path):
    assert inpaint("--guide", "guide.png", output="one.png").exit_code == 0
    assert inpaint("--guide", "-", output="two.png", data=(files / "guide.png").read_bytes()).exit_code == 0
    one, two = (load_image(tmp_path / name).pixels for name in ("one.png", "two.png"))
    np.testing.assert_array_equal(one, two)


def test_a_guide_that_paints_nothing_is_told_of(inpaint, tmp_path):
    result = inpaint("--guide", "beside.png")
    assert result.exit_code == 0, result.output
    assert "the guide paints nothing into the hole" in result.stderr
    assert (tmp_path / "out.png").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--guide", "short.png"], ["the guide is 34 x 10, the image 34 x 20"]),
        (["--guide", "opaque.png"], ["the guide has no transparency", "give RGBA"]),
        (["--guide", "noise.png"], ["the guide cannot be used", "noise.png cannot be read"]),
        (["--guide", "missing.png"], ["the guide cannot be used", "missing.png is missing"]),
        (["--guide", "guide.png", "--set", "guide_strength=2"], ["guide_strength = 2", "give 0 to 1"]),
        (["--guide", "guide.png", "--extend", "left=3"], ["the guide is 34 x 20, the image 37 x 20"]),
        (["--extend", "lift=3"], ["no side 'lift'", "did you mean 'left'"]),
        (["--extend", "left=-3"], ["left=-3", "give pixels, 0 or more, or percent"]),
        (["--extend", "top=99999999"], ["Mpx", "extend it less"]),
        (["--extend", "left=0"], ["adds no pixel to 34 x 20"]),
    ],
    ids=" ".join,
)
def test_what_cannot_be_used_is_one_line(inpaint, tmp_path, options, words):
    assert_refused(inpaint(*options), tmp_path, *words)


def test_one_picture_comes_from_standard_input(inpaint, tmp_path):
    assert_refused(inpaint("--guide", "-", image="-"), tmp_path, "standard input holds one picture")


def test_the_guide_is_not_written_over(inpaint, files):
    before = (files / "guide.png").read_bytes()
    result = inpaint("--guide", "guide.png", output=str(files / "guide.png"))
    assert result.exit_code == 2
    assert "is the guide, which would be lost" in result.stderr
    assert (files / "guide.png").read_bytes() == before


@pytest.mark.parametrize("option", [["--guide", "guide.png"], ["--extend", "left=3"]])
def test_folders_have_no_use_for_them(files, tiny_model, tmp_path, option):
    named = [str(files / word) if word.endswith(".png") else word for word in option]
    command = ["inpaint", "--input", str(files), "--masks", str(files), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, [*command, *named], prog_name="maskmend")
    assert result.exit_code == 2
    assert f"--input has no use for {option[0]}" in result.stderr


def test_an_extension_needs_no_mask_and_keeps_the_picture(inpaint, tiny_model, tmp_path):
    result = inpaint("--extend", "left=9,right=3,top=50%", mask=None)
    assert result.exit_code == 0, result.output
    wide = load_image(tmp_path / "out.png")
    np.testing.assert_array_equal(wide.pixels[10:, 9 : 9 + WIDTH], PIXELS)
    assert wide.dpi == pytest.approx((300, 300), abs=0.1)
    pipe = InpaintPipeline.from_pretrained(tiny_model)
    wanted = pipe(PIXELS, extend="left=9,right=3,top=50%").pictures[0].pixels
    np.testing.assert_array_equal(wide.pixels, wanted)


def test_mask_and_guide_go_with_an_extension(inpaint, files, tiny_model, tmp_path):
    """The mask is the picture's, the guide the canvas'."""
    result = inpaint("--extend", "left=12", "--guide", "wide-guide.png")
    assert result.exit_code == 0, result.output
    pipe = InpaintPipeline.from_pretrained(tiny_model)
    guide = np.asarray(Image.open(files / "wide-guide.png"))
    wanted = pipe(PIXELS, MASK, extend="left=12", guide=guide)
    assert wanted.mask[:, 12:].sum() == MASK.sum()
    np.testing.assert_array_equal(load_image(tmp_path / "out.png").pixels, wanted.pictures[0].pixels)


def test_without_mask_and_extension_the_mask_is_missed(inpaint, tmp_path):
    assert_refused(inpaint(mask=None), tmp_path, "--mask")
