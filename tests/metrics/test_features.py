"""Batching and caching of features, with a network of one line."""

from pathlib import Path

import numpy as np
import pytest

from maskmend.errors import DataError
from maskmend.metrics.features import cached_features, content_hash, extract_features


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MASKMEND_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


class Means:
    """Channel means; counts its calls."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.batches.append(len(images))
        return images.mean(axis=(1, 2), dtype=np.float32)


def images(*sides: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in sides]


def test_sizes_may_differ_and_order_stays() -> None:
    """Would catch images sorted by size, or stacked although their sizes differ."""
    pictures = images(8, 8, 8, 12, 8)
    means, told = Means(), []
    rows = extract_features(
        pictures, means, batch_size=2, progress=lambda done, total: told.append((done, total))
    )
    np.testing.assert_allclose(rows, [image.mean(axis=(0, 1)) for image in pictures], rtol=1e-6)
    assert means.batches == [2, 1, 1, 1]
    assert told == [(2, 5), (3, 5), (4, 5), (5, 5)]


def test_the_same_pixels_are_read_from_the_cache(cache: Path) -> None:
    pictures, means = images(8, 12), Means()
    first = cached_features(pictures, means, network="means")
    second = cached_features([image.copy() for image in pictures], means, network="means")
    np.testing.assert_array_equal(first, second)
    assert len(means.batches) == 2
    assert [path.suffix for path in cache.iterdir()] == [".npz"]


def test_other_pixels_order_or_network_are_computed() -> None:
    """Would catch features of another set or network served from the cache."""
    pictures = images(8, 8)
    changed = [pictures[0], pictures[1].copy()]
    changed[1][0, 0, 0] ^= 1
    means = Means()
    for number, (these, network) in enumerate(
        [(pictures, "a"), (pictures[::-1], "a"), (changed, "a"), (pictures[:1], "a"), (pictures, "b")]
    ):
        rows = cached_features(these, means, network=network)
        assert len(means.batches) == number + 1
        assert rows.shape == (len(these), 3)


def test_shape_enters_the_hash() -> None:
    flat = np.arange(24, dtype=np.uint8)
    assert content_hash([flat.reshape(2, 4, 3)]) != content_hash([flat.reshape(4, 2, 3)])
    assert content_hash([flat[:12], flat[12:]]) != content_hash([flat])


@pytest.mark.parametrize("junk", [b"", b"PK junk", b"\x93NUMPY"])
def test_a_damaged_cache_file_is_replaced(cache: Path, junk: bytes) -> None:
    pictures, means = images(8), Means()
    expected = cached_features(pictures, means, network="means")
    (file,) = cache.iterdir()
    file.write_bytes(junk)
    np.testing.assert_array_equal(cached_features(pictures, means, network="means"), expected)
    np.testing.assert_array_equal(cached_features(pictures, means, network="means"), expected)
    assert len(means.batches) == 2


def test_a_cache_that_cannot_be_written_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MASKMEND_CACHE", str(tmp_path / "file"))
    assert cached_features(images(8), Means(), network="means").shape == (1, 3)


@pytest.mark.usefixtures("unchecked")
def test_useless_images_are_refused() -> None:
    with pytest.raises(DataError, match="no images"):
        extract_features([], Means())
    with pytest.raises(DataError, match="float64"):
        extract_features([np.zeros((8, 8, 3))], Means())
