"""The interface of a training stage to the loop: a step, validation, sample pictures, and its whole state."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from maskmend.training.distributed import whole
from maskmend.training.run_config import TrainingConfig


@runtime_checkable
class Stage(Protocol):
    """A model in training: tokenizer, transformer, or the tokenizer's decoder."""

    component: str
    """The folder within the run for the exported weights: "tokenizer" or "transformer"."""
    resolution: int
    optimizers: list[torch.optim.Optimizer]

    def train_step(
        self, micro_batches: list[Float[Tensor, "_ 3 H W"]], step: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """One optimizer step over the micro-batches of a batch; returns scalar metrics, `loss` among them.
        Those of a transformer may be `TokenBatch`.

        `rng` is the same in all processes, and masks are drawn from it for the pictures of all.

        The micro-batches lie on the CPU, as do the random masks of `rng`: both are copied to the device, and
        the step does not wait for the device.
        """
        ...

    def validate(self, batches: list[Float[Tensor, "_ 3 H W"]]) -> dict[str, float]:
        """Metrics of the averaged weights; the lowest `loss` decides which checkpoint is the best."""
        ...

    def pictures(self, images: Float[Tensor, "B 3 H W"]) -> Image.Image:
        """A grid of `images` and of their reconstructions or fills by the averaged weights."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything that a bit-exact continuation needs."""
        ...

    def load_state(self, state: dict[str, Any]) -> None: ...

    def export(self, folder: Path) -> None:
        """Writes the averaged weights as a component folder (config.json + safetensors)."""
        ...


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`, copied asynchronously to a GPU, from pinned memory."""
    pinned = tensor.pin_memory() if device.type == "cuda" and tensor.device.type == "cpu" else tensor
    return pinned.to(device, non_blocking=True)


def adamw(modules: list[nn.Module], config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices, filters and embeddings, none on biases and norms."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    # One fused kernel for all parameters: on the CPU too it is faster than a loop over small tensors.
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)


def optimizer_step(module: nn.Module, optimizer: torch.optim.Optimizer, clip: float) -> Tensor:
    """One optimizer step with the gradient clipped; returns its norm."""
    norm = nn.utils.clip_grad_norm_(module.parameters(), clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return whole(norm.detach())


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
