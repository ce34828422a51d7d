"""Encodes a data set once into token shards (`maskmend data tokenize`; the format: `tokens`)."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from maskmend.errors import ConfigError
from maskmend.files import write_files
from maskmend.models.vqgan import VQGAN
from maskmend.pretrained.folder import tokens_hash
from maskmend.progress import Count
from maskmend.training.batches import Pictures, to_float
from maskmend.training.dataset import crop
from maskmend.training.shards.index import NAME, TOKEN_RECORD, Index, write_index


@dataclass(frozen=True, kw_only=True)
class Squares:
    """The square crops of a picture that are encoded."""

    count: int = 1
    """1: the central square; more: random crops."""
    size: int
    """Side of the squares in pixels: the tokenizer's resolution."""
    scale: float = 1.0
    """Minimum side of a random crop, as a share of the picture's shorter side."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count == 1 and self.scale < 1:
            raise ConfigError(
                f"--crop-scale {self.scale} with one square a picture, which is the centre: give --crops"
            )

    def of(self, picture: np.ndarray, number: int) -> Iterator[np.ndarray]:
        """The crops of picture `number`, determined by it and the seed; random ones may be mirrored."""
        for crop_number in range(self.count):
            rng = None if self.count == 1 else np.random.default_rng([self.seed, number, crop_number])
            square = crop(picture, self.size, rng, (self.scale, 1.0))
            if square.shape[:2] != (self.size, self.size):  # the centre of a picture stored at a larger size
                image = Image.fromarray(np.ascontiguousarray(square))
                square = np.asarray(image.resize((self.size, self.size), Image.Resampling.LANCZOS))
            yield np.ascontiguousarray(square)


def tokenize_pictures(
    pictures: Pictures,
    tokenizer: VQGAN,
    output: Path,
    squares: Squares,
    *,
    shard_size: int = 4096,
    batch: int = 64,
    progress: Count | None = None,
) -> str:
    """Writes the shards and their index into `output`; returns the path of the index. `progress` is called
    with the number of crops done.

    Raises ConfigError if `output` already contains an index, OutputError.
    """
    if (output / NAME).exists():
        raise ConfigError(f"{output} already holds a data set: choose another folder, or remove it first")
    config = tokenizer.config
    dtype = np.dtype("<u2" if config.quantizer.codes <= 2**16 else "<u4")
    names, sizes, records = [], [], []
    done = 0
    members: list[tuple[np.ndarray, np.ndarray]] = []

    def finish() -> None:
        content, places = _shard(members, done - len(members))
        name = f"tokens-{len(names):05d}.tar"
        write_files({output / name: content})
        records.extend((len(names), *place) for place in places)
        names.append(name)
        sizes.append(len(content))
        members.clear()

    for group in _groups(pictures, squares, batch):
        codes = encode_both(tokenizer, group).astype(dtype)
        for square, own in zip(group, codes, strict=True):
            members.append((square, own))
            done += 1
            if len(members) == shard_size:
                finish()
        if progress:
            progress(done)
    if members:
        finish()
    index = Index(
        place=str(output),
        shards=tuple(names),
        sizes=tuple(sizes),
        records=np.array(records, dtype=TOKEN_RECORD),
        tokens={
            "tokenizer": tokens_hash(tokenizer),
            "grid": config.grid,
            "resolution": squares.size,
            "bytes": dtype.itemsize,
        },
    )
    return write_index(index, str(output))


@torch.no_grad()
def encode_both(tokenizer: VQGAN, squares: list[np.ndarray]) -> np.ndarray:
    """Tokens (B, 2, N) of uint8 squares and of their mirror images."""
    images = to_float(squares).to(next(tokenizer.parameters()).device)
    both = (tokenizer.encode(images), tokenizer.encode(images.flip(-1)))
    return torch.stack([tokens.flatten(1) for tokens in both], dim=1).cpu().numpy()


def _groups(pictures: Pictures, squares: Squares, batch: int) -> Iterator[list[np.ndarray]]:
    gathered: list[np.ndarray] = []
    for number in range(len(pictures)):
        for square in squares.of(pictures[number], number):
            gathered.append(square)
            if len(gathered) == batch:
                yield gathered
                gathered = []
    if gathered:
        yield gathered


def _shard(
    members: list[tuple[np.ndarray, np.ndarray]], first: int
) -> tuple[bytes, list[tuple[int, int, int]]]:
    """A tar file, and for each crop the offset and size of its picture and the offset of its tokens."""
    content, places = io.BytesIO(), []
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for number, (square, codes) in enumerate(members, first):
            picture = io.BytesIO()
            Image.fromarray(square).save(picture, "png")
            offset = _add(archive, f"{number:09d}.png", picture.getvalue())
            places.append(
                (offset, len(picture.getvalue()), _add(archive, f"{number:09d}.codes", codes.tobytes()))
            )
    return content.getvalue(), places


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> int:
    """Adds a member; returns the offset of its content."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    offset = archive.offset + tarfile.BLOCKSIZE
    archive.addfile(member, io.BytesIO(content))
    return offset
