"""Chromium for the editor's tests: Debian's, by the path of its executable; nothing is downloaded."""

import functools
import http.server
import io
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from page_looks import settle
from waiting import until

ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def executable() -> str:
    """Chromium's path (CHROMIUM names another). Skips where there is none."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium, or name one in CHROMIUM")
    return found


@contextmanager
def launched() -> Iterator[Any]:
    """The browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = executable()
    with playwright.sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def files_served(folder: Path, handler: type[Quiet] = Quiet) -> Iterator[str]:
    """The address of a server of the files in `folder`. A browser trusts localhost as it trusts https."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def come_true(page: Any, expression: str) -> None:
    """Waits until `expression` is, in a page that may be loaded anew meanwhile, and whose policy may forbid
    `wait_for_function`."""
    playwright = pytest.importorskip("playwright.sync_api")

    def true() -> bool:
        with suppress(playwright.Error):  # a page that goes has no answer
            return bool(page.evaluate(expression))
        return False

    until(true)


class Editor:
    """The page, as a person uses it."""

    def __init__(self, context: Any, url: str, *, wait: bool = True) -> None:
        self.url = url
        self.page = context.new_page()
        self.page.set_default_timeout(120_000)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self._heard(message))
        self.page.goto(url)
        if wait:
            self.page.locator("#sample-list img").first.wait_for()

    def _heard(self, message: Any) -> None:
        # What the network does is told to the person; what the page does wrong is not.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def take_sample(self, number: int = 0) -> None:
        self.page.locator("#sample-list button").nth(number).click()
        self.page.locator("#file").wait_for()
        settle(self.page)  # the zoom is told with the next frame

    def hand_over(self, kind: str, content: bytes) -> None:
        """Drops ("drop") or pastes ("paste") a PNG file of that name; the context needs bypass_csp."""
        self.page.evaluate(
            """([kind, bytes]) => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([new Uint8Array(bytes)], `${kind}.png`, { type: "image/png" }));
                const carried = kind === "drop" ? { dataTransfer: transfer } : { clipboardData: transfer };
                const Kind = kind === "drop" ? DragEvent : ClipboardEvent;
                document.body.dispatchEvent(new Kind(kind, { bubbles: true, cancelable: true, ...carried }));
            }""",
            [kind, list(content)],
        )

    def give(self, path: Path, field: str = "#file-input") -> None:
        self.page.set_input_files(field, str(path))

    def place(self, x: float, y: float, size: int = 64) -> tuple[float, float]:
        """Where on the screen the pixel (x, y) of a square picture lies when it is fitted into the stage."""
        box = self.page.locator("#canvas").bounding_box()
        scale = self.zoom / 100
        left = box["x"] + (box["width"] - size * scale) / 2
        top = box["y"] + (box["height"] - 56 - size * scale) / 2
        return left + x * scale, top + y * scale

    def middle(self) -> tuple[float, float]:
        """Where on the screen the middle of a picture of any shape lies when it is fitted into the stage."""
        box = self.page.locator("#canvas").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 - 28

    @property
    def zoom(self) -> float:
        return float(self.page.locator("#zoom-out-text").inner_text().removesuffix(" %"))

    def wait_for_zoom(self, percent: int) -> None:
        """It is told with the next frame."""
        self.page.locator("#zoom-out-text").filter(has_text=re.compile(f"^{percent} %$")).wait_for()

    def drag(self, *points: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*self.place(*points[0]))
        mouse.down()
        for point in points[1:]:
            mouse.move(*self.place(*point), steps=4)
        mouse.up()

    def fill(self) -> None:
        self.page.click("#fill")
        self.until_filled()

    def until_filled(self) -> None:
        self.page.locator(".pick input:enabled").nth(3).wait_for()

    def saved(self, button: str) -> bytes:
        """The file that a button hands out."""
        narrow = self.shown("#more")
        if narrow:
            self.page.click("#more")
        with self.page.expect_download() as waiting:
            self.page.click(button)
        if narrow:
            self.page.click("#more")
            settle(self.page)  # the picture is fitted anew
        return Path(waiting.value.path()).read_bytes()

    def mask(self) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(self.saved("#mask-save"))).convert("L")) > 127

    def seen(self) -> np.ndarray:
        """A picture of 64 x 64 pixels as it lies on the canvas at 800 %, with whatever is drawn over it."""
        self.page.mouse.move(1, 1)  # no brush over it
        settle(self.page)  # drawn with the next frame
        shot = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        left, top = map(round, self.place(0, 0))
        return np.asarray(shot)[top + 4 : top + 512 : 8, left + 4 : left + 512 : 8]

    def status(self) -> str:
        return self.page.locator("#status").inner_text()

    def shown(self, selector: str) -> bool:
        return self.page.locator(selector).is_visible()
