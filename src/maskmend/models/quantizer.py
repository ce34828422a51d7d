"""Vector quantization: each latent vector becomes the index of its nearest code (van den Oord et al. 2017).

    i = argmin_k |z - e_k|^2        q = z + stopgrad(e_i - z)        (straight-through gradient)
    loss = beta |z - stopgrad(e_i)|^2  (+ |stopgrad(z) - e_i|^2 when the codebook learns by gradient)

By default the codebook is the exponential moving average of the vectors assigned to each code, and dead codes
are replaced by vectors of the current batch, so the whole codebook stays in use. What we do differently: the
codebook is initialised with vectors of the first batch, not with noise, so no code is unused at the start.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.amp.autocast_mode import is_autocast_available

from maskmend.choices import choice_error
from maskmend.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class QuantizerConfig:
    codes: int = 1024
    """Number of codes in the codebook."""
    code_dim: int = 256
    """Width of a code."""
    update: Literal["ema", "gradient"] = "ema"
    """How the codebook is learnt: as a moving average of the vectors assigned to it, or by the gradient of
    the codebook loss."""
    commitment: float = 0.25
    """Weight beta of the commitment loss."""
    decay: float = 0.97
    """Decay of the moving average, per step."""
    revive_below: float = 0.1
    """A code is dead if its moving-average cluster size falls below this share of the uniform one; it is
    replaced by a vector of the batch."""

    def __post_init__(self) -> None:
        if self.codes < 2 or self.code_dim < 1:
            sizes = f"codes={self.codes}, code_dim={self.code_dim}"
            raise ConfigError(f"{sizes}: choose at least 2 codes of width 1")
        if self.update not in ("ema", "gradient"):
            raise ConfigError(choice_error("update", self.update, ("ema", "gradient")))
        if not 0 < self.decay < 1:
            raise ConfigError(f"decay={self.decay}: choose a value between 0 and 1, such as 0.97")
        if not self.commitment >= 0:
            raise ConfigError(f"commitment={self.commitment}: choose 0 or more, such as 0.25")
        if not 0 <= self.revive_below < 1:
            raise ConfigError(f"revive_below={self.revive_below}: choose a share in [0, 1), such as 0.1")


class Quantized(NamedTuple):
    """What the quantizer returns."""

    vectors: Tensor
    """(B, C, h, w) codes with the straight-through gradient."""
    tokens: Tensor
    """(B, h, w) int64 code indices."""
    loss: Tensor
    """Scalar commitment (and codebook) loss."""


class VectorQuantizer(nn.Module):
    """Nearest-code quantizer over (B, C, h, w) latents."""

    codebook: Tensor
    cluster_size: Tensor
    embed_avg: Tensor

    def __init__(self, config: QuantizerConfig) -> None:
        super().__init__()
        self.config = config
        initial = torch.empty(config.codes, config.code_dim).uniform_(-1 / config.codes, 1 / config.codes)
        if config.update == "gradient":
            self.codebook = nn.Parameter(initial)
        else:
            self.register_buffer("codebook", initial)
        # The averages belong to training only: a shipped model needs the codebook alone.
        self.register_buffer("cluster_size", torch.ones(config.codes), persistent=False)
        self.register_buffer("embed_avg", initial.detach().clone(), persistent=False)
        self.initialised = False  # not a tensor: reading one in each step would synchronise the device

    def training_state(self) -> dict[str, Tensor]:
        """The averages that a resumed run needs beside the weights."""
        return {
            "cluster_size": self.cluster_size,
            "embed_avg": self.embed_avg,
            "initialised": torch.tensor(self.initialised),
        }

    def load_training_state(self, state: dict[str, Tensor]) -> None:
        self.cluster_size.copy_(state["cluster_size"])
        self.embed_avg.copy_(state["embed_avg"])
        self.initialised = bool(state["initialised"])

    @torch.no_grad()
    def reset_averages(self) -> None:
        """Sets the averages to the codebook: they are in no file, so a loaded model has none."""
        self.cluster_size = torch.ones(len(self.codebook), device=self.codebook.device)
        self.embed_avg = self.codebook.detach().clone()

    def keep_codebook(self) -> None:
        """Fine-tunes the present codebook instead of initialising it with vectors of the first batch."""
        self.reset_averages()
        self.initialised = True

    def nearest(self, flat: Float[Tensor, "M C"]) -> Int[Tensor, "M"]:
        """Index of the nearest code of each vector."""
        book = self.codebook.to(flat.dtype)
        # In bfloat16 about one token in a hundred would go to the second-nearest code.
        device = flat.device.type
        with torch.autocast(device, enabled=False) if is_autocast_available(device) else nullcontext():
            # |z|^2 is the same for every code, so it is left out of the comparison.
            return torch.argmin(book.square().sum(1) - 2 * flat @ book.T, dim=1)

    def lookup(self, tokens: Int[Tensor, "B h w"]) -> Float[Tensor, "B C h w"]:
        """The codes of `tokens`."""
        return F.embedding(tokens, self.codebook).permute(0, 3, 1, 2)

    def forward(self, z: Float[Tensor, "B C h w"], generator: torch.Generator | None = None) -> Quantized:
        """Quantizes, and in training updates the codebook; `generator` draws replacements of dead codes."""
        b, _, h, w = z.shape
        flat = z.permute(0, 2, 3, 1).flatten(0, 2).float()
        if self.training:
            self._initialise(flat.detach(), generator)
        tokens = self.nearest(flat.detach())
        codes = F.embedding(tokens, self.codebook)
        loss = self.config.commitment * F.mse_loss(flat, codes.detach())
        if self.config.update == "gradient":
            loss = loss + F.mse_loss(codes, flat.detach())
        if self.training and self.config.update == "ema":
            self._ema_update(flat.detach(), tokens, generator)
        straight_through = flat + (codes - flat).detach()
        vectors = straight_through.unflatten(0, (b, h, w)).permute(0, 3, 1, 2).to(z.dtype)
        return Quantized(vectors, tokens.view(b, h, w), loss)

    @torch.no_grad()
    def _initialise(self, flat: Tensor, generator: torch.Generator | None) -> None:
        if self.initialised:
            return
        vectors = self._random_vectors(flat, self.config.codes, generator)
        self.codebook.copy_(vectors)
        self.embed_avg.copy_(vectors)
        self.initialised = True

    @torch.no_grad()
    def _ema_update(self, flat: Tensor, tokens: Tensor, generator: torch.Generator | None) -> None:
        config = self.config
        # Scaled to a mean cluster size of 1: decay and revival do not depend on the batch size.
        scale = config.codes / flat.shape[0]
        # Not bincount, which reads the largest token and so synchronises the device.
        count = torch.zeros_like(self.cluster_size).index_add_(0, tokens, torch.ones_like(flat[:, 0])) * scale
        embed_sum = torch.zeros_like(self.embed_avg).index_add_(0, tokens, flat) * scale
        if dist.is_initialized():
            for statistic in (count, embed_sum):
                dist.all_reduce(statistic)
                statistic /= dist.get_world_size()
        self.cluster_size.lerp_(count, 1 - config.decay)
        self.embed_avg.lerp_(embed_sum, 1 - config.decay)
        dead = self.cluster_size < config.revive_below
        vectors = self._random_vectors(flat, config.codes, generator)
        self.embed_avg.copy_(torch.where(dead[:, None], vectors, self.embed_avg))
        self.cluster_size.copy_(torch.where(dead, torch.ones_like(self.cluster_size), self.cluster_size))
        self.codebook.copy_(self.embed_avg / self.cluster_size.clamp_min(1e-6)[:, None])

    def _random_vectors(self, flat: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
        """`n` random vectors of the batch, in all processes those of process 0, so that codebooks agree."""
        chosen = torch.randint(flat.shape[0], (n,), generator=generator, device="cpu")
        chosen = chosen.to(flat.device, non_blocking=True)
        vectors = flat[chosen].contiguous()
        if dist.is_initialized():
            dist.broadcast(vectors, src=0)
        return vectors


def codebook_statistics(tokens: Int[Tensor, "..."], codes: int) -> dict[str, float]:
    """Share of codes in use, and perplexity (exp of the entropy of their frequencies), over `tokens`."""
    count = torch.bincount(tokens.flatten(), minlength=codes).double()
    p = count / count.sum().clamp_min(1)
    entropy = -(p * p.clamp_min(1e-12).log()).sum()
    return {"codebook_used": float((count > 0).double().mean()), "perplexity": float(entropy.exp())}
