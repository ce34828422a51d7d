"""What a fill is conditioned on besides the known tokens: a class, a prompt, or nothing."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


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
