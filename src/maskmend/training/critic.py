"""What a drawn picture is measured by: distance to the truth, LPIPS, and discriminators that learn along.

    L = w |x - x^| + w_p LPIPS(x, x^) + sum over judges of lambda w_a L_G
    lambda = |grad_last L_rec| / (|grad_last L_G| + 1e-4)        (Esser et al. 2021, equation 7)

One judge looks at the pixels, another at what LPIPS's network makes of them (`discriminator`). lambda needs
the gradients of the losses at the last layer. We take each loss's gradient with respect to the picture once,
push them through the last layer alone to get lambda, and hand back their weighted sum, for one way backwards
through the network.

With a mask, perceptual and adversarial loss look at the composite (known pixels from the truth), which is
what a person gets to see: their gradient then reaches the hole alone.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskmend.discriminator import FeatureDiscriminator, PatchDiscriminator, hinge_loss
from maskmend.errors import ConfigError
from maskmend.training.recipe import PictureLosses, TrainingConfig
from maskmend.training.stage import adamw, descend

Pictures = Float[Tensor, "B 3 H W"]
Holes = Bool[Tensor, "B 1 H W"]


@runtime_checkable
class Perceptual(Protocol):
    """What a critic needs of LPIPS."""

    @property
    def widths(self) -> list[int]: ...

    def features(self, images: Pictures) -> list[Tensor]: ...

    def between(self, a: list[Tensor], b: list[Tensor]) -> Float[Tensor, "B"]: ...


class Critic:
    """LPIPS and the judges, with their optimizers."""

    def __init__(
        self,
        options: PictureLosses,
        perceptual: Perceptual | None,
        resolution: int,
        training: TrainingConfig,
        device: torch.device,
    ) -> None:
        self.options, self.perceptual, self.clip = options, perceptual, training.clip
        self.device = device
        self.bf16 = training.precision == "bf16" or (training.precision == "auto" and device.type == "cuda")
        self.judges: dict[str, nn.Module] = {}
        self.lessons: dict[str, list[Tensor]] = {}
        """Of each judge, its loss of each part of the batch since it last learnt; the gradients lie with its
        weights."""
        if options.adversarial > 0:
            channels, layers = options.discriminator_channels, options.discriminator_layers
            judge = PatchDiscriminator(channels, layers).to(device)
            try:  # now, not at the step hours ahead at which it begins
                judge(torch.zeros(1, 3, resolution, resolution, device=device))
            except RuntimeError:
                raise ConfigError(
                    f"{options.TABLE}.discriminator_layers = {layers} see larger patches than the pictures "
                    f"of {resolution} pixels: choose fewer"
                ) from None
            self.judges["discriminator"] = judge
        if options.feature_adversarial > 0:
            assert perceptual is not None  # the options have seen to it
            judge = FeatureDiscriminator(perceptual.widths).to(device)
            try:
                judge(perceptual.features(torch.zeros(1, 3, resolution, resolution, device=device)))
            except RuntimeError:
                raise ConfigError(
                    f"{options.TABLE}.feature_adversarial: of pictures of {resolution} pixels "
                    f"{options.perceptual_net} leaves too little to judge: choose 0"
                ) from None
            self.judges["feature_discriminator"] = judge
        self.weights = {
            "discriminator": options.adversarial,
            "feature_discriminator": options.feature_adversarial,
        }
        self.optimizers: list[torch.optim.Optimizer] = [
            adamw([judge], training) for judge in self.judges.values()
        ]

    def judges_at(self, step: int) -> dict[str, nn.Module]:
        """The judges, from the step on at which they begin."""
        return self.judges if step >= self.options.adversarial_start else {}

    def gradient(
        self,
        images: Pictures,
        fake: Pictures,
        last: Tensor,
        step: int,
        mask: Holes | None = None,
        hole_weight: float = 1.0,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradient of the loss with respect to `fake`, and its figures; the judges' lesson waits for `learn`.

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
        shown: dict[str, tuple[Any, Any]] = {"discriminator": (images, seen)}
        if self.perceptual is not None and self.options.perceptual > 0:
            some = max(1, round(len(images) * self.options.perceptual_share))
            with self._autocast():
                drawn = self.perceptual.features(seen[:some])
                with torch.no_grad():
                    true = self.perceptual.features(images[:some])
                distance = self.perceptual.between(drawn, true).mean()
            reconstruction = reconstruction + self.options.perceptual * distance
            figures["lpips"] = distance
            shown["feature_discriminator"] = true, drawn
        figures["reconstruction"] = reconstruction
        judges = self.judges_at(step)
        (gradient,) = torch.autograd.grad(reconstruction, leaf, retain_graph=bool(judges))
        if not judges:
            return gradient, _detached(figures)

        def at_last(g: Tensor) -> Tensor:
            return torch.autograd.grad(fake, last, g.to(fake.dtype), retain_graph=True)[0].float().norm()

        begun = step - self.options.adversarial_start + 1
        ramp = min(1.0, begun / max(1, self.options.adversarial_ramp))
        by_reconstruction, total = at_last(gradient), gradient
        for name, judge in judges.items():
            with self._autocast():
                adversarial = torch.stack([-v.float().mean() for v in _listed(judge(shown[name][1]))]).mean()
            (push,) = torch.autograd.grad(adversarial, leaf, retain_graph=True)
            weight = (by_reconstruction / (at_last(push) + 1e-4)).clamp(0, 1e4)
            total = total + ramp * self.weights[name] * weight * push
            prefix = name.removesuffix("discriminator")
            figures |= {f"{prefix}adversarial": adversarial, f"{prefix}adaptive_weight": weight}
            self._teach(name, *shown[name])
        return total, _detached(figures)

    def _teach(self, name: str, true: Any, drawn: Any) -> None:
        """Adds the gradient of a judge's own loss to its weights', of which nothing reaches the pictures."""
        judge = self.judges[name]
        alone = [tap.detach() for tap in drawn] if isinstance(drawn, list) else drawn.detach()
        with self._autocast():
            verdicts = zip(_listed(judge(true)), _listed(judge(alone)), strict=True)
        loss = torch.stack([hinge_loss(real.float(), fake.float()) for real, fake in verdicts]).mean()
        loss.backward()
        self.lessons.setdefault(name, []).append(loss.detach())

    @torch.no_grad()
    def apart(self, a: Pictures, b: Pictures) -> float:
        """The sum of the pictures' perceptual distances; 0 without such a network."""
        if self.perceptual is None:
            return 0.0
        return float(self.perceptual.between(self.perceptual.features(a), self.perceptual.features(b)).sum())

    def learn(self, step: int) -> dict[str, Tensor]:
        """The judges' own step, once they have begun, from all parts of the batch since the last one."""
        figures: dict[str, Tensor] = {}
        if not self.judges_at(step):
            return figures
        for (name, judge), optimizer in zip(self.judges.items(), self.optimizers, strict=True):
            lessons = self.lessons.pop(name)
            for weight in judge.parameters():
                if weight.grad is not None:
                    weight.grad /= len(lessons)
            figures[name] = torch.stack(lessons).mean()
            figures[f"{name}_gradient"] = descend(judge, optimizer, self.clip)
        return figures

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def state(self) -> dict[str, Any]:
        """The judges' weights; their optimizers' states are kept with the other optimizers'."""
        return {name: judge.state_dict() for name, judge in self.judges.items()}

    def load_state(self, state: dict[str, Any]) -> None:
        for name, judge in self.judges.items():
            judge.load_state_dict(state[name])


def _listed(verdicts: Tensor | list[Tensor]) -> list[Tensor]:
    return [verdicts] if isinstance(verdicts, Tensor) else verdicts


def _detached(figures: dict[str, Tensor]) -> dict[str, Tensor]:
    """Figures that keep no graph alive."""
    return {name: figure.detach() for name, figure in figures.items()}
