"""The reconstruction loss of images, with perceptual and adversarial terms; discriminators and their updates.

    L = w |x - x^| + w_p LPIPS(x, x^) + sum over discriminators of lambda w_a L_G
    lambda = |grad_last L_rec| / (|grad_last L_G| + 1e-4)        (Esser et al. 2021, equation 7)

Optionally + w_c d(x, x^), the mean over the features of a classifier of photographs (`efficientnet`) of the
squared distance of their unit vectors at each position. One discriminator classifies pixels, others the
features of those two networks (`discriminator`). lambda needs the gradients of the losses at the last layer:
each loss's gradient with respect to the image is computed once, propagated through the last layer alone to
get lambda, and their weighted sum is returned, for a single backward pass through the network.

With a mask, perceptual and adversarial loss are those of the composite (known pixels from the truth): their
gradient then reaches the hole alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskmend.errors import ConfigError
from maskmend.models.discriminator import FeatureDiscriminator, PatchDiscriminator, hinge_loss
from maskmend.training import checkpoint
from maskmend.training.distributed import data_parallel, gradients_meet
from maskmend.training.precision import uses_bf16
from maskmend.training.run_config import TrainingConfig
from maskmend.training.stage_config import ImageLossConfig
from maskmend.training.stages.stage import adamw, optimizer_step

Pictures = Float[Tensor, "B 3 H W"]
Holes = Bool[Tensor, "B 1 H W"]


@runtime_checkable
class Perceptual(Protocol):
    """A pretrained network with a distance of its features, such as LPIPS."""

    @property
    def widths(self) -> list[int]: ...

    def features(self, images: Pictures) -> list[Tensor]: ...

    def feature_distance(self, a: list[Tensor], b: list[Tensor]) -> Float[Tensor, "B"]: ...


@dataclass(frozen=True, kw_only=True)
class FeatureLoss:
    """The loss terms in the features of one pretrained network."""

    network: Perceptual
    metric: str
    """Name of its distance among the metrics."""
    distance: float
    """Weight of the distance of features; 0 leaves it out."""
    adversarial: float
    """Weight of a discriminator of features; 0 for none."""
    share: float = 1.0
    """Share of each batch whose features are computed, from its beginning."""


class ImageLoss:
    """The loss above, and its discriminators with their optimizers.

    Args:
        perceptual: LPIPS, where it is used.
        classifier: the other network, where it is used.
    """

    def __init__(
        self,
        options: ImageLossConfig,
        perceptual: Perceptual | None,
        classifier: Perceptual | None,
        resolution: int,
        training: TrainingConfig,
        device: torch.device,
    ) -> None:
        self.options, self.perceptual, self.clip = options, perceptual, training.clip
        self.device = device
        self.bf16 = uses_bf16(training, device)
        self.discriminators: dict[str, nn.Module] = {}
        self.adversarial_weights: dict[str, float] = {}
        self.d_losses: dict[str, list[Tensor]] = {}
        """Of each discriminator, its losses of the micro-batches since its last update; the gradients are
        accumulated in its weights."""
        blank = torch.zeros(1, 3, resolution, resolution, device=device)
        if options.adversarial > 0:
            channels, layers = options.discriminator_channels, options.discriminator_layers
            discriminator = PatchDiscriminator(channels, layers).to(device)
            try:  # now, not hours later at step `adversarial_start`
                discriminator(blank)
            except RuntimeError:
                raise ConfigError(
                    f"{options.TABLE}.discriminator_layers = {layers} see larger patches than the pictures "
                    f"of {resolution} pixels: choose fewer"
                ) from None
            self.discriminators["discriminator"] = discriminator
            self.adversarial_weights["discriminator"] = options.adversarial
        self.feature_losses: dict[str, FeatureLoss] = {}
        """By the prefix of the names of their metrics."""
        if perceptual is not None and options.perceptual > 0:
            self.feature_losses["feature"] = FeatureLoss(
                network=perceptual,
                metric="lpips",
                distance=options.perceptual,
                adversarial=options.feature_adversarial,
                share=options.perceptual_share,
            )
        if classifier is not None:
            self.feature_losses["classifier"] = FeatureLoss(
                network=classifier,
                metric="classifier_distance",
                distance=options.classifier,
                adversarial=options.classifier_adversarial,
            )
        for name, feature_loss in self.feature_losses.items():
            if feature_loss.adversarial > 0:
                discriminator = FeatureDiscriminator(feature_loss.network.widths).to(device)
                try:
                    discriminator(feature_loss.network.features(blank))
                except RuntimeError:
                    raise ConfigError(
                        f"{options.TABLE}.{name}_adversarial: pictures of {resolution} pixels are too small "
                        "for a discriminator of these features: choose 0"
                    ) from None
                self.discriminators[f"{name}_discriminator"] = discriminator
                self.adversarial_weights[f"{name}_discriminator"] = feature_loss.adversarial
        self.parallel = {name: data_parallel(one) for name, one in self.discriminators.items()}
        """What averages the gradients of their own losses over the processes."""
        self.optimizers: list[torch.optim.Optimizer] = [
            adamw([discriminator], training) for discriminator in self.discriminators.values()
        ]

    def load_discriminators(self, folder: Path) -> None:
        """Loads the discriminators of another decoder's run, those that both have.

        Raises ConfigError if there are none, or of another shape.
        """
        setting, file = f"{self.options.TABLE}.discriminators = {str(folder)!r}", folder / "last.pt"
        if not file.is_file():
            raise ConfigError(f"{setting}: no run folder with a last.pt")
        state = checkpoint.read(file)["stage"]
        common = [name for name in self.discriminators if name in state]
        if not common:
            raise ConfigError(f"{setting}: that run had no discriminator in common")
        for name in common:
            try:
                self.discriminators[name].load_state_dict(state[name])
            except RuntimeError:
                raise ConfigError(f"{setting}: its {name} has another shape") from None

    def active_discriminators(self, step: int) -> dict[str, nn.Module]:
        """The discriminators from step `adversarial_start`, none before it."""
        return self.discriminators if step >= self.options.adversarial_start else {}

    def gradient(
        self,
        images: Pictures,
        fake: Pictures,
        last: Tensor,
        step: int,
        mask: Holes | None = None,
        hole_weight: float = 1.0,
        last_part: bool = True,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradient of the loss with respect to `fake`, and its metrics. Gradients of the discriminators' own
        losses are accumulated until `update_discriminators`.

        Args:
            last: the weight of the last layer, whose output `fake` is, for lambda.
            step: of the training, from 0.
            mask: the holes, where the composite counts.
            hole_weight: weight of an error in the hole, relative to one outside.
            last_part: whether these are the last pictures of the step.
        """
        leaf = fake.detach().float().requires_grad_()
        error = (leaf - images).abs()
        l1 = (error if mask is None else error * (1 + (hole_weight - 1) * mask)).mean()
        composite = leaf if mask is None else torch.where(mask, leaf, images)
        reconstruction, metrics = l1, {"l1": l1}
        d_inputs: dict[str, tuple[Any, Any]] = {"discriminator": (images, composite)}
        for name, feature_loss in self.feature_losses.items():
            count = max(1, round(len(images) * feature_loss.share))
            with self._autocast():
                fake_features = feature_loss.network.features(composite[:count])
                with torch.no_grad():
                    real_features = feature_loss.network.features(images[:count])
                distance = feature_loss.network.feature_distance(fake_features, real_features).mean()
            reconstruction = reconstruction + feature_loss.distance * distance
            metrics[feature_loss.metric] = distance
            d_inputs[f"{name}_discriminator"] = real_features, fake_features
        metrics["reconstruction"] = reconstruction
        discriminators = self.active_discriminators(step)
        (gradient,) = torch.autograd.grad(reconstruction, leaf, retain_graph=bool(discriminators))
        if not discriminators:
            return gradient, _detached(metrics)

        def norm_at_last(g: Tensor) -> Tensor:
            return torch.autograd.grad(fake, last, g.to(fake.dtype), retain_graph=True)[0].float().norm()

        begun = step - self.options.adversarial_start + 1
        ramp = min(1.0, begun / max(1, self.options.adversarial_ramp))
        reconstruction_norm, total = norm_at_last(gradient), gradient
        for name, discriminator in discriminators.items():
            with self._autocast():
                logits = _as_list(discriminator(d_inputs[name][1]))
                adversarial = torch.stack([-each.float().mean() for each in logits]).mean()
            (adversarial_gradient,) = torch.autograd.grad(adversarial, leaf, retain_graph=True)
            weight = (reconstruction_norm / (norm_at_last(adversarial_gradient) + 1e-4)).clamp(0, 1e4)
            total = total + ramp * self.adversarial_weights[name] * weight * adversarial_gradient
            prefix = name.removesuffix("discriminator")
            metrics |= {f"{prefix}adversarial": adversarial, f"{prefix}adaptive_weight": weight}
            self._accumulate_d_loss(name, *d_inputs[name], last_part)
        return total, _detached(metrics)

    def _accumulate_d_loss(self, name: str, real: Any, fake: Any, last_part: bool) -> None:
        """Adds the gradient of a discriminator's own loss to its weights; none reaches the images."""
        discriminator = self.parallel[name]
        fake = [each.detach() for each in fake] if isinstance(fake, list) else fake.detach()
        with gradients_meet(discriminator, last_part):
            with self._autocast():
                logits = zip(_as_list(discriminator(real)), _as_list(discriminator(fake)), strict=True)
            loss = torch.stack(
                [hinge_loss(of_real.float(), of_fake.float()) for of_real, of_fake in logits]
            ).mean()
            loss.backward()
        self.d_losses.setdefault(name, []).append(loss.detach())

    @torch.no_grad()
    def lpips_sum(self, a: Pictures, b: Pictures) -> float:
        """The sum of the images' LPIPS distances; 0 without that network."""
        if self.perceptual is None:
            return 0.0
        return float(
            self.perceptual.feature_distance(self.perceptual.features(a), self.perceptual.features(b)).sum()
        )

    def update_discriminators(self, step: int) -> dict[str, Tensor]:
        """One step of the active discriminators, with the mean gradient of the step's micro-batches."""
        metrics: dict[str, Tensor] = {}
        if not self.active_discriminators(step):
            return metrics
        for (name, discriminator), optimizer in zip(
            self.discriminators.items(), self.optimizers, strict=True
        ):
            d_losses = self.d_losses.pop(name)
            for weight in discriminator.parameters():
                if weight.grad is not None:
                    weight.grad /= len(d_losses)
            metrics[name] = torch.stack(d_losses).mean()
            metrics[f"{name}_gradient"] = optimizer_step(discriminator, optimizer, self.clip)
        return metrics

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def state(self) -> dict[str, Any]:
        """The discriminators' weights; their optimizers' states are kept with the other optimizers'."""
        return {name: discriminator.state_dict() for name, discriminator in self.discriminators.items()}

    def load_state(self, state: dict[str, Any]) -> None:
        for name, discriminator in self.discriminators.items():
            discriminator.load_state_dict(state[name])


def _as_list(logits: Tensor | list[Tensor]) -> list[Tensor]:
    return [logits] if isinstance(logits, Tensor) else logits


def _detached(metrics: dict[str, Tensor]) -> dict[str, Tensor]:
    """Metrics without their graph, whose memory is then freed."""
    return {name: metric.detach() for name, metric in metrics.items()}
