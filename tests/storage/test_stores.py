"""Folders behind URLs: what goes wrong there is one line, and every URL is read from where it points."""

import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from maskmend.errors import ConfigError, DataError
from maskmend.storage import stores
from maskmend.storage.stores import Store


class NoCredentialsError(Exception):
    """As botocore's: no OSError."""


class Refusing:
    """A file system that nobody may use."""

    def size(self, path: str) -> int:
        raise NoCredentialsError("unable to locate credentials")

    def open(self, path: str, mode: str) -> object:
        raise NoCredentialsError("unable to locate credentials")

    def info(self, path: str) -> dict[str, object]:
        raise NoCredentialsError("unable to locate credentials")

    def isfile(self, path: str) -> bool:
        """As fsspec's."""
        try:
            return self.info(path)["type"] == "file"
        except Exception:
            return False

    exists = isfile


@pytest.mark.parametrize("ask", [stores.size_of, stores.open_binary])
def test_missing_credentials_are_one_line(ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a traceback of the storage's library, hours into a training."""
    monkeypatch.setattr(stores, "file_system", lambda url: (Refusing(), url))
    with pytest.raises(DataError, match=r"cannot read s3://bucket/a\.tar: unable to locate credentials"):
        ask("s3://bucket/a.tar")


@pytest.mark.parametrize("ask", [Store.holds, Store.remove])
def test_what_may_not_be_looked_at_is_not_called_missing(ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches wrong credentials taken for an empty place: a run would start over, or find no shards."""
    monkeypatch.setattr(stores, "file_system", lambda url: (Refusing(), url))
    with pytest.raises(DataError, match=r"cannot .* s3://bucket/a\.tar: unable to locate credentials"):
        ask(Store(place="s3://bucket"), "a.tar")


def test_a_place_behind_a_url_holds_its_files_and_no_others() -> None:
    """Catches a folder taken for a file, and an error for what is merely not there."""
    pytest.importorskip("fsspec", reason="fsspec is not installed: pip install '.[cloud]'")
    store = Store(place="memory://tidy")
    store.write("in/a.tar", b"a")
    assert store.holds("in/a.tar")
    assert not any(store.holds(name) for name in ("in", "b.tar", "in/a.tar/b"))
    for _ in range(2):
        store.remove("in/a.tar")
    assert not store.holds("in/a.tar")


class Account:
    """A file system whose files hold the account's name."""

    def __init__(self, name: bytes) -> None:
        self.content = name

    def cat_ranges(self, paths: list[str], starts: list[int], ends: list[int]) -> list[bytes]:
        return [self.content[start:end] for start, end in zip(starts, ends, strict=True)]


def test_a_link_to_a_folder_above_is_not_followed(tmp_path: Path) -> None:
    """Catches pictures that are filled forty times, until the system gives up the path."""
    (tmp_path / "photos" / "inner").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "photos" / "inner" / "a.png").touch()
    for name, target in (("here", "."), ("above", ".."), ("other", tmp_path / "other")):
        (tmp_path / "photos" / "inner" / name).symlink_to(target)
    found = Store(place=str(tmp_path / "photos")).listing("inner")
    assert found == (["inner/other"], ["inner/a.png"])


def test_urls_of_two_accounts_are_read_from_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches bytes of another account's file of the same name."""
    accounts = {"one": Account(b"first"), "two": Account(b"other")}
    monkeypatch.setattr(
        stores, "file_system", lambda url: (accounts[url.split("@")[1].split("/")[0]], url.rsplit("/", 1)[1])
    )
    ranges = [(f"abfs://box@{name}/a.tar", 0, 5) for name in ("one", "two", "one")]
    assert stores.read_ranges(ranges) == [b"first", b"other", b"first"]


@pytest.mark.parametrize(
    ("url", "package"),
    [
        ("s3://b/x", "s3fs"),
        ("gs://b/x", "gcsfs"),
        ("gcs://b/x", "gcsfs"),
        ("hf://datasets/a/b", "huggingface_hub"),
    ],
)
def test_the_extra_that_is_named_installs_what_is_missing(
    url: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches advice to install an extra after which the same message comes again."""
    registry = pytest.importorskip("fsspec.registry")
    monkeypatch.delitem(registry._registry, url.split("://")[0], raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[cloud\]'"):
        stores.file_system(url)
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extra = [Requirement(line).name.replace("-", "_") for line in project["optional-dependencies"]["cloud"]]
    assert package in extra


def test_another_protocols_package_is_named_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches advice to install an extra that does not help."""
    registry = pytest.importorskip("fsspec.registry")
    monkeypatch.delitem(registry._registry, "abfs", raising=False)
    monkeypatch.setitem(sys.modules, "adlfs", None)
    with pytest.raises(ConfigError, match="Install adlfs") as told:
        stores.file_system("abfs://box/x")
    assert "cloud" not in str(told.value)


def test_what_another_process_writes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches files that are taken for missing because their folder was listed before they were written."""
    fsspec = pytest.importorskip("fsspec")

    class Keeping(fsspec.AbstractFileSystem):
        """Answers from the listings it keeps, as those of object storage do."""

        written = ("box/a",)

        def ls(self, path: str, detail: bool = True, **_: object) -> list[dict[str, object]]:
            if path not in self.dircache:
                self.dircache[path] = [{"name": name, "type": "file", "size": 1} for name in self.written]
            return self.dircache[path]

        def invalidate_cache(self, path: str | None = None) -> None:
            self.dircache.clear()

    system = Keeping(skip_instance_cache=True)
    monkeypatch.setattr(stores, "file_system", lambda url: (system, url.removeprefix("keeping://")))
    store = stores.Store(place="keeping://box")
    assert store.listing() == ([], ["a"])
    system.written = ("box/a", "box/b")
    assert store.holds("b")
    assert store.listing() == ([], ["a", "b"])
