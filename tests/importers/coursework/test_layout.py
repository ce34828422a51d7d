"""The coursework's folders: what goes in is paired, what comes out is what its tools expect."""

import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fakes import box_mask, photograph, smooth_pixels
from maskmend.cli import main
from maskmend.errors import ConfigError, DataError, ImageError, MaskError, OutputError
from maskmend.images.picture import load_image
from maskmend.importers.coursework.layout import (
    check_output,
    fill_coursework_folder,
    picture_strip,
    read_coursework_folder,
    strip,
)
from maskmend.storage import files as disk

SIDE, GRID = 16, 4  # the tiny model's
HOLES = {
    0: box_mask(SIDE, SIDE, 0, 0, 9, 5),
    2: box_mask(SIDE, SIDE, 6, 2, 14, 16),
    10: np.zeros((SIDE, SIDE), bool),
}


def painted(number):
    """A masked picture as the coursework has it: its hole is black."""
    return np.where(HOLES[number][:, :, None], np.uint8(0), smooth_pixels(SIDE, SIDE, seed=number))


def make_input(folder, image="image_{}.png", mask="mask_{}.png"):
    """A folder as the coursework's; black in a mask is the hole."""
    for number, hole in HOLES.items():
        for name, pixels in (
            ("masked_image", painted(number)),
            ("mask64", np.where(hole, 0, 255).astype("u1")),
        ):
            (folder / name).mkdir(parents=True, exist_ok=True)
            pattern = image if name == "masked_image" else mask
            Image.fromarray(pixels).save(folder / name / pattern.format(number))
    return folder


@pytest.fixture
def folder(tmp_path):
    return make_input(tmp_path / "in")


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("image_{}.png", "mask_{}.png"),
        ("{}.png", "64_{:03d}.bmp"),
        ("cat{:02d}.png", "{}.png"),
        ("same{}.png", "same{}.png"),
    ],
)
def test_files_are_paired_by_number(tmp_path, image, mask):
    """Catches a mask for another image: by name, 10 comes before 2; and masks of the wrong polarity."""
    pairs = read_coursework_folder(make_input(tmp_path, image, mask))
    assert [pair.number for pair in pairs] == [0, 2, 10]
    for pair in pairs:
        np.testing.assert_array_equal(pair.mask, HOLES[pair.number])
        np.testing.assert_array_equal(pair.picture.pixels, painted(pair.number))


def test_names_pair_where_numbers_do_not(folder):
    """Catches names without numbers, or with the same one, that are refused or confused."""
    for name in ("masked_image", "mask64"):
        for number, word in ((0, "a_64"), (2, "c_64"), (10, "b")):
            (path,) = (folder / name).glob(f"*_{number}.png")
            path.rename(path.with_name(f"{word}.png"))
    pairs = read_coursework_folder(folder)
    assert [pair.number for pair in pairs] == [0, 1, 2]
    for pair, hole in zip(pairs, (HOLES[0], HOLES[10], HOLES[2]), strict=True):
        np.testing.assert_array_equal(pair.mask, hole)


def test_greys_and_other_files_do_no_harm(folder):
    """Catches JPEG noise read as hole, and a note beside the pictures taken for one."""
    (folder / "mask64" / "notes.txt").write_text("masks of 2024")
    values = np.where(HOLES[0], 30, 220).astype("u1")
    Image.fromarray(values).save(folder / "mask64" / "mask_0.png")
    np.testing.assert_array_equal(read_coursework_folder(folder)[0].mask, HOLES[0])


def test_no_mask_is_taken_for_a_photograph(folder):
    """Catches advice to give an option that `--layout coursework` refuses."""
    for name in ("masked_image", "mask64"):
        (path,) = (folder / name).glob("*_0.png")
        Image.fromarray(photograph()).save(path)
    np.testing.assert_array_equal(read_coursework_folder(folder)[0].mask, photograph() < 128)


def remove(*parts):
    return lambda folder: (
        shutil.rmtree(folder / parts[0]) if len(parts) == 1 else (folder.joinpath(*parts)).unlink()
    )


def resize(*parts):
    return lambda folder: Image.new("L", (SIDE, SIDE + 1)).save(folder.joinpath(*parts))


def damage(*parts):
    return lambda folder: folder.joinpath(*parts).write_bytes(b"no picture")


def empty(name):
    return lambda folder: [path.unlink() for path in (folder / name).iterdir()]


BAD_INPUT = [
    (
        remove("masked_image"),
        DataError,
        "no folder .*masked_image: the layout of the coursework has",
    ),
    (remove("mask64"), DataError, "no folder .*mask64"),
    (empty("mask64"), DataError, "no images in .*mask64"),
    (remove("mask64", "mask_2.png"), DataError, r"1 of 3 files have no partner in .*mask64, .*image_2\.png"),
    (remove("masked_image", "image_2.png"), DataError, r"no partner in .*masked_image, .*mask_2\.png"),
    (resize("mask64", "mask_2.png"), MaskError, r"mask_2\.png: the mask is 16 x 17, the image 16 x 16"),
    (damage("mask64", "mask_10.png"), MaskError, r"mask_10\.png cannot be read"),
    (damage("masked_image", "image_10.png"), ImageError, r"image_10\.png cannot be read"),
]


@pytest.mark.parametrize(("spoil", "error", "message"), BAD_INPUT)
def test_input_that_cannot_be_used_is_named(folder, spoil, error, message):
    """Catches a folder that is filled in part, or pictures that are left out without a word."""
    spoil(folder)
    with pytest.raises(error, match=message):
        read_coursework_folder(folder)


def test_two_files_of_one_name_are_refused(folder):
    """Catches one of them being taken at random."""
    shutil.copy(folder / "mask64" / "mask_2.png", folder / "mask64" / "mask_2.bmp")
    with pytest.raises(DataError, match=r"mask_2\.png share the name 'mask_2'"):
        read_coursework_folder(folder)


def test_the_three_folders_are_written(folder, tmp_path, tiny_pipeline):
    """Catches other names than the coursework's, fills of other seeds, and known pixels that change."""
    out = tmp_path / "out"
    told = []
    pairs = read_coursework_folder(folder)
    fill_coursework_folder(
        tiny_pipeline, pairs, out, seed=4, steps=3, progress=lambda *step: told.append(step)
    )
    assert names(out) == [
        *(f"imga/test_{n}.png" for n in (0, 10, 2)),
        *(f"mask_scheduling/test_{n}.png" for n in (0, 10, 2)),
        *(f"test_results/image_{n}.png" for n in ("000", "002", "010")),
    ]
    assert told == [("filling", 3, 3)]
    for place, (number, hole) in enumerate(HOLES.items()):
        wanted = tiny_pipeline(painted(number), hole, seed=4 + place, steps=3).pictures[0].pixels
        filled = load_image(out / "test_results" / f"image_{number:03d}.png").pixels
        np.testing.assert_array_equal(filled, wanted)
        np.testing.assert_array_equal(filled[~hole], painted(number)[~hole])


def cells(path, side):
    """The pictures of a strip, each of `side` pixels with two black ones before it."""
    pixels = load_image(path).pixels
    rows, columns = ((length - 2) // (side + 2) for length in pixels.shape[:2])
    assert pixels.shape[:2] == (rows * (side + 2) + 2, columns * (side + 2) + 2)
    tops, lefts = (range(2, length, side + 2) for length in pixels.shape[:2])
    return [pixels[top : top + side, left : left + side] for top in tops for left in lefts]


def test_the_strips_show_the_iterations(folder, tmp_path, tiny_pipeline):
    """Catches masks of the wrong polarity or one step late, and pictures that are not the predicted ones."""
    fill_coursework_folder(tiny_pipeline, read_coursework_folder(folder), tmp_path, steps=3, seed=7)
    result = tiny_pipeline(painted(2), HOLES[2], seed=8, steps=3)
    masks = cells(tmp_path / "mask_scheduling" / "test_2.png", GRID)
    pictures = cells(tmp_path / "imga" / "test_2.png", SIDE)
    assert len(masks) == len(result.history) == 3
    assert len(pictures) == 4
    np.testing.assert_array_equal(pictures[0], painted(2))
    for step, mask, picture in zip(result.history, masks, pictures[1:], strict=True):
        still = step.masked[0].view(GRID, GRID).numpy()
        np.testing.assert_array_equal(mask, np.where(still[:, :, None], 0, [255] * 3))
        candidate = step.candidate[:1].view(1, GRID, GRID).numpy()
        (drawn,) = tiny_pipeline.draw_tokens(candidate, result.region)
        np.testing.assert_array_equal(picture, np.asarray(drawn))
    assert (masks[-1] == 255).all()  # in the end nothing is masked


def test_an_empty_mask_has_strips_of_one_picture(folder, tmp_path, tiny_pipeline):
    """Catches a division by no frames at all, and a mask of another size than the others."""
    fill_coursework_folder(tiny_pipeline, read_coursework_folder(folder), tmp_path, steps=3)
    (mask,) = cells(tmp_path / "mask_scheduling" / "test_10.png", GRID)
    (picture,) = cells(tmp_path / "imga" / "test_10.png", SIDE)
    assert (mask == 255).all()
    np.testing.assert_array_equal(picture, painted(10))


def test_strips_go_on_in_a_new_row():
    """Catches a grid that drops or shifts the pictures after the first row."""
    pictures = [np.full((3, 2, 3), 10 + n, np.uint8) for n in range(5)]
    sheet = np.asarray(strip(pictures, 2))
    assert sheet.shape == (3 * 5 + 2, 2 * 4 + 2, 3)
    assert [sheet[2 + row * 5, 2 + column * 4, 0] for row in range(3) for column in range(2)] == [
        10, 11, 12, 13, 14, 0,
    ]  # fmt: skip
    assert int(sheet.astype(int).sum()) == sum(picture.astype(int).sum() for picture in pictures)


def test_pictures_of_another_size_are_shown_as_the_model_saw_them(tiny_pipeline):
    """Catches strips that cannot be put together from pictures larger than the model's."""
    result = tiny_pipeline(smooth_pixels(50, 40), box_mask(50, 40, 20, 10, 30, 20), steps=2)
    assert picture_strip(tiny_pipeline, result).size == (3 * (SIDE + 2) + 2, SIDE + 4)


def test_results_that_are_there_are_kept(folder, tmp_path, tiny_pipeline):
    """Catches results of two runs in one folder, and an empty folder that is refused."""
    out = tmp_path / "out"
    (out / "imga").mkdir(parents=True)
    check_output(out)
    fill_coursework_folder(tiny_pipeline, read_coursework_folder(folder)[:1], out, steps=1)
    before = names(out)
    with pytest.raises(ConfigError, match="test_results is there already: choose another folder"):
        fill_coursework_folder(tiny_pipeline, read_coursework_folder(folder), out, steps=1)
    assert names(out) == before
    shutil.rmtree(out)
    out.mkdir()
    (out / "mask_scheduling").write_text("a file")
    with pytest.raises(ConfigError, match="mask_scheduling is there already"):
        check_output(out)


def test_a_full_disk_leaves_nothing(folder, tmp_path, tiny_pipeline, monkeypatch):
    """Catches results of some pictures that look like those of all."""
    sync, calls = disk.os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 5:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(disk.os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        fill_coursework_folder(tiny_pipeline, read_coursework_folder(folder), tmp_path / "out", steps=1)
    assert names(tmp_path / "out") == []


# On the command line


def run(*command):
    return CliRunner().invoke(main, ["inpaint", *map(str, command)], prog_name="maskmend")


def assert_refused(result, *words):
    assert result.exit_code == 2, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert all(word in lines[0] for word in words), lines
    assert result.stdout == ""


def test_the_command_fills_a_folder(folder, tmp_path, tiny_model, tiny_pipeline):
    """Catches settings and seeds that are read and forgotten."""
    out = tmp_path / "out"
    # "lab" is the name of the layout in older versions.
    command = [folder, "--layout", "lab", "-o", out, "--model", tiny_model]
    result = run(*command, "--seed", 5, "--steps", 2, "--set", "choice=argmax")
    assert result.exit_code == 0, result.output
    assert f"filled 3 pictures of {folder}: {out / 'test_results'}" in result.stdout
    assert len(names(out)) == 9
    wanted = tiny_pipeline(painted(2), HOLES[2], seed=6, steps=2, choice="argmax")
    filled = load_image(out / "test_results" / "image_002.png").pixels
    np.testing.assert_array_equal(filled, wanted.pictures[0].pixels)
    assert_refused(run(*command), "is there already")


@pytest.mark.parametrize(("spoil", "error", "message"), BAD_INPUT)
def test_the_command_refuses_bad_input_in_one_line(folder, tmp_path, tiny_model, spoil, error, message):
    """Catches tracebacks, and output for some of the pictures."""
    spoil(folder)
    assert_refused(run(folder, "--layout", "coursework", "-o", tmp_path / "out", "--model", tiny_model))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--mask", "mask.png"], ["--layout coursework does not take --mask"]),
        (["--samples", "2"], ["does not take --samples"]),
        (["--invert-mask"], ["does not take --invert-mask"]),
        (["--mask-channel", "luma"], ["does not take --mask-channel"]),
        (["--quality", "90"], ["does not take --quality"]),
        (["--uncertainty", "map.png"], ["does not take --uncertainty"]),
        (["--steps", "0"], ["steps = 0"]),
        (["--seed", "-1"], ["seed -1"]),
        (["--set", "seed=3"], ["unknown setting 'seed'"]),
        (["--model", "nowhere"], ["no model 'nowhere'"]),
    ],
    ids=" ".join,
)
def test_the_command_refuses_what_makes_no_sense_with_folders(folder, tmp_path, tiny_model, options, words):
    """Catches an option that is taken and ignored."""
    result = run(folder, "--layout", "coursework", "-o", tmp_path / "out", "--model", tiny_model, *options)
    assert_refused(result, *words)
    assert names(tmp_path / "out") == []


def test_masks_of_another_size_are_fitted_when_asked(folder, tmp_path, tiny_model):
    Image.fromarray(np.zeros((2 * SIDE, 2 * SIDE), "u1")).save(folder / "mask64" / "mask_0.png")
    command = [folder, "--layout", "coursework", "-o", tmp_path / "out", "--model", tiny_model]
    assert_refused(run(*command), "the mask is 32 x 32", "--fit-mask")
    assert run(*command, "--fit-mask").exit_code == 0


def test_a_mask_is_still_needed_without_a_layout(folder, tmp_path):
    assert_refused(run(folder, "-o", tmp_path / "out.png"), "nothing to fill: give --mask FILE", "--extend")
