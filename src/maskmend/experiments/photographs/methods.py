"""The compared methods: models of this package and other inpainting software.

A method's identity covers everything that determines its fills: libraries, files, settings, and for our own
models the code. It is part of the key of cached fills, so that they are never mixed up.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from maskmend.experiments.identity import code_hash, installed, opencv_version
from maskmend.experiments.reproduce.baselines import Fill, biharmonic, migan, navier_stokes, telea
from maskmend.masks.generators import PHOTOGRAPHIC
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.hashes import model_hash

THIN = ("scratches", "text")
"""Kinds of holes for the biharmonic fill: in wide holes it takes minutes and overshoots."""

Seeded = Callable[[UInt8[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"], int], UInt8[np.ndarray, "H W 3"]]


@dataclass(frozen=True, kw_only=True)
class Method:
    """An inpainting method."""

    name: str
    identity: dict[str, Any]
    fill: Seeded
    """(image, mask, seed) to the filled image."""
    ours: bool = False
    kinds: Sequence[str] = field(default=PHOTOGRAPHIC)
    """Kinds of holes it is measured on."""


def our_model(name: str, pipe: InpaintPipeline, settings: dict[str, Any]) -> Method:
    """A model of this package; `settings` override its defaults."""
    chosen = asdict(pipe.defaults.changed(**settings))

    def fill(image: np.ndarray, mask: np.ndarray, seed: int) -> np.ndarray:
        return pipe(image, mask, seed=seed, **settings).pictures[0].pixels

    identity = {
        "code": code_hash(),
        **{name: installed(name) for name in ("torch", "numpy", "scipy")},
        "model": model_hash(pipe.tokenizer, pipe.transformer),
        "settings": chosen,
    }
    return Method(name=f"maskmend {name}", identity=identity, fill=fill, ours=True)


def baselines(migan_file: Path | None = None) -> list[Method]:
    """The other methods; MI-GAN where its file is given. Raises ConfigError where one cannot run."""
    opencv = {"opencv": opencv_version()}
    skimage = {"scikit-image": installed("scikit-image")}
    found = [
        _baseline("OpenCV Telea", opencv, telea()),
        _baseline("OpenCV Navier-Stokes", opencv, navier_stokes()),
        _baseline("scikit-image biharmonic", skimage, biharmonic(), THIN),
    ]
    if migan_file is not None:
        network = migan(migan_file, under=telea())
        identity = opencv | {
            "file": hashlib.sha256(migan_file.read_bytes()).hexdigest(),
            "onnxruntime": installed("onnxruntime"),
            "under": "Telea",
        }
        found.append(_baseline("MI-GAN", identity, network))
    return found


def _baseline(name: str, identity: dict[str, Any], fill: Fill, kinds: Sequence[str] = PHOTOGRAPHIC) -> Method:
    return Method(name=name, identity=identity, fill=lambda image, mask, seed: fill(image, mask), kinds=kinds)
