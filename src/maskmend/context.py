"""The transformer while decoding: what stays the same from step to step is computed once.

    once for a picture   keys and values of the known tokens; embeddings, hints and turns of the other rows
    each step            the rows whose tokens can change ─► blocks ─► logits of those still masked

Under the `context` pattern the rows of a step are the hole's tokens; under `full`, where known tokens see the
hole, they are all tokens. `MaskedTransformer.forward` is the plain reference, and the tests hold the two
together.

Rows of pictures with different holes lie one behind the other, (S, D), without padding; only the attention
product pads its queries to the longest hole. Keys and values lie at their tokens' own places in the grid, so
a step needs no attention mask: known tokens and hole together are always the whole grid. The weights of
query, key and value are joined into one product. Samples of a picture share the pass over its known tokens.
"""

import copy
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maskmend.packed import Linear
from maskmend.transformer import Block, Hints, MaskedTransformer


class Rows:
    """The chosen tokens of a batch as rows, picture by picture in grid order."""

    def __init__(self, model: MaskedTransformer, chosen: Bool[Tensor, "B N"]) -> None:
        self.pictures, length = chosen.shape
        counts = chosen.sum(1)
        self.longest = int(counts.max()) if self.pictures else 0
        self.picture, self.position = chosen.nonzero(as_tuple=True)
        self.place = self.picture * length + self.position
        """In the grids of all pictures, one behind the other."""
        self.even = len(self.place) == self.pictures * self.longest
        """All pictures have equally many: nothing is padded."""
        self.slot = torch.arange(len(self.place), device=chosen.device)
        self.slot = self.slot - (counts.cumsum(0) - counts)[self.picture]
        self.cos: Tensor | None = None
        if (angles := model.angles(self.position[None])) is not None:
            cos, sin = angles[0].cos(), angles[0].sin()
            self.cos = torch.cat([cos, cos], dim=1)[:, None, None].to(model.bias.dtype)  # (S, 1, 1, d)
            self.sin = torch.cat([-sin, sin], dim=1)[:, None, None].to(model.bias.dtype)

    def __len__(self) -> int:
        return len(self.place)

    def turn(self, x: Float[Tensor, "S parts h d"]) -> Float[Tensor, "S parts h d"]:
        """Rotary positions, as `attention.rotate`, with each row's cosines and sines at hand."""
        if self.cos is None:
            return x
        return torch.addcmul(x * self.cos, x.roll(x.shape[-1] // 2, -1), self.sin)

    def spread(self, rows: Float[Tensor, "S h d"]) -> Float[Tensor, "B h M d"]:
        """The rows of each picture apart, zeros after them; M is the longest."""
        shape = (self.pictures, self.longest, *rows.shape[1:])
        if self.even:
            return rows.unflatten(0, shape[:2]).transpose(1, 2)
        padded = rows.new_zeros(shape)
        padded[self.picture, self.slot] = rows
        return padded.transpose(1, 2)

    def gather(self, spread: Float[Tensor, "B h M d"]) -> Float[Tensor, "S D"]:
        """The rows of a `spread` tensor, heads side by side."""
        apart = spread.transpose(1, 2)
        return (apart.flatten(0, 1) if self.even else apart[self.picture, self.slot]).flatten(1)


class Layer:
    """A block over rows, with the weights of its query, key and value in one product."""

    def __init__(self, block: Block) -> None:
        attention, (up, _, down, _) = block.attention, cast("list[nn.Linear]", list(block.mlp))
        parts = (attention.query, attention.key, attention.value)
        self.heads, self.pre = attention.heads, block.pre
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.qkv = Linear(torch.cat([p.weight for p in parts]), torch.cat([p.bias for p in parts]))
        self.out = Linear(attention.out.weight, attention.out.bias)
        self.up, self.down = Linear(up.weight, up.bias), Linear(down.weight, down.bias)

    def project(
        self, x: Float[Tensor, "S D"], rows: Rows, kept: Float[Tensor, "2 B N D"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (S, h, d) of the rows; keys and values are also laid at their places."""
        qkv = self.qkv(self.norm1(x) if self.pre else x).unflatten(1, (3, self.heads, -1))
        (q, k), v = rows.turn(qkv[:, :2]).unbind(1), qkv[:, 2]
        keys, values = kept.flatten(1, 2)
        keys.index_copy_(0, rows.place, k.flatten(1))
        values.index_copy_(0, rows.place, v.flatten(1))
        return q, k, v

    def finish(self, x: Float[Tensor, "S D"], heads: Float[Tensor, "S D"]) -> Float[Tensor, "S D"]:
        """The rest of the block, after its attention."""
        x = self.out.add(heads, x)
        if self.pre:
            return self.down.add(self.up.gelu(self.norm2(x)), x)
        x = self.norm1(x)
        return self.norm2(self.down.add(self.up.gelu(x), x))


class ReadyTransformer:
    """A transformer made ready for decoding in one number format (None: its own).

    Its weights are copied into other layouts: later changes of `model` go unseen.
    """

    def __init__(self, model: MaskedTransformer, dtype: torch.dtype | None = None) -> None:
        same = dtype is None or model.bias.dtype == dtype
        self.model = model = model if same else copy.deepcopy(model).to(dtype)
        self.layers = [Layer(block) for block in cast("list[Block]", list(model.blocks))]
        enter, _, self.head_norm = cast("tuple[nn.Linear, nn.Module, nn.LayerNorm]", tuple(model.head))
        self.head = Linear(enter.weight, enter.bias)
        bias = None if model.config.position_bias else model.bias
        self.codes = Linear(model.token_embedding.weight[: model.config.codes], bias)

    def logits(self, x: Float[Tensor, "S D"], positions: Int[Tensor, "S"]) -> Float[Tensor, "S K"]:
        """As `MaskedTransformer.logits`."""
        logits = self.codes(self.head_norm(self.head.gelu(self.model.final_norm(x))))
        return logits + self.model.bias[positions] if self.model.config.position_bias else logits

    def predictor(
        self,
        tokens: Int[Tensor, "B N"],
        hole: Bool[Tensor, "B N"],
        hints: Hints | None = None,
        samples: int = 1,
    ) -> "Predictor":
        """What `decode` calls for `samples` fills of each picture, which lie one behind the other."""
        return Predictor(self, tokens, hole, hints, samples)


class Predictor:
    """Logits of the masked tokens, step by step, for one batch of pictures."""

    @torch.inference_mode()
    def __init__(
        self,
        ready: ReadyTransformer,
        tokens: Int[Tensor, "B N"],
        hole: Bool[Tensor, "B N"],
        hints: Hints | None = None,
        samples: int = 1,
    ) -> None:
        self.ready, self.model = ready, ready.model
        model, config, dtype = self.model, self.model.config, self.model.bias.dtype
        changing = hole if config.attention == "context" else torch.ones_like(hole)
        shape = (config.layers, 2, *tokens.shape, config.dim)
        self.cache = torch.empty(shape, dtype=dtype, device=tokens.device)
        self._read(tokens, Rows(model, ~changing))
        if samples > 1:
            self.cache = self.cache.repeat_interleave(samples, 2)
            changing, hole = changing.repeat_interleave(samples, 0), hole.repeat_interleave(samples, 0)
            hints = None if hints is None else Hints(*(hint.repeat_interleave(samples, 0) for hint in hints))
        self.rows = Rows(model, changing)
        self.at = (self.rows.picture, self.rows.position)
        self.place = model.place(self.rows.position, hole[self.at])
        mask = torch.full_like(self.rows.position, config.mask_id)
        here = None if hints is None else Hints(hints.tokens[self.at], hints.missing[self.at].to(dtype))
        self.masked = model.embed(mask, self.place, here)
        """The rows as they enter the first block while they are masked."""

    @torch.inference_mode()
    def __call__(self, tokens: Int[Tensor, "B N"], masked: Bool[Tensor, "B N"]) -> Float[Tensor, "S K"]:
        """Logits of the `masked` tokens, which lie within the hole."""
        rows, hidden = self.rows, masked[self.at]
        x = self._visible(tokens[self.at], self.place)
        x = torch.where(hidden[:, None], self.masked, x)
        for layer, kept in zip(self.ready.layers, self.cache, strict=True):
            q, _, _ = layer.project(x, rows, kept)
            keys, values = kept.unflatten(-1, (layer.heads, -1)).transpose(2, 3)
            heads = F.scaled_dot_product_attention(rows.spread(q), keys, values)
            x = layer.finish(x, rows.gather(heads))
        # Both are in the order of picture and place, so the rows come out in the order of `masked`.
        return self.ready.logits(x[hidden], rows.position[hidden])

    def _visible(self, tokens: Int[Tensor, "S"], place: Float[Tensor, "S D"]) -> Float[Tensor, "S D"]:
        """Known and filled tokens as they enter the first block: they have no hint."""
        return self.model.embedding_norm(self.model.token_embedding(tokens) + place)

    def _read(self, tokens: Int[Tensor, "B N"], known: Rows) -> None:
        """Fills the cache with the keys and values of the known tokens, which see each other alone."""
        if len(known) == 0:
            return
        outside = torch.zeros_like(known.place, dtype=torch.bool)
        x = self._visible(tokens[known.picture, known.position], self.model.place(known.position, outside))
        valid = None
        if not known.even:
            valid = outside.new_zeros(known.pictures, known.longest)
            valid[known.picture, known.slot] = True
            # A picture that is all hole has padding only, which may see itself: softmax over nothing is NaN.
            valid = (valid | ~valid.any(1, keepdim=True))[:, None, None]
        *before, (last, end) = zip(self.ready.layers, self.cache, strict=True)
        for layer, kept in before:
            q, k, v = (known.spread(part) for part in layer.project(x, known, kept))
            heads = F.scaled_dot_product_attention(q, k, v, attn_mask=valid)
            x = layer.finish(x, known.gather(heads))
        # Nobody asks what the last block makes of known tokens, only for their keys and values.
        last.project(x, known, end)
