"""What any user could do instead: nothing, OpenCV's Telea, or MI-GAN.

MI-GAN (Sargsyan et al. 2023) comes as an ONNX file that a user brings (`migan_pipeline_v2.onnx`); its masks
are 255 at known pixels. OpenCV and ONNX Runtime are imported only when asked for.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from maskmend.errors import ConfigError
from maskmend.images.infill import infill
from maskmend.images.picture import to_tensor, to_uint8

Picture = UInt8[np.ndarray, "H W 3"]
Fill = Callable[[Picture, Bool[np.ndarray, "H W"]], Picture]

RADIUS = 3
"""Of Telea's neighbourhood, in pixels."""


def leave_grey(image: Picture, mask: Bool[np.ndarray, "H W"]) -> Picture:
    """The hole in mid-grey: doing nothing."""
    return np.where(mask[:, :, None], np.uint8(128), image)


def telea() -> Fill:
    """OpenCV's fast marching fill (Telea 2004). Raises ConfigError when OpenCV is not installed."""
    try:
        import cv2
    except ImportError:
        raise ConfigError("Telea's fill needs OpenCV: pip install 'maskmend[reproduce]'") from None

    def fill(image: Picture, mask: Bool[np.ndarray, "H W"]) -> Picture:
        return cv2.inpaint(image, mask.astype(np.uint8) * 255, RADIUS, cv2.INPAINT_TELEA)

    return fill


def migan(path: Path) -> Fill:
    """MI-GAN's whole pipeline from its ONNX file. Raises ConfigError for a missing file or ONNX Runtime."""
    if not path.is_file():
        raise ConfigError(f"no file at {path}: give MI-GAN's migan_pipeline_v2.onnx")
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ConfigError("MI-GAN needs ONNX Runtime: pip install onnxruntime") from None
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime raises classes of its own for each kind of damage
        raise ConfigError(f"cannot read {path} ({error}): give MI-GAN's migan_pipeline_v2.onnx") from None
    names = [given.name for given in session.get_inputs()]
    if len(names) != 2:
        raise ConfigError(f"{path} takes {len(names)} inputs, MI-GAN's pipeline takes an image and a mask")

    def fill(image: Picture, mask: Bool[np.ndarray, "H W"]) -> Picture:
        known = np.where(mask, np.uint8(0), np.uint8(255))
        # It scales the picture up and joins softly, so in a hole a few pixels wide it gives back what was
        # there: with the truth inside, most of the truth. It is shown the smooth fill our model is shown.
        smooth = to_uint8(infill(to_tensor(image), torch.from_numpy(mask)[None, None], "diffusion"))
        shown = smooth.transpose(2, 0, 1)[None]
        (drawn,) = session.run(None, {names[0]: shown, names[1]: known[None, None]})
        filled = np.asarray(drawn)[0].transpose(1, 2, 0)
        return np.where(mask[:, :, None], filled, image)

    return fill
