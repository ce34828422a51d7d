"""What is wrong with a file is told in one line, for each file of each kind, and nothing is written."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import restated_amused
import restated_class_token
import restated_halton
import restated_mage
import restated_vqgan
from coursework import coursework_transformer, coursework_vqgan
from maskmend.cli import main

State = dict[str, torch.Tensor]
GRID = 4
REMEDIES = ("give ", "whole", "take ", "download it again", "save it again")


class Part(NamedTuple):
    """One file of a kind."""

    file: str
    key: str
    """A tensor of it."""
    spare: str
    """The name of one that it must not have."""
    prefix: str = ""
    """What the file puts before these names."""
    told_missing: str = ""
    """What is told where `key` is missing, unless it is the key."""


class Kind(NamedTuple):
    parts: dict[str, Part]
    write: Callable[[Path, str, Callable[[State], object]], None]
    """Writes all files into a folder, that of one part with a change of its tensors."""
    options: tuple[str, ...] = ()
    is_folder: bool = False


@cache
def states(kind: str) -> dict[str, State]:
    """The tensors of each file of a kind."""
    if kind == "mage":
        return {"network": restated_mage.random_checkpoint(64, grid=GRID)}
    if kind == "halton":
        network = restated_halton.random_checkpoint(96, 4, grid=GRID)
        return {"network": network, "tokenizer": restated_halton.random_tokenizer()}
    if kind == "maskgit":
        words = restated_vqgan.random_state(restated_class_token.GOOGLE_TOKENIZER)
        network = restated_class_token.google_checkpoint(64, 4, grid=GRID)
        return {"network": network, "tokenizer": restated_class_token.google_tokenizer(words)}
    if kind == "valeoai":
        network = restated_class_token.valeoai_checkpoint(64, grid=GRID)
        return {"network": network, "tokenizer": restated_class_token.taming_tokenizer()}
    return {"vqgan": coursework_vqgan().state_dict(), "transformer": coursework_transformer().state_dict()}


def changed(kind: str, part: str, change: Callable[[State], object]) -> list[State]:
    copies = {name: dict(state) for name, state in states(kind).items()}
    if part:
        change(copies[part])
    return list(copies.values())


def write_mage(folder: Path, part: str, change: Callable[[State], object]) -> None:
    (state,) = changed("mage", part, change)
    restated_mage.save(state, folder / "mage.pth")


def write_halton(folder: Path, part: str, change: Callable[[State], object]) -> None:
    restated_halton.save(*changed("halton", part, change), folder)


def write_maskgit(folder: Path, part: str, change: Callable[[State], object]) -> None:
    network, tokenizer = changed("maskgit", part, change)
    restated_class_token.save_flax(network, folder / "maskgit_imagenet256_checkpoint")
    restated_class_token.save_flax(tokenizer, folder / "tokenizer_imagenet256_checkpoint")


def write_valeoai(folder: Path, part: str, change: Callable[[State], object]) -> None:
    restated_class_token.save_valeoai(*changed("valeoai", part, change), folder)


def write_coursework(folder: Path, part: str, change: Callable[[State], object]) -> None:
    vqgan, transformer = changed("coursework", part, change)
    torch.save(vqgan, folder / "VQGAN.pt")
    torch.save(transformer, folder / "transformer.pt")


@cache
def amused_files() -> dict[str, bytes]:
    """Of an intact folder."""
    with TemporaryDirectory() as name:
        torch.manual_seed(0)
        folder = Path(name)
        restated_amused.write_folder(folder, restated_amused.Sizes())
        found = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def write_amused(folder: Path, part: str, change: Callable[[State], object]) -> None:
    for name, content in amused_files().items():
        path = folder / "amused" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if part:
        path = folder / KINDS["amused"].parts[part].file
        state = load_file(path)
        change(state)
        save_file(state, path)


DIFFUSERS = "diffusion_pytorch_model.safetensors"
CLIP = "text_model.final_layer_norm.bias"
KINDS = {
    "mage": Kind(
        {"network": Part("mage.pth", "decoder_norm.bias", "blocks.0.attn.gate.weight")},
        write_mage,
        ("--heads", "4"),
    ),
    "halton": Kind(
        {
            "network": Part("ImageNet_384_large.pth", "transformer.layers.0.ln2.weight", "ema.decay"),
            "tokenizer": Part(
                "vq_ds16_c2i.pt", "decoder.up.1.block.0.norm1.bias", "decoder.extra.weight",
                told_missing="decoder.conv_blocks.3.res.0.norm1.bias",
            ),
        },
        write_halton,
        ("--heads", "4"),
    ),
    "maskgit": Kind(
        {
            "network": Part(
                "maskgit_imagenet256_checkpoint", "MlmLayer_0/mlm_dense/bias", "Extra_0/bias", "params/"
            ),
            "tokenizer": Part(
                "tokenizer_imagenet256_checkpoint", "decoder/GroupNorm_0/scale", "Extra_0/bias", "params/"
            ),
        },
        write_maskgit,
    ),
    "valeoai": Kind(
        {
            "network": Part("MaskGIT_ImageNet_256.pth", "last_layer.4.bias", "head.weight"),
            "tokenizer": Part("last.ckpt", "decoder.norm_out.bias", "decoder.extra.weight"),
        },
        write_valeoai,
    ),
    "coursework": Kind(
        {
            "vqgan": Part(
                "VQGAN.pt", "encoder.model.2.block.3.gn.weight", "encoder.extra.weight",
                told_missing="encoder.layers.3.norm2.weight",
            ),
            "transformer": Part(
                "transformer.pt", "LN.weight", "head.weight", told_missing="embedding_norm.weight"
            ),
        },
        write_coursework,
        ("--heads", "4"),
    ),
    "amused": Kind(
        {
            "transformer": Part(f"transformer/{DIFFUSERS}", "mlm_layer.layer_norm.weight", "lora.weight"),
            "vqvae": Part(f"vqvae/{DIFFUSERS}", "decoder.conv_norm_out.bias", "decoder.extra.weight"),
            "text_encoder": Part("text_encoder/model.safetensors", CLIP, "logit_scale"),
        },
        write_amused,
        is_folder=True,
    ),
}  # fmt: skip
for name, part in KINDS["amused"].parts.items():
    KINDS["amused"].parts[name] = part._replace(file=f"amused/{part.file}")
CASES = [(kind, part) for kind, about in KINDS.items() for part in about.parts]
LOOSE = "coursework"
"""Its files were written by many hands: what is not used is named, and the rest converted."""


def convert(folder: Path, kind: str):
    about = KINDS[kind]
    files = ["amused"] if about.is_folder else [part.file for part in about.parts.values()]
    given = [str(folder / file) for file in files]
    command = ["convert", kind, *given, *about.options, "-o", str(folder / "model")]
    return CliRunner().invoke(main, command, prog_name="maskmend")


def refused(folder: Path, kind: str, *told: str) -> None:
    """One line that says what and what to do, status 2, and the folder as it was."""
    before = sorted(folder.rglob("*"))
    result = convert(folder, kind)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for words in told:
        assert words in result.stderr
    assert any(words in result.stderr for words in REMEDIES), result.stderr
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(("kind", "part"), CASES)
def test_an_unknown_key(kind, part, tmp_path):
    """Catches a weight that is left out in silence: the model computes something else."""
    here = KINDS[kind].parts[part]
    KINDS[kind].write(tmp_path, part, lambda state: state.update({here.spare: torch.zeros(3)}))
    if kind == LOOSE:
        result = convert(tmp_path, kind)
        assert result.exit_code == 0, result.output
        assert f"{here.spare} is not used" in result.stdout
    else:
        refused(tmp_path, kind, here.file, here.prefix + here.spare)


@pytest.mark.parametrize(("kind", "part"), CASES)
def test_a_missing_key(kind, part, tmp_path):
    """Catches a layer left as it was initialised, and a name that is not in the user's file."""
    here = KINDS[kind].parts[part]
    KINDS[kind].write(tmp_path, part, lambda state: state.pop(here.key))
    refused(tmp_path, kind, here.file, here.told_missing or here.prefix + here.key)


@pytest.mark.parametrize(("kind", "part"), CASES)
def test_whole_numbers_for_weights(kind, part, tmp_path):
    """Catches a quantised or damaged file whose codes are taken for weights."""
    here = KINDS[kind].parts[part]
    KINDS[kind].write(tmp_path, part, lambda state: state.update({here.key: state[here.key].long()}))
    named = here.key if here.told_missing == "" else here.told_missing
    named = here.prefix + (here.key if kind == LOOSE else named)
    refused(tmp_path, kind, here.file, f"{named} in int64, expected float32")


@pytest.mark.parametrize(("kind", "part"), CASES)
def test_a_truncated_file(kind, part, tmp_path):
    """Catches a download without its end that is read as far as it goes."""
    here = KINDS[kind].parts[part]
    KINDS[kind].write(tmp_path, "", lambda state: None)
    path = tmp_path / here.file
    content = path.read_bytes()
    path.write_bytes(content[:-7])
    refused(tmp_path, kind, here.file, "damaged")


OTHERS = {
    ("mage", "network"): ("halton", "network"),
    ("halton", "network"): ("valeoai", "network"),
    ("halton", "tokenizer"): ("maskgit", "tokenizer"),
    ("maskgit", "network"): ("maskgit", "tokenizer"),
    ("maskgit", "tokenizer"): ("maskgit", "network"),
    ("valeoai", "network"): ("halton", "network"),
    ("valeoai", "tokenizer"): ("halton", "tokenizer"),
    ("coursework", "vqgan"): ("valeoai", "tokenizer"),
    ("coursework", "transformer"): ("mage", "network"),
    ("amused", "transformer"): ("amused", "vqvae"),
    ("amused", "vqvae"): ("amused", "text_encoder"),
    ("amused", "text_encoder"): ("amused", "transformer"),
}
"""Of each file the one that is most easily taken for it."""


@pytest.mark.parametrize(("kind", "part"), CASES)
def test_another_models_file(kind, part, tmp_path):
    """Catches a file that is read as what it is not, and a message that does not say which file it is."""
    KINDS[kind].write(tmp_path, "", lambda state: None)
    other, role = OTHERS[kind, part]
    (tmp_path / "other").mkdir()
    KINDS[other].write(tmp_path / "other", "", lambda state: None)
    here, there = KINDS[kind].parts[part], KINDS[other].parts[role]
    shutil.copy(tmp_path / "other" / there.file, tmp_path / here.file)
    refused(tmp_path, kind, here.file)
