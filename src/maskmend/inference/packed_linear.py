"""Linear layers for decoding, with their weights packed once into the layout of the CPU's matrix product.

The product of a few rows with a large matrix is bound by reading the matrix. oneDNN, which PyTorch uses on
CPUs, can keep it in a blocked layout: with 51 rows (a hole of 20 %) the shipped model's products then take
three quarters of the time, and the result of a row no longer depends on the number of rows. PyTorch offers
these operators to its compiler only; if they are missing or fail, an ordinary layer is used.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


class PackedLinear:
    """x W^T + b, with (outputs, inputs) weights."""

    def __init__(self, weight: Float[Tensor, "out in"], bias: Float[Tensor, "out"] | None) -> None:
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()
        self.packed: Tensor | None = None
        if weight.device.type != "cpu" or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
            return
        try:
            packed = torch.ops.mkldnn._reorder_linear_weight(self.weight)
            torch.ops.mkldnn._linear_pointwise(self.weight[:1], packed, self.bias, "none", [], "")
        except RuntimeError:  # such as bfloat16 on a CPU without it
            return
        self.packed = packed

    def __call__(self, x: Float[Tensor, "S in"]) -> Float[Tensor, "S out"]:
        return self._run(x, "none") if self.packed is not None else F.linear(x, self.weight, self.bias)

    def gelu(self, x: Float[Tensor, "S in"]) -> Float[Tensor, "S out"]:
        """GELU of the layer's output, fused where it is packed."""
        return self._run(x, "gelu") if self.packed is not None else F.gelu(self(x))

    def add(self, x: Float[Tensor, "S in"], other: Float[Tensor, "S out"]) -> Float[Tensor, "S out"]:
        """The layer's output plus `other`, fused where it is packed."""
        if self.packed is None or len(x) == 0:
            return other + self(x)
        return torch.ops.mkldnn._linear_pointwise.binary(x, other, self.packed, self.bias, "add")

    def _run(self, x: Tensor, activation: str) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, activation, [], "none")
