"""Google's and valeoai's MaskGIT, restated over bare weights, and random files in their published layouts."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import restated_vqgan
from restated_vqgan import Kind, State

GOOGLE_TOKENIZER = Kind(
    attention=False, projections=False, bias=False, own_shortcut=True, averages=True, conv_out=1,
    widths=(32, 32, 64, 64, 64), blocks=2, decoder_blocks=2,
)  # fmt: skip
TAMING_TOKENIZER = Kind(blocks=2, decoder_blocks=3)
CODES, LABELS = 64, 1000
MASK = {"google": CODES + LABELS, "valeoai": CODES}


class Weights(dict[str, Tensor]):
    """Random weights of a network by the names that a test gives them."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self, name: str, *shape: int, scale: float = 1.0, mean: float = 0.0) -> None:
        self[name] = mean + scale * torch.randn(shape, generator=self.generator)


def google_checkpoint(
    dim: int = 768, heads: int = 16, *, layers: int = 1, grid: int = 2, codes: int = CODES
) -> State:
    """Arrays by their flax path without "params/"."""
    w = Weights(dim)

    def norm(name: str) -> None:
        w.draw(f"{name}/scale", dim, scale=0.2, mean=1)
        w.draw(f"{name}/bias", dim, scale=0.2)

    def dense(name: str, into: tuple[int, ...], out: tuple[int, ...]) -> None:
        w.draw(f"{name}/kernel", *into, *out, scale=int(np.prod(into)) ** -0.5)
        w.draw(f"{name}/bias", *out, scale=0.2)

    w.draw("Embed_0/word_embeddings/embedding", codes + LABELS + 1, dim, scale=0.1)
    w.draw("Embed_0/position_embeddings/embedding", grid**2 + 1, dim, scale=0.1)
    norm("Embed_0/embeddings_ln")
    for n in range(layers):
        name = f"TransformerLayer_{n}"
        for part in ("query", "key", "value"):
            dense(f"{name}/Attention_0/self_attention/{part}", (dim,), (heads, dim // heads))
        dense(f"{name}/Attention_0/self_attention/out", (heads, dim // heads), (dim,))
        norm(f"{name}/Attention_0/attention_output_ln")
        dense(f"{name}/Mlp_0/intermediate_output", (dim,), (4 * dim,))
        dense(f"{name}/Mlp_0/layer_output", (4 * dim,), (dim,))
        norm(f"{name}/Mlp_0/layer_output_ln")
    dense("MlmLayer_0/mlm_dense", (dim,), (dim,))
    norm("MlmLayer_0/mlm_ln")
    w.draw("MlmLayer_0/mlm_bias/bias", codes + LABELS + 1, scale=0.1)
    return dict(w)


def google_tokenizer(state: State) -> State:
    """A tokenizer by taming's names (`GOOGLE_TOKENIZER`) by flax's, kernels as (height, width, in, out)."""
    found: State = {"quantizer/codebook": state["quantize.embedding.weight"]}
    for side, stages in (("encoder", range(5)), ("decoder", range(4, -1, -1))):
        stage = "down" if side == "encoder" else "up"
        blocks = [f"{side}.{stage}.{level}.block.{n}" for level in stages for n in range(2)]
        middle = [f"{side}.mid.block_1", f"{side}.mid.block_2"]
        blocks = blocks + middle if side == "encoder" else middle + blocks
        ups = [f"{side}.up.{level}.upsample.conv" for level in range(4, 0, -1)] if side == "decoder" else []
        for n, name in enumerate(blocks):
            found |= _flax(state, f"{name}.norm1", f"{side}/ResBlock_{n}/GroupNorm_0")
            found |= _flax(state, f"{name}.norm2", f"{side}/ResBlock_{n}/GroupNorm_1")
            for m, part in enumerate(("conv1", "conv2", "nin_shortcut")):
                found |= _flax(state, f"{name}.{part}", f"{side}/ResBlock_{n}/Conv_{m}")
        for n, name in enumerate([f"{side}.conv_in", *ups, f"{side}.conv_out"]):
            found |= _flax(state, name, f"{side}/Conv_{n}")
        found |= _flax(state, f"{side}.norm_out", f"{side}/GroupNorm_0")
    return found


def _flax(state: State, taming: str, flax: str) -> State:
    found: State = {}
    if (weight := state.get(f"{taming}.weight")) is not None:
        is_kernel = weight.ndim == 4
        found[f"{flax}/{'kernel' if is_kernel else 'scale'}"] = (
            weight.permute(2, 3, 1, 0) if is_kernel else weight
        )
    if (bias := state.get(f"{taming}.bias")) is not None:
        found[f"{flax}/bias"] = bias
    return found


def save_flax(state: State, path: Path) -> Path:
    """The file that flax.serialization.to_bytes makes of {"params": ...}, written out by hand."""
    tree: dict[str, Any] = {}
    for name, value in state.items():
        place = tree
        *parents, last = ["params", *name.split("/")]
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    path.write_bytes(_packed(tree))
    return path


def _packed(value: Any) -> bytes:
    if isinstance(value, dict):
        inside = b"".join(_packed(name) + _packed(inner) for name, inner in value.items())
        return b"\xdf" + struct.pack(">I", len(value)) + inside
    if isinstance(value, str):
        return b"\xd9" + struct.pack(">B", len(value)) + value.encode()
    shape = b"".join(b"\xce" + struct.pack(">I", side) for side in value.shape)
    content = value.contiguous().numpy().tobytes()
    kind = _packed(str(value.dtype).removeprefix("torch."))
    array = b"\x93" + bytes([0x90 | value.ndim]) + shape + kind
    array += b"\xc6" + struct.pack(">I", len(content)) + content
    return b"\xc9" + struct.pack(">Ib", len(array), 1) + array


def valeoai_checkpoint(dim: int = 768, *, layers: int = 1, grid: int = 2, codes: int = CODES) -> State:
    """Weights as in `checkpoint["model_state_dict"]`."""
    w = Weights(dim + 1)

    def linear(name: str, into: int, out: int, joint: str = ".") -> None:
        w.draw(f"{name}{joint}weight", out, into, scale=into**-0.5)
        w.draw(f"{name}{joint}bias", out, scale=0.2)

    def norm(name: str) -> None:
        w.draw(f"{name}.weight", dim, scale=0.2, mean=1)
        w.draw(f"{name}.bias", dim, scale=0.2)

    words, length = codes + LABELS + 2, grid**2 + 1
    w.draw("tok_emb.weight", words, dim, scale=0.1)
    w.draw("pos_emb", 1, length, dim, scale=0.1)
    w.draw("bias", length, words, scale=0.3)
    for name in ("first_layer.0", "first_layer.4", "last_layer.0", "last_layer.4"):
        norm(name)
    for name in ("first_layer.2", "first_layer.6", "last_layer.2"):
        linear(name, dim, dim)
    for n in range(layers):
        name = f"transformer.layers.{n}"
        norm(f"{name}.0.norm")
        norm(f"{name}.1.norm")
        linear(f"{name}.0.fn.mha.in_proj", dim, 3 * dim, "_")
        linear(f"{name}.0.fn.mha.out_proj", dim, dim)
        linear(f"{name}.1.fn.net.0", dim, 4 * dim)
        linear(f"{name}.1.fn.net.3", 4 * dim, dim)
    return dict(w)


def taming_tokenizer() -> State:
    """With parts of the discriminator, as in the published file."""
    return restated_vqgan.random_state(TAMING_TOKENIZER) | {"loss.discriminator.main.0.weight": torch.ones(2)}


def save_valeoai(state: State, tokenizer: State, folder: Path) -> tuple[Path, Path]:
    network, words = folder / "MaskGIT_ImageNet_256.pth", folder / "last.ckpt"
    torch.save({"iter": 1, "global_epoch": 2, "model_state_dict": state, "optimizer_state_dict": {}}, network)
    content = {"epoch": 3, "global_step": 4, "pytorch-lightning_version": "1.0.8", "state_dict": tokenizer}
    torch.save(content, words)
    return network, words


def _norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    x = x - x.mean(-1, keepdim=True)
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * weight + bias


def _tanh_gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))


def _gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x / 2**0.5))


def google_logits(w: State, tokens: Tensor, labels: Tensor) -> Tensor:
    """(B, N, codes) logits; the mask is token `MASK["google"]`."""

    def norm(name: str, x: Tensor) -> Tensor:
        return _norm(x, w[f"{name}/scale"], w[f"{name}/bias"], 1e-12)

    words = w["Embed_0/word_embeddings/embedding"]
    ids = torch.cat([labels[:, None] + CODES, tokens], 1)
    x = norm("Embed_0/embeddings_ln", words[ids] + w["Embed_0/position_embeddings/embedding"])
    n = 0
    while (name := f"TransformerLayer_{n}") + "/Mlp_0/layer_output_ln/scale" in w:
        attention = f"{name}/Attention_0/self_attention"
        q, k, v = (
            torch.einsum("btd,dhc->bhtc", x, w[f"{attention}/{part}/kernel"])
            + w[f"{attention}/{part}/bias"][:, None]
            for part in ("query", "key", "value")
        )
        mixed = torch.softmax(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5, -1) @ v
        out = torch.einsum("bhtc,hcd->btd", mixed, w[f"{attention}/out/kernel"]) + w[f"{attention}/out/bias"]
        x = norm(f"{name}/Attention_0/attention_output_ln", out + x)
        inside = f"{name}/Mlp_0/intermediate_output"
        hidden = _tanh_gelu(x @ w[f"{inside}/kernel"] + w[f"{inside}/bias"])
        out = hidden @ w[f"{name}/Mlp_0/layer_output/kernel"] + w[f"{name}/Mlp_0/layer_output/bias"]
        x, n = norm(f"{name}/Mlp_0/layer_output_ln", out + x), n + 1
    hidden = _tanh_gelu(x @ w["MlmLayer_0/mlm_dense/kernel"] + w["MlmLayer_0/mlm_dense/bias"])
    out = norm("MlmLayer_0/mlm_ln", hidden) @ words.T + w["MlmLayer_0/mlm_bias/bias"]
    return out[:, 1:, :CODES]


def valeoai_logits(w: State, tokens: Tensor, labels: Tensor | None) -> Tensor:
    """(B, N, codes) logits; the mask is token `MASK["valeoai"]`, no class is None."""

    def norm(name: str, x: Tensor, eps: float = 1e-12) -> Tensor:
        return _norm(x, w[f"{name}.weight"], w[f"{name}.bias"], eps)

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    words = w["tok_emb.weight"]
    last = torch.full_like(tokens[:, 0], LABELS) if labels is None else labels
    x = words[torch.cat([tokens, last[:, None] + CODES + 1], 1)] + w["pos_emb"]
    x = norm("first_layer.4", _gelu(linear("first_layer.2", norm("first_layer.0", x))))
    x = linear("first_layer.6", x)
    n = 0
    while (name := f"transformer.layers.{n}") + ".0.norm.weight" in w:
        h = norm(f"{name}.0.norm", x, 1e-5)
        qkv = h @ w[f"{name}.0.fn.mha.in_proj_weight"].T + w[f"{name}.0.fn.mha.in_proj_bias"]
        q, k, v = (part.unflatten(-1, (16, -1)).transpose(1, 2) for part in qkv.chunk(3, -1))
        mixed = torch.softmax(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5, -1) @ v
        x = x + linear(f"{name}.0.fn.mha.out_proj", mixed.transpose(1, 2).flatten(2))
        hidden = _gelu(linear(f"{name}.1.fn.net.0", norm(f"{name}.1.norm", x, 1e-5)))
        x, n = x + linear(f"{name}.1.fn.net.3", hidden), n + 1
    x = norm("last_layer.4", _gelu(linear("last_layer.2", norm("last_layer.0", x))))
    return (x @ words.T + w["bias"])[:, :-1, :CODES]
