"""Halton-MaskGIT's forward pass, restated over a bare state dict, and random files in its layout."""

import re
from pathlib import Path

import torch
from torch import Tensor

import restated_vqgan
from restated_vqgan import Kind, State

TOKENIZER = Kind(codes=64, code_dim=8, latents=16, blocks=2, decoder_blocks=3, unit_codes=True)
LABELS = 10


def random_checkpoint(
    dim: int = 1024,
    heads: int = 16,
    *,
    layers: int = 1,
    grid: int = 2,
    codes: int = TOKENIZER.codes,
    labels: int = LABELS,
) -> State:
    """Weights as in `checkpoint["model_state_dict"]`."""
    generator = torch.Generator().manual_seed(dim)
    state: State = {}
    inner = dim // heads * heads
    mlp = 256 * -(-int(8 * dim / 3) // 256)

    def draw(*shape: int, scale: float = 1.0, mean: float = 0.0) -> Tensor:
        return mean + scale * torch.randn(shape, generator=generator)

    def linear(name: str, into: int, out: int, bias: bool) -> None:
        state[f"{name}.weight"] = draw(out, into, scale=into**-0.5)
        if bias:
            state[f"{name}.bias"] = draw(out, scale=0.3)

    state["cls_emb.weight"] = draw(labels + 1, dim)
    state["tok_emb.weight"] = draw(codes + 1, dim, scale=0.1)
    state["pos_emb.weight"] = draw(grid**2, dim, scale=0.1)
    for n in range(layers):
        name = f"transformer.layers.{n}"
        linear(f"{name}.mlp.1", dim, 6 * dim, True)
        state[f"{name}.ln1.weight"] = draw(dim, scale=0.2, mean=1)
        state[f"{name}.ln2.weight"] = draw(dim, scale=0.2, mean=1)
        for part in "qkv":
            linear(f"{name}.attn.w{part}", dim, inner, False)
        linear(f"{name}.attn.wo", inner, dim, False)
        linear(f"{name}.ff.w1", dim, mlp, False)
        linear(f"{name}.ff.w2", mlp, dim, False)
        linear(f"{name}.ff.w3", dim, mlp, False)
    state["last_norm.norm_final.weight"] = draw(dim, scale=0.2, mean=1)
    state["last_norm.norm_final.bias"] = draw(dim, scale=0.2)
    linear("last_norm.mlp.1", dim, 2 * dim, True)
    state["head.weight"] = state["tok_emb.weight"]
    state["head.bias"] = draw(codes + 1, scale=0.1)
    state["reg_tokens.weight"] = draw(1, dim)
    return state


def save(state: State, tokenizer: State, folder: Path) -> tuple[Path, Path]:
    """The two published files: of the network as torch.compile names it, and of the tokenizer."""
    network, words = folder / "ImageNet_384_large.pth", folder / "vq_ds16_c2i.pt"
    compiled = {f"_orig_mod.{name}": value for name, value in state.items()}
    content = {"iter": 1, "global_epoch": 2, "model_state_dict": compiled, "optimizer_state_dict": None}
    torch.save(content, network)
    torch.save({"model": {published_name(name): value for name, value in tokenizer.items()}}, words)
    return network, words


def published_name(taming: str) -> str:
    """LlamaGen's name for one of taming's."""
    name = re.sub(r"mid\.(block_1|attn_1|block_2)", _middle, taming)
    name = re.sub(r"encoder\.down\.(\d)", r"encoder.conv_blocks.\1", name)
    name = re.sub(r"decoder\.up\.(\d)", lambda found: f"decoder.conv_blocks.{4 - int(found[1])}", name)
    return re.sub(r"(conv_blocks\.\d)\.block", r"\1.res", name)


def _middle(found: re.Match[str]) -> str:
    return f"mid.{['block_1', 'attn_1', 'block_2'].index(found[1])}"


def random_tokenizer() -> State:
    return restated_vqgan.random_state(TOKENIZER) | {"quantize.codebook_used": torch.zeros(65536)}


def _rms(x: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def _silu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def logits(state: State, tokens: Tensor, labels: Tensor, heads: int = 16) -> Tensor:
    """(B, N, codes) logits; the mask is token `TOKENIZER.codes`, class `LABELS` is none."""
    words = state["tok_emb.weight"]
    y = state["cls_emb.weight"][labels]
    x = words[tokens] + state["pos_emb.weight"]
    x = torch.cat([x, state["reg_tokens.weight"].expand(len(x), 1, -1)], 1)
    n = 0
    while f"transformer.layers.{n}.ln1.weight" in state:
        w = {key.removeprefix(f"transformer.layers.{n}."): v for key, v in state.items()}
        all_of = _silu(y) @ w["mlp.1.weight"].T + w["mlp.1.bias"]
        a, b, c, d, e, f = (part[:, None] for part in all_of.chunk(6, 1))
        h = _rms(x) * w["ln1.weight"] * (1 + b) + a
        q, k, v = (h @ w[f"attn.w{part}.weight"].T for part in "qkv")
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (_rms(q), _rms(k), v))
        mixed = torch.softmax(q @ k.transpose(2, 3) * q.shape[-1] ** -0.5, -1) @ v
        x = x + c * (mixed.transpose(1, 2).flatten(2) @ w["attn.wo.weight"].T)
        h = _rms(x) * w["ln2.weight"] * (1 + e) + d
        h = (_silu(h @ w["ff.w1.weight"].T) * (h @ w["ff.w3.weight"].T)) @ w["ff.w2.weight"].T
        x, n = x + f * h, n + 1
    shift, scale = (_silu(y) @ state["last_norm.mlp.1.weight"].T + state["last_norm.mlp.1.bias"]).chunk(2, 1)
    x = _rms(x[:, :-1]) * state["last_norm.norm_final.weight"] + state["last_norm.norm_final.bias"]
    x = x * (1 + scale[:, None]) + shift[:, None]
    return (x @ words.T + state["head.bias"])[..., : TOKENIZER.codes]
