"""A folder made ready: what is taken, on which side it falls, and at which size it is kept."""

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from fakes import smooth_pixels
from finetuning import write_photos
from maskmend.errors import DataError, OutputError
from maskmend.training.dataset import ImageSet, shared_pictures
from maskmend.training.finetune.pictures import (
    keep_pictures,
    listing_hash,
    split_pictures,
    training_file,
    validation_file,
)


def prepare(source: Path, folder: Path, resolution: int = 16):
    said: list[str] = []
    split = split_pictures(source, resolution, said.append)
    counts = split.counts
    for file, part, name in (
        (training_file, split.training, "training"),
        (validation_file, split.validation, "validation"),
    ):
        kept = keep_pictures(part, file(folder), counts.side, said.append)
        counts = replace(counts, **{name: kept})
    return counts, said


def contents(file: Path) -> list[bytes]:
    with tarfile.open(file) as archive:
        return [archive.extractfile(member).read() for member in archive]


def test_no_picture_is_on_both_sides(tmp_path: Path) -> None:
    """Would catch a copy under another name that is learnt from and then judged by."""
    photos = write_photos(tmp_path / "photos", 20)
    for number in range(20):
        data = (photos / f"{number:02d}.png").read_bytes()
        (photos / "again").mkdir(exist_ok=True)
        (photos / "again" / f"z{number}.png").write_bytes(data)
    counts, _ = prepare(photos, tmp_path / "kept")
    assert (counts.training, counts.validation, counts.copies) == (18, 2, 20)
    sets = [ImageSet(file(tmp_path / "kept"), counts.side) for file in (training_file, validation_file)]
    assert shared_pictures(*sets) == 0


def test_names_and_dates_do_not_decide_the_sides(tmp_path: Path) -> None:
    """Would catch a split by order of names: the last day of a journey held out, or another split after a
    renaming."""
    photos = write_photos(tmp_path / "photos", 30)
    prepare(photos, tmp_path / "first")
    for number, path in enumerate(sorted(photos.iterdir(), reverse=True)):
        path.rename(photos / f"renamed-{number}.png")
    prepare(photos, tmp_path / "second")
    for file in (training_file, validation_file):
        assert contents(file(tmp_path / "first")) == contents(file(tmp_path / "second"))


def test_what_cannot_be_used_is_named_and_left_out(tmp_path: Path) -> None:
    """Would catch a run that ends at one broken file, or learns from pictures smaller than its view."""
    photos = write_photos(tmp_path / "photos", 12)
    (photos / "broken.png").write_bytes(b"no picture")
    whole = (photos / "03.png").read_bytes()
    (photos / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(smooth_pixels(15, 300, seed=50)).save(photos / "banner.png")
    counts, said = prepare(photos, tmp_path / "kept")
    assert counts.training + counts.validation == 12
    assert counts.skipped == 2  # of the one cut short the head is whole: that shows when it is decoded
    assert "skipped broken.png: not a picture" in said
    assert "skipped banner.png: 15 pixels across, the model sees 16" in said
    assert any(line.startswith("skipped cut.png: ") for line in said)


@pytest.mark.parametrize(
    ("sides", "kept"), [((200,) * 12, 64), ((40,) * 12, 40), ((20,) * 6 + (90,) * 6, 20)]
)
def test_the_size_follows_from_pictures_and_model(tmp_path: Path, sides: tuple[int, ...], kept: int) -> None:
    """Would catch small pictures blown up to four times the view, which teach a model to blur."""
    (tmp_path / "photos").mkdir()
    for number, side in enumerate(sides):
        Image.fromarray(smooth_pixels(side, side + 5, seed=number)).save(
            tmp_path / "photos" / f"{number}.png"
        )
    counts, _ = prepare(tmp_path / "photos", tmp_path / "kept")
    assert counts.side == kept
    pictures = ImageSet(training_file(tmp_path / "kept"), counts.side)
    assert {min(picture.shape[:2]) for picture in pictures} == {kept}


@pytest.mark.parametrize(
    ("count", "words"), [(0, "no images in"), (1, "1 usable picture in"), (9, "9 usable pictures in")]
)
def test_too_few_pictures_are_refused(tmp_path: Path, count: int, words: str) -> None:
    """Would catch an empty validation part, which the loop could not judge by."""
    photos = write_photos(tmp_path / "photos", count)
    with pytest.raises(DataError, match=words) as refused:
        prepare(photos, tmp_path / "kept")
    assert "\n" not in str(refused.value)
    assert count == 0 or "give at least 10" in str(refused.value)
    assert not (tmp_path / "kept").exists()


def test_pictures_all_too_small_say_why(tmp_path: Path) -> None:
    """Would catch "0 usable pictures" without a reason."""
    with pytest.raises(DataError, match=r"0 usable pictures in .* \(12 unreadable or too small\)"):
        prepare(write_photos(tmp_path / "photos", 12, side=15), tmp_path / "kept")


def test_a_tar_file_does_as_well(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 12)
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for path in sorted(photos.iterdir()):
            archive.add(path, path.name)
    of_folder, _ = prepare(photos, tmp_path / "a")
    of_tar, _ = prepare(tmp_path / "photos.tar", tmp_path / "b")
    assert of_folder == of_tar
    assert contents(training_file(tmp_path / "a")) == contents(training_file(tmp_path / "b"))


def test_the_listing_tells_a_picture_more(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 3)
    before = listing_hash(photos)
    (photos / "notes.txt").write_text("no picture")
    assert listing_hash(photos) == before
    write_photos(photos, 4)
    assert listing_hash(photos) != before


def test_a_place_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 12)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="choose another --output"):
        prepare(photos, tmp_path / "file" / "kept")
