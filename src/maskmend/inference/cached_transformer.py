"""The transformer while decoding: what stays the same from step to step is computed once.

    once for a picture   keys and values of the known tokens, and with them the first step, where all is
                         masked; embeddings, hints and turns of the other rows
    each step            the rows whose tokens can change ─► blocks ─► logits of those still masked

Under the `context` pattern the rows of a step are the hole's tokens; under `full`, where known tokens see the
hole, they are all tokens. `MaskedTransformer.forward` is the plain reference, and the tests hold the two
together.

Rows of pictures with different holes lie one behind the other, (S, D) (`ragged`). Keys and values lie at
their tokens' own places in the grid, so a step needs no attention mask: known tokens and hole together are
always the whole grid. The weights of query, key and value are joined into one product. Samples of a picture
share the pass over its known tokens.
"""

import copy
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maskmend.inference.packed_linear import Linear
from maskmend.inference.ragged import Rows, rounded
from maskmend.models.transformer import Block, Hints, MaskedTransformer


def turn(qkv: Float[Tensor, "S 3 h d"], spin: Tensor | None) -> Float[Tensor, "S 3 h d"]:
    """Rotary positions, as `attention.rotate`: neighbouring channels are a complex number that turns.

    Values are turned by nothing, so that they and the keys stay side by side.
    """
    if spin is None:
        return qkv
    pairs = torch.view_as_complex(qkv.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * spin).flatten(-2).to(qkv.dtype)


class Layer:
    """A block over rows, with the weights of its query, key and value in one product."""

    def __init__(self, block: Block, rotary: bool) -> None:
        attention, (up, _, down, _) = block.attention, cast("list[nn.Linear]", list(block.mlp))
        parts = (attention.query, attention.key, attention.value)
        weight = torch.cat([part.weight for part in parts])
        bias = torch.cat([part.bias for part in parts])
        if rotary:
            # Channels i and i + d/2 of a head turn together: side by side they are a complex number. Queries
            # and keys are reordered alike, which leaves their product as it is.
            order = torch.arange(2 * len(attention.query.weight), device=weight.device)
            order = order.view(2 * attention.heads, 2, -1).transpose(1, 2).flatten()
            weight = torch.cat([weight[order], attention.value.weight])
            bias = torch.cat([bias[order], attention.value.bias])
        self.heads, self.pre = attention.heads, block.pre
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.qkv = Linear(weight, bias)
        self.out = Linear(attention.out.weight, attention.out.bias)
        self.up, self.down = Linear(up.weight, up.bias), Linear(down.weight, down.bias)

    def project(
        self, x: Float[Tensor, "S D"], spin: Tensor | None, place: Tensor, kept: Float[Tensor, "P 2 h d"]
    ) -> Float[Tensor, "S 3 h d"]:
        """Queries, keys and values of the rows; keys and values are also laid at their places."""
        qkv = self.qkv(self.norm1(x) if self.pre else x).unflatten(1, (3, self.heads, -1))
        qkv = turn(qkv, spin)
        kept.index_copy_(0, place, qkv[:, 1:])
        return qkv

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
        rotary = model.config.positions != "learned"
        self.layers = [Layer(block, rotary) for block in cast("list[Block]", list(model.blocks))]
        enter, _, self.head_norm = cast("tuple[nn.Linear, nn.Module, nn.LayerNorm]", tuple(model.head))
        self.head = Linear(enter.weight, enter.bias)
        bias = None if model.config.position_bias else model.bias
        self.codes = Linear(model.token_embedding.weight[: model.config.codes], bias)

    def logits(self, x: Float[Tensor, "S D"], rows: Rows, wanted: Int[Tensor, "S"]) -> Float[Tensor, "S K"]:
        """As `MaskedTransformer.logits`, of rows number `wanted`; `x` are those."""
        logits = self.codes(self.head_norm(self.head.gelu(self.model.final_norm(x))))
        return logits + self.model.bias[rows.position[wanted]] if self.model.config.position_bias else logits

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
        heads = (config.heads, config.dim // config.heads)
        shape = (config.layers, *tokens.shape, 2, *heads)
        self.cache = torch.empty(shape, dtype=dtype, device=tokens.device)
        self._enter(hole, changing, hints)
        self.first = self._read(tokens, Rows(model, ~changing, fill_up=False), hole)
        """Logits of the hole when all of it is masked."""
        if samples > 1:
            again = torch.arange(len(hole), device=hole.device).repeat_interleave(samples)
            self.first = torch.cat([self.first.split(hole.sum(1).tolist())[n] for n in again.tolist()])
            self.cache = self.cache[:, again]
            hole, changing = hole[again], changing[again]
            self._enter(hole, changing, None if hints is None else hints.at(again))
        self.hole = hole

    def _enter(self, hole: Tensor, changing: Tensor, hints: Hints | None) -> None:
        """The rows of a step, as they enter the first block while they are masked, and where they go."""
        model, config = self.model, self.model.config
        self.rows = Rows(model, changing, fill_up=True)
        self.at = (self.rows.picture, self.rows.position)
        self.place = model.place(self.rows.position, hole[self.at])
        mask = torch.full_like(self.rows.position, config.mask_id)
        here = None
        if hints is not None:
            here = hints.at(self.at)
            here = here._replace(missing=here.missing.to(model.bias.dtype))
        self.masked = model.embed(mask, self.place, here)
        self.kept = [(kept.flatten(0, 1), *kept.transpose(1, 3).unbind(2)) for kept in self.cache]
        """Of each block: keys and values by place (B N, 2, h, d), keys, values as attention takes them."""

    @torch.inference_mode()
    def __call__(self, tokens: Int[Tensor, "B N"], masked: Bool[Tensor, "B N"]) -> Float[Tensor, "S K"]:
        """Logits of the `masked` tokens, which lie within the hole."""
        if torch.equal(masked, self.hole):
            return self.first
        rows, hidden = self.rows, masked[self.at]
        x = self._rows(tokens, hidden)
        for layer, (kept, keys, values) in zip(self.ready.layers, self.kept, strict=True):
            q = layer.project(x, rows.spin, rows.place, kept)[:, 0]
            x = layer.finish(x, rows.attend(q, keys, values))
        return self._logits(x, hidden)

    def _rows(self, tokens: Int[Tensor, "B N"], hidden: Bool[Tensor, "S"]) -> Float[Tensor, "S D"]:
        x = self._visible(tokens[self.at], self.place)
        return torch.where(hidden[:, None], self.masked, x)

    def _visible(self, tokens: Int[Tensor, "S"], place: Float[Tensor, "S D"]) -> Float[Tensor, "S D"]:
        """Known and filled tokens as they enter the first block: they have no hint."""
        return self.model.embedding_norm(self.model.token_embedding(tokens) + place)

    def _logits(self, x: Float[Tensor, "S D"], hidden: Bool[Tensor, "S"]) -> Float[Tensor, "M K"]:
        # Rows are in the order of picture and place, so they come out in the order of `masked`.
        wanted = (hidden & self.rows.fresh).nonzero()[:, 0]
        count = len(wanted)
        wanted = F.pad(wanted, (0, rounded(count) - count))
        return self.ready.logits(x[wanted], self.rows, wanted)[:count]

    def _read(
        self, tokens: Int[Tensor, "B N"], known: Rows, hole: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "M K"]:
        """Fills the cache with the known tokens, which see each other alone, and takes the first step too.

        Returns the logits of the hole.
        """
        rows, count = self.rows, len(known)
        outside = torch.zeros_like(known.place, dtype=torch.bool)
        seen = self._visible(tokens[known.picture, known.position], self.model.place(known.position, outside))
        hidden = hole[self.at]
        x = torch.cat([seen, self._rows(tokens, hidden)])
        place = torch.cat([known.place, rows.place])
        spin = None if known.spin is None or rows.spin is None else torch.cat([known.spin, rows.spin])
        end = self.ready.layers[-1]
        for layer, (kept, keys, values) in zip(self.ready.layers, self.kept, strict=True):
            qkv = layer.project(x, spin, place, kept)
            heads = rows.attend(qkv[count:, 0], keys, values)
            if layer is end:  # nobody asks what the last block makes of known tokens
                x = x[count:]
            elif count:
                heads = torch.cat([known.attend_each_other(qkv[:count]), heads])
            x = layer.finish(x, heads)
        return self._logits(x, hidden)
