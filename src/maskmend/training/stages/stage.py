"""What the loop asks of a stage: take a step, validate, draw, and hand over its whole state."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from maskmend.training.distributed import average_gradients
from maskmend.training.recipe import TrainingConfig


@runtime_checkable
class Stage(Protocol):
    """One of the two things that can be trained."""

    component: str
    """The folder within the run that holds the averaged weights: "tokenizer" or "transformer"."""
    resolution: int
    optimizers: list[torch.optim.Optimizer]

    def train_step(
        self, parts: list[Float[Tensor, "_ 3 H W"]], step: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """One optimizer step over the `parts` of a batch; returns scalar figures, `loss` among them.

        The parts lie on the CPU, as does what `rng` draws: both are sent to the device, and nothing comes
        back before the figures are read.
        """
        ...

    def validate(self, batches: list[Float[Tensor, "_ 3 H W"]]) -> dict[str, float]:
        """Figures of the averaged weights; `loss` decides which checkpoint is the best."""
        ...

    def pictures(self, images: Float[Tensor, "B 3 H W"]) -> Image.Image:
        """A grid that shows what the averaged weights do with `images`."""
        ...

    def state(self) -> dict[str, Any]:
        """All that a bit-exact continuation needs."""
        ...

    def load_state(self, state: dict[str, Any]) -> None: ...

    def export(self, folder: Path) -> None:
        """Writes the averaged weights as a component folder (config.json + safetensors)."""
        ...


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`. A GPU copies it when it comes to it; nobody waits, for the memory is pinned."""
    pinned = tensor.pin_memory() if device.type == "cuda" and tensor.device.type == "cpu" else tensor
    return pinned.to(device, non_blocking=True)


def adamw(modules: list[nn.Module], config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices, filters and embeddings, none on biases and norms."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    # One fused kernel for all parameters: on the CPU too it beats a loop over small tensors.
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)


def descend(module: nn.Module, optimizer: torch.optim.Optimizer, clip: float) -> Tensor:
    """One optimizer step of `module` along its gradient, averaged over processes; returns the gradient's
    norm."""
    average_gradients(module.parameters())
    norm = nn.utils.clip_grad_norm_(module.parameters(), clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm.detach()


def picture_grid(rows: dict[str, Float[Tensor, "B 3 H W"]], scale: int = 2) -> Image.Image:
    """One row of pictures for each tensor in [-1, 1], enlarged `scale` times, its name on the left."""
    lines = [torch.cat(list(row.detach().float().cpu().clamp(-1, 1)), dim=2) for row in rows.values()]
    grid: UInt8[Tensor, "3 H W"] = ((torch.cat(lines, dim=1) + 1) * 127.5).round().to(torch.uint8)
    image = Image.fromarray(grid.permute(1, 2, 0).numpy())
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    font = ImageFont.load_default()
    margin = 8 + round(max(font.getlength(name) for name in rows))
    labelled = Image.new("RGB", (margin + image.width, image.height), "white")
    labelled.paste(image, (margin, 0))
    pen = ImageDraw.Draw(labelled)
    for number, name in enumerate(rows):
        middle = (number + 0.5) * image.height / len(rows)
        pen.text((4, middle), name, fill="black", font=font, anchor="lm")
    return labelled
