"""The coursework's VQGAN and transformer, restated plainly under the names of their parts.

Random weights, every normalisation shaken, so that no two parts of a shape can be taken for each other.
"""

import torch
import torch.nn.functional as F
from torch import nn

MEAN = torch.tensor([0.4868, 0.4341, 0.3844])[:, None, None]
DEVIATION = torch.tensor([0.2620, 0.2527, 0.2543])[:, None, None]


class GroupNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gn = nn.GroupNorm(32, channels, eps=1e-6)

    def forward(self, x):
        return self.gn(x)


class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


class ResidualBlock(nn.Module):
    def __init__(self, inner, outer):
        super().__init__()
        self.block = nn.Sequential(
            GroupNorm(inner), Swish(), nn.Conv2d(inner, outer, 3, 1, 1),
            GroupNorm(outer), Swish(), nn.Conv2d(outer, outer, 3, 1, 1),
        )  # fmt: skip
        if inner != outer:
            self.channel_up = nn.Conv2d(inner, outer, 1)

    def forward(self, x):
        return (self.channel_up(x) if hasattr(self, "channel_up") else x) + self.block(x)


class NonLocalBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = GroupNorm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x):
        y = self.norm(x)
        q, k, v = (part(y).flatten(2) for part in (self.q, self.k, self.v))  # (B, C, H*W)
        weights = torch.softmax(torch.einsum("bci,bcj->bij", q, k) / q.shape[1] ** 0.5, dim=2)
        return x + self.proj_out(torch.einsum("bij,bcj->bci", weights, v).view(x.shape))


class DownSampleBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 2, 0)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class UpSampleBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x):
        return self.conv(x.repeat_interleave(2, 2).repeat_interleave(2, 3))


class Encoder(nn.Module):
    def __init__(self, channels, halved_after, latent, code_dim):
        super().__init__()
        layers, side = [nn.Conv2d(3, channels[0], 3, 1, 1)], latent * 2 ** len(halved_after)
        width = channels[0]
        for stage, outer in enumerate(channels[1:]):
            for _ in range(2):
                layers.append(ResidualBlock(width, outer))
                width = outer
                if side == latent:
                    layers.append(NonLocalBlock(width))
            if stage in halved_after:
                layers.append(DownSampleBlock(width))
                side //= 2
        layers += [ResidualBlock(width, width), NonLocalBlock(width), ResidualBlock(width, width)]
        layers += [GroupNorm(width), Swish(), nn.Conv2d(width, code_dim, 3, 1, 1)]
        self.model = nn.Sequential(*layers)


class Decoder(nn.Module):
    """`channels` from the picture to the latents, as the coursework lists them."""

    def __init__(self, channels, doubled_after, code_dim, swish):
        super().__init__()
        width, latent = channels[-1], True
        layers = [nn.Conv2d(code_dim, width, 3, 1, 1)]
        layers += [ResidualBlock(width, width), NonLocalBlock(width), ResidualBlock(width, width)]
        for stage in reversed(range(len(channels))):
            for _ in range(3):
                layers.append(ResidualBlock(width, channels[stage]))
                width = channels[stage]
                if latent:
                    layers.append(NonLocalBlock(width))
            if stage in doubled_after:
                layers.append(UpSampleBlock(width))
                latent = False
        layers += [GroupNorm(width), *([Swish()] if swish else []), nn.Conv2d(width, 3, 3, 1, 1)]
        self.model = nn.Sequential(*layers)


class Codebook(nn.Module):
    def __init__(self, codes, code_dim):
        super().__init__()
        self.embedding = nn.Embedding(codes, code_dim)


class LabVQGAN(nn.Module):
    """The coursework's layout with narrow layers."""

    def __init__(
        self,
        enc_channels=(32, 32, 32, 64, 64, 96),
        dec_channels=(32, 32, 64, 64, 96),
        halved_after=(2, 4),
        doubled_after=(4, 2),
        grid=4,
        codes=20,
        code_dim=8,
        swish=False,
    ):
        super().__init__()
        self.encoder = Encoder(enc_channels, halved_after, grid, code_dim)
        self.decoder = Decoder(dec_channels, doubled_after, code_dim, swish)
        self.codebook = Codebook(codes, code_dim)
        self.quant_conv, self.post_quant_conv = (nn.Conv2d(code_dim, code_dim, 1) for _ in range(2))

    def latents(self, images):
        return self.quant_conv(self.encoder.model(images))

    def encode(self, images):
        z = self.latents(images).permute(0, 2, 3, 1)
        return (z[..., None, :] - self.codebook.embedding.weight).square().sum(-1).argmin(-1)

    def decode(self, tokens):
        codes = self.codebook.embedding(tokens).permute(0, 3, 1, 2)
        return self.decoder.model(self.post_quant_conv(codes))


class Fused(nn.Module):
    """One projection for query, key and value, as [q; k; v]."""

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        return self.proj(attend(*self.qkv(x).chunk(3, -1), self.heads))


class Separate(nn.Module):
    """A projection each, under `names` of query, key, value and output."""

    def __init__(self, dim, heads, names, biased=True):
        super().__init__()
        self.heads, self.names = heads, names
        for name in names:
            self.add_module(name, nn.Linear(dim, dim, bias=biased))

    def forward(self, x):
        q, k, v, out = (self.get_submodule(name) for name in self.names)
        return out(attend(q(x), k(x), v(x), self.heads))


class KeysValues(nn.Module):
    """Key and value share a projection, and the output is a list with its dropout."""

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.to_kv, self.to_q = nn.Linear(dim, 2 * dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.to_out = nn.Sequential(nn.Linear(dim, dim), nn.Dropout(0.1))

    def forward(self, x):
        return self.to_out(attend(self.to_q(x), *self.to_kv(x).chunk(2, -1), self.heads))


class Torch(nn.Module):
    """PyTorch's own module."""

    def __init__(self, dim, heads):
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, x):
        return self.attn(x, x, x, need_weights=False)[0]


class Head(nn.Module):
    def __init__(self, dim, width):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(dim, width) for _ in range(3))


class EachHead(nn.Module):
    """Every head has projections of its own, and their outputs stand side by side."""

    def __init__(self, dim, heads):
        super().__init__()
        self.self_attention_heads = nn.ModuleList(Head(dim, dim // heads) for _ in range(heads))
        self.projector = nn.Linear(dim, dim)

    def forward(self, x):
        heads = [attend(head.q(x), head.k(x), head.v(x), 1) for head in self.self_attention_heads]
        return self.projector(torch.cat(heads, -1))


def attend(q, k, v, heads):
    """Softmax attention, a loop over the heads."""
    out = []
    for query, key, value in zip(*(x.chunk(heads, -1) for x in (q, k, v)), strict=True):
        weights = torch.softmax(query @ key.mT / query.shape[-1] ** 0.5, dim=-1)
        out.append(weights @ value)
    return torch.cat(out, -1)


class Block(nn.Module):
    def __init__(self, attention, dim, hidden):
        super().__init__()
        self.Attention = attention
        self.LayerNorm1, self.LayerNorm2 = nn.LayerNorm(dim, eps=1e-12), nn.LayerNorm(dim, eps=1e-12)
        self.MLP = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim), nn.Dropout(0.1))

    def forward(self, x):
        x = self.LayerNorm1(x + self.Attention(x))
        return self.LayerNorm2(x + self.MLP(x))


class LabTransformer(nn.Module):
    """`attention(dim, heads)` makes the part that every student wrote anew."""

    def __init__(self, attention=Fused, codes=20, tokens=16, dim=32, heads=4, layers=3, hidden=48):
        super().__init__()
        self.tok_emb = nn.Embedding(codes + 1, dim)
        self.pos_emb = nn.Parameter(torch.zeros(tokens, dim))
        self.blocks = nn.Sequential(*(Block(attention(dim, heads), dim, hidden) for _ in range(layers)))
        self.Token_Prediction = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim, eps=1e-12))
        self.LN = nn.LayerNorm(dim, eps=1e-12)
        self.bias = nn.Parameter(torch.zeros(tokens, codes + 1))

    def forward(self, tokens):
        x = self.blocks(self.LN(self.tok_emb(tokens) + self.pos_emb))
        return self.Token_Prediction(x) @ self.tok_emb.weight.T + self.bias


def shaken(module, seed=0):
    """`module` with random weights, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name in ("tok_emb.weight", "pos_emb"):
            # As small as the coursework begins: LayerNorm's eps makes a difference.
            parameter.data = 0.02 * noise
        elif parameter.ndim == 1:
            parameter.data += 0.2 * noise
        else:
            parameter.data = 0.6 * noise / parameter[0].numel() ** 0.5
    return module.eval().requires_grad_(False)


def coursework_vqgan(**changes):
    """A VQGAN whose codes lie among its latents, so that pictures have many different tokens."""
    model = shaken(LabVQGAN(**changes))
    book = model.codebook.embedding.weight
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    z = model.latents(images).permute(0, 2, 3, 1).flatten(0, 2)
    book.data.copy_(z[torch.randperm(len(z), generator=torch.Generator().manual_seed(2))[: len(book)]])
    return model


def coursework_transformer(attention=Fused, **changes):
    return shaken(LabTransformer(attention, **changes), seed=3)
