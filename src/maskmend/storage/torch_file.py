"""Limits on torch.save files, checked before torch.load reads them.

torch.load(weights_only=True) executes no foreign code, but a small file can still keep it busy for minutes or
exhaust memory: with a pickle that expands to hundreds of MB, nested tuples that take practically forever to
hash, storages declared larger than the file, or tensors that repeat one value a billion times. Here the
pickle's size is checked, then it is evaluated with placeholders for tensors, and the file is refused unless
the memory it asks for is about its own size.
"""

import io
import math
import pickletools
import struct
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

PICKLE_BYTES = 4 * 2**20
"""Largest pickle; of a state dict with a thousand tensors it has a twentieth of this."""
OPERATIONS = 300_000
"""Most instructions in it, about fifty a tensor: seconds, and some ten MB."""
DIRECTORY_BYTES = 16 * 2**20
"""Largest table of contents of the zip archive."""
SPARE_BYTES = 2**24
"""What tensors may take beyond twice the size of the file, where several look into one storage."""
_SIZES = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1,
    "Bool": 1, "ComplexFloat": 8, "ComplexDouble": 16, "Untyped": 1,
}  # fmt: skip
_STORAGES = {f"torch {name}Storage": size for name, size in _SIZES.items()}
_STORAGES["torch.storage UntypedStorage"] = 1
_TENSORS = ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor")
_WRAPPERS = ("torch._utils _rebuild_parameter", "torch._utils _rebuild_parameter_with_state")
_HARMLESS = ("torch Size", "torch device", "_codecs encode")
"""Callables whose results are as small as their arguments."""
_VALUES = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING")
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


class Refused(Exception):
    """The file asks for what no checkpoint needs; the message says what."""


class _Global(NamedTuple):
    name: str


class _Storage(NamedTuple):
    key: str
    values: int
    size: int


class _Object:
    """Placeholder for the result of a call."""


class _Inert(_Object):
    """Placeholder for an object that the caller's reader ignores."""


class _Dict(_Object):
    """Placeholder for an OrderedDict, the only such object that is filled afterwards."""


def check(path: Path, inert: tuple[str, ...] = ()) -> None:
    """Raises Refused for a file that was not written by torch.save or needs too much memory; OSError.

    `inert` names classes ("argparse Namespace") that the file may contain because the caller's reader ignores
    them. torch.load accepts none of them.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            _check_archive(file, size, inert)
        else:  # as before PyTorch 1.6: one pickle after the other, then the storages
            file.seek(0)
            stream = io.BytesIO(file.read(PICKLE_BYTES))
            reading = _Reading(inert)
            for _ in range(5):  # magic number, version, machine, the object, the storages' keys
                reading.follow(stream)
            reading.check_sizes(size, {})


def _check_archive(file: io.BufferedReader, size: int, inert: tuple[str, ...]) -> None:
    if _directory_bytes(file, size) > DIRECTORY_BYTES:
        raise Refused("its table of contents is larger than that of any checkpoint")
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if len(set(names)) != len(names):
                raise Refused("it has two entries of one name")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise Refused("its entries are packed, which torch.save does not do")
            if sum(entry.file_size for entry in entries) > size:
                raise Refused("its entries are larger than the file")
            folder = names[0].partition("/")[0] + "/" if names else ""
            pickled = archive.getinfo(f"{folder}data.pkl")
            if pickled.file_size > PICKLE_BYTES:
                raise Refused(
                    f"its pickle has {pickled.file_size / 2**20:.0f} MiB, more than {PICKLE_BYTES // 2**20}"
                )
            reading = _Reading(inert)
            reading.follow(io.BytesIO(archive.read(pickled)))
    except (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError, RuntimeError):
        raise Refused("it is damaged or no checkpoint") from None
    inside = {entry.filename.removeprefix(f"{folder}data/"): entry.file_size for entry in entries}
    reading.check_sizes(size, inside)


def _directory_bytes(file: io.BufferedReader, size: int) -> int:
    """The length of a zip archive's table of contents, as its end says; torch.save writes no comment."""
    tail_length = min(size, 22 + 20)
    file.seek(size - tail_length)
    tail = file.read(tail_length)
    if len(tail) < 22 or tail[-22:-18] != b"PK\x05\x06":
        raise Refused("it is damaged or no checkpoint")
    (declared,) = struct.unpack_from("<I", tail, len(tail) - 10)
    if len(tail) == 42 and tail[:4] == b"PK\x06\x07":
        (place,) = struct.unpack_from("<Q", tail, 8)
        file.seek(min(place, size))
        record = file.read(56)
        if len(record) < 56 or record[:4] != b"PK\x06\x06":
            raise Refused("it is damaged or no checkpoint")
        return max(declared if declared != 0xFFFFFFFF else 0, struct.unpack_from("<Q", record, 40)[0])
    return declared


class _Reading:
    """Follows pickles and remembers which storages and tensors they ask for."""

    def __init__(self, inert: tuple[str, ...]) -> None:
        self.inert = inert
        self.operations = 0
        self.storages: dict[str, _Storage] = {}
        self.tensor_bytes = 0

    def follow(self, stream: io.BytesIO) -> None:
        """One pickle of `stream`. Raises Refused."""
        try:
            self._follow(stream)
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, struct.error):
            raise Refused("it is damaged or no checkpoint") from None

    def _follow(self, stream: io.BytesIO) -> None:
        stack: list[Any] = []
        outer: list[list[Any]] = []
        memo: dict[int, Any] = {}
        argument: Any
        for operation, argument, _ in pickletools.genops(stream):
            self.operations += 1
            if self.operations > OPERATIONS:
                raise Refused(f"its pickle has more than {OPERATIONS} instructions")
            name = operation.name
            match name:
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[argument])
                case "BINPUT" | "LONG_BINPUT":
                    # Python's unpickler has a table as long as twice the highest number: 16 GiB for 2^29.
                    if argument >= OPERATIONS:
                        raise Refused(f"its pickle remembers something as number {argument}")
                    memo[argument] = stack[-1]
                case "MARK":
                    outer.append(stack)
                    stack = []
                case "TUPLE" | "APPENDS" | "SETITEMS":
                    items, stack = stack, outer.pop()
                    if name == "TUPLE":
                        stack.append(tuple(items))
                    elif name == "SETITEMS":
                        self._check_keys(items[::2])
                case "TUPLE1" | "TUPLE2" | "TUPLE3":
                    count = int(name[-1])
                    stack[-count:] = [tuple(stack[len(stack) - count :])]
                case "EMPTY_TUPLE":
                    stack.append(())
                case "EMPTY_LIST" | "EMPTY_DICT" | "EMPTY_SET":
                    stack.append(_Object())
                case "NONE" | "NEWTRUE" | "NEWFALSE":
                    stack.append(_CONSTANTS[name])
                case (
                    "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE" | "SHORT_BINSTRING"
                ):
                    stack.append(argument)
                case "APPEND":
                    stack.pop()
                case "SETITEM":
                    stack.pop()
                    self._check_keys([stack.pop()])
                case "GLOBAL":
                    stack.append(_Global(argument))
                case "BINPERSID":
                    stack.append(self._storage(stack.pop()))
                case "REDUCE":
                    arguments = stack.pop()
                    stack[-1] = self._called(stack[-1], arguments)
                case "NEWOBJ" if self.inert:
                    arguments = stack.pop()
                    if not isinstance(stack[-1], _Global) or stack[-1].name not in self.inert:
                        raise Refused(f"it asks for an object of {_shown(stack[-1])}")
                    stack[-1] = _Inert()
                case "BUILD":
                    stack.pop()
                    if not isinstance(stack[-1], _Dict | _Inert):
                        raise Refused("it fills an object that is no dictionary")
                case "PROTO" | "STOP":
                    pass
                case _:
                    raise Refused(f"its pickle has the instruction {name}, which checkpoints do not need")

    def _storage(self, pid: Any) -> _Storage:
        kind, made, key, _, count = pid[:5]
        if kind != "storage" or type(count) is not int or count < 0 or not isinstance(made, _Global):
            raise Refused("it is damaged or no checkpoint")
        if made.name not in _STORAGES:
            raise Refused(f"it asks for {made.name.replace(' ', '.')}")
        storage = _Storage(str(key), count, _STORAGES[made.name])
        if self.storages.setdefault(storage.key, storage) != storage:
            raise Refused(f"its storage {storage.key[:40]} has two sizes")
        return storage

    def _called(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        if not isinstance(function, _Global):
            raise Refused("it is damaged or no checkpoint")
        if function.name in _TENSORS:
            storage, _, shape = arguments[:3]
            whole = all(type(side) is int for side in shape)
            if not isinstance(storage, _Storage) or len(shape) > 64 or not whole or min(shape, default=0) < 0:
                raise Refused("it is damaged or no checkpoint")
            self.tensor_bytes += math.prod(shape) * storage.size
            return _Object()
        if function.name == "collections OrderedDict" and arguments == ():
            return _Dict()
        if function.name in _WRAPPERS or function.name in _HARMLESS:
            return _Object()
        if function.name in self.inert:
            return _Inert()
        raise Refused(f"it asks for {_shown(function)}")

    def _check_keys(self, keys: list[Any]) -> None:
        """The hash of nested tuples can take practically forever: keys must be plain values, or inert
        classes."""
        for key in keys:
            inert = isinstance(key, _Global) and key.name in self.inert
            if key is not None and not inert and not isinstance(key, str | int | float):
                raise Refused("a key of a dictionary in it is no plain value")

    def check_sizes(self, size: int, inside: dict[str, int]) -> None:
        """Compares the storages with what the file holds; `inside` is empty where that is known only in
        sum."""
        total = 0
        for storage in self.storages.values():
            asked = storage.values * storage.size
            total += asked
            if inside and inside.get(storage.key) != asked:
                raise Refused(f"its storage {storage.key[:40]} is not as large as it says")
        if total > size:
            raise Refused(f"its storages have {total} bytes, more than the file")
        if self.tensor_bytes > 2 * size + SPARE_BYTES:
            raise Refused(f"its tensors take {self.tensor_bytes} bytes, many times the file")


def _shown(name: Any) -> str:
    return name.name.replace(" ", ".") if isinstance(name, _Global) else "no class"
