"""Packed linear layers: the same products, whatever PyTorch offers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from maskmend.inference.kernel_caches import LIMITS
from maskmend.inference.packed_linear import PackedLinear


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("rows", [0, 1, 5, 51])
@pytest.mark.parametrize("bias", [True, False])
def test_agrees_with_the_plain_layer(dtype, rows, bias):
    """Catches a layout that is read wrongly, and formats the operator refuses."""
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(n, 48, generator=generator).to(dtype) for n in (rows, 20))
    b = torch.randn(20, generator=generator).to(dtype) if bias else None
    layer, expected, near = (
        PackedLinear(weight, b),
        F.linear(x, weight, b),
        {"atol": 2e-3 if dtype == torch.bfloat16 else 1e-5, "rtol": 2e-2},
    )
    torch.testing.assert_close(layer(x), expected, **near)
    torch.testing.assert_close(layer.gelu(x), F.gelu(expected), **near)
    torch.testing.assert_close(layer.add(x, expected), expected + expected, **near)


def test_a_missing_operator_leaves_the_plain_layer(monkeypatch):
    """Catches a PyTorch without the operator, on which nothing would run."""

    def refuse(*_):
        raise RuntimeError("not here")

    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", refuse)
    weight, x = torch.randn(4, 3), torch.randn(2, 3)
    assert torch.equal(PackedLinear(weight, None)(x), F.linear(x, weight))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("inputs", [64, 192, 576, 768])
def test_rows_do_not_depend_on_each_other(inputs, dtype):
    """Catches rounding that depends on how many rows go along: a seed would mean another picture. The widths
    are those of the shipped model, its feed-forward part, and the coursework."""
    generator = torch.Generator().manual_seed(0)
    x, weight, bias, other = (
        torch.randn(*size, generator=generator).to(dtype)
        for size in ((256, inputs), (192, inputs), (192,), (256, 192))
    )
    linear = PackedLinear(weight, bias)
    if linear.packed is None:
        pytest.skip(f"no packed products in {dtype} here")
    for rows in (1, 3, 13, 51, 64, 200):
        assert torch.equal(linear(x[:rows]), linear(x)[:rows])
        assert torch.equal(linear.gelu(x[:rows]), linear.gelu(x)[:rows])
        assert torch.equal(linear.add(x[:rows], other[:rows]), linear.add(x, other)[:rows])


MANY_SHAPES = """
import torch
from maskmend.inference.kernel_caches import bound_kernel_caches
from maskmend.inference.packed_linear import PackedLinear
bound_kernel_caches()
layers = [PackedLinear(torch.randn(n, 192), torch.randn(n)) for n in (192, 576, 1024)]
def resident():
    return int(open("/proc/self/statm").read().split()[1]) / 256
def run(first, last):
    for rows in range(first, last):
        for layer in layers:
            layer(torch.randn(rows, 192))
run(1, 101)
before = resident()
run(101, 301)
print(resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_shapes_met():
    """Catches kernels kept for every hole ever filled: a server grew by 155 MiB a minute."""
    environment = {name: value for name, value in os.environ.items() if name not in LIMITS}
    ran = subprocess.run(
        [sys.executable, "-c", MANY_SHAPES], capture_output=True, text=True, env=environment, check=True
    )
    assert float(ran.stdout) < 80  # 330 without the limits
