"""Token shards: pictures with precomputed tokens of each picture and its mirror image.

    000000017.png      the square picture, 8 bits, lossless
    000000017.codes    uint16 or uint32, (2, N): tokens of the picture and of its mirror image

`maskmend data tokenize` writes them. Training on them skips encoding the targets. What depends on the current
hole (known tokens around it, hints) is still encoded in each step if the recipe needs it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from maskmend.storage.stores import read_ranges
from maskmend.training.shards.index import Index
from maskmend.training.shards.pictures import ShardSet


class TokenBatch(NamedTuple):
    """A batch of pictures whose tokens are known."""

    tokens: Tensor
    """(B, N) int64."""
    images: Tensor | None
    """(B, 3, H, W) in [-1, 1]; None where no hole is infilled and encoded."""

    def chunk(self, count: int) -> "list[TokenBatch]":
        images = [None] * count if self.images is None else self.images.chunk(count)
        return [TokenBatch(*pair) for pair in zip(self.tokens.chunk(count), images, strict=True)]


class TokenSet(ShardSet):
    """Pictures of token shards with their tokens."""

    square = True
    in_a_row = 1  # another picture would not be that of the tokens

    def __init__(self, index: Index, *, cache_bytes: int = 4 << 30, workers: int = 1) -> None:
        assert index.tokens is not None
        super().__init__(index, int(index.tokens["resolution"]), cache_bytes=cache_bytes, workers=workers)
        self.dtype = np.dtype(f"<u{index.tokens['bytes']}")
        self.tokens = int(index.tokens["grid"]) ** 2

    def batch(self, numbers: Sequence[int], flips: Sequence[bool], *, pictures: bool) -> TokenBatch:
        """Tokens of these pictures, mirrored where `flips` says so, with `pictures` those too."""
        records = [self.index.records[number] for number in numbers]
        length = self.tokens * self.dtype.itemsize
        for record in records:
            self._check(int(record["shard"]))
        contents = read_ranges(
            [
                (self.index.shard(int(r["shard"])), int(r["codes"]) + length * flip, length)
                for r, flip in zip(records, flips, strict=True)
            ]
        )
        codes = np.stack([np.frombuffer(content, self.dtype) for content in contents])
        tokens = torch.from_numpy(codes.astype(np.int64))
        if not pictures:
            return TokenBatch(tokens, None)
        found = [
            picture[:, ::-1] if flip else picture
            for picture, flip in zip(self.take(numbers), flips, strict=True)
        ]
        images = torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)
        return TokenBatch(tokens, images.float().div_(127.5).sub_(1))
