"""Fills without PyTorch: NumPy and ONNX Runtime over a folder that `maskmend export onnx` wrote.

    from maskmend.runtime import Runtime
    filled = Runtime("folder").fill(image, mask, seed=0)

The same seed gives the same tokens as `InpaintPipeline`, at the model's own resolution.
"""

from maskmend.runtime.model import Filled, Runtime

__all__ = ["Filled", "Runtime"]
