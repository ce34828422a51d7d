"""The measured peak of a device: the best of several ways, as a slow one would make our share look better."""

import time

import pytest
import torch

from maskmend.inference import roofline

CPU = torch.device("cpu")


def test_the_fastest_way_is_taken(clock):
    """Catches the first way, the last, and one judged by its first run, in which kernels are prepared."""
    runs = {"slow": 0, "fast": 0, "lazy": 0}

    def way(name, first, then):
        def work():
            runs[name] += 1
            time.sleep(first if runs[name] == 1 else then)

        return work

    ways = [way("slow", 0.0, 0.03), way("lazy", 0.03, 0.0), way("fast", 0.01, 0.015)]
    assert roofline.fastest(ways, CPU) is ways[1]


@pytest.mark.parametrize("number_format", ["fp32", "bf16"])
def test_a_product_of_the_asked_size(number_format):
    """Catches a product that does not do the operations that are counted for it."""
    result = roofline.product(number_format, CPU, 32)()
    assert isinstance(result, torch.Tensor)
    assert result.shape == (32, 32)
    assert result.dtype == (torch.float32 if number_format == "fp32" else torch.bfloat16)
