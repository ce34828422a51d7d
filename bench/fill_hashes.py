"""Hashes of fills with every setting varied, to compare two versions of the package.

    python bench/fill_hashes.py > new.json
    python bench/fill_hashes.py --against bench/fill_hashes.json
    PYTHONPATH=OLD/src python bench/fill_hashes.py --only cats64 > old.json

`--against` prints the cases that differ and ends with status 1 if there are any. bench/fill_hashes.json holds
for the machine and the versions under its "about": others round differently.

    cats64       fifty fills: forty of the shipped samples, ten of a larger picture with several windows;
                 alone, the output is a list, as in earlier versions
    photo        photographs: windows, finer levels, plain surroundings, ranking, guides, extended canvas
    conditional  a tiny random model with classes: labels and guidance
    onnx         cats64 exported and run by ONNX Runtime (extra `onnx`)
"""

import argparse
import hashlib
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import maskmend
from maskmend import InpaintPipeline

try:
    from maskmend.images.picture import load_image
    from maskmend.masks.reading import load_mask
except ImportError:  # a version from before the modules moved
    from maskmend.images import load_image
    from maskmend.masks import load_mask

ASSETS = Path(maskmend.__file__).parent / "assets"
VARIED = (
    {}, {"steps": 1}, {"steps": 3, "schedule": "linear"}, {"schedule": "square"}, {"order": "random"},
    {"order": "halton"}, {"temperature": 1.0, "top_k": 50}, {"top_p": 0.8}, {"choice": "argmax"},
    {"noise": 4.5, "confidence": "probability"}, {"infill": "nearest"}, {"ring": 1}, {"share": 0.3},
    {"seam": "hard"}, {"seam": "feather"}, {"seam": "multiband"}, {"sweet_spot": 4}, {"infill": "grey"},
    {"infill": "mean"}, {"context": 0.3},
)  # fmt: skip
WHOLE: tuple[dict[str, Any], ...] = ({}, {"detail": 0}, {"windows": 1}, {"plain": 4.0})
"""Settings for each photograph as a whole."""
CROPPED: tuple[dict[str, Any], ...] = (
    {"windows": 4}, {"detail": 1, "detail_steps": 2}, {"detail": "full"}, {"plain": 1.0}, {"plain": 100.0},
    {"ranking": "typical", "samples": 3}, {"ranking": "likelihood", "samples": 3}, {"context": 2.0},
)  # fmt: skip
"""Settings for a square of each photograph."""
LABELS: tuple[dict[str, Any], ...] = (
    {}, {"label": 3}, {"label": "1/4"}, {"label": "auto"}, {"label": 2, "guidance": 2.5},
    {"label": 2, "guidance": 0.0}, {"label": "auto", "guidance": 1.5, "samples": 2},
)  # fmt: skip


def digest(result: Any) -> str:
    pixels = b"".join(picture.pixels.tobytes() for picture in result.pictures)
    return hashlib.sha256(pixels + result.tokens.tobytes()).hexdigest()[:16]


def read(image: Path) -> tuple[Any, np.ndarray]:
    """A shipped picture and its mask."""
    picture = load_image(image)
    return picture, load_mask(image.with_suffix(".mask.png"), size=picture.pixels.shape[:2])


def cats64() -> list[str]:
    """As in earlier versions of this script, whose output was this list alone."""
    root = Path(maskmend.__file__).parent
    folder = next(path for path in (root / "assets" / "samples", root / "samples") if path.is_dir())
    images = sorted(path for path in folder.glob("*.png") if ".mask" not in path.name)
    pipe = InpaintPipeline.from_pretrained("cats64")
    hashes = []
    for number, settings in enumerate(VARIED * 2):
        picture, mask = read(images[number % len(images)])
        hashes.append(digest(pipe(picture, mask, seed=number, samples=2, **settings)))
    large = np.kron(load_image(images[0]).pixels, np.ones((4, 4, 1), np.uint8))
    for number in range(10):
        mask = np.zeros(large.shape[:2], dtype=bool)
        if number % 2:
            mask[100 + number : 106 + number, 10:240] = True
        else:
            mask[30 : 60 + 5 * number, 40:90] = mask[200:210, 200:220] = True
        hashes.append(digest(pipe(large, mask, seed=number)))
    return hashes


def photo() -> dict[str, str]:
    pipe = InpaintPipeline.from_pretrained("photo")
    hashes = {}
    for path in sorted((ASSETS / "photographs").glob("*.jpg")):
        picture, mask = read(path)
        for settings in WHOLE:
            hashes[f"{path.stem} {settings}"] = digest(pipe(picture, mask, seed=1, **settings))
        # The square in which most of the hole lies.
        side, width = 192, mask.shape[1]
        sums = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        held = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
        top, left = divmod(int(held.argmax()), width - side + 1)
        square = np.ascontiguousarray(picture.pixels[top : top + side, left : left + side])
        hole = mask[top : top + side, left : left + side]
        for settings in CROPPED:
            hashes[f"{path.stem} square {settings}"] = digest(pipe(square, hole, seed=2, **settings))
        guide = np.zeros((side, side, 4), np.uint8)
        guide[:, : side // 2] = (200, 60, 30, 255)
        for strength in (1.0, 0.5):
            filled = pipe(square, hole, guide=guide, guide_strength=strength, seed=3)
            hashes[f"{path.stem} square guide {strength}"] = digest(filled)
        extended = pipe(square[:96, :96], extend={"left": 24, "bottom": "10%"}, seed=4)
        hashes[f"{path.stem} extended"] = digest(extended)
    return hashes


def conditional() -> dict[str, str]:
    pipe = conditional_model()
    grey = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = np.kron(grey, np.ones((4, 4, 1), np.uint8))
    mask = np.zeros(image.shape[:2], dtype=bool)
    mask[6:26, 9:24] = True
    return {str(settings): digest(pipe(image, mask, seed=5, **settings)) for settings in LABELS}


def conditional_model() -> InpaintPipeline:
    """A random tokenizer of 8 x 8 tokens and a random transformer with ten classes."""
    from maskmend.models.class_token import ValeoaiConfig, ValeoaiMaskgit
    from maskmend.models.quantizer import QuantizerConfig
    from maskmend.models.vqgan import VQGAN, TokenizerConfig

    torch.manual_seed(0)
    tokenizer = VQGAN(
        TokenizerConfig(
            resolution=32, encoder_channels=(8, 8, 8), encoder_blocks=1, downsample_after=(1, 2),
            decoder_channels=(8, 8, 8), decoder_blocks=1, upsample_after=(1, 2),
            quantizer=QuantizerConfig(codes=64, code_dim=4),
        )
    )  # fmt: skip
    tokenizer.train()(torch.rand(16, 3, 32, 32) * 2 - 1)  # codes among the latents
    transformer = ValeoaiMaskgit(
        ValeoaiConfig(codes=64, grid=8, dim=32, heads=2, layers=2, mlp=64, labels=10)
    )
    for parameter in transformer.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.5)
    return InpaintPipeline(tokenizer, transformer)


def onnx() -> dict[str, str]:
    from maskmend.export.onnx import export_onnx
    from maskmend.runtime import Runtime

    hashes = {}
    with TemporaryDirectory() as folder:
        export_onnx(InpaintPipeline.from_pretrained("cats64"), Path(folder))
        runtime = Runtime(folder, threads=1)
        for path in sorted((ASSETS / "samples").glob("*.mask.png")):
            picture, mask = read(path.with_name(path.name.replace(".mask", "")))
            for settings in ({}, {"steps": 3, "samples": 2}, {"seam": "hard", "choice": "argmax"}):
                filled = runtime.fill(picture.pixels, mask, seed=6, **settings)
                content = filled.pictures.tobytes() + filled.tokens.tobytes()
                name = f"{path.name.split('.')[0]} {settings}"
                hashes[name] = hashlib.sha256(content).hexdigest()[:16]
    return hashes


PARTS = {"cats64": cats64, "photo": photo, "conditional": conditional, "onnx": onnx}


def about() -> dict[str, str]:
    from maskmend.benchmark.hardware import hardware

    packages = ("torch", "numpy", "scipy", "pillow", "onnxruntime")
    return {
        "note": "These hashes hold for this machine and these versions, with one thread.",
        "machine": hardware(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def differences(found: dict[str, Any], stored: Any) -> list[str]:
    """The cases of `found` that are other than in `stored`, or not in it."""
    stored = {"cats64": stored} if isinstance(stored, list) else stored
    lines = []
    for part in found:
        if part not in stored:
            lines.append(f"{part}: not in the file")
            continue
        before, now = (
            dict(enumerate(values)) if isinstance(values, list) else values
            for values in (stored[part], found[part])
        )
        lines += [f"{part}: {case}" for case in now if now[case] != before.get(case)]
    return sorted(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=list(PARTS), nargs="+", default=list(PARTS))
    parser.add_argument("--against", type=Path, help="print what differs from this file instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {part: PARTS[part]() for part in options.only}
    if options.against is None:
        alone = options.only == ["cats64"]
        print(json.dumps(found["cats64"] if alone else {"about": about(), **found}, indent=1))
        return
    lines = differences(found, json.loads(options.against.read_text()))
    print("\n".join(lines) or f"{sum(map(len, found.values()))} fills are the same")
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
