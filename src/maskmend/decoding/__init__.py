"""Iterative decoding of masked tokens, as functions that work with any model.

`decode`, its arguments' types and its result are imported from here on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskmend.decoding.interface import decode
    from maskmend.decoding.loop import Decoded, Predict, Step, iterative_decode

__all__ = ["Decoded", "Predict", "Step", "decode", "iterative_decode"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        module = "interface" if name == "decode" else "loop"
        return getattr(import_module(f"maskmend.decoding.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
