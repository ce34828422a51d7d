"""The transformer for decoding: what does not change from step to step is computed once and cached.

    prefill     keys and values of the known tokens, together with the first step, where the whole hole is
                masked; position and hint embeddings and RoPE rotations of the active tokens
    each step   the active tokens (those that can change) ─► blocks ─► logits of those still masked

With attention "prefix" the active tokens are the hole's; with "full", where known tokens attend to the hole,
all tokens are active. `MaskedTransformer.forward` is the reference implementation; tests compare the two.

Active tokens of images with different holes form a ragged batch, (S, D) (`ragged`). The KV cache is indexed
by position in the grid, so a step needs no attention mask: known tokens and hole always make up the whole
grid. The projections of query, key and value are one matrix product. Samples of an image share the prefill.
"""

import copy
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maskmend.inference.packed_linear import PackedLinear
from maskmend.inference.ragged import RaggedBatch, round_up
from maskmend.models.transformer import Block, Hints, MaskedTransformer


def apply_rope(qkv: Float[Tensor, "S 3 h d"], rope: Tensor | None) -> Float[Tensor, "S 3 h d"]:
    """As `attention.apply_rope`, with neighbouring channels as a complex number times a complex rotation.

    The rotation of values is 1, so that keys and values stay one tensor.
    """
    if rope is None:
        return qkv
    pairs = torch.view_as_complex(qkv.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rope).flatten(-2).to(qkv.dtype)


class CachedBlock:
    """A block over a ragged batch with a KV cache; query, key and value are one matrix product."""

    def __init__(self, block: Block, rotary: bool) -> None:
        attention, (up, _, down, _) = block.attention, cast("list[nn.Linear]", list(block.mlp))
        parts = (attention.query, attention.key, attention.value)
        weight = torch.cat([part.weight for part in parts])
        bias = torch.cat([part.bias for part in parts])
        if rotary:
            # Channels i and i + d/2 of a head are rotated together: as neighbours they are a complex number.
            # Queries and keys are reordered alike, which leaves their product unchanged.
            order = torch.arange(2 * len(attention.query.weight), device=weight.device)
            order = order.view(2 * attention.heads, 2, -1).transpose(1, 2).flatten()
            weight = torch.cat([weight[order], attention.value.weight])
            bias = torch.cat([bias[order], attention.value.bias])
        self.heads, self.pre = attention.heads, block.pre
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.qkv = PackedLinear(weight, bias)
        self.out = PackedLinear(attention.out.weight, attention.out.bias)
        self.up, self.down = PackedLinear(up.weight, up.bias), PackedLinear(down.weight, down.bias)

    def project(
        self,
        x: Float[Tensor, "S D"],
        rope: Tensor | None,
        flat_index: Tensor,
        kv_cache: Float[Tensor, "P 2 h d"],
    ) -> Float[Tensor, "S 3 h d"]:
        """Queries, keys and values of the rows; keys and values are written to the cache at `flat_index`."""
        qkv = self.qkv(self.norm1(x) if self.pre else x).unflatten(1, (3, self.heads, -1))
        qkv = apply_rope(qkv, rope)
        kv_cache.index_copy_(0, flat_index, qkv[:, 1:])
        return qkv

    def finish(self, x: Float[Tensor, "S D"], heads: Float[Tensor, "S D"]) -> Float[Tensor, "S D"]:
        """The rest of the block, after its attention."""
        x = self.out.add(heads, x)
        if self.pre:
            return self.down.add(self.up.gelu(self.norm2(x)), x)
        x = self.norm1(x)
        return self.norm2(self.down.add(self.up.gelu(x), x))


class InferenceTransformer:
    """A transformer prepared for decoding in one number format (None: that of its weights).

    Weights are copied into other layouts: later changes of `model` have no effect.
    """

    def __init__(self, model: MaskedTransformer, dtype: torch.dtype | None = None) -> None:
        same = dtype is None or model.bias.dtype == dtype
        self.model = model = model if same else copy.deepcopy(model).to(dtype)
        rotary = model.config.positions != "learned"
        self.layers = [CachedBlock(block, rotary) for block in cast("list[Block]", list(model.blocks))]
        dense, _, self.head_norm = cast("tuple[nn.Linear, nn.Module, nn.LayerNorm]", tuple(model.head))
        self.head = PackedLinear(dense.weight, dense.bias)
        bias = None if model.config.position_bias else model.bias
        self.codes = PackedLinear(model.token_embedding.weight[: model.config.codes], bias)

    def logits(
        self, x: Float[Tensor, "S D"], rows: RaggedBatch, wanted: Int[Tensor, "S"]
    ) -> Float[Tensor, "S K"]:
        """As `MaskedTransformer.logits`, for `x`, which are the rows of indices `wanted`."""
        logits = self.codes(self.head_norm(self.head.gelu(self.model.final_norm(x))))
        return logits + self.model.bias[rows.position[wanted]] if self.model.config.position_bias else logits

    def predictor(
        self,
        tokens: Int[Tensor, "B N"],
        hole: Bool[Tensor, "B N"],
        hints: Hints | None = None,
        samples: int = 1,
    ) -> "Predictor":
        """The `predict` function of `decode`; `samples` fills of each image are consecutive in the batch."""
        return Predictor(self, tokens, hole, hints, samples)


class Predictor:
    """Logits of the masked tokens, step by step, for one batch of images."""

    @torch.inference_mode()
    def __init__(
        self,
        transformer: InferenceTransformer,
        tokens: Int[Tensor, "B N"],
        hole: Bool[Tensor, "B N"],
        hints: Hints | None = None,
        samples: int = 1,
    ) -> None:
        self.transformer, self.model = transformer, transformer.model
        model, config, dtype = self.model, self.model.config, self.model.bias.dtype
        active = hole if config.attention == "prefix" else torch.ones_like(hole)
        heads = (config.heads, config.dim // config.heads)
        shape = (config.layers, *tokens.shape, 2, *heads)
        self.cache = torch.empty(shape, dtype=dtype, device=tokens.device)
        self._prepare(hole, active, hints)
        self.first_logits = self._prefill(tokens, RaggedBatch(model, ~active, round_count=False), hole)
        """Logits of the hole when all of it is masked."""
        if samples > 1:
            image = torch.arange(len(hole), device=hole.device).repeat_interleave(samples)
            by_image = self.first_logits.split(hole.sum(1).tolist())
            self.first_logits = torch.cat([by_image[n] for n in image.tolist()])
            self.cache = self.cache[:, image]
            hole, active = hole[image], active[image]
            self._prepare(hole, active, None if hints is None else hints.at(image))
        self.hole = hole

    def _prepare(self, hole: Tensor, active: Tensor, hints: Hints | None) -> None:
        """The rows of a step, their embeddings while they are masked, and views of the cache."""
        model, config = self.model, self.model.config
        self.rows = RaggedBatch(model, active, round_count=True)
        self.index = (self.rows.image, self.rows.position)
        self.position = model.embed_position(self.rows.position, hole[self.index])
        mask = torch.full_like(self.rows.position, config.mask_id)
        if hints is not None:
            hints = hints.at(self.index)
            hints = hints._replace(missing=hints.missing.to(model.bias.dtype))
        self.masked = model.embed(mask, self.position, hints)
        self.views = [(kv.flatten(0, 1), *kv.transpose(1, 3).unbind(2)) for kv in self.cache]
        """Of each block: keys and values by flat index (B N, 2, h, d); keys; values (B, h, N, d)."""

    @torch.inference_mode()
    def __call__(self, tokens: Int[Tensor, "B N"], masked: Bool[Tensor, "B N"]) -> Float[Tensor, "S K"]:
        """Logits of the `masked` tokens, which lie within the hole."""
        if torch.equal(masked, self.hole):
            return self.first_logits
        rows, masked_rows = self.rows, masked[self.index]
        x = self._embed(tokens, masked_rows)
        for layer, (kv_cache, keys, values) in zip(self.transformer.layers, self.views, strict=True):
            q = layer.project(x, rows.rope, rows.flat_index, kv_cache)[:, 0]
            x = layer.finish(x, rows.attend(q, keys, values))
        return self._logits(x, masked_rows)

    def _embed(self, tokens: Int[Tensor, "B N"], masked_rows: Bool[Tensor, "S"]) -> Float[Tensor, "S D"]:
        x = self.model.embed_visible(tokens[self.index], self.position)
        return torch.where(masked_rows[:, None], self.masked, x)

    def _logits(self, x: Float[Tensor, "S D"], masked_rows: Bool[Tensor, "S"]) -> Float[Tensor, "M K"]:
        # Rows are in row-major order of (image, position), as the logits of `masked` must be.
        wanted = (masked_rows & self.rows.is_original).nonzero()[:, 0]
        count = len(wanted)
        wanted = F.pad(wanted, (0, round_up(count) - count))
        return self.transformer.logits(x[wanted], self.rows, wanted)[:count]

    def _prefill(
        self, tokens: Int[Tensor, "B N"], known: RaggedBatch, hole: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "M K"]:
        """Fills the cache with the known tokens, which attend to each other only, and runs the first step in
        the same pass. Returns the logits of the hole.
        """
        rows, count = self.rows, len(known)
        outside = torch.zeros_like(known.flat_index, dtype=torch.bool)
        position = self.model.embed_position(known.position, outside)
        visible = self.model.embed_visible(tokens[known.image, known.position], position)
        masked_rows = hole[self.index]
        x = torch.cat([visible, self._embed(tokens, masked_rows)])
        flat_index = torch.cat([known.flat_index, rows.flat_index])
        rope = None if known.rope is None or rows.rope is None else torch.cat([known.rope, rows.rope])
        last = self.transformer.layers[-1]
        for layer, (kv_cache, keys, values) in zip(self.transformer.layers, self.views, strict=True):
            qkv = layer.project(x, rope, flat_index, kv_cache)
            heads = rows.attend(qkv[count:, 0], keys, values)
            if layer is last:  # the last block's output of known tokens is not used
                x = x[count:]
            elif count:
                heads = torch.cat([known.self_attend(qkv[:count]), heads])
            x = layer.finish(x, heads)
        return self._logits(x, masked_rows)
