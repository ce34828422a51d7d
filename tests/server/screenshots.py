"""The README's pictures of the editor, from a running server with the shipped model.

maskmend serve --port 8765 &
PYTHONPATH=tests:tests/server python tests/server/screenshots.py http://127.0.0.1:8765/ docs/images
"""

import io
import re
import sys
from pathlib import Path

from PIL import Image

from browser_parts import Editor, launched

SHOTS = {
    # scheme: (sample, stroke, whether the fill is still under way)
    "light": (1, [(30, 6), (24, 20), (18, 36), (24, 48)], False),
    "dark": (0, [(14, 24), (22, 30), (30, 36), (38, 44), (46, 46)], True),
}


def shoot(url: str, folder: Path) -> None:
    with launched() as browser:
        for scheme, (sample, stroke, under_way) in SHOTS.items():
            context = browser.new_context(viewport={"width": 1180, "height": 800}, color_scheme=scheme)
            editor = Editor(context, url)
            editor.page.set_default_timeout(120_000)
            editor.take_sample(sample)
            for _ in range(3):
                editor.page.keyboard.press("]")
            editor.drag(*stroke)
            if under_way:
                editor.page.click("#fill")
                editor.page.locator("#progress-text", has_text=re.compile("step [3-6]")).wait_for()
            else:
                editor.fill()
            editor.page.mouse.move(5, 700)
            editor.page.wait_for_timeout(100)
            shot = Image.open(io.BytesIO(editor.page.screenshot())).convert("RGB")
            shot.save(folder / f"editor-{scheme}.png", optimize=True)
            context.close()


if __name__ == "__main__":
    shoot(sys.argv[1], Path(sys.argv[2]))
