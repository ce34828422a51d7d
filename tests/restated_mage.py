"""MAGE's forward pass, restated over a bare state dict, and random checkpoints in its published layout."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import restated_vqgan
from restated_vqgan import Kind, State

CLASS_TOKEN, MASK = 1100, 2024
"""Rows of the published embedding, for 1,024 codes."""
TOKENIZER = Kind(
    attention=False, projections=False, bias=False, own_shortcut=True, averages=True, conv_out=1, codes=1024
)


def random_checkpoint(dim: int = 768, *, layers: int = 1, decoder_layers: int = 1, grid: int = 2) -> State:
    """Weights as in `checkpoint["model"]`, tokenizer and all, of a picture of `grid` x `grid` tokens."""
    generator = torch.Generator().manual_seed(dim)
    state: State = {}

    def draw(*shape: int, scale: float = 1.0, mean: float = 0.0) -> Tensor:
        return mean + scale * torch.randn(shape, generator=generator)

    def linear(name: str, inner: int, outer: int) -> None:
        state[f"{name}.weight"] = draw(outer, inner, scale=inner**-0.5)
        state[f"{name}.bias"] = draw(outer, scale=0.1)

    def norm(name: str) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = draw(dim, scale=0.2, mean=1), draw(dim, scale=0.2)

    state["token_emb.word_embeddings.weight"] = draw(2025, dim, scale=0.1)
    state["token_emb.position_embeddings.weight"] = draw(grid**2 + 1, dim)
    state["token_emb.position_ids"] = torch.arange(grid**2 + 1)[None]
    state["cls_token"], state["pos_embed"] = draw(1, 1, dim), draw(1, grid**2 + 1, dim)
    state["patch_embed.proj.weight"], state["patch_embed.proj.bias"] = draw(dim, 3, 16, 16), draw(dim)
    norm("token_emb.LayerNorm")
    for stack, count in (("blocks", layers), ("decoder_blocks", decoder_layers)):
        for n in range(count):
            norm(f"{stack}.{n}.norm1")
            norm(f"{stack}.{n}.norm2")
            linear(f"{stack}.{n}.attn.qkv", dim, 3 * dim)
            linear(f"{stack}.{n}.attn.proj", dim, dim)
            linear(f"{stack}.{n}.mlp.fc1", dim, 4 * dim)
            linear(f"{stack}.{n}.mlp.fc2", 4 * dim, dim)
    norm("norm")
    norm("decoder_norm")
    linear("decoder_embed", dim, dim)
    state["mask_token"], state["decoder_pos_embed"] = draw(1, 1, dim), draw(1, grid**2 + 1, dim)
    state["decoder_pos_embed_learned"] = draw(1, grid**2 + 1, dim, scale=0.5)
    linear("decoder_pred", dim, 768)
    linear("mlm_layer.fc", dim, dim)
    norm("mlm_layer.ln")
    state["mlm_layer.bias"] = draw(1, 1, 2025, scale=0.1)
    tokenizer = restated_vqgan.random_state(TOKENIZER)
    return state | {f"vqgan.{name}": value for name, value in tokenizer.items()}


def save(state: State, path: Path) -> Path:
    """A file as the authors' training saves it, but for the optimizer."""
    import argparse

    torch.save({"model": state, "epoch": 1599, "args": argparse.Namespace(lr=1e-3)}, path)
    return path


def _norm(state: State, name: str, x: Tensor, eps: float = 1e-6) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)


def _linear(state: State, name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def _gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / 2**0.5))


def _stack(state: State, stack: str, x: Tensor, heads: int) -> Tensor:
    n = 0
    while f"{stack}.{n}.norm1.weight" in state:
        name = f"{stack}.{n}"
        qkv = _linear(state, f"{name}.attn.qkv", _norm(state, f"{name}.norm1", x))
        q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1) @ v
        x = x + _linear(state, f"{name}.attn.proj", mixed.transpose(1, 2).flatten(2))
        hidden = _gelu(_linear(state, f"{name}.mlp.fc1", _norm(state, f"{name}.norm2", x)))
        x = x + _linear(state, f"{name}.mlp.fc2", hidden)
        n += 1
    return x


def logits(state: State, tokens: Tensor, heads: int = 12) -> Tensor:
    """(B, N, 1024) logits of tokens (B, N), `MASK` where hidden."""
    ids = torch.cat([torch.full_like(tokens[:, :1], CLASS_TOKEN), tokens], 1)
    words = state["token_emb.word_embeddings.weight"]
    x = words[ids] + state["token_emb.position_embeddings.weight"]
    x = _stack(state, "blocks", _norm(state, "token_emb.LayerNorm", x), heads)
    x = _linear(state, "decoder_embed", _norm(state, "norm", x))
    x = torch.where((ids == MASK)[..., None], x[:, :1], x) + state["decoder_pos_embed_learned"]
    x = _norm(state, "decoder_norm", _stack(state, "decoder_blocks", x, 16))
    hidden = _norm(state, "mlm_layer.ln", _gelu(_linear(state, "mlm_layer.fc", x)), 1e-5)
    return (hidden @ words.T + state["mlm_layer.bias"])[:, 1:, :1024]
