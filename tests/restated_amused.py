"""aMUSEd restated plainly, over weights by diffusers' keys, and written as diffusers stores it.

Each function follows the published code line by line, text and picture size included in every pass; nothing
of the package is used. `bench/amused_reference.py` holds the package to diffusers itself.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

Weights = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Small enough that a pass takes milliseconds; `published` has the real widths."""

    hidden: int = 32
    heads: int = 4
    layers: int = 2
    mlp: int = 48
    width: int = 24
    block_heads: int = 2
    blocks: int = 1
    vocabulary: int = 40
    codes: int = 32
    resized: bool = False
    grid: int = 4
    text: int = 16
    pooled: int = 24
    text_heads: int = 2
    text_layers: int = 2
    text_mlp: int = 32
    length: int = 7
    words: int = 32
    vq: tuple[int, ...] = (32, 64)
    vq_blocks: int = 1
    latents: int = 8

    @property
    def mask(self) -> int:
        return self.vocabulary - 1

    @property
    def side(self) -> int:
        return self.grid * 2 ** (len(self.vq) - 1)


def published(**changes: object) -> dict[str, object]:
    """Sizes of amused-256 but for the numbers of layers, the vocabulary of words and what `changes` says."""
    widths: dict[str, object] = {
        "hidden": 1024, "heads": 16, "layers": 1, "mlp": 2816, "width": 768, "block_heads": 12, "blocks": 1,
        "vocabulary": 8256, "codes": 8192, "grid": 16, "text": 768, "pooled": 768, "text_heads": 12,
        "text_layers": 2, "text_mlp": 3072, "length": 77,
    }  # fmt: skip
    return widths | changes


def transformer_weights(s: Sizes) -> Weights:
    d, c = s.hidden, s.width
    shapes: dict[str, tuple[int, ...]] = {
        "embed.embeddings.weight": (s.vocabulary, c),
        "embed.layer_norm.weight": (c,),
        "embed.conv.weight": (c, c, 1, 1),
        "encoder_proj.weight": (d, s.text),
        "encoder_proj_layer_norm.weight": (d,),
        "cond_embed.linear_1.weight": (d, s.pooled + 1280),
        "cond_embed.linear_2.weight": (d, d),
        "project_to_hidden_norm.weight": (c,),
        "project_to_hidden.weight": (d, c),
        "project_from_hidden_norm.weight": (d,),
        "project_from_hidden.weight": (c, d),
        "mlm_layer.conv1.weight": (c, c, 1, 1),
        "mlm_layer.layer_norm.weight": (c,),
        "mlm_layer.conv2.weight": (s.codes, c, 1, 1),
    }
    if s.resized:
        for end in ("down_block.downsample", "up_block.upsample"):
            shapes |= {f"{end}.norm.weight": (c,), f"{end}.conv.weight": (c, c, 2, 2)}
    for end in ("down_block", "up_block"):
        for i in range(s.blocks):
            res, attention = f"{end}.res_blocks.{i}", f"{end}.attention_blocks.{i}"
            shapes |= {
                f"{res}.depthwise.weight": (c, 1, 3, 3),
                f"{res}.norm.weight": (c,),
                f"{res}.channelwise_linear_1.weight": (4 * c, c),
                f"{res}.channelwise_norm.gamma": (1, 1, 1, 4 * c),
                f"{res}.channelwise_norm.beta": (1, 1, 1, 4 * c),
                f"{res}.channelwise_linear_2.weight": (c, 4 * c),
                f"{res}.cond_embeds_mapper.weight": (2 * c, d),
                f"{attention}.kv_mapper.weight": (c, d),
            }
            for n in (1, 2):
                shapes[f"{attention}.norm{n}.weight"] = (c,)
                for part in ("q", "k", "v", "out.0"):
                    shapes[f"{attention}.attn{n}.to_{part}.weight"] = (c, c)
    for i in range(s.layers):
        layer = f"transformer_layers.{i}"
        for n in (1, 2, 3):
            shapes |= {f"{layer}.norm{n}.norm.weight": (d,), f"{layer}.norm{n}.linear.weight": (2 * d, d)}
        for n in (1, 2):
            for part in ("q", "k", "v", "out.0"):
                shapes[f"{layer}.attn{n}.to_{part}.weight"] = (d, d)
        shapes |= {f"{layer}.ff.net.0.proj.weight": (2 * s.mlp, d), f"{layer}.ff.net.2.weight": (d, s.mlp)}
    return _drawn(shapes)


def vq_weights(s: Sizes) -> Weights:
    shapes: dict[str, tuple[int, ...]] = {"quantize.embedding.weight": (s.codes, s.latents)}

    def conv(name: str, inner: int, outer: int, kernel: int) -> None:
        shapes.update({f"{name}.weight": (outer, inner, kernel, kernel), f"{name}.bias": (outer,)})

    def block(name: str, inner: int, outer: int) -> None:
        for norm, width in (("norm1", inner), ("norm2", outer)):
            shapes.update({f"{name}.{norm}.weight": (width,), f"{name}.{norm}.bias": (width,)})
        conv(f"{name}.conv1", inner, outer, 3)
        conv(f"{name}.conv2", outer, outer, 3)
        if inner != outer:
            conv(f"{name}.conv_shortcut", inner, outer, 1)

    last = len(s.vq) - 1
    conv("quant_conv", s.latents, s.latents, 1)
    conv("post_quant_conv", s.latents, s.latents, 1)
    for side, into, widths, blocks in (
        ("encoder", 3, s.vq, s.vq_blocks),
        ("decoder", s.latents, s.vq[::-1], s.vq_blocks + 1),
    ):
        conv(f"{side}.conv_in", into, widths[0], 3)
        width, middle = widths[0], s.vq[-1]
        stages, change = ("down_blocks", "downsamplers") if side == "encoder" else ("up_blocks", "upsamplers")
        for i, outer in enumerate(widths):
            for j in range(blocks):
                block(f"{side}.{stages}.{i}.resnets.{j}", width, outer)
                width = outer
            if i < last:
                conv(f"{side}.{stages}.{i}.{change}.0.conv", width, width, 3)
        for n in (0, 1):
            block(f"{side}.mid_block.resnets.{n}", middle, middle)
        shapes |= {f"{side}.conv_norm_out.weight": (width,), f"{side}.conv_norm_out.bias": (width,)}
        conv(f"{side}.conv_out", width, s.latents if side == "encoder" else 3, 3)
    found = _drawn(shapes)
    # Most of a picture shall lie between black and white.
    found["decoder.conv_out.weight"] *= 0.2
    found["decoder.conv_out.bias"] = torch.full((3,), 0.5)
    return found


def text_weights(s: Sizes) -> Weights:
    e, model = s.text, "text_model"
    shapes: dict[str, tuple[int, ...]] = {
        f"{model}.embeddings.token_embedding.weight": (s.words, e),
        f"{model}.embeddings.position_embedding.weight": (s.length, e),
        f"{model}.final_layer_norm.weight": (e,),
        f"{model}.final_layer_norm.bias": (e,),
        "text_projection.weight": (s.pooled, e),
    }
    for i in range(s.text_layers):
        layer = f"{model}.encoder.layers.{i}"
        linears = {f"self_attn.{n}_proj": (e, e) for n in ("q", "k", "v", "out")}
        linears |= {"mlp.fc1": (s.text_mlp, e), "mlp.fc2": (e, s.text_mlp)}
        for name, shape in linears.items():
            shapes |= {f"{layer}.{name}.weight": shape, f"{layer}.{name}.bias": shape[:1]}
        for norm in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{layer}.{norm}.weight": (e,), f"{layer}.{norm}.bias": (e,)}
    return _drawn(shapes)


def _drawn(shapes: dict[str, tuple[int, ...]]) -> Weights:
    found: Weights = {}
    for name, shape in shapes.items():
        if len(shape) == 1 or "channelwise_norm" in name:
            found[name] = 0.2 * torch.randn(shape) + (name.endswith("weight") or "gamma" in name)
        else:
            spread = 1.0 if "embedding" in name else 1.5 / math.sqrt(math.prod(shape[1:]))
            found[name] = spread * torch.randn(shape)
    return found


def write_folder(folder: Path, s: Sizes, dtype: torch.dtype = torch.float32) -> dict[str, Weights]:
    """A model as diffusers stores it, with random weights, which are returned by component."""
    parts = {
        "transformer": transformer_weights(s), "vqvae": vq_weights(s), "text_encoder": text_weights(s),
    }  # fmt: skip
    parts = {part: {k: v.to(dtype) for k, v in weights.items()} for part, weights in parts.items()}
    depth = len(s.vq)
    configs = {
        "transformer": {
            "_class_name": "UVit2DModel", "_diffusers_version": "0.25.0.dev0", "hidden_size": s.hidden,
            "use_bias": False, "hidden_dropout": 0.0, "cond_embed_dim": s.pooled,
            "micro_cond_encode_dim": 256, "micro_cond_embed_dim": 1280,
            "encoder_hidden_size": s.text, "vocab_size": s.vocabulary,
            "codebook_size": s.codes, "in_channels": s.width, "block_out_channels": s.width,
            "num_res_blocks": s.blocks, "downsample": s.resized, "upsample": s.resized,
            "block_num_heads": s.block_heads, "num_hidden_layers": s.layers, "num_attention_heads": s.heads,
            "attention_dropout": 0.0, "intermediate_size": s.mlp, "layer_norm_eps": 1e-06,
            "ln_elementwise_affine": True, "sample_size": s.grid,
        },
        "vqvae": {
            "_class_name": "VQModel", "act_fn": "silu", "block_out_channels": list(s.vq),
            "down_block_types": ["DownEncoderBlock2D"] * depth,
            "up_block_types": ["UpDecoderBlock2D"] * depth,
            "force_upcast": True, "in_channels": 3, "out_channels": 3, "latent_channels": s.latents,
            "layers_per_block": s.vq_blocks, "lookup_from_codebook": True, "mid_block_add_attention": False,
            "norm_num_groups": 32, "norm_type": "group", "num_vq_embeddings": s.codes, "sample_size": 32,
            "scaling_factor": 0.18215, "vq_embed_dim": None,
        },
        "text_encoder": {
            "architectures": ["CLIPTextModelWithProjection"], "model_type": "clip_text_model",
            "hidden_act": "quick_gelu", "hidden_size": s.text, "intermediate_size": s.text_mlp,
            "layer_norm_eps": 1e-05, "max_position_embeddings": s.length, "num_attention_heads": s.text_heads,
            "num_hidden_layers": s.text_layers, "projection_dim": s.pooled, "vocab_size": s.words,
        },
    }  # fmt: skip
    for part, weights in parts.items():
        (folder / part).mkdir(parents=True)
        name = "model.safetensors" if part == "text_encoder" else "diffusion_pytorch_model.safetensors"
        save_file(weights, folder / part / name, metadata={"format": "pt"})
        (folder / part / "config.json").write_text(json.dumps(configs[part]))
    begin, end = s.words - 2, s.words - 1
    jsons = {
        "scheduler/scheduler_config.json": {
            "_class_name": "AmusedScheduler", "mask_token_id": s.mask, "masking_schedule": "cosine",
        },
        "tokenizer/vocab.json": {"a</w>": 0, "<|startoftext|>": begin, "<|endoftext|>": end},
        "tokenizer/tokenizer_config.json": {
            "bos_token": "<|startoftext|>", "eos_token": {"content": "<|endoftext|>"},
            "pad_token": "<|endoftext|>", "model_max_length": s.length,
        },
        "tokenizer/special_tokens_map.json": {"pad_token": "<|endoftext|>"},
        "model_index.json": {"_class_name": "AmusedPipeline"},
    }  # fmt: skip
    for path, content in jsons.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(json.dumps(content))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    return parts


def prompt_words(s: Sizes, *inside: int) -> Tensor:
    """Tokens of a prompt: the beginning, those `inside`, the end, filled up with ends."""
    words = [s.words - 2, *inside]
    return torch.tensor(words + [s.words - 1] * (s.length - len(words)))


def encode_prompt(w: Weights, s: Sizes, *inside: int) -> tuple[Tensor, Tensor]:
    """Hidden states before the last layer (T, E), and the projected embedding (P,)."""
    words = prompt_words(s, *inside)
    x = w["text_model.embeddings.token_embedding.weight"][words]
    x = x + w["text_model.embeddings.position_embedding.weight"]
    states = [x]
    later = torch.ones(s.length, s.length).triu(1).bool()
    for i in range(s.text_layers):

        def linear(x: Tensor, name: str, layer: str = f"text_model.encoder.layers.{i}") -> Tensor:
            return x @ w[f"{layer}.{name}.weight"].T + w[f"{layer}.{name}.bias"]

        def norm(x: Tensor, name: str, layer: str = f"text_model.encoder.layers.{i}") -> Tensor:
            return F.layer_norm(x, (s.text,), w[f"{layer}.{name}.weight"], w[f"{layer}.{name}.bias"], 1e-5)

        y = norm(x, "layer_norm1")
        parts = [linear(y, f"self_attn.{n}_proj").chunk(s.text_heads, -1) for n in "qkv"]
        outs = []
        for q, k, v in zip(*parts, strict=True):
            scores = (q @ k.T / math.sqrt(q.shape[-1])).masked_fill(later, -math.inf)
            outs.append(scores.softmax(-1) @ v)
        x = x + linear(torch.cat(outs, -1), "self_attn.out_proj")
        y = linear(norm(x, "layer_norm2"), "mlp.fc1")
        x = x + linear(y * torch.sigmoid(1.702 * y), "mlp.fc2")
        states.append(x)
    model = "text_model.final_layer_norm"
    last = F.layer_norm(x, (s.text,), w[f"{model}.weight"], w[f"{model}.bias"], 1e-5)
    return states[-2], w["text_projection.weight"] @ last[1 + len(inside)]


def logits(w: Weights, s: Sizes, tokens: Tensor, text: Tensor, pooled: Tensor) -> Tensor:
    """Logits (N, K) of a picture's tokens (h, w), the mask's own number where hidden."""

    def rms(x: Tensor, name: str) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * w[f"{name}.weight"]

    def attend(x: Tensor, seen: Tensor, name: str, heads: int) -> Tensor:
        q, k, v = (
            (t @ w[f"{name}.to_{p}.weight"].T).chunk(heads, -1)
            for t, p in ((x, "q"), (seen, "k"), (seen, "v"))
        )
        outs = [(a @ b.T / math.sqrt(a.shape[-1])).softmax(-1) @ c for a, b, c in zip(q, k, v, strict=True)]
        return torch.cat(outs, -1) @ w[f"{name}.to_out.0.weight"].T

    frequencies = 10_000.0 ** (-torch.arange(128) / 128)
    micro = torch.tensor([s.side, s.side, 0, 0, 6.0])[:, None] * frequencies
    c = torch.cat([pooled, torch.cat([micro.cos(), micro.sin()], 1).flatten()])
    c = F.silu(c @ w["cond_embed.linear_1.weight"].T) @ w["cond_embed.linear_2.weight"].T
    text = rms(text @ w["encoder_proj.weight"].T, "encoder_proj_layer_norm")

    def stage(x: Tensor, end: str, i: int) -> Tensor:  # (C, H, W)
        name = f"{end}.res_blocks.{i}"
        y = F.conv2d(x[None], w[f"{name}.depthwise.weight"], padding=1, groups=s.width)[0].permute(1, 2, 0)
        y = F.gelu(rms(y, f"{name}.norm") @ w[f"{name}.channelwise_linear_1.weight"].T)
        g = y.square().sum((0, 1), keepdim=True).sqrt()
        g = g / (g.mean() + 1e-6)
        y = w[f"{name}.channelwise_norm.gamma"][0] * (y * g) + w[f"{name}.channelwise_norm.beta"][0] + y
        x = x.permute(1, 2, 0) + y @ w[f"{name}.channelwise_linear_2.weight"].T
        scale, shift = (F.silu(c) @ w[f"{name}.cond_embeds_mapper.weight"].T).chunk(2)
        x = x * (1 + scale) + shift
        sides, x = x.shape[:2], x.flatten(0, 1)
        name = f"{end}.attention_blocks.{i}"
        seen = F.silu(text) @ w[f"{name}.kv_mapper.weight"].T
        for n in (1, 2):
            x = x + attend(rms(x, f"{name}.norm{n}"), seen, f"{name}.attn{n}", s.block_heads)
        return x.unflatten(0, sides).permute(2, 0, 1)

    x = rms(w["embed.embeddings.weight"][tokens], "embed.layer_norm").permute(2, 0, 1)[None]
    x = F.conv2d(x, w["embed.conv.weight"])[0]
    if s.resized:
        x = rms(x.permute(1, 2, 0), "down_block.downsample.norm").permute(2, 0, 1)
        x = F.conv2d(F.pad(x, (0, 1, 0, 1))[None], w["down_block.downsample.conv.weight"], stride=2)[0]
    for i in range(s.blocks):
        x = stage(x, "down_block", i)
    sides, x = x.shape[1:], x.flatten(1).T
    x = rms(x, "project_to_hidden_norm") @ w["project_to_hidden.weight"].T
    for i in range(s.layers):
        layer = f"transformer_layers.{i}"

        def adapted(x: Tensor, n: int, layer: str = layer) -> Tensor:
            scale, shift = (F.silu(c) @ w[f"{layer}.norm{n}.linear.weight"].T).chunk(2)
            if n == 3:
                x = F.layer_norm(x, (s.hidden,), w[f"{layer}.norm3.norm.weight"], None, 1e-6)
            else:
                x = rms(x, f"{layer}.norm{n}.norm")
            return x * (1 + scale) + shift

        y = adapted(x, 1)
        x = x + attend(y, y, f"{layer}.attn1", s.heads)
        x = x + attend(adapted(x, 2), text, f"{layer}.attn2", s.heads)
        value, gate = (adapted(x, 3) @ w[f"{layer}.ff.net.0.proj.weight"].T).chunk(2, -1)
        x = x + (value * F.gelu(gate)) @ w[f"{layer}.ff.net.2.weight"].T
    x = rms(x, "project_from_hidden_norm") @ w["project_from_hidden.weight"].T
    x = x.T.unflatten(1, sides)
    for i in range(s.blocks):
        x = stage(x, "up_block", i)
    if s.resized:
        x = rms(x.permute(1, 2, 0), "up_block.upsample.norm").permute(2, 0, 1)
        x = F.conv_transpose2d(x[None], w["up_block.upsample.conv.weight"], stride=2)[0]
    x = F.conv2d(x[None], w["mlm_layer.conv1.weight"])[0].permute(1, 2, 0)
    x = rms(x, "mlm_layer.layer_norm").permute(2, 0, 1)[None]
    return F.conv2d(x, w["mlm_layer.conv2.weight"])[0].flatten(1).T


def encode(w: Weights, s: Sizes, pixels: Tensor) -> Tensor:
    """Tokens (h, w) of a picture (3, H, W) in [0, 1]."""
    x = _conv(w, "encoder.conv_in", pixels[None])
    for i in range(len(s.vq)):
        for j in range(s.vq_blocks):
            x = _block(w, f"encoder.down_blocks.{i}.resnets.{j}", x)
        if i < len(s.vq) - 1:
            name = f"encoder.down_blocks.{i}.downsamplers.0.conv"
            x = F.conv2d(F.pad(x, (0, 1, 0, 1)), w[f"{name}.weight"], w[f"{name}.bias"], stride=2)
    x = _conv(w, "quant_conv", _end(w, "encoder", x))[0]
    return torch.cdist(x.flatten(1).T, w["quantize.embedding.weight"]).argmin(1).view(x.shape[1:])


def decode(w: Weights, s: Sizes, tokens: Tensor) -> Tensor:
    """The picture (3, H, W) of tokens, in [0, 1]."""
    x = w["quantize.embedding.weight"][tokens].permute(2, 0, 1)[None]
    x = _middle(w, "decoder", _conv(w, "decoder.conv_in", _conv(w, "post_quant_conv", x)))
    for i in range(len(s.vq)):
        for j in range(s.vq_blocks + 1):
            x = _block(w, f"decoder.up_blocks.{i}.resnets.{j}", x)
        if i < len(s.vq) - 1:
            x = x.repeat_interleave(2, -1).repeat_interleave(2, -2)
            x = _conv(w, f"decoder.up_blocks.{i}.upsamplers.0.conv", x)
    return _conv(w, "decoder.conv_out", F.silu(_norm(w, "decoder.conv_norm_out", x)))[0].clamp(0, 1)


def _end(w: Weights, side: str, x: Tensor) -> Tensor:
    x = _middle(w, side, x)
    return _conv(w, f"{side}.conv_out", F.silu(_norm(w, f"{side}.conv_norm_out", x)))


def _middle(w: Weights, side: str, x: Tensor) -> Tensor:
    for n in (0, 1):
        x = _block(w, f"{side}.mid_block.resnets.{n}", x)
    return x


def _block(w: Weights, name: str, x: Tensor) -> Tensor:
    y = _conv(w, f"{name}.conv1", F.silu(_norm(w, f"{name}.norm1", x)))
    y = _conv(w, f"{name}.conv2", F.silu(_norm(w, f"{name}.norm2", y)))
    return (_conv(w, f"{name}.conv_shortcut", x) if f"{name}.conv_shortcut.weight" in w else x) + y


def _norm(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.group_norm(x, 32, w[f"{name}.weight"], w[f"{name}.bias"], 1e-6)


def _conv(w: Weights, name: str, x: Tensor) -> Tensor:
    weight = w[f"{name}.weight"]
    return F.conv2d(x, weight, w[f"{name}.bias"], padding=weight.shape[-1] // 2)
