"""onnxruntime-web's files: taken only as they were published."""

import hashlib
from pathlib import Path

import pytest

from maskmend.errors import WeightsError
from maskmend.export import web_runtime


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with stand-ins for the files, whose hashes are the pinned ones."""
    contents = {name: name.encode() for name in web_runtime.FILES}
    pinned = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(web_runtime, "FILES", pinned)
    monkeypatch.setenv("MASKMEND_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "package" / "dist"
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_folder_or_the_package_above_it_will_do(published: Path):
    """Catches a folder that is looked for in one place only."""
    expected = {name: name.encode() for name in web_runtime.BUILDS["wasm"]}
    assert web_runtime.runtime_files(published) == expected
    assert web_runtime.runtime_files(published.parent) == expected


def test_files_of_a_build_that_is_not_wanted_need_not_be_there(published: Path):
    """Catches a folder of the plain build that is refused for want of the one with WebGPU, and the other way
    about, a site with WebGPU that lacks its files."""
    for name in web_runtime.BUILDS["webgpu"]:
        (published / name).unlink()
    assert set(web_runtime.runtime_files(published)) == set(web_runtime.BUILDS["wasm"])
    with pytest.raises(WeightsError, match=f"cannot read .*{web_runtime.GPU_SCRIPT}"):
        web_runtime.runtime_files(published, ["wasm", "webgpu"])


def test_other_files_are_refused(published: Path):
    """Catches files that are taken unchecked, and errors that do not name the file."""
    (published / web_runtime.WASM).write_bytes(b"other")
    with pytest.raises(WeightsError, match=rf"{web_runtime.WASM} has SHA-256 .*, expected"):
        web_runtime.runtime_files(published)
    (published / web_runtime.SCRIPT).unlink()
    with pytest.raises(WeightsError, match=f"cannot read .*{web_runtime.SCRIPT}"):
        web_runtime.runtime_files(published)


def test_a_damaged_file_of_the_cache_is_named_with_its_place(published: Path, tmp_path: Path):
    """Catches an error that comes again at each export and does not say which file to remove."""
    cached = tmp_path / "cache" / "onnxruntime-web" / web_runtime.VERSION
    cached.mkdir(parents=True)
    for name in web_runtime.FILES:
        (cached / name).write_bytes(b"cut")
    with pytest.raises(WeightsError, match=rf"{cached / web_runtime.SCRIPT} has SHA-256 .*: remove it"):
        web_runtime.runtime_files()


def test_without_npm_the_remedy_is_named(published: Path, monkeypatch: pytest.MonkeyPatch):
    """Catches a traceback where npm is not installed."""
    monkeypatch.setattr(web_runtime.shutil, "which", lambda _: None)
    with pytest.raises(WeightsError, match=r"npm, .* is not installed: install it, or .*--runtime FOLDER"):
        web_runtime.runtime_files()
