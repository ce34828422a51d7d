"""Reads the two kinds of pickle in which the metrics' networks were published, without executing code.

A pickle is a small program that may import and call anything. These readers accept only the few names that
the files use (listed in `ALLOWED_*`), map each to a harmless replacement, and refuse every other name. The
result is a flat dictionary of NumPy arrays, ready for safetensors.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from maskmend.errors import WeightsError


def _empty_array(_kind: type, shape: tuple[int, ...], _code: bytes) -> np.ndarray:
    """What NumPy's `_reconstruct` does for plain arrays; the pickle's state then sets the rest."""
    return np.ndarray(shape, dtype=np.int8)


ALLOWED_NUMPY: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _Restricted(pickle.Unpickler):
    """An unpickler that resolves the names of one table and nothing else."""

    def __init__(
        self, data: bytes, resolve: Callable[[str, str], Any], load_tensor: Callable[..., Any] | None = None
    ):
        super().__init__(io.BytesIO(data))
        self._resolve = resolve
        self._load_tensor = load_tensor

    def find_class(self, module_name: str, global_name: str) -> Any:
        found = self._resolve(module_name, global_name)
        if found is None:
            raise WeightsError(
                f"the weights file asks for {module_name}.{global_name}, which weights files do not need: "
                "not loaded; fetch the published file again with: maskmend weights fetch"
            )
        return found

    def persistent_load(self, pid: Any) -> Any:
        if self._load_tensor is None:
            raise WeightsError(f"the weights file points outside itself ({pid!r}): not loaded")
        return self._load_tensor(pid)


def _flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Yields ("a/b/c", array) for each array in nested dictionaries."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}/")
        elif isinstance(value, np.ndarray) and value.dtype == np.float32:
            yield f"{prefix}{name}", value
        else:
            raise WeightsError(f"entry {prefix}{name} of the weights file is no float32 array: not loaded")


def read_numpy_pickle(data: bytes) -> dict[str, np.ndarray]:
    """Nested dictionaries of float32 NumPy arrays, flattened with "/" between the levels' names.

    Raises WeightsError if the pickle names anything outside `ALLOWED_NUMPY` or holds anything but such
    arrays.
    """
    try:
        tree = _Restricted(data, lambda module, name: ALLOWED_NUMPY.get((module, name))).load()
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        KeyError,
    ) as error:
        raise WeightsError(f"the weights file is damaged ({error}): run maskmend weights fetch") from error
    if not isinstance(tree, dict):
        raise WeightsError(f"the weights file holds a {type(tree).__name__}, not a dictionary: not loaded")
    return dict(_flatten(tree))


class _Node:
    """Placeholder for every scripted class: an object with arbitrary attributes."""


class _FloatStorage:
    """Placeholder for torch.FloatStorage, which only names the element type."""


def _ints(values: Any) -> Any:
    return values


def _tensor(
    storage: np.ndarray, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> np.ndarray:
    """A contiguous tensor out of its storage; the published files hold no other kind."""
    count = int(np.prod(shape, dtype=np.int64))
    if offset < 0 or offset + count > storage.size or any(size < 1 for size in shape):
        raise WeightsError(
            f"a tensor of shape {shape} at {offset} leaves its storage of {storage.size} values"
        )
    expected = tuple(int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape)))
    if tuple(stride) != expected:
        raise WeightsError(f"a tensor of shape {shape} has stride {stride}, not contiguous: not loaded")
    return storage[offset : offset + count].reshape(shape)


ALLOWED_TORCHSCRIPT: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "FloatStorage"): _FloatStorage,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch.jit._pickle", "build_intlist"): _ints,
}


def _scripted(module_name: str, global_name: str) -> Any:
    """`__torch__.*` are the archive's own classes: only their attributes matter here, never their code."""
    if module_name.startswith("__torch__."):
        return _Node
    return ALLOWED_TORCHSCRIPT.get((module_name, global_name))


def _walk(node: _Node, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    for name, value in vars(node).items():
        if isinstance(value, _Node):
            yield from _walk(value, f"{prefix}{name}.")
        elif isinstance(value, np.ndarray):
            yield f"{prefix}{name}", value


def read_torchscript(data: bytes) -> dict[str, np.ndarray]:
    """The float32 tensors of a TorchScript archive by their attribute path ("net.layers.conv.weight").

    The archive's code is not compiled and not run. Raises WeightsError for anything but plain float32
    tensors.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            (pickled,) = [
                name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")
            ]
            folder = pickled.removesuffix("data.pkl") + "data/"

            def storage(pid: Any) -> np.ndarray:
                _, kind, key, _, count = pid
                if kind is not _FloatStorage:
                    raise WeightsError(f"storage {key} is not float32: not loaded")
                # Copied, since bytes from the archive are read-only
                values = np.frombuffer(archive.read(folder + str(key)), dtype="<f4").astype(np.float32)
                if values.size != count:
                    raise WeightsError(
                        f"storage {key} holds {values.size} values instead of {count}: not loaded"
                    )
                return values

            root = _Restricted(archive.read(pickled), _scripted, storage).load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(f"the weights file is damaged ({error}): run maskmend weights fetch") from error
    if not isinstance(root, _Node):
        raise WeightsError(f"the weights file holds a {type(root).__name__}, not a module: not loaded")
    return dict(_walk(root))
