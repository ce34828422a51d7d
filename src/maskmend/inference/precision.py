"""The number format in which the transformer decodes.

"auto" is a fixed rule rather than a measurement at load time: two formats round differently, and if the
choice depended on how busy the machine is, one seed would give two pictures. The rule follows `maskmend
bench` (docs/performance.md): bfloat16 where the processor supports it in hardware and the model is wide
enough for matrix products to dominate the time; float32 elsewhere. The tokenizer always runs in float32: in
bfloat16 one token in a hundred would change.
"""

import torch

from maskmend.choices import choice_error
from maskmend.errors import ConfigError
from maskmend.models.token_model import TokenModelConfig
from maskmend.settings import PRECISIONS

BF16_MIN_DIM = 512
"""Token width from which `auto` uses bfloat16."""


def decoding_dtype(precision: str, config: TokenModelConfig, device: torch.device) -> torch.dtype:
    """The format for a transformer on a device. Raises ConfigError for an unknown precision."""
    if precision not in PRECISIONS:
        raise ConfigError(choice_error("precision", precision, PRECISIONS))
    if precision == "auto":
        precision = "bf16" if config.dim >= BF16_MIN_DIM and has_fast_bf16(device) else "fp32"
    return torch.bfloat16 if precision == "bf16" else torch.float32


def has_fast_bf16(device: torch.device) -> bool:
    """Whether products of bfloat16 run in hardware: AVX512-BF16 or AMX, or a GPU of Ampere or later."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    return has_amx() or _cpu_has("_is_avx512_bf16_supported")


def has_amx() -> bool:
    """Whether the CPU multiplies matrices in tiles."""
    return _cpu_has("_is_amx_tile_supported")


def _cpu_has(question: str) -> bool:
    """The answer of `torch.cpu`; False where it lacks the question, which is not public in every version."""
    return bool(getattr(torch.cpu, question, bool)())
