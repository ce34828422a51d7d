"""Some tokens of a batch of pictures as rows, one picture behind the other, for decoding.

    chosen (B, N) ─► picture and position of each row (S) ─► attention with the rows of a picture side by side

Nothing is padded but the attention's queries, and not even those where the pictures have very different
numbers of rows.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from maskmend.models.transformer import MaskedTransformer


def rounded(count: int) -> int:
    """`count` or a little more (at most a sixteenth): its five leading binary digits, the rest zeros.

    A CPU's products are prepared for each number of rows anew, which takes longer than a small one itself;
    few different numbers are found ready.
    """
    grain = 1 << max(0, count.bit_length() - 5)
    return -(-count // grain) * grain


class Rows:
    """The chosen tokens of a batch as rows, picture by picture in grid order.

    With `fill_up` their number is `rounded`: rows repeat, of each picture where all have equally many tokens,
    else of the last one.
    """

    def __init__(self, model: MaskedTransformer, chosen: Bool[Tensor, "B N"], *, fill_up: bool) -> None:
        self.pictures, length = chosen.shape
        counts = chosen.sum(1)
        self.longest = int(counts.max()) if self.pictures else 0
        picture, position = chosen.nonzero(as_tuple=True)
        self.count = len(picture)
        self.even = self.count == self.pictures * self.longest
        """All pictures have equally many: nothing is padded."""
        row = torch.arange(self.count, device=chosen.device)
        if self.even:
            more = rounded(self.longest) - self.longest if fill_up else 0
            row = row.view(self.pictures, self.longest)
            row = torch.cat([row, row[:, -1:].expand(-1, more)], 1).flatten()
            self.width = self.longest + more
        else:
            more = rounded(self.count) - self.count if fill_up else 0
            row = torch.cat([row, row[-1:].expand(more)])
            self.width = self.longest
        self.picture, self.position = picture[row], position[row]
        self.fresh = row.diff(prepend=row.new_tensor([-1])) != 0
        """False at rows that repeat."""
        self.place = self.picture * length + self.position
        """In the grids of all pictures, one behind the other."""
        self.slot = row - (counts.cumsum(0) - counts)[self.picture]
        self.lengths: list[int] | None = None
        """Rows of each picture, where a quarter and more would be padding: they attend one by one."""
        if self.pictures * self.width > 1.25 * self.count and not self.even:
            self.lengths = self.picture.bincount(minlength=self.pictures).tolist()
        self.spin: Tensor | None = None
        if (angles := model.angles(self.position[None])) is not None:
            turned = torch.polar(torch.ones_like(angles[0]), angles[0])
            spin = torch.stack([turned, turned, torch.ones_like(turned)], 1)
            self.spin = spin[:, :, None]  # (S, 3, 1, d/2)

    def __len__(self) -> int:
        return len(self.place)

    def attend(
        self, q: Float[Tensor, "S h d"], keys: Float[Tensor, "B h N d"], values: Float[Tensor, "B h N d"]
    ) -> Float[Tensor, "S D"]:
        """Attention of the rows over all tokens of their picture, heads side by side."""
        if self.lengths is None:
            return self.gather(F.scaled_dot_product_attention(self.spread(q), keys, values))
        pictures = zip(q.split(self.lengths), keys.split(1), values.split(1), strict=True)
        return _one_by_one((part, k, v) for part, k, v in pictures)

    def attend_each_other(self, qkv: Float[Tensor, "S 3 h d"]) -> Float[Tensor, "S D"]:
        """Attention of the rows over those of their picture; for rows that do not repeat."""
        if self.lengths is not None:
            parts = (part[None].permute(2, 0, 3, 1, 4) for part in qkv.split(self.lengths))
            return _one_by_one((q[0].transpose(0, 1), k, v) for q, k, v in parts)
        valid = None
        if not self.even:
            valid = self.place.new_zeros(self.pictures, self.longest, dtype=torch.bool)
            valid[self.picture, self.slot] = True
            # A picture that is all hole has padding only, which may see itself: softmax over nothing is NaN.
            valid = (valid | ~valid.any(1, keepdim=True))[:, None, None]
        q, k, v = (self.spread(part) for part in qkv.unbind(1))
        return self.gather(F.scaled_dot_product_attention(q, k, v, attn_mask=valid))

    def spread(self, rows: Float[Tensor, "S h d"]) -> Float[Tensor, "B h M d"]:
        """The rows of each picture apart, zeros or repeated rows after them; M is `width`."""
        shape = (self.pictures, self.width, *rows.shape[1:])
        if self.even:
            return rows.view(shape).transpose(1, 2)
        padded = rows.new_zeros(shape)
        padded[self.picture, self.slot] = rows
        return padded.transpose(1, 2)

    def gather(self, spread: Float[Tensor, "B h M d"]) -> Float[Tensor, "S D"]:
        """The rows of a `spread` tensor, heads side by side."""
        apart = spread.transpose(1, 2)
        return (apart.flatten(0, 1) if self.even else apart[self.picture, self.slot]).flatten(1)


def _one_by_one(pictures: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Float[Tensor, "S D"]:
    """Attention of queries (M, h, d) over keys and values (1, h, N, d), picture by picture."""
    heads = [
        F.scaled_dot_product_attention(q.transpose(0, 1)[None], k, v)[0].transpose(0, 1).flatten(1)
        for q, k, v in pictures
        if len(q)
    ]
    return torch.cat(heads)
