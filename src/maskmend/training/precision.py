"""The number format of training."""

import torch

from maskmend.training.recipe import TrainingConfig


def uses_bf16(training: TrainingConfig, device: torch.device) -> bool:
    """Whether networks run under bfloat16 autocast: as the recipe says; by default on CUDA only."""
    return training.precision == "bf16" or (training.precision == "auto" and device.type == "cuda")
