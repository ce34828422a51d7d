"""Encodes a data set once into token shards (`maskmend data tokenize`; the format: `tokens`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from maskmend.errors import ConfigError
from maskmend.models.vqgan import VQGAN
from maskmend.pretrained.hashes import tokens_hash
from maskmend.progress import Count
from maskmend.training.batches import Pictures, to_float
from maskmend.training.dataset import crop
from maskmend.training.shards.index import NAME, TOKEN_RECORD, Index, write_index
from maskmend.training.shards.shard_file import ShardWriter


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
    with the number of crops done. Of the crops, only those of one batch are in memory.

    Raises ConfigError if `output` already contains an index, OutputError.
    """
    if (output / NAME).exists():
        raise ConfigError(f"{output} already holds a data set: choose another folder, or remove it first")
    config = tokenizer.config
    dtype = np.dtype("<u2" if config.quantizer.codes <= 2**16 else "<u4")
    done = 0
    with ShardWriter(output, shard_size) as shards:
        for group in _groups(pictures, squares, batch):
            codes = encode_both(tokenizer, group).astype(dtype)
            for square, own in zip(group, codes, strict=True):
                shards.add(square, own)
            done += len(group)
            if progress:
                progress(done)
    index = Index(
        place=str(output),
        shards=tuple(shards.names),
        sizes=tuple(shards.sizes),
        records=np.array(shards.records, dtype=TOKEN_RECORD),
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
