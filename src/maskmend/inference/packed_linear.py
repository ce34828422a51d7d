"""Linear layers for decoding, with their weights packed once into the layout of the CPU's matrix product.

The product of a few rows with a large matrix is bound by reading the matrix. oneDNN, which PyTorch uses on
CPUs, can keep it in a blocked layout: with 51 rows (a hole of 20 %) the shipped model's products then take
three quarters of the time, and the result of a row no longer depends on the number of rows. With AMX it does
in bfloat16, for some widths: there products are computed in blocks of `BLOCK` rows, the last one padded.
PyTorch offers these operators to its compiler only; if they are missing or fail, an ordinary layer is used.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskmend.inference.precision import has_amx

BLOCK = 64
"""Rows of a product at a time where its rounding would depend on their number."""


class PackedLinear:
    """x W^T + b, with (outputs, inputs) weights."""

    def __init__(self, weight: Float[Tensor, "out in"], bias: Float[Tensor, "out"] | None) -> None:
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()
        self.packed: Tensor | None = None
        self.blocks = weight.dtype == torch.bfloat16 and weight.device.type == "cpu" and has_amx()
        if weight.device.type != "cpu" or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
            return
        try:
            packed = torch.ops.mkldnn._reorder_linear_weight(self.weight)
            torch.ops.mkldnn._linear_pointwise(self.weight[:1], packed, self.bias, "none", [], "")
        except RuntimeError:  # such as bfloat16 on a CPU without it
            return
        self.packed = packed

    def __call__(self, x: Float[Tensor, "S in"]) -> Float[Tensor, "S out"]:
        return self._run(lambda rows: self._product(rows, "none"), x)

    def gelu(self, x: Float[Tensor, "S in"]) -> Float[Tensor, "S out"]:
        """GELU of the layer's output, fused where it is packed."""
        return self._run(lambda rows: self._product(rows, "gelu"), x)

    def add(self, x: Float[Tensor, "S in"], other: Float[Tensor, "S out"]) -> Float[Tensor, "S out"]:
        """The layer's output plus `other`, fused where it is packed."""
        if self.packed is None or len(x) == 0:
            return other + self(x)
        fused = torch.ops.mkldnn._linear_pointwise.binary
        return self._run(lambda rows, more: fused(rows, more, self.packed, self.bias, "add"), x, other)

    def _product(self, x: Tensor, activation: str) -> Tensor:
        if self.packed is not None:
            return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, activation, [], "none")
        output = F.linear(x, self.weight, self.bias)
        return F.gelu(output) if activation == "gelu" else output

    def _run(self, product: Callable[..., Tensor], *arguments: Tensor) -> Tensor:
        """`product` of all rows at once, or block by block."""
        rows = len(arguments[0])
        if not self.blocks or rows == 0:
            return product(*arguments)
        padded = [F.pad(argument, (0, 0, 0, -rows % BLOCK)).split(BLOCK) for argument in arguments]
        return torch.cat([product(*block) for block in zip(*padded, strict=True)])[:rows]
