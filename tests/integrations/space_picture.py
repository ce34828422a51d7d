"""The documents' picture of the Space: a stroke over a photograph in its page, in Chromium, and the fill.

GRADIO_SERVER_PORT=7862 python integrations/space/app.py &
PYTHONPATH=src:tests:tests/server:tests/integrations python tests/integrations/space_picture.py \
    http://127.0.0.1:7862/ docs/images/space.jpg
"""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from test_space import rested

from browser_parts import launched
from maskmend.assets import PHOTOGRAPHS
from maskmend.assets.samples import sample_pairs

NAME = "text"


def placed(page: Any, canvas: Any, size: tuple[int, int]) -> tuple[float, float, float]:
    """Where on the screen the picture's left upper corner is once it stands still, and pixels of the screen
    for each of its own."""
    shot = rested(page, canvas)
    rows, columns = np.nonzero(np.ptp(shot, axis=2) > 24)  # all around it is grey
    box, middle = canvas.bounding_box(), (float(np.median(columns)), float(np.median(rows)))
    (left, right), (top, bottom) = (np.percentile(line, (0.2, 99.8)) for line in (columns, rows))
    scale = max((right - left) / size[0], (bottom - top) / size[1])
    return box["x"] + middle[0] - scale * size[0] / 2, box["y"] + (top + bottom - scale * size[1]) / 2, scale


def main(url: str, target: Path) -> None:
    (photograph, mask_file), *_ = [pair[1:] for pair in sample_pairs(PHOTOGRAPHS) if pair[0] == NAME]
    rows, columns = np.nonzero(np.asarray(Image.open(mask_file).convert("L")) > 127)
    with launched() as browser:
        page = browser.new_page(viewport={"width": 1100, "height": 700})
        page.set_default_timeout(900_000)
        page.goto(url)
        upload = page.get_by_role("button", name="Upload", exact=True)
        upload.wait_for()
        canvas = page.locator("canvas").first
        rested(page, canvas)
        with page.expect_file_chooser() as chooser:
            upload.click()
        chooser.value.set_files(str(photograph))
        page.get_by_text("Upload an image").wait_for(state="hidden")
        page.get_by_role("button", name="Brush", exact=True).click()
        page.mouse.move(5, 5)  # no brush over it
        with Image.open(photograph) as picture:
            left, top, scale = placed(page, canvas, picture.size)
        y = top + scale * (rows.min() + rows.max()) / 2
        page.mouse.move(left + scale * columns.min(), y)
        page.mouse.down()
        page.mouse.move(left + scale * columns.max(), y, steps=12)
        page.mouse.up()
        page.mouse.move(5, 5)
        rested(page, canvas)
        page.locator("#fill").click()
        page.locator("#fills img").first.wait_for()
        page.wait_for_timeout(2000)
        Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(target, quality=88, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
