"""What a drawn picture is measured by: distance to the truth, LPIPS, and a discriminator that learns along.

    L = w |x - x^| + w_p LPIPS(x, x^) + lambda w_a L_G
    lambda = |grad_last L_rec| / (|grad_last L_G| + 1e-4)        (Esser et al. 2021, equation 7)

lambda needs the gradients of both losses at the last layer. We take each loss's gradient with respect to the
picture once, push both through the last layer alone to get lambda, and hand back their weighted sum, for one
way backwards through the network: LPIPS and discriminator are passed backwards once instead of twice.

With a mask, perceptual and adversarial loss look at the composite (known pixels from the truth), which is
what a person gets to see: their gradient then reaches the hole alone.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskmend.discriminator import PatchDiscriminator, hinge_loss
from maskmend.errors import ConfigError
from maskmend.training.recipe import PictureLosses, TrainingConfig
from maskmend.training.stage import adamw, descend

Pictures = Float[Tensor, "B 3 H W"]
Holes = Bool[Tensor, "B 1 H W"]


class Critic:
    """LPIPS and discriminator, with the discriminator's optimizer."""

    def __init__(
        self,
        options: PictureLosses,
        perceptual: nn.Module | None,
        resolution: int,
        training: TrainingConfig,
        device: torch.device,
    ) -> None:
        self.options, self.perceptual, self.clip = options, perceptual, training.clip
        self.device = device
        self.bf16 = training.precision == "bf16" or (training.precision == "auto" and device.type == "cuda")
        self.discriminator: PatchDiscriminator | None = None
        self.optimizers: list[torch.optim.Optimizer] = []
        if options.adversarial > 0:
            channels, layers = options.discriminator_channels, options.discriminator_layers
            self.discriminator = PatchDiscriminator(channels, layers).to(device)
            try:  # now, not at the step hours ahead at which it begins
                self.discriminator(torch.zeros(1, 3, resolution, resolution, device=device))
            except RuntimeError:
                raise ConfigError(
                    f"{options.TABLE}.discriminator_layers = {layers} see larger patches than the pictures "
                    f"of {resolution} pixels: choose fewer"
                ) from None
            self.optimizers.append(adamw([self.discriminator], training))

    def judge_at(self, step: int) -> PatchDiscriminator | None:
        """The discriminator, from the step on at which it begins."""
        return self.discriminator if step >= self.options.adversarial_start else None

    def gradient(
        self,
        images: Pictures,
        fake: Pictures,
        last: Tensor,
        step: int,
        mask: Holes | None = None,
        hole_weight: float = 1.0,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradient of the loss with respect to `fake`, and its figures.

        Args:
            last: the weight whose output `fake` is, for lambda.
            step: of the training, from 0.
            mask: the holes, when only they are drawn.
            hole_weight: what an error in the hole counts against one outside.
        """
        leaf = fake.detach().float().requires_grad_()
        off = (leaf - images).abs()
        l1 = (off if mask is None else off * (1 + (hole_weight - 1) * mask)).mean()
        seen = leaf if mask is None else torch.where(mask, leaf, images)
        reconstruction, figures = l1, {"l1": l1}
        if self.perceptual is not None and self.options.perceptual > 0:
            some = max(1, round(len(images) * self.options.perceptual_share))
            with self._autocast():
                distance = self.perceptual(seen[:some], images[:some]).mean()
            reconstruction = reconstruction + self.options.perceptual * distance
            figures["lpips"] = distance
        figures["reconstruction"] = reconstruction
        judged = self.judge_at(step)
        (gradient,) = torch.autograd.grad(reconstruction, leaf, retain_graph=judged is not None)
        if judged is None:
            return gradient, figures
        with self._autocast():
            adversarial = -judged(seen).float().mean()
        (push,) = torch.autograd.grad(adversarial, leaf)
        by_rec, by_adv = (
            torch.autograd.grad(fake, last, g.to(fake.dtype), retain_graph=True)[0].float().norm()
            for g in (gradient, push)
        )
        weight = (by_rec / (by_adv + 1e-4)).clamp(0, 1e4)
        begun = step - self.options.adversarial_start + 1
        ramp = min(1.0, begun / max(1, self.options.adversarial_ramp))
        gradient = gradient + ramp * self.options.adversarial * weight * push
        return gradient, figures | {"adversarial": adversarial, "adaptive_weight": weight}

    def learn(self, parts: list[Pictures], fakes: list[Pictures], step: int) -> dict[str, Tensor]:
        """The discriminator's own step, once it has begun; `fakes` carry no gradient."""
        judged = self.judge_at(step)
        if judged is None:
            return {}
        total = torch.zeros((), device=parts[0].device)
        for images, fake in zip(parts, fakes, strict=True):
            with self._autocast():
                verdicts = judged(images).float(), judged(fake).float()
            loss = hinge_loss(*verdicts) / len(parts)
            loss.backward()
            total = total + loss.detach()
        norm = descend(judged, self.optimizers[0], self.clip)
        return {"discriminator": total, "discriminator_gradient": norm}

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def state(self) -> dict[str, Any]:
        """The discriminator's weights; its optimizer's state is kept with the other optimizers'."""
        return {} if self.discriminator is None else {"discriminator": self.discriminator.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        if self.discriminator is not None:
            self.discriminator.load_state_dict(state["discriminator"])
