"""The baselines: grey holes, OpenCV's two methods, scikit-image's biharmonic one, and MI-GAN.

MI-GAN (Sargsyan et al. 2023) needs its ONNX file (`migan_pipeline_v2.onnx`), which is not shipped; its masks
are 255 at known pixels. OpenCV, scikit-image and ONNX Runtime are imported on first use.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from maskmend.errors import ConfigError, pip_install
from maskmend.images.infill import infill
from maskmend.images.tensors import to_tensor, to_uint8

Picture = UInt8[np.ndarray, "H W 3"]
Fill = Callable[[Picture, Bool[np.ndarray, "H W"]], Picture]

RADIUS = 3
"""Of Telea's neighbourhood, in pixels."""


def leave_grey(image: Picture, mask: Bool[np.ndarray, "H W"]) -> Picture:
    """The hole filled with mid-grey."""
    return np.where(mask[:, :, None], np.uint8(128), image)


def telea() -> Fill:
    """OpenCV's fast marching fill (Telea 2004). Raises ConfigError when OpenCV is not installed."""
    return _opencv("Telea's fill", "INPAINT_TELEA")


def navier_stokes() -> Fill:
    """OpenCV's fluid dynamics fill (Bertalmio et al. 2001). Raises ConfigError when OpenCV is not
    installed."""
    return _opencv("The Navier-Stokes fill", "INPAINT_NS")


def _opencv(what: str, method: str) -> Fill:
    try:
        import cv2
    except ImportError:
        raise ConfigError(f"{what} needs OpenCV: {pip_install('reproduce')}") from None

    def fill(image: Picture, mask: Bool[np.ndarray, "H W"]) -> Picture:
        return cv2.inpaint(image, mask.astype(np.uint8) * 255, RADIUS, getattr(cv2, method))

    return fill


def biharmonic() -> Fill:
    """scikit-image's biharmonic fill (Damelin and Hoang 2018), exact but slow: for thin holes. Raises
    ConfigError when scikit-image is not installed."""
    try:
        from skimage.restoration import (
            inpaint_biharmonic,  # pyright: ignore[reportMissingImports]
        )
    except ImportError:
        raise ConfigError(f"the biharmonic fill needs scikit-image: {pip_install('reproduce')}") from None

    def fill(image: Picture, mask: Bool[np.ndarray, "H W"]) -> Picture:
        # Pixels in the hole are ignored; they are blanked in case a later release changes that.
        blank = np.where(mask[:, :, None], np.uint8(0), image)
        filled = np.asarray(inpaint_biharmonic(blank / 255.0, mask, channel_axis=-1))
        levels = np.clip(np.rint(filled * 255), 0, 255).astype(np.uint8)
        return np.where(mask[:, :, None], levels, image)

    return fill


def smooth(image: Picture, mask: Bool[np.ndarray, "H W"]) -> Picture:
    """The smooth fill that our own model is shown."""
    return to_uint8(infill(to_tensor(image), torch.from_numpy(mask)[None, None], "diffusion"))


def migan(path: Path, under: Fill = smooth) -> Fill:
    """MI-GAN's whole pipeline from its ONNX file. Raises ConfigError for a missing file or ONNX Runtime.

    `under` fills the hole before the picture is passed to the network, which never gets the truth.
    """
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
        # there: with the truth inside, most of the truth. It is shown another fill in its place, of a picture
        # that is blank there, so that `under` cannot pass the truth on.
        blank = np.where(mask[:, :, None], np.uint8(0), image)
        shown = np.ascontiguousarray(under(blank, mask).transpose(2, 0, 1)[None])
        (drawn,) = session.run(None, {names[0]: shown, names[1]: known[None, None]})
        filled = np.asarray(drawn)[0].transpose(1, 2, 0)
        return np.where(mask[:, :, None], filled, image)

    return fill
