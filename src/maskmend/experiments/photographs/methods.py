"""The compared methods: models of this package and other inpainting software.

A method's identity covers everything that determines its fills: versions, files, settings, and for our own
models the code. It is part of the key of cached fills, so that they are never mixed up.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

import maskmend
from maskmend.experiments.reproduce.baselines import Fill, biharmonic, migan, navier_stokes, telea
from maskmend.masks.generators import PHOTOGRAPHIC
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.hashes import model_hash

THIN = ("scratches", "text")
"""Kinds of holes for the biharmonic fill: in wide holes it takes minutes and overshoots."""
ELSEWHERE = ("benchmark", "commands", "experiment", "metrics", "photographs", "server", "study", "training")
"""Folders of this package that do not affect fills."""

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
        "maskmend": maskmend.__version__,
        "code": code_hash(),
        "model": model_hash(pipe.tokenizer, pipe.transformer),
        "settings": chosen,
    }
    return Method(name=f"maskmend {name}", identity=identity, fill=fill, ours=True)


def rivals(migan_file: Path | None = None) -> list[Method]:
    """The other methods; MI-GAN where its file is given. Raises ConfigError where one cannot run."""
    opencv = {"opencv": installed("opencv-python-headless", "opencv-python")}
    skimage = {"scikit-image": installed("scikit-image")}
    found = [
        _rival("OpenCV Telea", opencv, telea()),
        _rival("OpenCV Navier-Stokes", opencv, navier_stokes()),
        _rival("scikit-image biharmonic", skimage, biharmonic(), THIN),
    ]
    if migan_file is not None:
        network = migan(migan_file, under=telea())
        identity = opencv | {
            "file": hashlib.sha256(migan_file.read_bytes()).hexdigest(),
            "onnxruntime": installed("onnxruntime"),
            "under": "Telea",
        }
        found.append(_rival("MI-GAN", identity, network))
    return found


def _rival(name: str, identity: dict[str, Any], fill: Fill, kinds: Sequence[str] = PHOTOGRAPHIC) -> Method:
    return Method(name=name, identity=identity, fill=lambda image, mask, seed: fill(image, mask), kinds=kinds)


def installed(*packages: str) -> str:
    """The version of the first of these packages that is installed."""
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "not installed"


def code_hash() -> str:
    """SHA-256 over the modules of this package that can affect a fill."""
    root = Path(maskmend.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        within = path.relative_to(root)
        if within.parts[0] not in ELSEWHERE:
            digest.update(within.as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
