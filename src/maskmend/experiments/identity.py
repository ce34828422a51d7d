"""What determines a fill besides picture, hole and settings: this package's code and installed versions.

The photographs' cache of fills has both in its keys, and so have trials of other methods; trials of a model
have pixels of its fills instead (`reproduce.trial`). The hash of the code covers the modules that the
pipeline imports, directly or not; the command line, server, training and version number are not among them.
"""

import ast
import hashlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import maskmend

PACKAGE = "maskmend"


def installed(*packages: str) -> str:
    """The version of the first of these packages that is installed."""
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "not installed"


def opencv_version() -> str:
    return installed("opencv-python-headless", "opencv-python")


def code_hash(module: str = "pipeline", root: Path | None = None) -> str:
    """SHA-256 over the code of a module and of all modules it imports; comments and docstrings are ignored.

    Args:
        module: name within the package, such as "images.infill".
        root: folder of the package, by default that of maskmend.
    """
    digest = hashlib.sha256()
    for name, tree in sorted(modules_below(module, root).items()):
        digest.update(f"{name}\n{ast.unparse(_without_texts(tree))}\n".encode())
    return digest.hexdigest()


def modules_below(module: str, root: Path | None = None) -> dict[str, ast.Module]:
    """The syntax trees of a module and of all modules of the package it imports, by name in the package.

    Imports within functions count. The package's own `__init__.py`, which has the version, does not.
    """
    root = root or Path(maskmend.__file__).parent
    found: dict[str, ast.Module] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = root.joinpath(*name.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if name in found or not file.is_file():  # `from module import function` names no file
            continue
        found[name] = ast.parse(file.read_text(encoding="utf-8"))
        waiting += _imports(found[name])
        if "." in name:
            waiting.append(name.rsplit(".", 1)[0])
    return found


def _imports(tree: ast.Module) -> Iterator[str]:
    """The names within the package that may be modules imported by `tree`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.removeprefix(f"{PACKAGE}.") for name in names if name.startswith(f"{PACKAGE}."))


def _without_texts(tree: ast.Module) -> ast.Module:
    """`tree` without docstrings, those of attributes included; changed in place."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not _is_text(one)]  # type: ignore[attr-defined]
    return tree


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
