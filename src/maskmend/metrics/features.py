"""Features of a set of images, computed in batches and cached on disk.

They are computed by any function from a batch of images to rows, in practice `features` of
`perceptual.inception.Inception`. The cache's key is a hash of the decoded pixels, so renamed, moved or
losslessly recompressed files are found again.
"""

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from maskmend.errors import DataError, OutputError
from maskmend.progress import Progress
from maskmend.storage.cache import cache_folder
from maskmend.storage.files import write_files

FeatureFunction = Callable[[UInt8[np.ndarray, "B H W 3"]], Float[np.ndarray, "B D"]]
"""What turns a batch of images into features; tests give a small one of their own."""


def batches(images: Sequence[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    """Neighbouring images of equal shape, `size` at most together; reads each image once."""
    batch: list[np.ndarray] = []
    for image in images:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise DataError(f"an image of shape {image.shape} and type {image.dtype}: give (H, W, 3) uint8")
        if batch and (len(batch) == size or batch[0].shape != image.shape):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch


def extract_features(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    extract: FeatureFunction,
    *,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> Float[np.ndarray, "N D"]:
    """The features of each image in order. DataError if there are no images or one is not (H, W, 3) uint8."""
    rows, done = [], 0
    for batch in batches(images, batch_size):
        rows.append(np.asarray(extract(np.stack(batch)), dtype=np.float32))
        done += len(batch)
        if progress is not None:
            progress(done, len(images))
    if not rows:
        raise DataError("no images to take features of: check the folder")
    return np.concatenate(rows)


def content_hash(images: Sequence[Shaped[np.ndarray, "..."]]) -> str:
    """SHA-256 over the pixels of a set of images in order, independent of file names and formats."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(f"{image.shape}{image.dtype}".encode())
        digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def cached_features(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    extract: FeatureFunction,
    *,
    network: str,
    digest: str | None = None,
    batch_size: int = 16,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> Float[np.ndarray, "N D"]:
    """`extract_features`, but a set of images seen before is read from the cache.

    `network` names what `extract` computes and is part of the cache's key: two networks must not share a
    name. `digest` is the images' `content_hash` where the caller knows it already.
    `folder` is another place for the cache than the user's own.
    """
    file = (folder or cache_folder() / "features") / f"{network}-{digest or content_hash(images)}.npz"
    try:
        with np.load(file, allow_pickle=False) as stored:
            rows = stored["features"]
            if rows.ndim == 2 and rows.shape[0] == len(images):
                return rows
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # absent or damaged: it is computed
    rows = extract_features(images, extract, batch_size=batch_size, progress=progress)
    buffer = io.BytesIO()
    np.savez(buffer, features=rows)
    with suppress(OutputError):  # if the cache cannot be written, only time is lost
        write_files({file: buffer.getvalue()})
    return rows
