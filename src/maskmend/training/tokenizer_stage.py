"""Stage 1: training the VQGAN.

    L = |x - x^| + w_p LPIPS(x, x^) + quantizer loss + lambda w_a L_G
    lambda = |grad_last L_rec| / (|grad_last L_G| + 1e-4)        (Esser et al. 2021, equation 7)

lambda needs the gradients of both losses at the last layer. We take each loss's gradient with respect to the
reconstruction once, push both through the last layer alone to get lambda, and then send their weighted sum
through the network: LPIPS and discriminator are passed backwards once instead of twice.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from maskmend.discriminator import PatchDiscriminator, hinge_loss
from maskmend.errors import ConfigError
from maskmend.model_folder import save_tokenizer
from maskmend.quantizer import codebook_statistics
from maskmend.training.distributed import average_gradients
from maskmend.training.ema import MovingAverage
from maskmend.training.recipe import Recipe
from maskmend.training.stage import adamw, picture_grid
from maskmend.vqgan import VQGAN, TokenizerConfig


class TokenizerStage:
    """VQGAN, discriminator, their optimizers and the moving average."""

    def __init__(
        self, recipe: Recipe, config: TokenizerConfig, device: torch.device, perceptual: nn.Module | None
    ) -> None:
        self.config = config
        self.options = recipe.tokenizer
        self.clip = recipe.training.clip
        self.device = device
        precision = recipe.training.precision
        self.autocast = precision == "bf16" or (precision == "auto" and device.type == "cuda")
        self.resolution = config.resolution
        self.model = VQGAN(config).to(device)
        self.average = MovingAverage(self.model, recipe.training.ema)
        self.perceptual = perceptual
        self.discriminator: PatchDiscriminator | None = None
        self.optimizers: list[torch.optim.Optimizer] = [adamw([self.model], recipe.training)]
        if self.options.adversarial > 0:
            channels, layers = self.options.discriminator_channels, self.options.discriminator_layers
            self.discriminator = PatchDiscriminator(channels, layers).to(device)
            try:  # now, not at the step hours ahead at which it begins
                self.discriminator(torch.zeros(1, 3, config.resolution, config.resolution, device=device))
            except RuntimeError:
                raise ConfigError(
                    f"tokenizer.discriminator_layers = {layers} see larger patches than the pictures of "
                    f"{config.resolution} pixels: choose fewer"
                ) from None
            self.optimizers.append(adamw([self.discriminator], recipe.training))

    def train_step(
        self, parts: list[Float[Tensor, "_ 3 H W"]], step: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        judged = self.discriminator if step >= self.options.adversarial_start else None
        ramp = min(1.0, (step - self.options.adversarial_start + 1) / max(1, self.options.adversarial_ramp))
        figures: dict[str, Tensor] = {}
        fakes = []
        self.model.train()
        for images in parts:
            images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                fake, quantized = self.model(images, generator, step >= self.options.quantize_from)
            gradient, part = self._gradient(images, fake, judged, ramp)
            extra = quantized.loss.detach()
            part |= {"quantizer": extra, "loss": part["reconstruction"] + extra}
            share = torch.ones((), device=self.device) / len(parts)
            torch.autograd.backward([fake, quantized.loss], [(gradient * share).to(fake.dtype), share])
            fakes.append(fake.detach().float())
            figures = {k: figures.get(k, 0) + v.detach() / len(parts) for k, v in part.items()}
        figures["gradient"] = self._step(self.model, self.optimizers[0])
        self.average.update(self.model, step)
        if judged is not None:
            for images, fake in zip(parts, fakes, strict=True):
                loss = hinge_loss(judged(images), judged(fake)) / len(parts)
                loss.backward()
                figures["discriminator"] = figures.get("discriminator", 0) + loss.detach()
            figures["discriminator_gradient"] = self._step(judged, self.optimizers[1])
        return figures

    def _step(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> Tensor:
        average_gradients(module.parameters())
        norm = nn.utils.clip_grad_norm_(module.parameters(), self.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return norm.detach()

    def _gradient(
        self, images: Tensor, fake: Tensor, judged: PatchDiscriminator | None, ramp: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradient of the reconstruction and adversarial losses with respect to the reconstruction."""
        leaf = fake.detach().float().requires_grad_()
        l1 = F.l1_loss(leaf, images)
        reconstruction = l1
        figures = {"l1": l1}
        if self.perceptual is not None and self.options.perceptual > 0:
            some = max(1, round(len(images) * self.options.perceptual_share))
            distance = self.perceptual(leaf[:some], images[:some]).mean()
            reconstruction = reconstruction + self.options.perceptual * distance
            figures["lpips"] = distance
        figures["reconstruction"] = reconstruction
        (gradient,) = torch.autograd.grad(reconstruction, leaf)
        if judged is not None:
            adversarial = -judged(leaf).mean()
            (push,) = torch.autograd.grad(adversarial, leaf)
            last = self.model.decoder.leave.weight
            by_rec, by_adv = (
                torch.autograd.grad(fake, last, g.to(fake.dtype), retain_graph=True)[0].float().norm()
                for g in (gradient, push)
            )
            weight = (by_rec / (by_adv + 1e-4)).clamp(0, 1e4)
            gradient = gradient + ramp * self.options.adversarial * weight * push
            figures |= {"adversarial": adversarial, "adaptive_weight": weight}
        return gradient, figures

    @torch.no_grad()
    def validate(self, batches: list[Float[Tensor, "_ 3 H W"]]) -> dict[str, float]:
        model = self.average.shadow
        sums = {"l1": 0.0, "psnr": 0.0, "lpips": 0.0}
        count, tokens = 0, []
        for images in batches:
            codes = model.encode(images)
            fake = model.decode(codes)
            tokens.append(codes.flatten())
            sums["l1"] += float((fake - images).abs().mean()) * len(images)
            sums["psnr"] += float((10 * torch.log10(4 / (fake - images).square().mean((1, 2, 3)))).sum())
            if self.perceptual is not None:
                sums["lpips"] += float(self.perceptual(fake, images).sum())
            count += len(images)
        l1, psnr, lpips = (sums[k] / count for k in ("l1", "psnr", "lpips"))
        figures = {"loss": l1 + self.options.perceptual * lpips, "l1": l1, "psnr": psnr, "lpips": lpips}
        return figures | codebook_statistics(torch.cat(tokens), self.config.quantizer.codes)

    @torch.no_grad()
    def pictures(self, images: Float[Tensor, "B 3 H W"]) -> Image.Image:
        return picture_grid([images, self.average.shadow.decode(self.average.shadow.encode(images))])

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "average": self.average.shadow.state_dict(),
            "quantizer": self.model.quantizer.training_state(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        if self.discriminator is not None:
            state["discriminator"] = self.discriminator.state_dict()
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average.shadow.load_state_dict(state["average"])
        self.model.quantizer.load_training_state(state["quantizer"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        if self.discriminator is not None:
            self.discriminator.load_state_dict(state["discriminator"])

    def export(self, folder: Path) -> None:
        save_tokenizer(self.average.shadow, folder)
