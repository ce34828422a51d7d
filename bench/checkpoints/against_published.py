"""Holds the importers against the published code itself, at full width with few layers and random weights.

    git clone the project beside this one, then, in an environment of its own:
    python -m pip install . einops omegaconf flax jax ml_collections
    python bench/checkpoints/against_published.py mage PATH_OF_THE_CLONE     (also halton, valeoai, maskgit)

Builds the project's own modules, saves their weights in the published layout, converts the files, and
compares tokens, logits and pictures. Says the largest differences, and ends with status 1 where one is above
the limit.
The test suite has the same comparisons with restatements of the arithmetic, and needs no clone.
"""

import contextlib
import functools
import importlib.machinery
import os
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskmend.importers.halton import convert_halton
from maskmend.importers.mage import convert_mage
from maskmend.importers.maskgit import convert_maskgit
from maskmend.importers.valeoai import convert_valeoai
from maskmend.importers.writing import Conversion, write_conversion
from maskmend.pretrained.folder import load_model

LIMIT = 1e-4
SIDE = 128
"""Pixels of the pictures that go through the tokenizers, which are convolutional."""


def stand_in(name: str, **content: Any) -> None:
    """A module of which the published code uses nothing, or these few names."""
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    for key, value in content.items():
        setattr(module, key, value)
    sys.modules[name] = module


class PatchEmbed(nn.Module):
    """MAGE builds it and never calls it."""

    def __init__(self, side: int, patch: int, channels: int, dim: int) -> None:
        super().__init__()
        self.num_patches = (side // patch) ** 2
        self.proj = nn.Conv2d(channels, dim, patch, patch)


class Mlp(nn.Module):
    """timm's, as MAGE uses it."""

    def __init__(self, in_features: int, hidden_features: int, act_layer: Any, drop: float) -> None:
        super().__init__()
        self.fc1, self.act = nn.Linear(in_features, hidden_features), act_layer()
        self.fc2 = nn.Linear(hidden_features, in_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


@torch.no_grad()
def randomise(module: nn.Module, seed: int = 0) -> None:
    """Weights with which activations stay of order 1 and every one of them matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.named_parameters():
        noise = torch.randn(value.shape, generator=generator)
        if value.ndim > 1 and "emb" not in name:
            value.copy_(noise / value[0].numel() ** 0.5)
        elif value.ndim == 1:
            is_scale = name.endswith("weight")
            value.copy_(is_scale + 0.2 * noise)
        else:
            value.copy_(0.1 * noise)


def images(seed: int = 3) -> Tensor:
    """(1, 3, SIDE, SIDE) in [0, 1]."""
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def spread_codes(latents: Tensor, codes: int) -> Tensor:
    """Codes that lie among the latents (M, C), so that different places have different tokens."""
    generator = torch.Generator().manual_seed(5)
    picks = torch.randint(0, len(latents), (codes,), generator=generator)
    noise = torch.randn(codes, latents.shape[1], generator=generator)
    return latents[picks] + 0.3 * latents.std() * noise


def masked_tokens(codes: int, length: int, mask: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    tokens = torch.randint(0, codes, (2, length), generator=generator)
    masked = torch.rand(2, length, generator=generator) < 0.4
    return tokens.masked_fill(masked, mask), masked


def compare(
    made: Conversion,
    folder: Path,
    *,
    mask: int,
    logits: Callable[[Tensor, Tensor], Tensor],
    encode: Callable[[Tensor], Tensor],
    decode: Callable[[Tensor], Tensor],
    unit: bool,
) -> bool:
    """`logits` take tokens with the published mask, and classes; the others are the published tokenizer's."""
    write_conversion(made, folder / "model")
    tokenizer, model, _ = load_model(folder / "model")
    config = model.config
    theirs, masked = masked_tokens(config.codes, config.grid**2, mask)
    labels = torch.tensor([3, 7])
    condition = labels if config.labels else None
    ours = theirs.masked_fill(masked, config.mask_id)
    with torch.no_grad():
        expected = logits(theirs, labels)[masked]
        apart = (model(ours, masked, masked, condition=condition) - expected).abs().max().item()
        print(f"logits    {apart:.1e} of {expected.abs().max():.1f}")
        picture = images()
        tokens = encode(picture if unit else 2 * picture - 1)
        same = int((tokenizer.encode(2 * picture - 1).flatten() == tokens.flatten()).sum())
        print(f"tokens    {same} of {tokens.numel()} equal, {len(tokens.unique())} different ones")
        drawn = decode(tokens)
        drawn = 2 * drawn - 1 if unit else drawn
        grid = tokens.view(1, SIDE // 16, SIDE // 16)
        found = tokenizer.decoder(tokenizer.quantizer.lookup(grid))
        off = (found - drawn).abs().max().item()
        print(f"pictures  {off:.1e} of {drawn.abs().max():.1f}")
    return apart <= LIMIT and same == tokens.numel() and off <= LIMIT


def mage(folder: Path) -> bool:
    vars(np)["float"] = float  # its code is older than NumPy 1.24
    stand_in("pytorch_lightning", LightningModule=nn.Module)
    stand_in("timm")
    stand_in("timm.models")
    stand_in("timm.models.vision_transformer", PatchEmbed=PatchEmbed, DropPath=nn.Identity, Mlp=Mlp)
    import models_mage
    from omegaconf import OmegaConf
    from taming.models.vqgan import VQModel

    params = OmegaConf.load("config/vqgan.yaml").model.params
    words = VQModel(ddconfig=params.ddconfig, n_embed=params.n_embed, embed_dim=params.embed_dim)
    randomise(words)
    with torch.no_grad():
        latents = words.encoder(images(4)).permute(0, 2, 3, 1).flatten(0, 2)
        words.quantize.embedding.weight.copy_(spread_codes(latents, 1024))
    torch.save(words.state_dict(), folder / "vqgan.ckpt")
    published = models_mage.MaskedGenerativeEncoderViT(
        embed_dim=768, depth=2, num_heads=12, decoder_embed_dim=768, decoder_depth=2, decoder_num_heads=16,
        norm_layer=functools.partial(nn.LayerNorm, eps=1e-6), vqgan_ckpt_path=str(folder / "vqgan.ckpt"),
    ).eval()  # fmt: skip
    kept = {name: value.clone() for name, value in published.vqgan.state_dict().items()}
    randomise(published)
    published.vqgan.load_state_dict(kept)
    torch.save({"model": published.state_dict()}, folder / "mage.pth")

    def logits(tokens: Tensor, labels: Tensor) -> Tensor:
        ids = torch.cat([torch.full((len(tokens), 1), published.fake_class_label), tokens], 1)
        x = published.token_emb(ids)
        for block in published.blocks:
            x = block(x)
        masked = ids == published.mask_token_label
        out = published.forward_decoder(published.norm(x), torch.zeros_like(ids), masked)
        return out[:, 1:, :1024]

    return compare(
        convert_mage(folder / "mage.pth"), folder, mask=published.mask_token_label, logits=logits,
        encode=lambda x: published.vqgan.encode(x)[2][2],
        decode=lambda t: published.vqgan.decode(
            published.vqgan.quantize.get_codebook_entry(t.flatten(), (1, SIDE // 16, SIDE // 16, 256))
        ),
        unit=True,
    )  # fmt: skip


def halton(folder: Path) -> bool:
    from Network.transformer import Transformer
    from Network.vq_model import VQ_16

    published = Transformer(
        input_size=24, hidden_dim=1024, codebook_size=16384, depth=2, heads=16, mlp_dim=4096, nclass=1000
    ).eval()
    randomise(published)
    words = VQ_16().eval()
    randomise(words)
    state = {"model_state_dict": published.state_dict(), "optimizer_state_dict": None, "iter": 1}
    torch.save(state, folder / "network.pth")
    torch.save({"model": words.state_dict()}, folder / "words.pt")
    changed_by_halton()
    return compare(
        convert_halton(folder / "network.pth", folder / "words.pt"), folder, mask=16384,
        logits=lambda t, y: published(t.view(2, 24, 24), y, torch.zeros(2).bool())[..., :16384],
        encode=lambda x: words.encode(x)[2][2],
        decode=lambda t: words.decode_code(t.view(1, SIDE // 16, SIDE // 16)),
        unit=False,
    )  # fmt: skip


def changed_by_halton() -> None:
    """What the project's sampler does to known tokens when it starts from a picture's."""
    stand_in("tqdm", tqdm=lambda steps, **_: steps)
    from Network.transformer import Transformer
    from Sampler.halton_sampler import HaltonSampler

    drawn: list[Tensor] = []
    trainer = types.SimpleNamespace(
        input_size=8,
        args=types.SimpleNamespace(device="cpu", mask_value=64, codebook_size=64),
        vit=Transformer(input_size=8, hidden_dim=64, codebook_size=64, depth=1, heads=4, mlp_dim=256),
        autocast=contextlib.nullcontext(),
        ae=types.SimpleNamespace(decode_code=lambda code: drawn.append(code.clone()) or code.float()),
    )
    tokens = torch.randint(0, 64, (1, 8, 8), generator=torch.Generator().manual_seed(1))
    hole = torch.zeros(1, 8, 8, dtype=torch.bool)
    hole[:, 2:5, 2:5] = True
    sampler = HaltonSampler(step=8, w=0)
    sampler(trainer, tokens.masked_fill(hole, 64), nb_sample=1, labels=torch.tensor([3]), verbose=False)
    changed = int((drawn[0] != tokens)[~hole].sum())
    print(f"its own sampler changes {changed} of {int((~hole).sum())} known tokens")


def valeoai(folder: Path) -> bool:
    stand_in("pytorch_lightning", LightningModule=nn.Module)
    stand_in("requests")
    stand_in("tqdm", tqdm=None)
    from Network.Taming.models.vqgan import VQModel
    from Network.transformer import MaskTransformer

    published = MaskTransformer(
        img_size=256, hidden_dim=768, codebook_size=1024, f_factor=16, depth=2, heads=16, mlp_dim=3072
    ).eval()
    randomise(published)
    about = {
        "double_z": False, "z_channels": 256, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128,
        "ch_mult": [1, 1, 2, 2, 4], "num_res_blocks": 2, "attn_resolutions": [16], "dropout": 0.0,
    }  # fmt: skip
    loss = {"target": "torch.nn.Identity"}
    words = VQModel(ddconfig=about, lossconfig=loss, n_embed=1024, embed_dim=256).eval()
    randomise(words)
    with torch.no_grad():
        latents = words.quant_conv(words.encoder(2 * images(4) - 1)).permute(0, 2, 3, 1).flatten(0, 2)
        words.quantize.embedding.weight.copy_(spread_codes(latents, 1024))
    torch.save({"model_state_dict": published.state_dict()}, folder / "network.pth")
    torch.save({"state_dict": words.state_dict(), "epoch": 1}, folder / "last.ckpt")
    return compare(
        convert_valeoai(folder / "network.pth", folder / "last.ckpt"), folder, mask=1024,
        logits=lambda t, y: published(t.view(2, 16, 16), y, torch.zeros(2).bool())[..., :1024],
        encode=lambda x: words.encode(x)[2][2],
        decode=lambda t: words.decode(
            words.quantize.get_codebook_entry(t.flatten(), (1, SIDE // 16, SIDE // 16, 256))
        ),
        unit=False,
    )  # fmt: skip


def maskgit(folder: Path) -> bool:
    import flax
    import jax
    import jax.numpy as jnp
    from maskgit.configs import maskgit_class_cond_config
    from maskgit.nets import maskgit_transformer, vqgan_tokenizer

    config = maskgit_class_cond_config.get_config()
    about = config.transformer
    published = maskgit_transformer.Transformer(
        vocab_size=2025, hidden_size=about.num_embeds, num_hidden_layers=2,
        num_attention_heads=about.num_heads, intermediate_size=about.intermediate_size,
        max_position_embeddings=257,
    )  # fmt: skip
    draw = np.random.default_rng(0)

    def random(path: Any, value: Any) -> Any:
        noise = draw.standard_normal(value.shape)
        name = path[-1].key
        if name == "scale":
            noise = 1 + 0.2 * noise
        elif name in ("bias", "embedding"):
            noise = 0.2 * noise
        elif name == "kernel":
            into = value.shape[:-1] if value.ndim != 3 or path[-2].key == "out" else value.shape[:1]
            noise = noise / np.prod(into) ** 0.5
        return jnp.asarray(noise, jnp.float32)

    variables = published.init(jax.random.PRNGKey(0), jnp.zeros((1, 257), int), deterministic=True)
    variables = {"params": jax.tree_util.tree_map_with_path(random, variables["params"])}
    words = vqgan_tokenizer.VQVAE(config=config, dtype=jnp.float32, train=False)
    picture = jnp.asarray(images(4).permute(0, 2, 3, 1).numpy())
    whole = {"image": picture}
    book = words.init(jax.random.PRNGKey(1), whole, method=lambda m, x: m.decode(m.encode(x)[0]))
    book = {"params": dict(jax.tree_util.tree_map_with_path(random, book["params"]))}
    latents = words.apply(book, whole, method=lambda m, x: m.encoder(x["image"]))
    latents = torch.from_numpy(np.array(latents)).flatten(0, 2)
    book["params"]["quantizer"] = {"codebook": jnp.asarray(spread_codes(latents, 1024).numpy())}
    (folder / "network").write_bytes(flax.serialization.to_bytes(variables))
    (folder / "words").write_bytes(flax.serialization.to_bytes(book))

    def logits(tokens: Tensor, labels: Tensor) -> Tensor:
        ids = torch.cat([labels[:, None] + 1024, tokens], 1).numpy()
        out = published.apply(variables, jnp.asarray(ids), deterministic=True)
        return torch.from_numpy(np.array(out))[:, 1:, :1024]

    def encode(x: Tensor) -> Tensor:
        given = {"image": jnp.asarray(x.permute(0, 2, 3, 1).numpy())}
        found = words.apply(book, given, method=words.encode_to_indices, mutable=False)
        return torch.from_numpy(np.array(found)).long()

    def decode(tokens: Tensor) -> Tensor:
        drawn = words.apply(
            book, jnp.asarray(tokens.numpy()), method=words.decode_from_indices, mutable=False
        )
        return torch.from_numpy(np.array(drawn)).permute(0, 3, 1, 2)

    return compare(
        convert_maskgit(folder / "network", folder / "words"), folder, mask=-1,
        logits=logits, encode=encode, decode=decode, unit=True,
    )  # fmt: skip


if __name__ == "__main__":
    kind, repository = sys.argv[1], Path(sys.argv[2]).resolve()
    check = {"mage": mage, "halton": halton, "valeoai": valeoai, "maskgit": maskgit}[kind]
    os.chdir(repository)
    sys.path.insert(0, str(repository))
    with tempfile.TemporaryDirectory() as place:
        good = check(Path(place))
    print("as published" if good else f"above the limit of {LIMIT}")
    sys.exit(not good)
