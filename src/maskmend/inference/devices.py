"""Selects the device by its name on the command line."""

import torch

from maskmend.errors import ConfigError


def pick_device(name: str) -> torch.device:
    """auto: CUDA, else Apple's GPU, else the CPU. Raises ConfigError when the named device is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # the meta device makes tensors, but has no values
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        if (
            "device string" in reason
        ):  # PyTorch's message names twenty kinds of device, most of which no build has
            reason = "there is no such kind"
        raise ConfigError(f"device {name!r} cannot be used ({reason}); choose cpu or leave it out") from None
    return device
