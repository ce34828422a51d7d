"""Checkpoints in the published layouts at the published sizes, with random weights.

    python bench/checkpoints/published_files.py amused-512 FOLDER

Writes the files of one model into FOLDER, and prints as JSON how they are converted. The layouts are the test
suite's restatements of the published code, drawn here with all layers. Float32, as most of the files are
published; what else a published file holds for training is in it where that is known.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

TESTS = Path(__file__).resolve().parents[2] / "tests"


class Published(NamedTuple):
    """A published model."""

    kind: str
    """Of `maskmend convert`."""
    write: Callable[[Path, bool], list[str]]
    """Writes its files into a folder, and gives what `convert` is given after the kind. True: one layer of
    each stack, narrow tokenizers and small codebooks, to try the script."""


WIDTHS = (128, 128, 256, 256, 512)
"""Of the tokenizers of Taming Transformers' family."""


def tokenizer(small: bool, **kind: Any) -> dict[str, Any]:
    """A tokenizer by taming's names."""
    import restated_vqgan

    sizes = restated_vqgan.Kind(
        widths=(32,) * 5 if small else WIDTHS, blocks=2, latents=256, **({"code_dim": 256} | kind)
    )
    return restated_vqgan.random_state(sizes, among_latents=False)


GOOGLE = {
    "attention": False, "projections": False, "bias": False, "own_shortcut": True, "averages": True,
    "conv_out": 1, "decoder_blocks": 2, "codes": 1024,
}  # fmt: skip


def mage(folder: Path, small: bool, *, dim: int, layers: int) -> list[str]:
    import restated_mage

    state = restated_mage.random_checkpoint(
        dim, layers=1 if small else layers, decoder_layers=1 if small else 8, grid=16
    )
    network = {name: value for name, value in state.items() if not name.startswith("vqgan.")}
    words = {f"vqgan.{name}": value for name, value in tokenizer(small, **GOOGLE).items()}
    return [str(restated_mage.save(network | words, folder / "mage.pth"))]


def halton(folder: Path, small: bool, *, dim: int, heads: int, layers: int, grid: int) -> list[str]:
    import restated_halton

    codes = 1024 if small else 16384
    state = restated_halton.random_checkpoint(
        dim, heads, layers=1 if small else layers, grid=grid, codes=codes, labels=1000
    )
    words = tokenizer(small, code_dim=8, codes=codes, decoder_blocks=3, unit_codes=True)
    return [str(path) for path in restated_halton.save(state, words, folder)]


def maskgit(folder: Path, small: bool, *, grid: int) -> list[str]:
    import restated_class_token as restated

    state = restated.google_checkpoint(layers=1 if small else 24, grid=grid, codes=1024)
    words = restated.google_tokenizer(tokenizer(small, **GOOGLE))
    return [
        str(restated.save_flax(state, folder / "maskgit_imagenet_checkpoint")),
        str(restated.save_flax(words, folder / "tokenizer_imagenet_checkpoint")),
    ]


def valeoai(folder: Path, small: bool, *, grid: int) -> list[str]:
    import torch

    import restated_class_token as restated

    state = restated.valeoai_checkpoint(layers=1 if small else 24, grid=grid, codes=1024)
    words = tokenizer(small, decoder_blocks=3, codes=1024)
    network, book = restated.save_valeoai(state, words, folder)
    # PyTorch Lightning keeps Adam's two averages of each weight in the same file.
    moments = {
        number: {"step": 1, "exp_avg": torch.zeros_like(value), "exp_avg_sq": torch.zeros_like(value)}
        for number, value in enumerate(words.values())
    }
    content = torch.load(book, weights_only=True)
    torch.save(content | {"optimizer_states": [{"state": moments}]}, book)
    return [str(network), str(book)]


def amused(folder: Path, small: bool, *, side: int) -> list[str]:
    import torch

    import restated_amused as restated

    torch.manual_seed(0)
    sizes = restated.published(
        layers=22, blocks=3, text_layers=12, words=49408, vq=(128, 256, 256, 512, 768), vq_blocks=2,
        latents=64, grid=side // 16, resized=side == 512,
    )  # fmt: skip
    if small:
        sizes |= {"layers": 1, "blocks": 1, "text_layers": 2, "words": 512, "vq": (32,) * 5}
    restated.write_folder(folder / "amused", restated.Sizes(**sizes))
    return [str(folder / "amused")]


def coursework(folder: Path, small: bool) -> list[str]:
    import torch

    import coursework as restated

    widths = (32,) * 6 if small else (128, 128, 128, 256, 256, 512)
    words = restated.LabVQGAN(enc_channels=widths, dec_channels=widths[1:], grid=16, codes=1024, code_dim=256)
    network = restated.LabTransformer(
        codes=1024, tokens=256, dim=768, heads=16, layers=1 if small else 15, hidden=1536
    )
    paths = folder / "VQGAN.pt", folder / "transformer.pt"
    for module, path in zip((words, network), paths, strict=True):
        torch.save(restated.shaken(module).state_dict(), path)
    return [str(path) for path in paths]


MODELS: dict[str, Published] = {
    "mage-b": Published("mage", partial(mage, dim=768, layers=12)),
    "mage-l": Published("mage", partial(mage, dim=1024, layers=24)),
    "halton-b-256": Published("halton", partial(halton, dim=768, heads=12, layers=12, grid=16)),
    "halton-l-384": Published("halton", partial(halton, dim=1024, heads=16, layers=24, grid=24)),
    "maskgit-256": Published("maskgit", partial(maskgit, grid=16)),
    "maskgit-512": Published("maskgit", partial(maskgit, grid=32)),
    "valeoai-256": Published("valeoai", partial(valeoai, grid=16)),
    "valeoai-512": Published("valeoai", partial(valeoai, grid=32)),
    "amused-256": Published("amused", partial(amused, side=256)),
    "amused-512": Published("amused", partial(amused, side=512)),
    "coursework": Published("coursework", coursework),
}


def write(name: str, folder: Path, *, small: bool = False) -> list[str]:
    """The files of a model in `folder`; what `maskmend convert` is given for them."""
    sys.path.insert(0, str(TESTS))
    folder.mkdir(parents=True, exist_ok=True)
    model = MODELS[name]
    return [model.kind, *model.write(folder, small)]


if __name__ == "__main__":
    print(json.dumps(write(sys.argv[1], Path(sys.argv[2]), small="--small" in sys.argv[3:])))
