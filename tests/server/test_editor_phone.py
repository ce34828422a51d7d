"""The editor on a phone: everything on one screen, upright and on its side, and large enough for a finger."""

import io
from math import ceil, floor

import numpy as np
import pytest
from PIL import Image

from browser_parts import Editor
from maskmend.assets import PHOTOGRAPHS
from maskmend.cli.demo import sample_pairs
from page_looks import settle

SCREENS = {"upright": (390, 844), "small": (360, 640), "on its side": (844, 390)}

SMALL = """() => [...document.querySelectorAll("button, select, summary, .chips label, .pick, .well, input")]
    .filter((one) => one.checkVisibility() && !one.matches(":is(.chips, .pick, .well) input, [type=file]"))
    .map((one) => [one.id || one.dataset.tool || one.name || one.textContent, one.getBoundingClientRect()])
    .filter(([, box]) => box.width < 44 || box.height < 44)
    .map(([name, box]) => `${name}: ${box.width} x ${box.height}`)"""


@pytest.fixture(params=SCREENS)
def phone(request, browser, recorded):
    width, height = SCREENS[request.param]
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=True)
    editor = Editor(context, recorded[1])
    yield editor, width, height
    context.close()
    assert editor.complaints == []


def reachable(editor, width, height, *selectors):
    for selector in selectors:
        box = editor.page.locator(selector).bounding_box()
        assert box is not None, selector
        assert box["x"] >= 0, selector
        assert box["x"] + box["width"] <= width, selector
        assert box["y"] >= 0, selector
        assert box["y"] + box["height"] <= height, selector


def take_photograph(editor):
    """The first of the shipped photographs, which are wider than high."""
    editor.take_sample(len(sample_pairs()))
    path = sample_pairs(PHOTOGRAPHS)[0][1]
    editor.page.locator("#file-name", has_text=path.name).wait_for()
    return int(editor.page.locator("#file-size").text_content().split()[0])


def test_fill_and_accept_are_on_the_screen_and_the_picture_is_as_wide_as_it_can_be(phone):
    """Catches buttons below the fold, which nobody finds, and a picture smaller than the controls."""
    editor, width, height = phone
    pixels = take_photograph(editor)
    seen = pixels * editor.zoom / 100
    assert seen >= (0.95 * width if height > width else 0.4 * width)
    tools = [
        f"button[data-tool={name}]"
        for name in ("brush", "eraser", "rectangle", "lasso", "hand", "colour", "extend")
    ]
    reachable(editor, width, height, "#fill", "#undo", "#redo", "#clear", "#open", "#more", "#size", *tools)
    editor.page.touchscreen.tap(*editor.middle())
    editor.fill()
    reachable(editor, width, height, "#fill", "#accept", "#again", "#undo", ".pick >> nth=3")
    if height > 800:
        assert pixels * editor.zoom / 100 >= 0.9 * width  # still
    editor.page.touchscreen.tap(*centre(editor, ".pick >> nth=2"))
    assert editor.page.locator(".pick input").nth(2).is_checked()
    editor.page.touchscreen.tap(*centre(editor, "#accept"))
    assert "Accepted" in editor.status()


def centre(editor, selector):
    box = editor.page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_whatever_is_pressed_is_large_enough_for_a_finger(phone):
    """Catches buttons of 30 pixels."""
    editor, width, height = phone
    take_photograph(editor)
    assert editor.page.evaluate(SMALL) == []
    editor.page.touchscreen.tap(*editor.middle())
    for tool in ("colour", "extend"):
        editor.page.click(f"button[data-tool={tool}]")
        if tool == "colour":
            editor.page.touchscreen.tap(*editor.middle())
            editor.page.locator("#swatches button").wait_for()
        assert editor.page.evaluate(SMALL) == []
    editor.page.click("button[data-tool=brush]")
    editor.fill()
    editor.page.click("#more")
    editor.page.click("#settings summary")
    assert editor.page.evaluate(SMALL) == []
    for selector in ("#download", "#show-compare", "[name=seed]"):
        editor.page.locator(selector).scroll_into_view_if_needed()
        reachable(editor, width, height, selector)
    assert editor.page.locator("#more").get_attribute("aria-expanded") == "true"
    editor.page.click("#more")
    assert not editor.shown("#download")


def test_the_drawer_leaves_no_corner_of_the_picture_beside_it(phone):
    """Catches round corners with triangles of a dark picture, and a strip of it between drawer and tools."""
    editor, _, _ = phone
    page = editor.page
    editor.take_sample()
    page.evaluate("document.getElementById('stage').style.background = '#f0f'")
    page.click("#drawer-open")
    settle(page)
    shot = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    stage, drawer = (page.locator(part).bounding_box() for part in ("#stage", "#drawer"))
    top, bottom = ceil(drawer["y"]), floor(stage["y"] + stage["height"])
    left, right = round(stage["x"]), round(stage["x"] + stage["width"])
    seen = shot[top:bottom, left:right]
    assert seen.size
    assert not (seen == (255, 0, 255)).all(axis=2).any()


def test_a_mouse_or_finger_sees_no_focus_ring_and_the_keyboard_does(editor):
    """Catches a ring around the picture for those who do not need it, and none for those who do."""
    page = editor.page

    def ring():
        assert page.evaluate("document.activeElement.id") == "canvas"
        return page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"

    page.keyboard.press("Tab")
    editor.take_sample()
    assert not ring()
    editor.drag((20, 20), (40, 30))
    assert not ring()
    page.keyboard.press("ArrowRight")
    assert ring()
    page.mouse.click(*editor.place(30, 30))
    assert not ring()
