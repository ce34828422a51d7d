"""The documents' pictures of the editor, from a running server with the shipped models.

maskmend serve --port 8765 &
PYTHONPATH=tests:tests/server python tests/server/screenshots.py http://127.0.0.1:8765/ docs/images
"""

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from browser_parts import Editor, launched

PHOTOGRAPHS = ("editor-guide", "editor-phone")
"""Those with a photograph in them, which are written as JPEG."""
WIDE = {"viewport": {"width": 1180, "height": 800}}


def fills(editor: Editor) -> None:
    """Four fills of a stroke across a face."""
    editor.take_sample(1)
    for _ in range(3):
        editor.page.keyboard.press("]")
    editor.drag((30, 6), (24, 20), (18, 36), (24, 48))
    editor.fill()
    untimed(editor)


def under_way(editor: Editor) -> None:
    """A fill of which some tokens are not settled."""
    editor.take_sample(0)
    for _ in range(3):
        editor.page.keyboard.press("]")
    editor.drag((14, 24), (22, 30), (30, 36), (38, 44), (46, 46))
    editor.page.click("#fill")
    told = editor.page.locator("#progress-text", has_text=re.compile("step [3-6]"))
    told.wait_for()
    told.evaluate("(one) => { one.textContent = one.textContent.split(', about')[0]; }")  # of this machine


def guide(editor: Editor) -> None:
    """A boat painted into a hole, and the right border dragged outwards."""
    photograph(editor, "object.jpg")
    page = editor.page
    stroke(editor, (130, -20), (260, -20), (260, 20), (130, 20), (130, 0), (260, 0))
    page.keyboard.press("x")
    page.locator("#extend-form [name=right]").fill("15%")
    page.keyboard.press("Enter")
    page.locator("#canvas").focus()
    page.keyboard.press("p")
    for _ in range(9):
        page.keyboard.press("[")
    for colour, *points in (
        ("#b02a20", (60, 26), (140, 26)),
        ("#e8dfc8", (90, 10), (90, -34), (116, 8), (94, 4)),
    ):
        page.locator("#colour").fill(colour)
        stroke(editor, *points)


def phone(editor: Editor) -> None:
    """Four fills on a small screen."""
    photograph(editor, "scratch.jpg")
    stroke(editor, (60, -60), (110, -52))
    editor.fill()
    untimed(editor)


SHOTS: dict[str, tuple[Callable[[Editor], None], dict[str, Any]]] = {
    "editor-light": (fills, WIDE),
    "editor-dark": (under_way, WIDE | {"color_scheme": "dark"}),
    "editor-guide": (guide, WIDE),
    "editor-phone": (phone, {"viewport": {"width": 390, "height": 760}, "has_touch": True}),
}


def untimed(editor: Editor) -> None:
    """The status line tells the seconds, which are those of the machine the picture was made on."""
    picks = editor.page.locator(".pick")
    best = int(editor.page.locator(".pick input:checked").get_attribute("value"))
    for number in ((best + 1) % 4, best):
        picks.nth(number).click()


def photograph(editor: Editor, name: str) -> None:
    names = editor.page.evaluate("fetch('samples').then((answer) => answer.json())")["samples"]
    editor.take_sample(names.index(name))
    editor.page.locator("#file-name", has_text=name).wait_for()


def stroke(editor: Editor, *points: tuple[float, float]) -> None:
    """A drag; points are CSS pixels from the picture's middle."""
    x, y = editor.middle()
    mouse = editor.page.mouse
    mouse.move(x + points[0][0], y + points[0][1])
    mouse.down()
    for right, down in points[1:]:
        mouse.move(x + right, y + down, steps=4)
    mouse.up()


def shoot(url: str, folder: Path, names: list[str]) -> None:
    with launched() as browser:
        for name in names:
            prepare, options = SHOTS[name]
            context = browser.new_context(**{"color_scheme": "light"} | options)
            editor = Editor(context, url)
            editor.page.set_default_timeout(600_000)
            prepare(editor)
            editor.page.mouse.move(5, 700)
            editor.page.wait_for_timeout(100)
            shot = Image.open(io.BytesIO(editor.page.screenshot())).convert("RGB")
            if name in PHOTOGRAPHS:
                shot.save(folder / f"{name}.jpg", quality=88)
            else:
                shot.save(folder / f"{name}.png", optimize=True)
            context.close()


if __name__ == "__main__":
    shoot(sys.argv[1], Path(sys.argv[2]), sys.argv[3:] or list(SHOTS))
