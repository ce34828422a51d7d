"""What fingers do on a phone, as the browser itself tells of them: borders dragged, colours painted by
pressure, a mask taken from the clipboard."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from browser_parts import Editor
from fingers import Finger, between
from page_looks import settle

HOLE = (slice(20, 44), slice(12, 52))

COPY = """async (data) => {
    const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
    const picture = new Blob([bytes], { type: "image/png" });
    await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
}"""


@pytest.fixture
def phone(browser, recorded):
    """The editor on a phone with a picture of 64 x 64 pixels, and a finger."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    editor = Editor(context, recorded[1])
    editor.take_sample()
    yield editor, Finger(editor.page)
    context.close()
    assert editor.complaints == []


def at(editor, x, y, width=64, height=64, room=1.0):
    """Where a pixel lies on the screen; `room` is how much smaller the picture is shown than it would fit."""
    box = editor.page.locator("#canvas").bounding_box()
    scale = editor.zoom / 100
    left = box["x"] + box["width"] / 2 + (x - width / 2) * scale
    return left, box["y"] + box["height"] / 2 - 28 * room + (y - height / 2) * scale


def choose(editor, selector):
    editor.page.locator(selector).tap()
    settle(editor.page)  # fitted with the next frame


def size(editor):
    return editor.page.locator("#file-size").text_content()


def copied(page, levels):
    """A picture into the clipboard."""
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    page.evaluate(COPY, base64.b64encode(file.getvalue()).decode())


def test_a_finger_drags_a_border_and_what_is_new_is_filled(phone, recorded):
    """Catches handles that only a mouse can hold, and a drag that scrolls the page or moves the picture."""
    editor, finger = phone
    choose(editor, "button[data-tool=extend]")
    finger.drag(between(at(editor, 64, 32, room=0.75), at(editor, 74, 32, room=0.75)))
    assert size(editor) == "74 × 64"
    settle(editor.page)
    finger.drag(between(at(editor, 0, 0, 74, room=0.75), at(editor, -6, -8, 74, room=0.75)))
    assert size(editor) == "80 × 72"
    assert editor.page.evaluate("[scrollX, scrollY, visualViewport.scale]") == [0, 0, 1]
    editor.fill()
    (mask,) = recorded[0].asked[-1]["mask"]
    wanted = np.ones((72, 80), bool)
    wanted[8:, 6:70] = False
    np.testing.assert_array_equal(mask, wanted)


def test_a_tap_right_after_a_quick_stroke_presses_the_button(phone):
    """Catches a canvas whose strokes Chromium takes for flings: for a second after each, no button can be
    pressed."""
    editor, finger = phone
    page = editor.page
    for name in ("eraser", "brush"):
        box = page.locator(f"button[data-tool={name}]").bounding_box()
        finger.drag(between(at(editor, 5, 10), at(editor, 60, 55)))
        finger.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.locator(f"body[data-tool={name}]").wait_for()


def test_a_finger_paints_colours_finer_where_it_presses_lightly(phone, recorded):
    """Catches colours that a phone's finger cannot paint, or that pressure does not reach."""
    editor, finger = phone
    choose(editor, "button[data-tool=rectangle]")
    finger.drag(between(at(editor, 12.3, 20.3), at(editor, 51.7, 43.7)))  # whole pixels, whatever is rounded
    choose(editor, "button[data-tool=colour]")
    editor.page.locator("#colour").fill("#2080d0")
    editor.page.locator("#size").fill("10")
    finger.drag(between(at(editor, 16, 26), at(editor, 48, 26), steps=12), (0.1, 0.12))
    finger.drag(between(at(editor, 16, 38), at(editor, 48, 38), steps=12), (0.97, 1.0))
    editor.fill()
    asked = recorded[0].asked[-1]
    (mask,), (guide,) = asked["mask"], asked["guide"]
    hole = np.zeros((64, 64), bool)
    hole[HOLE] = True
    np.testing.assert_array_equal(mask, hole)
    painted = guide.alpha > 0
    assert not painted[~hole].any()
    assert (guide.pixels[painted] == (0x20, 0x80, 0xD0)).all()
    assert 3 <= painted[20:32, 40].sum() <= 5  # 0.35 + 0.65 * 0.12 of ten pixels
    assert 9 <= painted[32:44, 40].sum() <= 10


def test_a_mask_is_pasted_by_a_button(phone):
    """Catches a button that needs a keyboard, and one that takes whatever else is in the clipboard."""
    editor, _ = phone
    page = editor.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    hole = np.zeros((64, 64), np.uint8)
    hole[HOLE] = 255
    copied(page, hole)
    choose(editor, "#drawer-open")
    choose(editor, "#mask-paste")
    page.locator("#status", has_text="What was pasted is the mask now").wait_for()
    choose(editor, "#drawer-close")
    np.testing.assert_array_equal(editor.mask(), hole > 0)
    page.evaluate("navigator.clipboard.writeText('no picture')")
    choose(editor, "#drawer-open")
    choose(editor, "#mask-paste")
    page.locator("#trouble", has_text="There is no picture in the clipboard. Copy one first.").wait_for()
    choose(editor, "#drawer-close")
    np.testing.assert_array_equal(editor.mask(), hole > 0)


def test_a_clipboard_that_is_kept_back_is_told(phone):
    """Catches a button that does nothing without a word where the browser refuses."""
    editor, _ = phone
    choose(editor, "#drawer-open")
    choose(editor, "#mask-paste")
    told = editor.page.locator("#trouble", has_text="does not let this page read the clipboard")
    told.wait_for()
    assert "Ctrl+V" in told.inner_text()
