"""One picture filled from the command line: the settings, samples and files that were asked for."""

import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import HEIGHT, MASK, PIXELS, WIDTH, assert_refused, names
from PIL import Image

from maskmend.cli import main
from maskmend.images.picture import load_image
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.folder import write_domain


def test_a_picture_above_the_limit_is_taken_when_that_is_raised(inpaint, tmp_path, monkeypatch):
    """Catches a limit that speaks of Python to those who type, that cannot be raised, or not for the mask,
    and the imaging library's own, which stands at twice 89 megapixels."""
    few = str(WIDTH * HEIGHT / 1e6)
    below = str((WIDTH * HEIGHT - 1) / 1e6)
    assert_refused(inpaint("large.png"), "more than the limit of 64 Mpx", "--max-megapixels")
    assert_refused(inpaint("bomb.png"), "--max-megapixels")
    assert_refused(inpaint("photo.png", "--max-megapixels", below), "more than the limit")
    assert_refused(inpaint("photo.png", "--max-megapixels", "0"), "--max-megapixels")
    assert inpaint("photo.png", "--max-megapixels", few, "--steps", "1").exit_code == 0
    assert_refused(
        inpaint("photo.png", "--max-megapixels", few, mask="twice.png"), "mask", "more than the limit"
    )
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert inpaint("photo.png", "--max-megapixels", few, "--steps", "1").exit_code == 0
    assert Image.MAX_IMAGE_PIXELS == 100


def test_a_mask_of_another_size_offers_to_fit_it_and_does(inpaint, tmp_path):
    assert_refused(inpaint(mask="twice.png"), "mask is 68 x 40", "image 34 x 20", "--fit-mask")
    assert names(tmp_path) == []
    result = inpaint("photo.png", "--fit-mask", mask="twice.png")
    assert result.exit_code == 0, result.output
    filled = load_image(tmp_path / "out.png").pixels
    np.testing.assert_array_equal(filled[~MASK], PIXELS[~MASK])
    assert (filled[MASK] != PIXELS[MASK]).any()


def test_a_folder_as_output_takes_the_name_of_the_image(inpaint, files, tmp_path):
    """Catches a result of no name, one in a format that is not written, and one that replaces the image."""
    Image.open(files / "photo.png").save(files / "still.bmp")
    for image, name in (("photo.png", "photo.png"), ("still.bmp", "still.png")):
        assert inpaint(image, "--steps", "1", output=".").exit_code == 0
        assert (tmp_path / name).is_file()
    assert_refused(inpaint("photo.png", output=str(files)), "is the image's own folder")
    assert_refused(inpaint("photo.png", "--uncertainty", str(tmp_path)), "is a folder")


def test_an_output_replaces_the_image_only_when_told_to(files, tiny_model, tmp_path):
    """Catches an original that is lost without a word, also by way of a link."""
    photo = tmp_path / "photo.png"
    photo.write_bytes((files / "photo.png").read_bytes())
    (tmp_path / "link.png").symlink_to(photo)
    before = photo.read_bytes()
    line = [
        "inpaint",
        str(photo),
        "--mask",
        str(files / "mask.png"),
        "--model",
        str(tiny_model),
        "--steps",
        "1",
    ]
    for output in ("photo.png", "link.png"):
        refused = CliRunner().invoke(main, [*line, "-o", str(tmp_path / output)], prog_name="maskmend")
        assert_refused(refused, "is the image itself", "--overwrite")
        assert photo.read_bytes() == before
    done = CliRunner().invoke(main, [*line, "-o", str(photo), "--overwrite"], prog_name="maskmend")
    assert done.exit_code == 0
    assert photo.read_bytes() != before


def test_a_mask_read_by_its_alpha_is_told(inpaint, files):
    """Catches a painted layer that is read as an eraser's without a word."""
    grey = Image.open(files / "mask.png").convert("L")
    Image.merge("LA", (grey, grey)).save(files / "layer.png")
    assert "--mask-channel luma" in inpaint("photo.png", "--steps", "1", mask="layer.png").stdout
    assert "--mask-channel" not in inpaint("photo.png", "--steps", "1").stdout


def test_a_hole_is_filled(inpaint, tmp_path, tiny_pipeline):
    """Catches an output that is not what the same call in Python gives, and files left beside it."""
    result = inpaint("photo.png", "--seed", "4", "--steps", "3", "--seam", "hard")
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "out.png") in result.stdout
    assert re.search(r"filled 17\.2 % of .*photo\.png in \d", result.stdout)
    assert result.stderr == ""
    wanted = tiny_pipeline(PIXELS, MASK, seed=4, steps=3, seam="hard")
    np.testing.assert_array_equal(load_image(tmp_path / "out.png").pixels, wanted.pictures[0].pixels)
    assert names(tmp_path) == ["out.png"]


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--set", "top_p=0.5", "--set", "choice=argmax"], {"top_p": 0.5, "choice": "argmax"}),
        (["--set", "temperature=2"], {"temperature": 2}),
        (["--ring", "1", "--infill", "mean"], {"ring": 1, "infill": "mean"}),
        (["--order", "halton"], {"order": "halton"}),
        (["--schedule", "linear", "--temperature", "0.5"], {"schedule": "linear", "temperature": 0.5}),
    ],
    ids=str,
)  # fmt: skip
def test_settings_reach_the_fill(inpaint, tmp_path, tiny_pipeline, options, settings):
    """Catches an option that is read and forgotten."""
    assert inpaint("photo.png", *options).exit_code == 0
    wanted = tiny_pipeline(PIXELS, MASK, **settings)
    np.testing.assert_array_equal(load_image(tmp_path / "out.png").pixels, wanted.pictures[0].pixels)


def test_samples_are_numbered_and_the_best_is_named(inpaint, tmp_path, tiny_pipeline):
    result = inpaint("photo.png", "--samples", "3", output="out.webp")
    assert result.exit_code == 0, result.output
    assert names(tmp_path) == ["out-1.webp", "out-2.webp", "out-3.webp", "out.webp"]
    wanted = tiny_pipeline(PIXELS, MASK, samples=3)
    for number, picture in enumerate(wanted.pictures, start=1):
        saved = load_image(tmp_path / f"out-{number}.webp").pixels
        np.testing.assert_array_equal(saved, picture.pixels)
    assert f"best: {tmp_path / f'out-{wanted.best + 1}.webp'}, also" in result.stdout
    best = load_image(tmp_path / "out.webp").pixels
    np.testing.assert_array_equal(best, wanted.pictures[wanted.best].pixels)


def test_many_samples_have_names_that_sort_and_are_not_all_told(inpaint, tmp_path):
    """Catches out-10 before out-2, and a line of a thousand names."""
    result = inpaint("photo.png", "--samples", "11", "--steps", "1")
    assert names(tmp_path) == ["out-01.png", *(f"out-{n:02d}.png" for n in range(2, 12)), "out.png"]
    told = f"{tmp_path / 'out-01.png'}, {tmp_path / 'out-02.png'} ... {tmp_path / 'out-11.png'}"
    assert told in result.stdout
    assert "out-03" not in result.stdout


@pytest.mark.parametrize("ranking", ["likelihood", "typical"])
def test_many_samples_are_made_a_few_at_a_time(inpaint, tmp_path, tiny_pipeline, monkeypatch, ranking):
    """Catches memory that grows with --samples, fills that differ from those of one call, the best of the
    last few only, and results that a stop loses."""
    sizes, fill = [], InpaintPipeline.__call__

    def counted(self, *given, samples, **options):
        assert len(list(tmp_path.glob("out-*.png"))) == sum(sizes)  # those before are written
        sizes.append(samples)
        if stop_at == len(sizes):
            raise KeyboardInterrupt
        return fill(self, *given, samples=samples, **options)

    monkeypatch.setattr(InpaintPipeline, "__call__", counted)
    monkeypatch.setattr("maskmend.batch.samples.MOST", 3)
    for stop_at in (3, 0):
        sizes.clear()
        line = ["--samples", "8", "--seed", "5", "--steps", "2", "--set", f"ranking={ranking}"]
        result = inpaint("photo.png", *line, "--uncertainty", str(tmp_path / "map.png"))
        done = 6 if stop_at else 8
        wanted = fill(tiny_pipeline, PIXELS, MASK, samples=done, seed=5, steps=2, ranking=ranking)
        made = [f"out-{n}.png" for n in range(1, done + 1)]
        assert names(tmp_path) == ["map.png", *made, "out.png"]
        for name, picture in zip(
            [*made, "out.png"], [*wanted.pictures, wanted.pictures[wanted.best]], strict=True
        ):
            np.testing.assert_array_equal(load_image(tmp_path / name).pixels, picture.pixels)
        if stop_at:
            assert (result.exit_code, sizes) == (130, [3, 3, 2])
            assert "best of the 6 that are written" in result.stderr
            for name in names(tmp_path):
                (tmp_path / name).unlink()
    assert (result.exit_code, sizes) == (0, [3, 3, 2])
    assert f"best: {tmp_path / f'out-{wanted.best + 1}.png'}" in result.stdout


def test_a_thousand_samples_are_asked_about(inpaint, tmp_path, monkeypatch):
    """Catches hours of work for a number that slipped."""
    assert_refused(inpaint("photo.png", "--samples", "65"), "--samples 65", "--yes")
    monkeypatch.setattr("maskmend.cli.inpaint.SENSIBLE", 2)
    assert_refused(inpaint("photo.png", "--samples", "3"), "--yes")
    assert names(tmp_path) == []
    assert inpaint("photo.png", "--samples", "2", "--steps", "1").exit_code == 0
    assert inpaint("photo.png", "--samples", "3", "--steps", "1", "--yes").exit_code == 0
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    for answer, status in (("n", 2), ("y", 0)):
        monkeypatch.setattr("click.confirm", lambda *_, answer=answer, **__: answer == "y")
        assert inpaint("photo.png", "--samples", "3", "--steps", "1").exit_code == status


@pytest.mark.parametrize(
    ("mask", "options"),
    [
        ("inverse.png", ["--invert-mask"]),
        ("erased.png", []),
        ("erased.png", ["--mask-channel", "alpha"]),
    ],
)
def test_every_polarity_of_a_mask_means_the_same_hole(inpaint, tmp_path, tiny_pipeline, mask, options):
    assert inpaint("photo.png", *options, mask=mask).exit_code == 0
    wanted = tiny_pipeline(PIXELS, MASK)
    np.testing.assert_array_equal(load_image(tmp_path / "out.png").pixels, wanted.pictures[0].pixels)


def test_an_empty_mask_returns_the_image_and_says_so(inpaint, tmp_path):
    result = inpaint(mask="nothing.png")
    assert result.exit_code == 0
    assert "the mask is empty" in result.stdout
    np.testing.assert_array_equal(load_image(tmp_path / "out.png").pixels, PIXELS)


def test_a_full_mask_is_filled(inpaint, tmp_path):
    result = inpaint(mask="all.png")
    assert result.exit_code == 0, result.output
    assert "filled 100.0 %" in result.stdout
    assert "the mask leaves nothing of the picture to go by" in result.stderr
    assert load_image(tmp_path / "out.png").pixels.shape == PIXELS.shape


def test_a_picture_unlike_what_the_model_learnt_is_told_in_one_line(inpaint, tiny_model, tmp_path):
    """Catches a fill that has nothing to do with the picture, without a word; and a word about every fill."""
    model = shutil.copytree(tiny_model, tmp_path / "model")
    for distance, words in (
        (
            1e-6,
            "this picture is unlike what the model learnt (cat faces): expect the fill to look like them\n",
        ),
        (1e6, ""),
    ):
        write_domain(model, {"learnt": "cat faces", "distance": distance})
        result = inpaint(model=model)
        assert (result.exit_code, result.stderr) == (0, words)
        assert result.stdout.startswith("filled ")


def test_the_uncertainty_is_a_picture_of_the_same_size(inpaint, tmp_path):
    result = inpaint("photo.png", "--uncertainty", str(tmp_path / "map.png"))
    assert result.exit_code == 0, result.output
    shown = load_image(tmp_path / "map.png").pixels
    assert shown.shape == PIXELS.shape
    np.testing.assert_allclose(shown[~MASK].astype(float), 150 + 0.35 * PIXELS[~MASK], atol=1)


def test_jpeg_output_says_that_known_pixels_change(inpaint, tmp_path):
    result = inpaint("photo.jpg", "--quality", "80", output="out.jpg")
    assert result.exit_code == 0
    assert "write .png" in result.stdout
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.format == "JPEG"


def test_alpha_comes_back(inpaint, tmp_path):
    assert inpaint("alpha.png").exit_code == 0
    np.testing.assert_array_equal(load_image(tmp_path / "out.png").alpha, np.where(MASK, 255, 200))
