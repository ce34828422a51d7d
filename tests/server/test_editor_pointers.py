"""The editor under fingers and a pen."""

import io

import numpy as np
import pytest
from PIL import Image

from browser_parts import Editor


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_small_screen_with_a_finger(browser, url, scheme):
    """Catches controls that are out of reach, and colours that are not the system's."""
    context = browser.new_context(
        viewport={"width": 390, "height": 780}, has_touch=True, color_scheme=scheme, device_scale_factor=2
    )
    editor = Editor(context, url)
    editor.take_sample(3)
    editor.page.touchscreen.tap(*editor.place(32, 32))
    assert editor.mask().any()
    editor.fill()
    editor.page.click("#more")
    for selector in ("#fill", "#undo", "#accept", "#download", "#settings"):
        box = editor.page.locator(selector).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert box["height"] >= 24
    shot = Image.open(io.BytesIO(editor.page.screenshot())).convert("L").getpixel((4, 4))
    assert (shot > 128) == (scheme == "light")
    context.close()
    assert editor.complaints == []


def test_two_fingers_zoom_and_leave_the_fills_alone(browser, url):
    """Catches alternatives put away, or a dab painted, by the first finger of a pinch; a finger's stroke that
    does not paint."""
    context = browser.new_context(viewport={"width": 700, "height": 800}, has_touch=True)
    editor = Editor(context, url)
    editor.take_sample(3)
    fingers = context.new_cdp_session(editor.page)

    def touch(kind, *places):
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", editor.place(20, 30))
    touch("touchMove", editor.place(36, 30))
    touch("touchEnd")
    painted = editor.mask()
    assert painted[30, 20:37].all()
    editor.fill()
    editor.page.locator("#canvas").scroll_into_view_if_needed()
    editor.page.evaluate("scrollTo(0, 0)")  # the buttons lie below
    zoom = editor.zoom
    touch("touchStart", editor.place(30, 40))
    touch("touchStart", editor.place(30, 40), editor.place(40, 40))
    touch("touchMove", editor.place(20, 40), editor.place(50, 40))
    touch("touchMove", editor.place(10, 40), editor.place(60, 40))
    touch("touchEnd")
    editor.page.locator("#zoom-out-text", has_not_text=f"{zoom:.0f} %").wait_for()
    assert editor.zoom > zoom
    assert editor.page.locator(".pick input:enabled").count() == 4
    assert np.array_equal(editor.mask(), painted)
    context.close()
    assert editor.complaints == []


def test_a_pen_paints_finer_when_it_is_hardly_pressed(editor):
    """Catches pens that do not paint, and pressure that is not heeded."""
    editor.take_sample()
    pen = editor.page.context.new_cdp_session(editor.page)
    widths = []
    for y, force in ((20, 1.0), (44, 0.1)):
        for kind, x, buttons in (("mouseMoved", 10, 0), ("mousePressed", 10, 1), ("mouseMoved", 50, 1),
                                 ("mouseReleased", 50, 0)):  # fmt: skip
            left, top = editor.place(x, y)
            pen.send(
                "Input.dispatchMouseEvent",
                {"type": kind, "x": left, "y": top, "button": "left" if kind != "mouseMoved" else "none",
                 "buttons": buttons, "pointerType": "pen", "force": force, "clickCount": 1},
            )  # fmt: skip
        widths.append(int(editor.mask()[y - 10 : y + 10, 30].sum()))
    assert widths[0] > widths[1] > 0
