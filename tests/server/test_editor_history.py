"""The editor's history as pictures, fills side by side, several pictures at once, keys on paper, fingers."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from browser_parts import Editor
from fakes import smooth_pixels
from page_looks import settle
from server_parts import until

SMALL = """() => [...document.querySelectorAll("button, select, summary, .chips label, input")]
    .filter((one) => one.checkVisibility() && !one.matches(":is(.chips, .pick, .well) input, [type=file]"))
    .map((one) => [one.id || one.dataset.tool || one.textContent, one.getBoundingClientRect()])
    .filter(([, box]) => box.width < 44 || box.height < 44)
    .map(([name, box]) => `${name}: ${box.width} x ${box.height}`)"""

NAMELESS = """() => [...document.querySelectorAll("button, input, select, [role=group], dialog")]
    .filter((one) => !one.labels?.length && !one.textContent.trim() && !one.querySelector("img[alt]"))
    .filter((one) => !one.hidden && one.type !== "file"
        && !one.getAttribute("aria-label") && !one.getAttribute("aria-labelledby"))
    .map((one) => one.outerHTML.slice(0, 80))"""


GIVE = """([way, files]) => {
    const transfer = new DataTransfer();
    for (const [name, type, bytes] of files) {
        transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
    }
    const carried = way === "drop" ? { dataTransfer: transfer } : { clipboardData: transfer };
    const Kind = way === "drop" ? DragEvent : ClipboardEvent;
    document.body.dispatchEvent(new Kind(way, { bubbles: true, cancelable: true, ...carried }));
}"""


def red(shot):
    """How much of a thumbnail is under the mask's red."""
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
    return (pixels[..., 0] - pixels[..., 1:].max(axis=2) > 60).mean()


def test_any_step_of_the_history_is_one_press_away(editor):
    """Catches thumbnails of another step than theirs, and a jump that loses what lay ahead."""
    page = editor.page
    editor.take_sample()
    page.keyboard.press("r")
    editor.drag((2, 2), (20, 60))
    editor.drag((40, 2), (60, 60))
    wide = editor.mask()
    page.keyboard.press("t")
    steps = page.locator("#timeline button")
    assert steps.all_inner_texts() == ["Before", "Rectangle", "Rectangle"]
    shares = [red(one.screenshot()) for one in page.locator("#timeline canvas").all()]
    assert shares[0] < 0.1 < shares[1] < shares[2]
    steps.nth(0).click()
    assert page.locator("#fill").is_disabled()
    assert steps.nth(0).get_attribute("aria-current") == "step"
    assert page.evaluate("document.activeElement.closest('#timeline') !== null")
    steps.nth(2).click()
    page.keyboard.press("Escape")
    assert not editor.shown("#drawer")
    assert page.evaluate("document.activeElement.id") == "drawer-open"
    np.testing.assert_array_equal(editor.mask(), wide)


def test_alternatives_are_compared_side_by_side(editor):
    """Catches a comparison of which one cannot pick, and panes that show different places."""
    page = editor.page
    editor.take_sample()
    page.keyboard.press("w")
    assert not editor.shown("#compare-dialog")
    editor.drag((20, 20), (40, 30))
    editor.fill()
    page.locator("#canvas").focus()
    page.keyboard.press("w")
    page.locator(".pane").nth(4).wait_for()
    box = page.locator("#compare-dialog").bounding_box()
    size = page.viewport_size
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, size["width"], size["height"])
    assert page.locator(".pane canvas").first.get_attribute("aria-label") == "Before"
    page.click("#compare-fit")

    def seen():
        """A square of each pane; all of the pane may be a pixel wider in one than in another."""
        data = "(all) => all.map((one) => one.getContext('2d').getImageData(0, 0, 200, 200).data.join())"
        return page.locator(".pane canvas").evaluate_all(data)

    whole = seen()
    assert len(set(whole)) == 5
    middle = page.locator(".pane canvas").nth(1).bounding_box()
    page.mouse.move(middle["x"] + middle["width"] * 0.9, middle["y"] + middle["height"] * 0.9)
    for _ in range(8):
        page.mouse.wheel(0, -300)
    settle(page)
    assert len(set(seen())) == 1  # all of them show the same known corner
    page.click("#compare-near")
    assert len(set(seen())) == 5
    page.keyboard.press("3")
    page.locator("#compare-dialog").wait_for(state="hidden")
    assert page.locator(".pick input").nth(2).is_checked()
    page.click("#compare")
    page.locator(".pane button").nth(1).click()
    assert page.locator(".pick input").nth(1).is_checked()
    page.click("#compare")
    page.locator(".pane canvas").first.hover()
    page.mouse.down()
    page.keyboard.press("Escape")
    page.locator("#compare-dialog").wait_for(state="hidden")
    page.mouse.up()
    page.click("#compare")
    before = seen()
    page.locator(".pane canvas").first.hover(position={"x": 9, "y": 9})
    assert seen() == before  # the button that was let go of meanwhile drags nothing


def test_several_pictures_are_opened_at_once(editor, tmp_path):
    """Catches all but the first being passed over."""
    paths = [tmp_path / f"{name}.png" for name in ("one", "two", "three")]
    for seed, path in enumerate(paths):
        Image.fromarray(smooth_pixels(40, 50, seed)).save(path)
    editor.page.set_input_files("#file-input", [str(path) for path in paths])
    editor.page.locator("#status", has_text="3 pictures opened").wait_for()
    names = [one.get_attribute("aria-label") for one in editor.page.locator(".picture").all()]
    assert names == ["one.png", "two.png", "three.png"]
    assert editor.page.locator("#file-name").inner_text() == "three.png"


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_several_files_are_dropped_or_pasted_at_once(editor, way):
    """Catches all but the first being passed over, and a text among them taken for a picture."""
    files = []
    for seed in range(2):
        file = io.BytesIO()
        Image.fromarray(smooth_pixels(40, 50, seed)).save(file, "PNG")
        files.append([f"{way}-{seed}.png", "image/png", list(file.getvalue())])
    texts = [["notes.txt", "text/plain", list(b"none")]] if way == "paste" else []  # what comes beside them
    editor.page.evaluate(GIVE, [way, texts + files])
    editor.page.locator("#status", has_text="2 pictures opened").wait_for()
    names = [one.get_attribute("aria-label") for one in editor.page.locator(".picture").all()]
    assert names == [name for name, *_ in files]
    assert editor.page.locator("#trouble").is_hidden()


def test_the_comparison_takes_the_whole_screen_and_gives_it_back(editor):
    """Catches a window that stays in full screen, and a comparison that stays when full screen is left."""
    page = editor.page
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    editor.fill()
    page.click("#compare")
    until(lambda: page.evaluate("document.fullscreenElement === document.documentElement"))
    page.locator(".pane button").nth(2).click()
    until(lambda: page.evaluate("document.fullscreenElement === null"))
    assert page.locator(".pick input").nth(2).is_checked()
    page.click("#compare")
    until(lambda: page.evaluate("document.fullscreenElement === document.documentElement"))
    page.evaluate("document.exitFullscreen()")  # as the browser's own Escape does
    page.locator("#compare-dialog").wait_for(state="hidden")
    assert page.evaluate("document.fullscreenElement") is None


def test_the_keys_are_printed_and_nothing_else(editor):
    """Catches paper with a picture of the page on it, or a list that is cut off."""
    page = editor.page
    editor.take_sample()
    page.evaluate("window.print = () => { window.printed = true; }")
    page.keyboard.press("?")
    page.click("#keys-print")
    assert page.evaluate("window.printed")
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", page.pdf())) == 1
    page.emulate_media(media="print")
    for selector in ("#fill", "#canvas", "#keys-print", "#download"):
        assert not page.evaluate("(one) => document.querySelector(one).checkVisibility()", selector)
    lines = page.locator("#keys-dialog dl > div")
    last = lines.last.bounding_box()
    assert last["y"] + last["height"] < page.evaluate("document.documentElement.scrollHeight")
    assert "paste a picture or a mask" in lines.last.inner_text()


@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
def test_what_is_new_is_large_enough_for_fingers_and_has_a_name(browser, recorded, size):
    """Catches small buttons, also on a large touch screen, and controls that a screen reader cannot name."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, has_touch=True, is_mobile=True
    )
    editor = Editor(context, recorded[1])
    page = editor.page
    editor.take_sample()
    page.click("#drawer-open")
    if size[0] == 390:
        stage = page.locator("#stage").bounding_box()
        drawer = page.locator("#drawer").bounding_box()
        assert drawer["y"] >= stage["y"]
        assert drawer["y"] + drawer["height"] <= stage["y"] + stage["height"]  # Fill is not covered
        assert page.evaluate(SMALL) == []
        page.click(".drawer [data-tool=polygon]")
        assert not editor.shown("#drawer")
        settle(page)  # the picture is fitted anew
    else:
        assert page.evaluate(SMALL) == []
        page.click("#drawer-close")
        page.click(".tools [data-tool=polygon]")
    for x, y in ((20, 20), (50, 20), (50, 50)):
        page.touchscreen.tap(*editor.place(x, y))
    assert page.evaluate(SMALL) == []
    page.click("#corner-close")
    editor.fill()
    assert page.evaluate(SMALL) == []
    page.click("#compare")
    page.locator(".pane").nth(4).wait_for()
    assert page.evaluate(SMALL) == []
    page.locator(".pane button").nth(3).click()
    assert page.locator(".pick input").nth(3).is_checked()
    assert page.evaluate(NAMELESS) == []
    assert editor.complaints == []
    context.close()
