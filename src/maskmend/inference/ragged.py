"""Selected tokens of a batch of images as one ragged batch: concatenated, not padded.

    selected (B, N) ─► image and position of each row (S) ─► attention among the rows of an image

Only the queries of the attention are padded, and only if the images have similar numbers of rows.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from maskmend.models.transformer import MaskedTransformer


def round_up(count: int) -> int:
    """`count` rounded up to five significant bits, by a sixteenth at most.

    oneDNN compiles a kernel for each number of rows, which takes longer than a small product itself; with few
    different numbers, most kernels are compiled already.
    """
    grain = 1 << max(0, count.bit_length() - 5)
    return -(-count // grain) * grain


class RaggedBatch:
    """The selected tokens of a batch as rows, image by image in grid order.

    With `round_count` their number is rounded by `round_up`: the last row repeats, of each image where all
    have equally many tokens, else of the last image.
    """

    def __init__(self, model: MaskedTransformer, selected: Bool[Tensor, "B N"], *, round_count: bool) -> None:
        self.images, length = selected.shape
        counts = selected.sum(1)
        self.max_count = int(counts.max()) if self.images else 0
        image, position = selected.nonzero(as_tuple=True)
        self.count = len(image)
        self.is_rectangular = self.count == self.images * self.max_count
        """Whether all images have the same number of rows, so that nothing is padded."""
        row = torch.arange(self.count, device=selected.device)
        if self.is_rectangular:
            extra = round_up(self.max_count) - self.max_count if round_count else 0
            row = row.view(self.images, self.max_count)
            row = torch.cat([row, row[:, -1:].expand(-1, extra)], 1).flatten()
            self.width = self.max_count + extra
        else:
            extra = round_up(self.count) - self.count if round_count else 0
            row = torch.cat([row, row[-1:].expand(extra)])
            self.width = self.max_count
        self.image, self.position = image[row], position[row]
        self.is_original = row.diff(prepend=row.new_tensor([-1])) != 0
        """False at repeated rows."""
        self.flat_index = self.image * length + self.position
        """Index into the flattened grids of all images, (B N)."""
        self.slot = row - (counts.cumsum(0) - counts)[self.image]
        self.lengths: list[int] | None = None
        """Rows of each image, where more than a quarter would be padding: attention then runs per image."""
        if self.images * self.width > 1.25 * self.count and not self.is_rectangular:
            self.lengths = self.image.bincount(minlength=self.images).tolist()
        self.rope: Tensor | None = None
        if (angles := model.angles(self.position[None])) is not None:
            rotation = torch.polar(torch.ones_like(angles[0]), angles[0])
            rope = torch.stack([rotation, rotation, torch.ones_like(rotation)], 1)  # values are not rotated
            self.rope = rope[:, :, None]  # (S, 3, 1, d/2)

    def __len__(self) -> int:
        return len(self.flat_index)

    def attend(
        self, q: Float[Tensor, "S h d"], keys: Float[Tensor, "B h N d"], values: Float[Tensor, "B h N d"]
    ) -> Float[Tensor, "S D"]:
        """Attention of the rows over all tokens of their image, heads concatenated."""
        if self.lengths is None:
            return self.unpad(F.scaled_dot_product_attention(self.pad(q), keys, values))
        images = zip(q.split(self.lengths), keys.split(1), values.split(1), strict=True)
        return _attend_per_image((part, k, v) for part, k, v in images)

    def self_attend(self, qkv: Float[Tensor, "S 3 h d"]) -> Float[Tensor, "S D"]:
        """Attention of the rows over the rows of their image; for batches without repeated rows."""
        if self.lengths is not None:
            parts = (part[None].permute(2, 0, 3, 1, 4) for part in qkv.split(self.lengths))
            return _attend_per_image((q[0].transpose(0, 1), k, v) for q, k, v in parts)
        valid = None
        if not self.is_rectangular:
            valid = self.flat_index.new_zeros(self.images, self.max_count, dtype=torch.bool)
            valid[self.image, self.slot] = True
            # An image that is all hole has padding only, which may attend to itself: an empty softmax is NaN.
            valid = (valid | ~valid.any(1, keepdim=True))[:, None, None]
        q, k, v = (self.pad(part) for part in qkv.unbind(1))
        return self.unpad(F.scaled_dot_product_attention(q, k, v, attn_mask=valid))

    def pad(self, rows: Float[Tensor, "S h d"]) -> Float[Tensor, "B h M d"]:
        """The rows of each image, padded by zeros or repeated rows to M = `width`."""
        shape = (self.images, self.width, *rows.shape[1:])
        if self.is_rectangular:
            return rows.view(shape).transpose(1, 2)
        padded = rows.new_zeros(shape)
        padded[self.image, self.slot] = rows
        return padded.transpose(1, 2)

    def unpad(self, padded: Float[Tensor, "B h M d"]) -> Float[Tensor, "S D"]:
        """The rows of a tensor from `pad`, heads concatenated."""
        rows = padded.transpose(1, 2)
        return (rows.flatten(0, 1) if self.is_rectangular else rows[self.image, self.slot]).flatten(1)


def _attend_per_image(images: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Float[Tensor, "S D"]:
    """Attention of queries (M, h, d) over keys and values (1, h, N, d), image by image."""
    heads = [
        F.scaled_dot_product_attention(q.transpose(0, 1)[None], k, v)[0].transpose(0, 1).flatten(1)
        for q, k, v in images
        if len(q)
    ]
    return torch.cat(heads)
