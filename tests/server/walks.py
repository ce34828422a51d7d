"""A walk through the editor: it looks at each step, reads colours off the screen, and keeps pictures."""

import base64
import io
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from browser_parts import Editor
from fingers import Finger, Pen
from maskmend.cli.demo import sample_pairs
from maskmend.images.picture import load_image
from maskmend.pipeline import InpaintPipeline
from maskmend.server.workers import InProcess, fill
from page_looks import faults, settle
from server_parts import PATIENCE

SHOTS = os.environ.get("MASKMEND_SHOTS")
SAMPLE = load_image(sample_pairs()[0][1]).pixels
SIDE = len(SAMPLE)
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
WIDE = {"viewport": {"width": 1280, "height": 800}}
WALKS = {
    "wide-light": (WIDE, "light", "en"),
    "wide-dark": (WIDE, "dark", "en"),
    "wide-german": (WIDE, "light", "de"),
    "phone-light": (PHONE, "light", "en"),
    "phone-dark": (PHONE, "dark", "en"),
    "phone-german": (PHONE, "light", "de"),
    "phone-chinese": (PHONE, "dark", "zh"),
}
PLACE = """() => {
    const { left, top, width, height } = document.querySelector("#canvas").getBoundingClientRect();
    const drawer = document.querySelector("#drawer").getBoundingClientRect();
    const below = drawer.width > width - 16 ? top + height - drawer.top : 56; // a phone's drawer, or the dock
    const percent = parseFloat(document.querySelector("#zoom-out-text").textContent);
    return [left, top, width, height, below, percent];
}"""
READ = """(canvas, [left, top, scale, rows, columns]) => {
    const ratio = canvas.width / canvas.clientWidth;
    const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return rows.map((row) => columns.map((column) => {
        const x = Math.floor((left + (column + 0.5) * scale) * ratio);
        const at = 4 * (Math.floor((top + (row + 0.5) * scale) * ratio) * width + x);
        return [...data.slice(at, at + 3)];
    }));
}"""


class Held(InpaintPipeline):
    """Waits at its second step when told to; each step seems to take nine seconds."""

    now = 0.0
    hold = False

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.go_on = threading.Event()

    def __call__(self, *given: Any, events: Any, **more: Any) -> Any:
        def step(_: Any) -> None:
            self.now += 9

        def preview(news: Any) -> None:
            events.on_preview(news)
            if self.hold and news.step.index == 2:
                assert self.go_on.wait(PATIENCE)

        return super().__call__(*given, events=replace(events, on_step=step, on_preview=preview), **more)


class ByItsClock(InProcess):
    """Fills by the clock of the pipeline."""

    def fill(self, batch: Any, finished: Any) -> None:
        pipe: Any = self.catalogue.entry(None).loaded()
        fill(pipe, batch, finished, clock=lambda: pipe.now)


class Walk:
    """One browser window, and what was wrong in the states it went through."""

    def __init__(self, editor: Editor, name: str, *, touch: bool) -> None:
        self.editor, self.page, self.name, self.touch = editor, editor.page, name, touch
        self.hand: Any = Finger(self.page) if touch else Pen(self.page)
        self.wrong: list[str] = []
        self.states = 0

    def state(self, name: str) -> None:
        """What is in sight now is looked at."""
        settle(self.page)
        self.states += 1
        self.wrong += [f"{name}: {fault}" for fault in faults(self.page, touch=self.touch)]
        self.shot(name)

    def shot(self, name: str) -> None:
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=str(Path(SHOTS) / f"{self.name}-{self.states:02d}-{name}.png"))

    def press(self, selector: str) -> None:
        one = self.page.locator(selector)
        if self.touch:
            one.tap()
        else:
            one.click()

    def tool(self, name: str) -> None:
        """Chooses a tool, in the drawer where that is its place."""
        bar = f".tools [data-tool={name}]"
        if self.editor.shown(bar):
            self.press(bar)
        else:
            self.press("#drawer-open")
            self.press(f".drawer [data-tool={name}]")
        settle(self.page)

    def frame(
        self, size: tuple[int, int] = (SIDE, SIDE), *, room: bool = False
    ) -> tuple[float, float, float]:
        """Where in the window a fitted picture of `size` begins, (left, top), and its scale; with room around
        it for its borders."""
        left, top, width, height, below, percent = self.page.evaluate(PLACE)
        scale, down = percent / 100, below / 2 * (0.75 if room else 1)
        return left + (width - size[0] * scale) / 2, top + (height - size[1] * scale) / 2 - down, scale

    def at(self, x: float, y: float, size: tuple[int, int] = (SIDE, SIDE), *, room: bool = False):
        """Where a pixel of that picture lies in the window."""
        left, top, scale = self.frame(size, room=room)
        return left + x * scale, top + y * scale

    def tap(self, x: float, y: float) -> None:
        if self.touch:
            self.page.touchscreen.tap(*self.at(x, y))
        else:
            self.page.mouse.click(*self.at(x, y))

    def cells(self, **where: Any) -> np.ndarray:
        """The window's colours at the middle of each of the picture's pixels, as integers."""
        if not self.touch:
            self.page.mouse.move(1, 1)  # no brush over it
        settle(self.page)
        shot = np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"), int)
        ratio = shot.shape[1] / self.page.viewport_size["width"]
        width, height = where.get("size", (SIDE, SIDE))
        left, top, scale = self.frame(**where)
        columns, rows = left + (np.arange(width) + 0.5) * scale, top + (np.arange(height) + 0.5) * scale
        return shot[np.ix_(*(np.floor(each * ratio).astype(int) for each in (rows, columns)))]

    def uncovered(self) -> np.ndarray:
        """The pixels of the picture that the drawer and its shadow leave in sight."""
        box = self.page.locator("#drawer").bounding_box()
        left, top, scale = self.frame()
        across, down = left + (np.arange(SIDE) + 0.5) * scale, top + (np.arange(SIDE) + 0.5) * scale
        beside = (across < box["x"] - 60) | (across > box["x"] + box["width"] + 60)
        above = (down < box["y"] - 60) | (down > box["y"] + box["height"] + 60)
        return above[:, None] | beside


def over(pixels: np.ndarray, colour: tuple[int, ...], mask: np.ndarray) -> np.ndarray:
    """`pixels` with a translucent colour laid over `mask`."""
    share = colour[3] / 255
    return np.where(mask[..., None], pixels * (1 - share) + np.array(colour[:3]) * share, pixels)


def near(a: np.ndarray, b: np.ndarray, where: np.ndarray | bool = True, levels: float = 3) -> bool:
    """Whether colours are the same but for rounding."""
    apart = np.abs(a - b).max(axis=-1) > levels
    return not (apart & where).any()


def alike(canvas: Any, pixels: np.ndarray, levels: float = 14) -> bool:
    """Whether a small canvas shows `pixels`, looked at from afar."""
    url = canvas.evaluate("(canvas) => canvas.toDataURL()")
    shown = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")
    wanted = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    small = [np.asarray(one.resize((8, 8), Image.Resampling.BOX), int) for one in (shown, wanted)]
    return near(*small, levels=levels)


def read(canvas: Any, left: float, top: float, scale: float, part: np.ndarray) -> np.ndarray:
    """The colours at the pixels of `part`, a box of a picture that a canvas shows from (left, top) on."""
    rows, columns = (np.unique(each).tolist() for each in np.nonzero(part))
    return np.array(canvas.evaluate(READ, [left, top, scale, rows, columns]))


def cut_out(pixels: np.ndarray, part: np.ndarray) -> np.ndarray:
    return pixels[np.ix_(*(np.unique(each) for each in np.nonzero(part)))]
