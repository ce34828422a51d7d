"""Files that would keep torch.load busy or fill the memory are refused, and those it is made for are not."""

import io
import pickle
import pickletools
import resource
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from maskmend.errors import ModelError, TrainingError
from maskmend.importers.coursework.state_dict import read_state
from maskmend.storage import torch_file
from maskmend.storage.tensor_files import open_tensors
from maskmend.storage.torch_file import Refused, check
from maskmend.training import checkpoint

START, STOP = b"\x80\x02", b"."


def archive(path: Path, pickled: bytes, *, packed: bool = False, **storages: bytes) -> Path:
    """A file as torch.save makes it, around a pickle of one's own."""
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as made:
        made.writestr("a/data.pkl", pickled)
        made.writestr("a/byteorder", b"little")
        for key, content in storages.items():
            made.writestr(f"a/data/{key.removeprefix('s')}", content)
        made.writestr("a/version", b"3\n")
    return path


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def tensor(shape: tuple[int, ...], count: int, key: str = "0") -> bytes:
    """Instructions that make a tensor of one repeated value out of a storage of `count` floats."""
    number = lambda n: b"\x8a\x08" + struct.pack("<q", n)  # noqa: E731
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + number(count)
    sizes = b"(" + b"".join(map(number, shape)) + b"t"
    strides = b"(" + b"K\x00" * len(shape) + b"t"
    hooks = b"ccollections\nOrderedDict\n)R"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + b"tQK\x00"
        + sizes
        + strides
        + b"\x89"
        + hooks
        + b"tR"
    )


def of(key: bytes, value: bytes) -> bytes:
    """A dictionary of one entry."""
    return START + b"}" + key + value + b"s" + STOP


NESTED = b")" + b"".join(b"q" + bytes([n]) + b"h" + bytes([n]) + b"\x86" for n in range(60))
REPEATED, TOO_LARGE = tensor((10**6, 10**6), 1), tensor((1,), 10**9)
ROOM = b"c__builtin__\nbytearray\n\x8a\x08" + struct.pack("<q", 2**60) + b"\x85R"
MEMO = b"}r" + struct.pack("<I", 2**27)
"""Remembers a dictionary as a number for which Python's unpickler makes room: 2 GiB."""
CRAFTED: dict[str, tuple[Callable[[Path], object], str]] = {
    "packed marks": (
        lambda path: archive(path, START + b"(" * 200_000_000 + STOP, packed=True), "packed"
    ),
    "marks": (lambda path: archive(path, START + b"(" * 5_000_000 + STOP), "pickle has"),
    "many small": (lambda path: archive(path, START + b"(" * 4_000_000 + STOP), "instructions"),
    "marks of old": (lambda path: path.write_bytes(START + b"(" * 50_000_000), "instructions"),
    "hash without end": (lambda path: archive(path, of(NESTED, b"N")), "plain value"),
    "repeated value": (lambda path: archive(path, of(text("w"), REPEATED), s0=bytes(4)), "many times"),
    "storage too large": (lambda path: archive(path, of(text("w"), TOO_LARGE), s0=bytes(4)), "not as large"),
    "storage missing": (lambda path: archive(path, of(text("w"), tensor((1,), 1))), "not as large|more than"),
    "memo": (lambda path: archive(path, START + MEMO + STOP), "number 134217728"),
    "memo of old": (lambda path: path.write_bytes(START + MEMO + STOP), "number 134217728"),
    "room for nothing": (lambda path: archive(path, of(text("w"), ROOM)), "bytearray"),
    "sets": (lambda path: archive(path, of(text("w"), b"c__builtin__\nset\n(]tR")), "set"),
    "cut": (lambda path: archive(path, START + b"}"), "damaged"),
    "empty": (lambda path: path.write_bytes(b""), "damaged"),
    "text": (lambda path: path.write_bytes(b"hello" * 100), "damaged|instruction"),
    "half a zip": (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(1000)), "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", CRAFTED)
def test_what_is_crafted_is_refused_at_once(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a file of 200 KB that keeps `convert` busy for a minute, or the machine without memory."""
    path = tmp_path / "crafted.pt"
    make, reason = CRAFTED[name]
    make(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    followed, genops = 0, pickletools.genops

    def counted(stream: io.BytesIO) -> Iterator[Any]:
        nonlocal followed
        for operation in genops(stream):
            followed += 1
            yield operation

    with monkeypatch.context() as patch:
        patch.setattr(pickletools, "genops", counted)
        with pytest.raises(Refused, match=reason):
            check(path)
    assert followed <= torch_file.OPERATIONS + 1
    with pytest.raises(ModelError, match="is not loaded") as told:
        read_state(path, "w", "model")
    assert "\n" not in str(told.value)
    with pytest.raises(TrainingError, match="cannot read checkpoint"):
        checkpoint.read(path)
    with pytest.raises(Refused):
        open_tensors(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KiB


def test_an_archive_of_two_entries_of_one_name_is_refused(tmp_path: Path) -> None:
    """Catches a check of one pickle and the loading of another."""
    path = archive(tmp_path / "a.pt", of(text("w"), b"N"))
    with zipfile.ZipFile(path, "a") as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr("a/data.pkl", of(text("w"), b"N"))
    with pytest.raises(Refused, match="two entries"):
        check(path)


def test_a_directory_of_a_million_entries_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_file, "DIRECTORY_BYTES", 100)
    with pytest.raises(Refused, match="table of contents"):
        check(archive(tmp_path / "a.pt", of(text("w"), b"N")))


def test_memory_stays_bounded(tmp_path: Path) -> None:
    """Catches a check that itself fills the memory: at most 100 MiB more for the worst pickle let through."""
    path = archive(tmp_path / "a.pt", START + b"(" * (torch_file.PICKLE_BYTES - 10) + STOP)
    program = (
        "import sys\nfrom pathlib import Path\nfrom maskmend.benchmark.memory import peak_memory\n"
        "from maskmend.storage.torch_file import Refused, check\n"
        "before = peak_memory()\n"
        "try:\n    check(Path(sys.argv[1]))\nexcept Refused:\n"
        "    print((peak_memory() - before) // 2**20)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) < 100


class Model(nn.Module):
    """Layers, a buffer, tied weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(8)
        self.register_buffer("position", torch.arange(10).expand(1, -1))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_what_is_saved_honestly_passes(tmp_path: Path, zipped: bool, dtype: torch.dtype) -> None:
    """Catches bounds that refuse a state dict, an optimizer, a module's parameters or a history of losses."""
    model = Model().to(dtype)
    optimizer = torch.optim.AdamW(model.parameters())
    model.norm(model.second(model.first(torch.ones(4, 8, dtype=dtype)))).sum().backward()
    optimizer.step()
    content = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "parameter": nn.Parameter(torch.ones(3)),
        "history": [0.5] * 50_000,
        "empty": torch.zeros(0),
        "view": torch.arange(100.0)[10:20],
        "flags": torch.ones(3, dtype=torch.bool),
        "shape": torch.Size([1, 2]),
        "names": OrderedDict(a=(1, 2.0, None, True, 2**40)),
    }
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    check(tmp_path / "a.pt")
    loaded = torch.load(tmp_path / "a.pt", weights_only=True)
    assert torch.equal(loaded["view"], content["view"])


def test_plain_pickles_are_no_checkpoints(tmp_path: Path) -> None:
    stream = io.BytesIO()
    pickle.dump({"a": 1}, stream, protocol=2)
    (tmp_path / "a.pt").write_bytes(stream.getvalue())
    with pytest.raises(Refused, match="damaged"):
        check(tmp_path / "a.pt")
