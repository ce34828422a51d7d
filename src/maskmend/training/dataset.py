"""Image sets for training: a folder (searched recursively) or tar files, as uint8 squares held in memory.

Each picture is decoded once, its shorter side scaled to the wanted size and kept whole along the longer one,
so that random crops still see all of it. What fits within `cache_bytes` stays in memory; the rest is decoded
again when asked for. Unreadable files are named, counted and skipped; an animation is its first picture.
"""

import functools
import io
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from maskmend.errors import DataError
from maskmend.images.listing import TRAINABLE, Entry, list_images
from maskmend.images.opening import READABLE
from maskmend.progress import Log


class ImageSet(Sequence[np.ndarray]):
    """Pictures as uint8 (H, W, 3) arrays with min(H, W) = size.

    Args:
        source: a folder, a tar file, or a folder of tar files.
        size: length of the shorter side, in pixels.
        cache_bytes: how much decoded data may stay in memory.
        enlarge: whether smaller pictures are enlarged; otherwise they keep their size.
        log: called with one line for each unreadable file.
    """

    def __init__(
        self,
        source: Path | str,
        size: int,
        *,
        cache_bytes: int = 4 << 30,
        enlarge: bool = True,
        log: Log | None = None,
    ) -> None:
        self.size, self.enlarge = size, enlarge
        self.skipped: list[str] = []
        self.entries: list[Entry] = []
        self.shapes: list[tuple[int, int]] = []
        """Height and width of each picture."""
        self.square = True
        """Whether all pictures are square: then crops are whole pictures, which recur unchanged."""
        self._cache: dict[int, np.ndarray] = {}
        self._left = cache_bytes

        def skip(name: str, reason: str) -> None:
            self.skipped.append(f"{name}: {reason}")
            if log:
                log(f"skipped {name}: {reason}")

        found = list(list_images(Path(source), skip, TRAINABLE))
        if not found:
            raise DataError(
                f"no images in {source}: expected {', '.join(sorted(TRAINABLE))} files or tar files of them"
            )
        with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
            # Odd metadata is not worth a warning for each of a million files; damaged files are named below.
            warnings.simplefilter("ignore")
            for entry, picture in zip(found, pool.map(self._try, found), strict=True):
                if isinstance(picture, str):
                    skip(entry.name, picture)
                    continue
                self.square &= picture.shape[0] == picture.shape[1]
                self.shapes.append((picture.shape[0], picture.shape[1]))
                if self._left >= picture.nbytes:
                    self._left -= picture.nbytes
                    self._cache[len(self.entries)] = picture
                self.entries.append(entry)
        if not self.entries:
            raise DataError(
                f"none of the {len(found)} images in {source} could be read; first: {self.skipped[0]}"
            )

    def _try(self, entry: Entry) -> np.ndarray | str:
        try:
            return decode(entry.read(), self.size, enlarge=self.enlarge)
        except UnidentifiedImageError:
            return "not a picture"  # the library's words are the address of an object
        except Exception as error:  # a damaged file makes the imaging library raise nearly anything
            return " ".join(str(error).split()) or type(error).__name__

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        cached = self._cache.get(index)
        if cached is not None:
            return cached
        entry = self.entries[index]
        picture = self._try(entry)
        if isinstance(picture, str):
            raise DataError(f"{entry.name} in {entry.path} was readable before and is not now: {picture}")
        return picture


def shared_pictures(training: ImageSet, validation: ImageSet) -> int:
    """How many validation pictures are training pictures too: the same file, or one of the same content."""
    places = {(entry.path.resolve(), entry.offset) for entry in training.entries}
    by_size: dict[int, list[Entry]] = {}
    for entry in training.entries:
        by_size.setdefault(_bytes(entry), []).append(entry)
    digests: dict[int, set[bytes]] = {}

    def known(entry: Entry) -> bool:
        if (entry.path.resolve(), entry.offset) in places:
            return True
        size = _bytes(entry)
        if size not in digests:  # only files of one size can be the same
            digests[size] = {sha256(other.read()).digest() for other in by_size.get(size, ())}
        return bool(digests[size]) and sha256(entry.read()).digest() in digests[size]

    return sum(map(known, validation.entries))


def _bytes(entry: Entry) -> int:
    return entry.size if entry.offset >= 0 else entry.path.stat().st_size


def decode(data: bytes, size: int, *, enlarge: bool = True) -> np.ndarray:
    """Encoded bytes to a uint8 (H, W, 3) array whose shorter side is `size`, or less without `enlarge`.

    Raises ValueError for more than 8 bits of grey, else whatever the imaging library raises on damaged data.
    """
    with Image.open(io.BytesIO(data), formats=READABLE) as opened:
        if opened.mode.startswith(("I", "F")):
            # The library would clip it to white instead of scaling it.
            raise ValueError(f"more than 8 bits of grey (mode {opened.mode}): convert it to 8-bit")
        image = ImageOps.exif_transpose(opened).convert("RGB")
    width, height = image.size
    if min(width, height) > size or (enlarge and min(width, height) < size):
        scale = size / min(width, height)
        scaled = max(size, round(width * scale)), max(size, round(height * scale))
        image = image.resize(scaled, Image.Resampling.LANCZOS)
    return np.asarray(image)


class Box(NamedTuple):
    """The position of a square crop, and whether it is mirrored."""

    top: int
    left: int
    side: int
    flip: bool


def draw_box(shape: tuple[int, int], rng: np.random.Generator, scale: tuple[float, float]) -> Box:
    """A random crop of a picture of this (height, width): its place, scale (share of the shorter side, even
    over its logarithm) and flip."""
    height, width = shape
    side = round(min(height, width) * float(np.exp(rng.uniform(*np.log(scale)))))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    return Box(top, left, side, bool(rng.random() < 0.5))


def cut(picture: np.ndarray, size: int, box: Box) -> np.ndarray:
    """The part of `picture` in `box`, scaled to size x size."""
    square = picture[box.top : box.top + box.side, box.left : box.left + box.side]
    if box.flip:
        square = square[:, ::-1]
    if box.side != size:
        image = Image.fromarray(np.ascontiguousarray(square))
        square = np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))
    return square


def crop(
    picture: np.ndarray, size: int, rng: np.random.Generator | None, scale: tuple[float, float] = (1.0, 1.0)
) -> np.ndarray:
    """A size x size crop: of the centre when `rng` is None, else a random one (`draw_box`)."""
    height, width = picture.shape[:2]
    if rng is None:
        top, left = (height - size) // 2, (width - size) // 2
        return picture[top : top + size, left : left + size]
    return cut(picture, size, draw_box((height, width), rng, scale))


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The permutation of an epoch: drawn once, for that of a million takes longer than a small step."""
    order = np.random.default_rng([seed, epoch]).permutation(count)
    order.flags.writeable = False
    return order


def batch_indices(step: int, batch: int, count: int, seed: int) -> np.ndarray:
    """Indices of batch number `step`: epochs are permutations, so a pass sees every picture once.

    A pure function of its arguments: a resumed run continues the same sequence without any saved state.
    """
    positions = np.arange(step * batch, (step + 1) * batch)
    epochs = positions // count
    return np.array([_order(seed, int(e), count)[p % count] for e, p in zip(epochs, positions, strict=True)])
