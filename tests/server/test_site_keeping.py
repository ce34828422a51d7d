"""How the site of `maskmend export web` is kept by its service worker: a small site, without the editor."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser_parts import Quiet, come_true, files_served
from maskmend.export.web import POLICY, SITE

PAGE = b'<!doctype html><title>waiting</title><script type="module" src="page.js"></script>'
SCRIPT = b"""import { controlled } from "./browser/offline.js";
controlled().then(() => { document.title = "ready"; });"""


class Keeping(Quiet):
    """A server whose answers may be kept for an hour, as many are."""

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "max-age=3600")
        super().end_headers()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with files_served(folder, Keeping) as address:
        yield address


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def lay(folder: Path, version: str, words: str, *more: str) -> None:
    """The small site, which says `words`; `more` are pages of it that are not there."""
    (folder / "browser").mkdir(parents=True, exist_ok=True)
    files = {
        "index.html": PAGE, "page.js": SCRIPT, "words.txt": words.encode(), "model.bin": words.encode(),
        "browser/offline.js": (SITE / "browser" / "offline.js").read_bytes(),
    }  # fmt: skip
    pages = [path for path in files if path != "model.bin"]
    about = {"version": version, "policy": POLICY, "pages": [*pages, *more], "files": [*files, *more]}
    worker = (SITE / "service-worker.js").read_bytes()
    files["service-worker.js"] = f"const SITE = {json.dumps(about)};\n".encode() + worker
    for path, content in files.items():
        (folder / path).write_bytes(content)
        # A server tells versions by the second in which they were written: within one, nothing would be new.
        written = 1_700_000_000 + 60 * int(version)
        os.utime(folder / path, (written, written))


def said(page: Any) -> list[str]:
    return page.evaluate(
        "Promise.all(['words.txt', 'model.bin'].map(async (path) => (await fetch(path)).text()))"
    )


def test_a_new_version_brings_new_files_and_the_old_ones_go(page: Any, url: str, folder: Path):
    """Catches files of the version before, from the browser's own cache, kept as those of the new one."""
    lay(folder, "1", "one")
    page.goto(url)
    come_true(page, "document.title === 'ready' && crossOriginIsolated")
    assert said(page) == ["one", "one"]
    lay(folder, "2", "two")
    page.reload()
    come_true(page, "caches.keys().then((keys) => keys.length === 1 && keys[0] === 'maskmend / 2')")
    page.reload()
    come_true(page, "document.title === 'ready'")
    assert said(page) == ["two", "two"]


def test_a_folder_without_its_slash_is_found(page: Any, url: str, folder: Path):
    """Catches a site beside this one that cannot be opened once this one's service worker is there."""
    lay(folder, "3", "three")
    (folder / "other").mkdir()
    (folder / "other" / "index.html").write_text("<!doctype html><title>other</title>")
    page.goto(url)
    come_true(page, "document.title === 'ready' && crossOriginIsolated")
    page.goto(f"{url}other")
    assert (page.title(), page.url) == ("other", f"{url}other/")


def test_a_site_that_cannot_be_kept_works_all_the_same(page: Any, url: str, folder: Path):
    """Catches a page that waits for ever for its service worker, where there is no room for its files."""
    lay(folder / "full", "1", "one", "not-there.txt")
    page.goto(f"{url}full/")
    come_true(page, "document.title === 'ready'")
    assert said(page) == ["one", "one"]
