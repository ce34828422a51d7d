"""Tensors known before they are read, from the three kinds of file; and files that are refused."""

import argparse
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from maskmend.storage.lazy_tensor import LazyTensor
from maskmend.storage.tensor_files import open_tensors
from maskmend.storage.tensor_writing import Planned, write_tensors
from maskmend.storage.torch_file import Refused


def test_a_training_checkpoint_is_read_without_its_training(tmp_path):
    """Views, shared storages and odd formats must come out as torch.load has them; the rest is nothing."""
    whole = torch.arange(24.0).view(4, 6)
    state = {
        "plain": whole,
        "column": whole[:, 2],
        "turned": whole.T,
        "half": whole.half(),
        "brain": whole.bfloat16(),
        "whole": torch.arange(3),
        "empty": torch.zeros(0, 5),
        "one": torch.tensor(2.5),
        "weight": torch.nn.Parameter(torch.ones(2)),
    }
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))])
    content = {
        "model": torch.nn.Linear(2, 3).state_dict() | state,
        "args": argparse.Namespace(lr=0.1),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
    }
    torch.save(content, tmp_path / "last.ckpt")
    found = open_tensors(tmp_path / "last.ckpt")
    assert found["epoch"] == 3
    assert not isinstance(found["args"], argparse.Namespace)
    for name, value in content["model"].items():
        lazy = found["model"][name]
        assert isinstance(lazy, LazyTensor)
        assert lazy.shape == tuple(value.shape)
        assert lazy.dtype == value.dtype
        assert torch.equal(lazy.read(), value.detach())


def test_files_before_pytorch_1_6(tmp_path):
    torch.save({"a": torch.arange(3.0)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(open_tensors(tmp_path / "old.pth")["a"].read(), torch.arange(3.0))


def test_safetensors(tmp_path):
    save_file({"a": torch.arange(6.0).view(2, 3)}, tmp_path / "a.safetensors")
    lazy = open_tensors(tmp_path / "a.safetensors")["a"]
    assert lazy.shape == (2, 3)
    assert torch.equal(lazy.read(), torch.arange(6.0).view(2, 3))


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_what_was_read_is_let_go_of(tmp_path, name):
    """Catches a file of gigabytes that stays mapped, tensor after tensor, until it is all in memory."""
    state = {letter: torch.arange(5000.0) for letter in "abc"}
    save = save_file if name.endswith("safetensors") else torch.save
    save(state, tmp_path / name)
    found = open_tensors(tmp_path / name)
    read = [found[letter].read() for letter in "abc"]
    assert all(torch.equal(value, state["a"]) for value in read)
    assert name not in Path("/proc/self/maps").read_text()


def packed(shape, name=b"float32", content=None, kind=1):
    """{"a": array} as flax writes it."""
    count = 1
    for side in shape:
        count *= side
    content = struct.pack(f"<{count}f", *range(count)) if content is None else content
    sides = bytes([0x90 | len(shape)]) + b"".join(b"\xce" + struct.pack(">I", side) for side in shape)
    array = b"\x93" + sides + bytes([0xA0 | len(name)]) + name + b"\xc6" + struct.pack(">I", len(content))
    array += content
    return b"\x81\xa1a" + b"\xc9" + struct.pack(">Ib", len(array), kind) + array


def written(folder: Path, content: bytes) -> Path:
    path = folder / "checkpoint"
    path.write_bytes(content)
    return path


def test_flax_arrays(tmp_path):
    lazy = open_tensors(written(tmp_path, packed((2, 3))))["a"]
    assert lazy.shape == (2, 3)
    assert torch.equal(lazy.read(), torch.arange(6.0).view(2, 3))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (packed((2, 3))[:-5], "ends early"),
        (packed((2, 3)) + b"\x00", "damaged"),
        (packed((2, 3), content=b"1234"), "not as large as it says"),
        (packed((2**31, 2**31, 4), content=b""), "not as large as it says"),
        (packed((2, 3), name=b"object"), "unknown format 'object'"),
        (b"\x81\xa1a" + b"\x91" * 5000, "nested too deeply"),
        (b"\x81\xa1a\xdd\xff\xff\xff\xff", "ends early"),
        (b"\x81\xa1a\xdd" + struct.pack(">I", 10**6) + b"\xc0" * 10**6, "more than 300000 values"),
        (packed((2, 3)).replace(b"\xce\0\0\0\2\xce", b"\xca\x40\0\0\0\xce"), "whole numbers"),
        (b"\x81\xc1", "damaged"),
        (b"", "damaged"),
        (b"hello", "damaged"),
        (b"\x80\x02}q\x00.", "damaged"),
    ],
)
def test_damaged_and_foreign_files_are_refused(tmp_path, content, told):
    """A length that the file does not have must cost neither memory nor time."""
    with pytest.raises(Refused, match=told):
        open_tensors(written(tmp_path, content))


def test_a_file_cut_short_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1000)}, tmp_path / "whole.pth")
    content = (tmp_path / "whole.pth").read_bytes()
    with pytest.raises(Refused, match="damaged"):
        open_tensors(written(tmp_path, content[:2000]))


def test_tensors_written_one_by_one_are_a_safetensors_file(tmp_path):
    """Offsets that do not add up would be another tensor's numbers."""
    values = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(2.5), "none": torch.zeros(0, 4)}
    planned = {name: Planned(tuple(v.shape), torch.float32, lambda v=v: v) for name, v in values.items()}
    planned["half"] = Planned((3,), torch.float16, lambda: torch.arange(3))
    sizes: list[int] = []
    write_tensors(tmp_path / "made.safetensors", planned, {"kind": "test"}, sizes.append)
    assert sum(sizes) == 4 * 7 + 2 * 3
    found = open_tensors(tmp_path / "made.safetensors")
    for name, value in values.items():
        assert torch.equal(found[name].read(), value)
    assert torch.equal(found["half"].read(), torch.arange(3).half())


def saved(folder: Path) -> tuple[Path, zipfile.ZipInfo, int]:
    """A file of torch.save, the entry of its numbers, and where its table of contents tells of that."""
    path = folder / "whole.pth"
    torch.save({"a": torch.arange(2.0)}, path)
    with zipfile.ZipFile(path) as archive:
        (entry,) = [one for one in archive.infolist() if one.filename.endswith("data/0")]
    return path, entry, path.read_bytes().rindex(entry.filename.encode()) - 46


@pytest.mark.parametrize(
    ("place", "value"), [("extra", 0xFFFF), ("name", 0xFFFF), ("offset", 2**31 - 1), ("offset", 20)]
)
def test_numbers_that_lie_nowhere_are_refused(tmp_path, place, value):
    """Catches a traceback of NumPy's, or of struct, over a place that the file does not have."""
    path, entry, listed = saved(tmp_path)
    content = bytearray(path.read_bytes())
    if place == "offset":
        struct.pack_into("<I", content, listed + 42, value)
    else:
        struct.pack_into("<H", content, entry.header_offset + {"name": 26, "extra": 28}[place], value)
    path.write_bytes(content)
    with pytest.raises(Refused, match=r"leaves the file|damaged"):
        open_tensors(path)


def test_a_shape_of_fractions_is_refused(tmp_path):
    """Catches a 2.0 that equals the 2 that is expected, and a traceback when the tensor is read."""
    path = tmp_path / "whole.pth"
    torch.save({"a": torch.arange(2.0)}, path)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "made.pth", "w") as made:
        for entry in archive.infolist():
            inside = archive.read(entry)
            if entry.filename.endswith("data.pkl"):
                assert inside.count(b"K\x02\x85") == 1  # the shape, (2,)
                inside = inside.replace(b"K\x02\x85", b"G" + struct.pack(">d", 2.0) + b"\x85")
            made.writestr(entry.filename, inside)
    with pytest.raises(Refused, match=r"damaged|whole numbers"):
        open_tensors(tmp_path / "made.pth")
