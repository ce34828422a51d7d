"""Fill a hole with NumPy and ONNX Runtime; PyTorch is only needed for the export.

    pip install '.[onnx]'
    maskmend export onnx default -o exported/
    python examples/without_pytorch.py exported/ photo.png mask.png out.png

The runtime fills pictures of the model's own size; larger ones are cropped or scaled by the caller, as here.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from maskmend.runtime import Runtime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("exported", type=Path, help="what `maskmend export onnx` wrote")
    parser.add_argument("image", type=Path)
    parser.add_argument("mask", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()

    runtime = Runtime(options.exported)
    side = runtime.about["resolution"]
    size = (side, side)
    image = np.asarray(Image.open(options.image).convert("RGB").resize(size))  # uint8 (R, R, 3)
    mask = (
        np.asarray(Image.open(options.mask).convert("L").resize(size)) >= 128
    )  # bool (R, R), True is filled
    filled = runtime.fill(image, mask, seed=0)
    Image.fromarray(filled.pictures[0]).save(options.output)
    print(f"{options.output}: {int(mask.sum())} pixels filled; PyTorch loaded: {'torch' in sys.modules}")


if __name__ == "__main__":
    main()
