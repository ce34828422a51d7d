"""Modules of other libraries that are loaded on first use.

`import torch` loads 1,100 modules, few of which a fill uses; the others are exporters, distributions,
optimizers, quantization, documentation. For one small picture, loading them takes longer than the fill. Here
such a module is replaced by an empty one that loads the real module when one of its attributes is accessed.
(`importlib.util.LazyLoader` would load it at once: it counts access to `__spec__` as use, which a second
import of the module makes.)

This was tested with the releases in `TRIED`; modules of other releases are loaded as usual.
"""

import ctypes
import re
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

TRIED = {"torch": ("2.13",), "scipy": ("1.17",)}
TORCH = frozenset(
    f"torch.{name}"
    for name in (
        "_meta_registrations",
        "_tensor_docs",
        "distributions",
        "export",
        "masked",
        "nn.intrinsic",
        "nn.qat",
        "nn.quantizable",
        "nn.quantized",
        "optim",
        "quantization",
        "testing",
        "utils.data",
    )
)
SCIPY = frozenset({"scipy.linalg", "scipy.ndimage", "scipy.sparse.linalg"})
"""Each of these packages imports all of its modules, of which a fill uses one or two."""
OTHERS = frozenset({"numpy.f2py"})
"""SciPy asks for all names of NumPy, this compiler of Fortran among them."""
DEFINED_IN = {
    "scipy.linalg.LinAlgError": "numpy.linalg",
    "scipy.ndimage.distance_transform_edt": "scipy.ndimage._morphology",
    "scipy.ndimage.gaussian_filter": "scipy.ndimage._filters",
    "scipy.sparse.linalg.LinearOperator": "scipy.sparse.linalg._interface",
    "scipy.sparse.linalg.splu": "scipy.sparse.linalg._dsolve.linsolve",
}
"""Names that are imported from the module that defines them, without the rest of their package."""


class _Deferred(ModuleType):
    """A placeholder that loads the real module when an attribute is read that not every module has."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":  # what Python itself reads of any module
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if (home := DEFINED_IN.get(f"{self.__name__}.{name}")) is not None:
            value = getattr(import_module(home), name)
            setattr(self, name, value)
            return value
        if PathFinder.find_spec(f"{self.__name__}.{name}", self.__dict__.get("__path__", [])) is not None:
            raise AttributeError(name)  # a submodule: `from package import name` asks for an attribute first
        spec = self.__spec__
        assert spec is not None
        assert spec.loader is not None
        self.__class__ = ModuleType  # pyright: ignore[reportAttributeAccessIssue]
        spec.loader.exec_module(self)
        return getattr(self, name)


class _Loader:
    """Makes the empty module, which keeps its real loader for later."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Deferred(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.real


class _Finder:
    """Finds the modules `names`, deferred."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self.names:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # pyright: ignore[reportAttributeAccessIssue]
        return spec


def defer_imports() -> None:
    """Defers the parts that a fill does not use, for the rest of the process."""
    names = OTHERS
    for package, parts in (("torch", TORCH), ("scipy", SCIPY)):
        folder = _folder_of(package)
        if folder is not None and _release(folder) in TRIED[package]:
            names |= parts
    sys.meta_path.insert(0, _Finder(names))  # pyright: ignore[reportArgumentType]


def load_library_ahead() -> None:
    """Loads PyTorch's largest library in a thread while this one imports modules and reads pictures.

    Only on Linux without CUDA, where it can be loaded separately.
    """
    folder = _folder_of("torch")
    if folder is None or not sys.platform.startswith("linux") or (folder / "lib/libtorch_cuda.so").exists():
        return

    def load() -> None:
        with suppress(OSError):  # `import torch` tells of it
            ctypes.CDLL(str(folder / "lib/libtorch_cpu.so"))

    threading.Thread(target=load, name="loading", daemon=True).start()


def import_meanwhile() -> None:
    """Imports what a fill needs beside PyTorch, which takes as long as its library needs to load."""
    for name in ("numpy", "PIL.PngImagePlugin", "PIL.JpegImagePlugin", "scipy.sparse.csgraph"):
        import_module(name)


def _folder_of(package: str) -> Path | None:
    spec = find_spec(package)
    places = None if spec is None else spec.submodule_search_locations
    return Path(next(iter(places))) if places else None


def _release(folder: Path) -> str:
    """Such as "2.13", as the installed package states it."""
    with suppress(OSError):
        found = re.search(r"version(?:__)? = ['\"](\d+\.\d+)", (folder / "version.py").read_text())
        return found[1] if found else ""
    return ""
