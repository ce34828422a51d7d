"""The exported graphs combined, as in `maskmend.pipeline`: image and mask in, picture out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8

from maskmend.config import from_dict
from maskmend.errors import ConfigError, ImageError, MaskError, ModelError, pip_install
from maskmend.fill.compositing import composite
from maskmend.runtime.infill import diffuse
from maskmend.runtime.sampling import decode
from maskmend.seeds import seeds_from
from maskmend.settings import Settings
from maskmend.storage.formats import check_format

FORMAT = 2
"""Of model.json; that of `maskmend.export.onnx`, which a test compares."""
GRAPHS = ("encoder", "prefill", "step", "decoder")
FILES = {1: {"prefill": "context"}, 2: {}}
"""By format, the graphs whose files have another name."""
ATTENTION_IN_FORMAT_1 = {"context": "prefix"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Filled:
    """The fills of one picture."""

    pictures: UInt8[np.ndarray, "S R R 3"]
    """Known pixels unchanged, the hole filled."""
    tokens: Int[np.ndarray, "S h w"]
    """The tokens of each sample."""


class Runtime:
    """The four graphs of an exported model. Raises ModelError, or ConfigError without ONNX Runtime.

    Args:
        folder: what `maskmend export onnx` wrote.
        threads: for each product; 0 leaves it to ONNX Runtime.
    """

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        folder = Path(folder)
        try:
            import onnxruntime  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise ConfigError(f"this needs ONNX Runtime: {pip_install('onnx')}") from None
        try:
            self.about: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"cannot read {folder / 'model.json'} ({error}): give a folder of maskmend export onnx"
            ) from None
        found = self._check_format(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.sessions = {}
        for name in GRAPHS:
            path = folder / f"{FILES[found].get(name, name)}.onnx"
            try:
                self.sessions[name] = onnxruntime.InferenceSession(
                    str(path), options, providers=["CPUExecutionProvider"]
                )
            except Exception as error:  # the runtime has its own exception class for each kind of damage
                raise ModelError(f"cannot read {path} ({error}): export it again") from None

    def _check_format(self, folder: Path) -> int:
        """The format of the export, whose model.json then has the present names. Raises ModelError."""
        found = self.about.get("format") if isinstance(self.about, dict) else None
        remedy = "give a folder of maskmend export onnx"
        if found is None or self.about.get("kind") != "maskmend-onnx":
            raise ModelError(f"{folder} is no export of maskmend: {remedy}")
        check_format(found, FORMAT, folder, ModelError, otherwise=remedy)
        if found == 1:
            attention = self.about.get("attention")
            self.about["attention"] = ATTENTION_IN_FORMAT_1.get(str(attention), attention)
        return found

    def fill(
        self,
        image: UInt8[np.ndarray, "R R 3"],
        mask: Bool[np.ndarray, "R R"],
        *,
        seed: int = 0,
        samples: int = 1,
        **settings: Any,
    ) -> Filled:
        """Fills the hole (mask True) of a picture of the model's resolution, with seeds seed, seed + 1, ...

        `settings` are those of `maskmend.settings.Settings` but for order = "halton", infill other than
        "diffusion", ring and share, and the seams "feather" and "multiband", which need PyTorch. Raises
        ImageError, MaskError, ConfigError.
        """
        side = self.about["resolution"]
        if not isinstance(image, np.ndarray) or not isinstance(mask, np.ndarray):
            kinds = f"{type(image).__name__} and {type(mask).__name__}"
            raise ImageError(f"image and mask are {kinds}: give NumPy arrays, such as np.asarray(picture)")
        if image.shape != (side, side, 3) or image.dtype != np.uint8:
            raise ImageError(f"the image is {image.dtype} {image.shape}: give uint8 {(side, side, 3)}")
        if mask.shape != (side, side) or mask.dtype != bool:
            raise MaskError(f"the mask is {mask.dtype} {mask.shape}: give bool {(side, side)}, True = fill")
        seeds = seeds_from(seed, samples)
        samples, chosen = len(seeds), self._settings(settings)
        grid, factor = self.about["grid"], self.about["factor"]
        if not mask.any():
            nothing = np.zeros((samples, 0, 0), np.int64)
            return Filled(pictures=np.repeat(image[None], samples, 0), tokens=nothing)
        levels = image.transpose(2, 0, 1).astype(np.float32) / np.float32(127.5) - np.float32(1)
        smooth = diffuse(levels, mask)
        cells = mask.reshape(grid, factor, grid, factor)
        hole, missing = cells.any((1, 3)).ravel(), cells.mean((1, 3), dtype=np.float32).ravel()
        tokens = self._run("encoder", image=smooth[None])[0].astype(np.int64)  # ONNX Runtime has long long
        predict = _Predictor(self, tokens.ravel(), hole, missing, samples)
        mask_id = self.about["mask_id"]
        decoded = decode(predict, tokens.ravel(), hole, mask_id=mask_id, seeds=seeds, settings=chosen)
        decoded = decoded.reshape(samples, grid, grid)
        drawn = self._draw(decoded, smooth, mask)
        pictures = np.stack([composite(image, one, mask, seam=chosen.seam) for one in drawn])
        return Filled(pictures=pictures, tokens=decoded)

    def _settings(self, given: dict[str, Any]) -> Settings:
        try:
            defaults = from_dict(Settings, self.about["defaults"], "defaults")
        except ConfigError as error:
            raise ModelError(f"this model's {error}: export it again") from None
        chosen = defaults.changed(**given)
        if chosen.label is not None or chosen.guidance != 1:
            raise ConfigError("exported models have no classes: leave label and guidance out")
        if chosen.order == "halton":  # refused for an empty mask too
            raise ConfigError("order = 'halton' needs PyTorch: give confidence or random here")
        if chosen.seam in ("feather", "multiband"):
            raise ConfigError(f"seam = {chosen.seam!r}: give hard or poisson here")
        if chosen.infill != "diffusion" or chosen.ring or chosen.share:
            raise ConfigError("this runtime fills holes by diffusion, without ring or share: leave them out")
        return chosen

    def _draw(
        self, tokens: Int[np.ndarray, "S h w"], smooth: Float32[np.ndarray, "3 R R"], mask: np.ndarray
    ) -> Float32[np.ndarray, "S R R 3"]:
        seen: dict[str, np.ndarray] = {}
        if self.about["known_pixels"]:
            count = len(tokens)
            seen = {"image": np.repeat(smooth[None], count, 0), "mask": np.repeat(mask[None, None], count, 0)}
        (drawn,) = self._run("decoder", tokens=tokens, **seen)
        return ((drawn + 1) * np.float32(127.5)).transpose(0, 2, 3, 1)

    def _run(self, name: str, **inputs: np.ndarray) -> list[np.ndarray]:
        # A graph has only those inputs that its model uses.
        wanted = {given.name for given in self.sessions[name].get_inputs()}
        return self.sessions[name].run(None, {n: v for n, v in inputs.items() if n in wanted})


class _Predictor:
    """Logits of the masked tokens of `samples` fills of one picture, with one prefill of its known tokens."""

    def __init__(
        self, runtime: Runtime, tokens: np.ndarray, hole: np.ndarray, missing: np.ndarray, samples: int
    ) -> None:
        about = runtime.about
        active = hole if about["attention"] == "prefix" else np.ones_like(hole)
        known, self.at = np.flatnonzero(~active), np.flatnonzero(active)
        keys = values = np.zeros((about["layers"], 1, about["heads"], 0, about["head_dim"]), np.float32)
        if len(known):
            valid = np.ones((1, len(known)), bool)
            keys, values = runtime._run(
                "prefill", tokens=tokens[None, known], positions=known[None], valid=valid
            )
        self.runtime = runtime
        self.slot = np.cumsum(active) - 1  # index of each token among the rows
        shape = (samples, 1)
        self.inputs = {
            "positions": np.tile(self.at, shape),
            "valid": np.ones((samples, len(self.at)), bool),
            "hole": np.tile(hole[self.at], shape),
            "hint": np.tile(tokens[self.at], shape),
            "missing": np.tile(missing[self.at], shape),
            "keys": np.repeat(keys, samples, 1),
            "values": np.repeat(values, samples, 1),
            "known": np.ones((samples, len(known)), bool),
        }

    def __call__(self, tokens: np.ndarray, masked: np.ndarray) -> np.ndarray:
        image, position = masked.nonzero()
        asked = image * len(self.at) + self.slot[position]
        (logits,) = self.runtime._run("step", tokens=tokens[:, self.at], asked=asked, **self.inputs)
        return logits
