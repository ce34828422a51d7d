"""Random transformers over seven codes, tokens with holes, and steps midway, for several test modules."""

from dataclasses import replace

import torch

from maskmend.models.transformer import Hints, MaskedTransformer, TransformerConfig

TINY = TransformerConfig(codes=7, grid=4, dim=16, heads=2, layers=3, mlp=24, attention="prefix", dropout=0.0)
N, MASK = TINY.tokens, TINY.mask_id


def built(seed=0, **changes):
    """A model with large weights, so that every token matters to every other one that it may see."""
    torch.manual_seed(seed)
    model = MaskedTransformer(replace(TINY, **changes)).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        mean = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        parameter.copy_(mean + 0.4 * torch.randn_like(parameter))
    return model


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def codes(images, seed=0):
    return torch.randint(0, TINY.codes, (images, N), generator=generator(seed))


def holes(*counts, seed=0):
    """A hole of `counts[i]` tokens at random places of image i."""
    ranks = torch.rand(len(counts), N, generator=generator(seed)).argsort(1)
    return ranks < torch.tensor(counts)[:, None]


def midway(hole, share, seed=0):
    """Tokens of a decoding step, and which of the hole are masked still: about `share` of them."""
    masked = hole & (torch.rand(hole.shape, generator=generator(seed + 50)) < share)
    return codes(len(hole), seed).masked_fill(masked, MASK), masked


def a_hint(images, seed=0):
    """Hints for all tokens; models without hints pass them over."""
    return Hints(codes(images, seed + 90), torch.rand(images, N, generator=generator(seed + 91)))


KINDS = {
    "post, learned": {"norm": "post", "positions": "learned"},
    "pre, rotary": {"norm": "pre", "positions": "rotary"},
    "pre, both, marked": {"norm": "pre", "positions": "both", "marks_hole": True},
    "post, both": {"norm": "post", "positions": "both"},
    "pre, learned": {"norm": "pre", "positions": "learned"},
    "post, learned, a bias for each position": {"norm": "post", "position_bias": True},
    "pre, both, marked, hints": {"norm": "pre", "positions": "both", "marks_hole": True, "hints": True},
}
