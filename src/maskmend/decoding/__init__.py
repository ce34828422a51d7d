"""Iterative decoding of masked tokens, as free functions that know no model.

`decode` and what it takes and returns are here; they are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskmend.decoding.loop import Decoded, Predict, Step, decode

__all__ = ["Decoded", "Predict", "Step", "decode"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("maskmend.decoding.loop"), name)
    raise AttributeError(f"module 'maskmend.decoding.loop' has no attribute {name!r}")
