"""What a drawn picture is measured by: distance to the truth, LPIPS, and discriminators that learn along.

    L = w |x - x^| + w_p LPIPS(x, x^) + sum over judges of lambda w_a L_G
    lambda = |grad_last L_rec| / (|grad_last L_G| + 1e-4)        (Esser et al. 2021, equation 7)

x and x^ are also compared through a classifier of photographs (`efficientnet`), if asked for: +
w_c d(x, x^), the mean over its features of the squared distance of their unit vectors at each place. One
judge looks at the pixels, others at what those two networks make of them (`discriminator`). lambda needs the
gradients of the losses at the last layer. We take each loss's gradient with respect to the picture once, push
them through the last layer alone to get lambda, and hand back their weighted sum, for one way backwards
through the network.

With a mask, perceptual and adversarial loss look at the composite (known pixels from the truth), which is
what a person gets to see: their gradient then reaches the hole alone.
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
from maskmend.training.recipe import PictureLosses, TrainingConfig
from maskmend.training.stages.stage import adamw, descend

Pictures = Float[Tensor, "B 3 H W"]
Holes = Bool[Tensor, "B 1 H W"]


@runtime_checkable
class Perceptual(Protocol):
    """What a critic needs of LPIPS."""

    @property
    def widths(self) -> list[int]: ...

    def features(self, images: Pictures) -> list[Tensor]: ...

    def between(self, a: list[Tensor], b: list[Tensor]) -> Float[Tensor, "B"]: ...


@dataclass(frozen=True, kw_only=True)
class Eye:
    """A trained network that pictures are looked at through."""

    network: Perceptual
    figure: str
    """What its distance is called among the figures."""
    distance: float
    """Weight of how far a drawn picture is from the true one; 0 leaves that out."""
    adversarial: float
    """Weight of a judge of what the network sees; 0 for none."""
    share: float = 1.0
    """Of each batch, what is looked at: the first pictures of it."""


class Critic:
    """Eyes and judges, with their optimizers.

    Args:
        perceptual: LPIPS, if it is used.
        classifier: the other network, if it is.
    """

    def __init__(
        self,
        options: PictureLosses,
        perceptual: Perceptual | None,
        classifier: Perceptual | None,
        resolution: int,
        training: TrainingConfig,
        device: torch.device,
    ) -> None:
        self.options, self.perceptual, self.clip = options, perceptual, training.clip
        self.device = device
        self.bf16 = training.precision == "bf16" or (training.precision == "auto" and device.type == "cuda")
        self.judges: dict[str, nn.Module] = {}
        self.weights: dict[str, float] = {}
        self.lessons: dict[str, list[Tensor]] = {}
        """Of each judge, its loss of each part of the batch since it last learnt; the gradients lie with its
        weights."""
        blank = torch.zeros(1, 3, resolution, resolution, device=device)
        if options.adversarial > 0:
            channels, layers = options.discriminator_channels, options.discriminator_layers
            judge = PatchDiscriminator(channels, layers).to(device)
            try:  # now, not at the step hours ahead at which it begins
                judge(blank)
            except RuntimeError:
                raise ConfigError(
                    f"{options.TABLE}.discriminator_layers = {layers} see larger patches than the pictures "
                    f"of {resolution} pixels: choose fewer"
                ) from None
            self.judges["discriminator"] = judge
            self.weights["discriminator"] = options.adversarial
        self.eyes: dict[str, Eye] = {}
        """By how the names of their figures begin."""
        if perceptual is not None and options.perceptual > 0:
            self.eyes["feature"] = Eye(
                network=perceptual,
                figure="lpips",
                distance=options.perceptual,
                adversarial=options.feature_adversarial,
                share=options.perceptual_share,
            )
        if classifier is not None:
            self.eyes["classifier"] = Eye(
                network=classifier,
                figure="classifier_distance",
                distance=options.classifier,
                adversarial=options.classifier_adversarial,
            )
        for name, eye in self.eyes.items():
            if eye.adversarial > 0:
                judge = FeatureDiscriminator(eye.network.widths).to(device)
                try:
                    judge(eye.network.features(blank))
                except RuntimeError:
                    raise ConfigError(
                        f"{options.TABLE}.{name}_adversarial: of pictures of {resolution} pixels "
                        f"{options.perceptual_net} leaves too little to judge: choose 0"
                    ) from None
                self.judges[f"{name}_discriminator"] = judge
                self.weights[f"{name}_discriminator"] = eye.adversarial
        self.optimizers: list[torch.optim.Optimizer] = [
            adamw([judge], training) for judge in self.judges.values()
        ]

    def go_on_from(self, folder: Path) -> None:
        """Takes over the judges of another decoder's run, those both have.

        Raises ConfigError where there is none, or one of another shape.
        """
        file = folder / "last.pt"
        if not file.is_file():
            raise ConfigError(f"{self.options.TABLE}.judges = {str(folder)!r}: no run folder with a last.pt")
        state = checkpoint.read(file)["stage"]
        taken = [name for name in self.judges if name in state]
        if not taken:
            raise ConfigError(
                f"{self.options.TABLE}.judges = {str(folder)!r}: that run had no discriminator in common"
            )
        for name in taken:
            try:
                self.judges[name].load_state_dict(state[name])
            except RuntimeError:
                raise ConfigError(
                    f"{self.options.TABLE}.judges = {str(folder)!r}: its {name} has another shape"
                ) from None

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
        for name, eye in self.eyes.items():
            some = max(1, round(len(images) * eye.share))
            with self._autocast():
                drawn = eye.network.features(seen[:some])
                with torch.no_grad():
                    true = eye.network.features(images[:some])
                distance = eye.network.between(drawn, true).mean()
            reconstruction = reconstruction + eye.distance * distance
            figures[eye.figure] = distance
            shown[f"{name}_discriminator"] = true, drawn
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
