"""What a fill is conditioned on besides the known tokens: a class, a prompt, or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskmend.errors import ConfigError
from maskmend.fill.labels import chosen_labels
from maskmend.models.token_model import TokenModelConfig
from maskmend.pretrained.prompts import Prompts
from maskmend.settings import Settings


@dataclass(frozen=True, kw_only=True, eq=False)
class Condition:
    """One condition for all regions of a call."""

    value: Tensor | None = None
    """As the transformer takes it for one region: a class (), or a prompt's vectors (D); None for none."""
    guidance: float = 1.0
    """Scale of classifier-free guidance; 1 is none."""

    def arguments(self, regions: int, device: torch.device) -> dict[str, Any]:
        """The arguments of a transformer's `predictor`; none for no condition."""
        if self.value is None:
            return {}
        return {
            "condition": self.value.to(device).expand(regions, *self.value.shape),
            "guidance": self.guidance,
        }


UNCONDITIONAL = (Condition(),)


def labels_for(
    settings: Settings, config: TokenModelConfig, names: Sequence[str], prompts: Prompts | None
) -> tuple[int | None, ...]:
    """The classes to condition on; None for unconditional.

    Args:
        settings: of the fill.
        config: of the transformer.
        names: of its classes, if known.
        prompts: the prompt encoder, for a model with one.

    Raises ConfigError for a class, a prompt or guidance that the model does not have, and for guidance
    without either.
    """
    if settings.prompt and prompts is None:
        raise ConfigError(
            f"prompt = {settings.prompt!r}: this model takes no prompts, or its folder has none: leave it out"
        )
    conditioned = config.labels or prompts is not None
    if settings.guidance != 1 and not (conditioned and config.unconditional):
        raise ConfigError(f"guidance = {settings.guidance}: this model was not trained for it, leave it out")
    labels = chosen_labels(settings.label, names, config.labels, unconditional=config.unconditional)
    if settings.guidance != 1 and labels == (None,) and not settings.prompt:
        lacking = " or ".join(["a label"] * (config.labels > 0) + ["a prompt"] * (prompts is not None))
        raise ConfigError(
            f"guidance = {settings.guidance}: it has no effect without {lacking}: give one, or guidance = 1"
        )
    return labels


def conditions_for(
    settings: Settings, config: TokenModelConfig, names: Sequence[str], prompts: Prompts | None
) -> tuple[Condition, ...]:
    """The conditions to fill under, of which the likeliest fill is kept. Arguments as for `labels_for`."""
    labels = labels_for(settings, config, names, prompts)
    if labels != (None,):
        return tuple(Condition(value=torch.tensor(label), guidance=settings.guidance) for label in labels)
    if settings.prompt and prompts is not None:
        words = prompts.condition(settings.prompt)
        return (Condition(value=words.reshape(-1), guidance=settings.guidance),)
    return UNCONDITIONAL
