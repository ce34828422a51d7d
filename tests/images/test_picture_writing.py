"""Pictures as files: refusals and failures leave nothing behind, and no format drops in silence."""

import os
from pathlib import Path

import numpy as np
import pytest
from picture_files import ALPHA, GAMMA_1, PIXELS

from maskmend.errors import ImageError, OutputError
from maskmend.images.picture import Picture, read_image
from maskmend.images.writing import check_writable, encode_picture, save_image


def test_save_refusals_leave_nothing_behind(tmp_path):
    """Catches partial output and a picture written where nobody asked for it."""
    for picture, path, words in [
        (Picture(pixels=PIXELS), tmp_path / "a.xyz", ".xyz"),
        (Picture(pixels=PIXELS), tmp_path / "plain", "suffix"),
        (Picture(pixels=PIXELS, alpha=ALPHA), tmp_path / "a.jpg", "alpha"),
        (Picture(pixels=PIXELS), tmp_path / "no" / "a.png", "folder"),
        (Picture(pixels=np.zeros((1, 17_000, 3), np.uint8)), tmp_path / "wide.webp", "cannot write"),
        (Picture(pixels=np.zeros((65_501, 1, 3), np.uint8)), tmp_path / "high.jpg", "65500 pixels a side"),
        (Picture(pixels=PIXELS, colour={"gAMA": GAMMA_1}), tmp_path / "a.jpg", "gAMA.*sRGB"),
    ]:
        with pytest.raises(ImageError, match=words):
            save_image(picture, path)
        # Before the work as after it.
        with pytest.raises(ImageError, match=rf"cannot write .*{words}|{words}"):
            check_writable(path, alpha=picture.alpha is not None, picture=picture)
    with pytest.raises(ImageError, match="quality"):
        save_image(Picture(pixels=PIXELS), tmp_path / "a.jpg", quality=0)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    """Catches overwriting in place: a full disk must not cost the picture that was there."""
    target = tmp_path / "a.png"
    target.write_bytes(b"old")

    def full(self: Path, other: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="No space"):
        save_image(Picture(pixels=PIXELS), target)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_new_files_follow_the_umask(tmp_path):
    """Catches results only their owner can read, as temporary-file helpers make them."""
    before = os.umask(0o022)
    try:
        save_image(Picture(pixels=PIXELS), tmp_path / "a.png")
    finally:
        os.umask(before)
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o644


def test_webp_of_a_quality_is_smaller_than_a_lossless_one():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    picture = Picture(pixels=pixels, icc=b"a profile")
    exact, small = (encode_picture(picture, "WEBP", quality=30, lossless=choice) for choice in (True, False))
    assert len(small) < len(exact) / 2
    np.testing.assert_array_equal(read_image(exact).pixels, pixels)
    assert read_image(small).icc == b"a profile"


def test_what_a_format_cannot_hold_is_refused():
    picture = Picture(pixels=np.zeros((2, 2, 3), np.uint8), alpha=np.zeros((2, 2), np.uint8))
    for kind, quality, word in (("JPEG", 95, "alpha"), ("PNG", 0, "quality"), ("XCF", 95, "not supported")):
        with pytest.raises(ImageError, match=word):
            encode_picture(picture, kind, quality=quality)
