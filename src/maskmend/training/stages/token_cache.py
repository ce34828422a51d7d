"""Tokens of pictures that recur unchanged, such as those of a training set without random crops."""

import hashlib
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

LIMIT = 2**18
"""Number of pictures whose tokens are cached on the device, about a KiB each."""


class TokenCache:
    """Tokens by the hash of the pixels.

    Args:
        infilled: pictures with an infilled hole are cached too: for trainings that share pictures, tokenizer
            and holes.
        limit: number of pictures; once it is reached, no more are added.
    """

    def __init__(self, *, infilled: bool = False, limit: int = LIMIT) -> None:
        self.infilled, self.limit = infilled, limit
        self._tokens: dict[bytes, Tensor] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    def encode(
        self,
        images: Float[Tensor, "B 3 H W"],
        encode: Callable[[Float[Tensor, "_ 3 H W"]], Int[Tensor, "_ N"]],
    ) -> Int[Tensor, "B N"]:
        """The tokens of `images`; `encode` is called for those that are not in the cache."""
        keys = [hashlib.sha256(image.cpu().numpy().tobytes()).digest() for image in images]
        found = {key: self._tokens[key] for key in keys if key in self._tokens}
        misses = [n for n, key in enumerate(keys) if key not in found]
        if misses:
            # One by one: the last bits of a convolution depend on the batch size, and the number of new
            # images depends on where the run was resumed.
            encoded = {keys[n]: encode(images[n : n + 1])[0].int() for n in misses}
            found |= encoded
            if len(self) < self.limit:
                self._tokens |= encoded
        return torch.stack([found[key] for key in keys]).long()
