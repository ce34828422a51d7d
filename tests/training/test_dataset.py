"""Image sets: every way of storing them, what is skipped, what is kept in memory, and the order of
training."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maskmend.errors import DataError
from maskmend.images.listing import list_images
from maskmend.training.dataset import ImageSet, batch_indices, crop, decode, shared_pictures

SIZE = 8


def encoded(level: int, size: tuple[int, int] = (SIZE, SIZE), form: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (level,) * 3).convert(mode).save(buffer, form)
    return buffer.getvalue()


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def levels(images: ImageSet) -> list[int]:
    return [int(picture[0, 0, 0]) for picture in images]


def test_a_folder_is_searched_to_the_bottom_in_a_fixed_order(tmp_path: Path) -> None:
    """Would catch nested folders left out, other files taken, and an order that depends on the file
    system."""
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / "z.png").write_bytes(encoded(3))
    (tmp_path / "b" / "deep" / "x.JPG").write_bytes(encoded(2, form="JPEG"))
    (tmp_path / "b" / "a.webp").write_bytes(encoded(1, form="WEBP"))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.tar").mkdir()
    images = ImageSet(tmp_path, SIZE)
    assert [entry.name for entry in images.entries] == ["b/a.webp", "b/deep/x.JPG", "z.png"]
    assert levels(images) == [1, 2, 3]
    assert images.skipped == []


def test_tar_file_equals_its_folder(tmp_path: Path) -> None:
    """Would catch wrong offsets into the tar file: the second picture would be garbage."""
    write_tar(tmp_path / "set.tar", {"b.png": encoded(2), "a/x.png": encoded(1), "list.txt": b"no"})
    images = ImageSet(tmp_path / "set.tar", SIZE)
    assert [entry.name for entry in images.entries] == ["a/x.png", "b.png"]
    assert levels(images) == [1, 2]


def test_a_folder_of_tar_files_names_the_tar_file_too(tmp_path: Path) -> None:
    """Would catch shards left out, and two pictures called 0.png that cannot be told apart in a report."""
    write_tar(tmp_path / "one.tar", {"0.png": encoded(1)})
    write_tar(tmp_path / "sub" / "two.tar", {"0.png": encoded(2)})
    images = ImageSet(tmp_path, SIZE)
    assert [entry.name for entry in images.entries] == ["one.tar/0.png", "sub/two.tar/0.png"]
    assert levels(images) == [1, 2]


def test_unreadable_files_are_reported_by_name_skipped_and_counted(tmp_path: Path) -> None:
    """Would catch one damaged file that stops training, or that is left out in silence."""
    good = encoded(9, (64, 64))
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    (tmp_path / "a-empty.png").write_bytes(b"")
    (tmp_path / "b-good.png").write_bytes(good)
    (tmp_path / "c-text.jpg").write_text("this is no picture")
    (tmp_path / "d-truncated.png").write_bytes(buffer.getvalue()[:1000])
    (tmp_path / "e-shard.tar").write_bytes(b"no tar file at all" * 100)
    said: list[str] = []
    images = ImageSet(tmp_path, SIZE, log=said.append)
    names = ["a-empty.png", "c-text.jpg", "d-truncated.png", "e-shard.tar"]
    assert levels(images) == [9]
    assert sorted(line.split(":")[0] for line in images.skipped) == names
    assert sorted(line.split(":")[0] for line in said) == [f"skipped {name}" for name in names]
    assert all("\n" not in line for line in said)
    assert "skipped c-text.jpg: not a picture" in said
    assert not any("object at" in line for line in said)


def test_gifs_are_learnt_from(tmp_path: Path) -> None:
    """Would catch pictures left out without a word, and those of an animation taken for a picture each."""
    first, second = (Image.new("RGB", (SIZE, SIZE), (level,) * 3) for level in (40, 200))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    second.save(tmp_path / "b.GIF")
    images = ImageSet(tmp_path, SIZE)
    assert levels(images) == [40, 200]
    assert not images.skipped
    assert not list(list_images(tmp_path))  # those of an evaluation stay as they were


def test_decompression_bomb_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch a small file that fills the memory."""
    (tmp_path / "bomb.png").write_bytes(encoded(0, (100, 100)))
    (tmp_path / "good.png").write_bytes(encoded(7))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    images = ImageSet(tmp_path, SIZE)
    assert levels(images) == [7]
    assert images.skipped[0].startswith("bomb.png")


def test_sixteen_bit_grey_is_skipped_not_clipped_to_white(tmp_path: Path) -> None:
    """Would catch pictures that silently train as white squares: the imaging library clips 16 bits to 255."""
    Image.fromarray(np.full((SIZE, SIZE), 20000, dtype=np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "good.png").write_bytes(encoded(7))
    images = ImageSet(tmp_path, SIZE)
    assert levels(images) == [7]
    assert "8-bit" in images.skipped[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "check the path"), ({}, "no images in"), ({"x.png": b"bad"}, "none of the 1 images")],
)
def test_nothing_usable_is_one_error(tmp_path: Path, content: dict[str, bytes] | None, words: str) -> None:
    """Would catch an empty training set found out only by a division by zero."""
    source = tmp_path / "set"
    if content is not None:
        source.mkdir()
        for name, data in content.items():
            (source / name).write_bytes(data)
    with pytest.raises(DataError, match=words) as caught:
        ImageSet(source, SIZE)
    assert str(source) in str(caught.value)


@pytest.mark.parametrize("damage", [b"no tar", None])
def test_a_damaged_tar_file_given_itself_is_an_error(tmp_path: Path, damage: bytes | None) -> None:
    """Would catch a truncated download that trains on what happens to be left of it."""
    path = write_tar(tmp_path / "set.tar", {"a.png": encoded(1), "b.png": b"x" * 5000})
    path.write_bytes(damage if damage is not None else path.read_bytes()[:2500])
    with pytest.raises(DataError, match=r"set\.tar"):
        ImageSet(path, SIZE)
    with pytest.raises(DataError, match=r"set\.tar"):
        list(list_images(tmp_path))


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_only_what_fits_stays_in_memory(tmp_path: Path, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch a cache without a limit, and pictures decoded anew that come out otherwise than before."""
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(encoded(number))
    images = ImageSet(tmp_path, SIZE, cache_bytes=kept * SIZE * SIZE * 3 + 10)
    decodings: list[int] = []

    def counting(data: bytes, size: int, **options: Any) -> np.ndarray:
        decodings.append(1)
        return decode(data, size, **options)

    monkeypatch.setattr("maskmend.training.dataset.decode", counting)
    assert levels(images) == [0, 1, 2]
    assert len(decodings) == 3 - kept


def test_a_file_that_breaks_during_training_is_named(tmp_path: Path) -> None:
    """Would catch a bare FileNotFoundError after hours, without the file's name as the user knows it."""
    (tmp_path / "a.png").write_bytes(encoded(1))
    images = ImageSet(tmp_path, SIZE, cache_bytes=0)
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"a\.png"):
        images[0]


@pytest.mark.parametrize("size", [(30, 20), (20, 30), (5, 7), (8, 8), (3, 100)])
def test_the_shorter_side_becomes_the_size(size: tuple[int, int]) -> None:
    """Would catch squashed pictures and crops that run over the edge."""
    height, width = decode(encoded(5, size), SIZE).shape[:2]
    assert min(height, width) == SIZE
    assert width / height == pytest.approx(size[0] / size[1], rel=0.1)


def test_orientation_is_applied() -> None:
    """Would catch a network that learns lying cats from photos of phones."""
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (16, 8)).save(buffer, "JPEG", exif=exif)
    assert decode(buffer.getvalue(), SIZE).shape == (16, 8, 3)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    """Would catch an array of another shape in the middle of a batch."""
    picture = decode(encoded(255, form="TIFF", mode=mode), SIZE)
    assert picture.shape == (SIZE, SIZE, 3)
    assert picture.dtype == np.uint8
    assert (picture > 250).all()


@given(step=st.integers(0, 50), batch=st.integers(1, 9), count=st.integers(1, 12), seed=st.integers(0, 2**32))
def test_batches_are_pure_functions_of_their_number(step: int, batch: int, count: int, seed: int) -> None:
    """Would catch a resumed run that sees other pictures than an uninterrupted one."""
    first = batch_indices(step, batch, count, seed)
    assert first.shape == (batch,)
    assert first.min() >= 0
    assert first.max() < count
    assert (first == batch_indices(step, batch, count, seed)).all()


@given(batch=st.integers(1, 9), count=st.integers(1, 12), seed=st.integers(0, 2**32))
def test_an_epoch_covers_every_picture_once(batch: int, count: int, seed: int) -> None:
    """Would catch pictures left out or seen twice where a batch straddles two epochs."""
    order = np.concatenate([batch_indices(step, batch, count, seed) for step in range(3 * count)])
    for epoch in range(3 * batch):
        assert sorted(order[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_epochs_and_seeds_differ() -> None:
    """Would catch one order for every epoch, and a seed that is ignored."""
    first, second = batch_indices(0, 100, 100, seed=0), batch_indices(1, 100, 100, seed=0)
    assert (first != second).any()
    assert (first != batch_indices(0, 100, 100, seed=1)).any()


def coordinates(height: int, width: int) -> np.ndarray:
    """A picture whose pixels tell where they are: (row, column, 0)."""
    return np.stack(
        [*np.mgrid[:height, :width].astype(np.uint8), np.zeros((height, width), np.uint8)], axis=2
    )


@given(extra=st.integers(0, 30), tall=st.booleans(), seed=st.integers(0, 1000))
def test_crop_without_scaling_is_a_window_or_its_mirror(extra: int, tall: bool, seed: int) -> None:
    """Would catch crops that run over the edge, are turned, or mirror up and down."""
    height, width = (SIZE + extra, SIZE) if tall else (SIZE, SIZE + extra)
    square = crop(coordinates(height, width), SIZE, np.random.default_rng(seed)).astype(int)
    assert square.shape == (SIZE, SIZE, 3)
    assert (np.diff(square[..., 0], axis=0) == 1).all()
    assert len(set(np.diff(square[..., 1], axis=1).flatten())) == 1
    assert (abs(np.diff(square[..., 1], axis=1)) == 1).all()


def test_random_crops_reach_both_ends_and_both_mirror_images() -> None:
    """Would catch an edge of the pictures that is never trained on, and a flip that never comes."""
    picture = coordinates(SIZE, SIZE + 3)
    found = set()
    for seed in range(100):
        row = crop(picture, SIZE, np.random.default_rng(seed))[0, :, 1].astype(int)
        found.add((int(row.min()), bool(row[0] > row[-1])))
    assert found == {(left, flipped) for left in range(4) for flipped in (False, True)}


@given(low=st.floats(0.1, 1), seed=st.integers(0, 1000))
def test_scaled_crops_keep_size_type_and_range(low: float, seed: int) -> None:
    """Would catch a crop of a share of the side that is not scaled back to the model's size."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(50, 60, (SIZE, SIZE + 4, 3), dtype=np.uint8)
    square = crop(picture, SIZE, rng, (low, 1.0))
    assert square.shape == (SIZE, SIZE, 3)
    assert square.dtype == np.uint8
    assert square.min() >= 45
    assert square.max() <= 65


def test_crop_without_generator_is_the_centre() -> None:
    """Would catch validation pictures that differ from run to run."""
    square = crop(coordinates(SIZE, SIZE + 5), SIZE, None)
    assert (square[0, :, 1] == np.arange(2, 2 + SIZE)).all()


def test_pictures_of_both_sets_are_found(tmp_path: Path) -> None:
    """Would catch a set that is its own validation, as it is or as a copy, and one of equal sizes only."""
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        for folder in ("train", "held-out"):
            path = tmp_path / folder / f"{name}.bmp"  # all of one length
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    training, held_out = (ImageSet(tmp_path / name, 8) for name in ("train", "held-out"))
    assert shared_pictures(training, held_out) == 0
    assert shared_pictures(training, training) == 3
    (tmp_path / "held-out" / "copy.bmp").write_bytes((tmp_path / "train" / "b.bmp").read_bytes())
    assert shared_pictures(training, ImageSet(tmp_path / "held-out", 8)) == 1
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(tmp_path / "train", arcname="t")
    assert shared_pictures(training, ImageSet(tmp_path / "all.tar", 8)) == 3
