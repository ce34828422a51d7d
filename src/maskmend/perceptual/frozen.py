"""Strict loading of the weights of published networks, which are never trained."""

import os

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from maskmend.errors import WeightsError
from maskmend.perceptual.weights import FETCH_HINT


def load_frozen(network: nn.Module, file: str | os.PathLike[str], what: str) -> None:
    """Fills `network` with the weights in `file`. WeightsError, which says `what` was expected, for other
    names or shapes and for a damaged file."""
    try:
        network.load_state_dict(load_file(file), strict=True)
    except (SafetensorError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise WeightsError(f"{file} does not hold {what} ({reason}): {FETCH_HINT}") from error
