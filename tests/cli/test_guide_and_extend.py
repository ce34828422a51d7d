"""`--guide` and `--extend`: the same as in Python to the bit, and one line for what cannot be used."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from bulk_parts import tar_bytes
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


@pytest.fixture
def several(tmp_path):
    """Two pictures with masks of their names, a guide of the first one's."""
    for folder, content in (("photos", PIXELS), ("masks", MASK), ("guides", GUIDE)):
        (tmp_path / folder).mkdir()
        for name in ("a", "b")[: 1 if folder == "guides" else 2]:
            Image.fromarray(content).save(tmp_path / folder / f"{name}.png")
    Image.fromarray(GUIDE).save(tmp_path / "guide.png")
    return tmp_path


MODES = pytest.mark.parametrize("more", [[], ["--seed-by", "key"], ["tar"]], ids=["folder", "bulk", "tar"])


def fill_several(several, tiny_model, more, *options):
    """Runs the command over the two pictures; gives the result and the pictures that came out, by name."""
    out, source, masks = several / "out", several / "photos", ["--masks", str(several / "masks")]
    if more == ["tar"]:
        files = {f"{name}.png": (source / f"{name}.png").read_bytes() for name in ("a", "b")}
        files |= {f"{name}.mask.png": (several / "masks" / f"{name}.png").read_bytes() for name in ("a", "b")}
        (several / "shards").mkdir(exist_ok=True)
        (several / "shards" / "shard.tar").write_bytes(tar_bytes(files))
        more, source, masks = [], several / "shards", []
    if "--extend" in options:
        masks = []
    command = ["inpaint", "--input", source, *masks, "-o", out, "--model", tiny_model, *more, *options]
    result = CliRunner().invoke(main, [str(word) for word in command], prog_name="maskmend")
    found = {path.stem: load_image(path).pixels for path in out.rglob("*.png")} if out.is_dir() else {}
    return result, found


@MODES
def test_every_picture_of_a_folder_gets_its_guide(several, tiny_model, more):
    """Catches guides that go to other pictures, and a picture without one that is not filled, or of which
    nothing is noted."""
    guides = several / "guides"
    if more == ["tar"]:
        (guides / "shard").mkdir()
        (guides / "a.png").rename(guides / "shard" / "a.png")
    result, own = fill_several(several, tiny_model, more, "--guide", guides)
    assert result.exit_code == 0, result.output
    without = several / "without"
    (several / "out").rename(without)
    result, plain = fill_several(several, tiny_model, more)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(own["b"], plain["b"])
    assert (own["a"][MASK] != plain["a"][MASK]).any()
    np.testing.assert_array_equal(own["a"][~MASK], PIXELS[~MASK])
    if not more:
        pipe = InpaintPipeline.from_pretrained(tiny_model)
        np.testing.assert_array_equal(own["a"], pipe(PIXELS, MASK, guide=GUIDE).pictures[0].pixels)
    records = [path for path in without.rglob("*") if path.suffix in (".json", ".jsonl")]
    assert "no guide of that name" in "".join(path.read_text() for path in records)


@MODES
def test_one_guide_may_be_for_all(several, tiny_model, more):
    result, guided = fill_several(several, tiny_model, more, "--guide", several / "guide.png")
    assert result.exit_code == 0, result.output
    (several / "out").rename(several / "with")
    _, plain = fill_several(several, tiny_model, more)
    for name in ("a", "b"):
        assert (guided[name][MASK] != plain[name][MASK]).any()


@MODES
def test_every_picture_of_a_folder_is_extended_by_its_own_size(several, tiny_model, more):
    """Catches a mask that is asked for, and a share of another picture's width."""
    narrow = PIXELS[:, :20]
    Image.fromarray(narrow).save(several / "photos" / "b.png")
    if more == ["tar"]:
        more_masks = np.zeros((HEIGHT, 20), np.uint8)
        Image.fromarray(more_masks).save(several / "masks" / "b.png")
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(several / "masks" / "a.png")
    result, wide = fill_several(several, tiny_model, more, "--extend", "left=50%")
    assert result.exit_code == 0, result.output
    assert {name: pixels.shape for name, pixels in wide.items()} == {"a": (20, 51, 3), "b": (20, 30, 3)}
    np.testing.assert_array_equal(wide["a"][:, 17:], PIXELS)
    np.testing.assert_array_equal(wide["b"][:, 10:], narrow)
    again, _ = fill_several(several, tiny_model, more, "--extend", "left=40%")
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--guide", "missing"], "no guide at"),
        (["--extend", "lift=3"], "no side 'lift'"),
        (["--extend", "left=0"], "adds no pixel"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("more", [[], ["--seed-by", "key"]], ids=["folder", "bulk"])
def test_what_no_picture_can_use_is_told_at_once(several, tiny_model, more, options, words):
    result, found = fill_several(several, tiny_model, more, *options)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert found == {}


def test_a_guide_of_another_size_is_a_failure_of_its_picture(several, tiny_model):
    Image.fromarray(GUIDE[:10]).save(several / "guides" / "b.png")
    result, found = fill_several(several, tiny_model, [], "--guide", several / "guides")
    assert result.exit_code == 1
    assert set(found) == {"a"}
    assert "b.png: the guide is 34 x 10, the image 34 x 20" in result.stderr


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
