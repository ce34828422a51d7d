"""From logits to tokens: argmax, or sampling with temperature, top-k and top-p (Holtzman et al. 2020).

Sampling is the Gumbel-max trick: adding Gumbel noise and taking the maximum samples from the softmax. The
noise is passed in. Restrictions apply in the usual order: temperature, then top-k, then top-p.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def sample(
    logits: Float[Tensor, "S K"],
    gumbel: Float[Tensor, "S K"] | None,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Int[Tensor, "S"]:
    """One code for each row of logits.

    Args:
        logits: any real numbers, float32; -inf forbids a code.
        gumbel: standard Gumbel noise; None, like a temperature of 0, takes the most probable code.
        temperature: 0 or more; divides the logits before sampling.
        top_k: sample among the k most probable codes only (all of them where k exceeds K).
        top_p: sample among the fewest codes whose probabilities (after temperature, top-k) reach this sum.
    """
    if gumbel is None or temperature == 0:
        return logits.argmax(dim=1)
    # With the row's maximum at 0 the quotient cannot reach +inf, however small the temperature.
    scaled = (logits - logits.amax(dim=1, keepdim=True)) / temperature
    if top_k is None and (top_p is None or top_p == 1):
        return (scaled + gumbel).argmax(dim=1)
    # Stable, so that of equal logits the first is kept, as argmax does: top_k = 1 is argmax even with ties.
    scaled, code = scaled.sort(dim=1, descending=True, stable=True)
    if top_k is not None:
        scaled, code = scaled[:, :top_k], code[:, :top_k]
    if top_p is not None:
        probability = scaled.softmax(dim=1)
        before = probability.cumsum(dim=1) - probability
        before[:, 0] = 0  # the most probable code always stays
        scaled = scaled.masked_fill(before >= top_p, -torch.inf)
    winner = (scaled + gumbel.gather(1, code)).argmax(dim=1, keepdim=True)
    return code.gather(1, winner)[:, 0]


def log_probability(logits: Float[Tensor, "S K"], codes: Int[Tensor, "S"]) -> Float[Tensor, "S"]:
    """log softmax(logits) of the given codes, in nats: the model's own distribution, at temperature 1."""
    return logits.gather(1, codes[:, None])[:, 0] - logits.logsumexp(dim=1)


def entropy(logits: Float[Tensor, "S K"]) -> Float[Tensor, "S"]:
    """Entropy of softmax(logits) in nats, from 0 to log K; forbidden codes (-inf) contribute nothing."""
    return torch.special.entr(logits.softmax(dim=1)).sum(dim=1)
