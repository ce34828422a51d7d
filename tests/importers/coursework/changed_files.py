"""Checkpoints of the coursework as files, whole and changed, and converted ones compared with theirs."""

from copy import deepcopy

import torch

from coursework import DEVIATION, MEAN, coursework_transformer, coursework_vqgan
from maskmend.inference.cached_transformer import InferenceTransformer

CODES, HEADS = 20, 4
VQGAN, TRANSFORMER = coursework_vqgan(), coursework_transformer()


def saved(state, path):
    torch.save(state, path)
    return path


def pictures(side=16, count=3):
    """In [0, 1]."""
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(5))


def in_double(module):
    """A copy that leaves rounding out of the comparison."""
    return deepcopy(module).double()


def assert_same_tokenizer(ours, theirs, pixels, *, mean=MEAN, deviation=DEVIATION):
    """Latents, tokens and drawn pictures of both; `pixels` in [0, 1]."""
    ours, theirs, pixels = in_double(ours), in_double(theirs), pixels.double()
    scaled = (pixels - mean) / deviation
    torch.testing.assert_close(ours.encoder(2 * pixels - 1), theirs.latents(scaled), atol=1e-5, rtol=0)
    tokens = theirs.encode(scaled)
    assert len(tokens.unique()) > 4
    assert torch.equal(ours.encode(2 * pixels - 1), tokens)
    drawn = 2 * (theirs.decode(tokens) * deviation + mean) - 1
    assert drawn.abs().max() > 0.1
    torch.testing.assert_close(ours.decoder(ours.quantizer.lookup(tokens)), drawn, atol=1e-5, rtol=0)


def assert_same_logits(ours, theirs, codes=CODES):
    """Logits of partly masked tokens, in a full pass and as decoding asks for them."""
    ours, theirs = in_double(ours), in_double(theirs)
    generator = torch.Generator().manual_seed(6)
    tokens = torch.randint(0, codes + 1, (3, ours.config.tokens), generator=generator)
    masked = tokens == codes
    wanted = theirs(tokens)[..., :codes]
    assert wanted.std() > 0.1
    torch.testing.assert_close(ours(tokens, masked), wanted.flatten(0, 1), atol=1e-5, rtol=0)
    predicted = InferenceTransformer(ours).predictor(tokens, masked)(tokens, masked)
    torch.testing.assert_close(predicted, wanted[masked], atol=1e-5, rtol=0)


def changed(module, change):
    state = dict(module.state_dict())
    change(state)
    return state


def put(key, *shape, value=0.0):
    return lambda s: s.update({key: torch.full(shape, value)})


def twice(first, second):
    return lambda s: (first(s), second(s))
