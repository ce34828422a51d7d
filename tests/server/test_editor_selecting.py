"""Ways to a mask in the editor: similar colours, a polygon, growing, shrinking, pressure, the clipboard."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from maskmend.masks.morphology import grow

FINGER = """([type, x, y, pressure]) => {
    const at = { clientX: x, clientY: y, pressure, pointerType: "touch", pointerId: 1, bubbles: true };
    document.querySelector("#canvas").dispatchEvent(new PointerEvent(type, { ...at, button: 0, buttons: 1 }));
}"""

PASTE = """async ([data, name]) => {
    const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
    const given = new DataTransfer();
    given.items.add(new File([bytes], name, { type: "image/png" }));
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: given, cancelable: true }));
}"""


@pytest.fixture
def patches(editor, tmp_path):
    """A picture of two patches of one colour, one of a colour 20 levels off, on another."""
    pixels = np.full((64, 64, 3), (40, 90, 160), np.uint8)
    pixels[8:24, 8:24] = pixels[40:56, 8:24] = (200, 60, 50)
    pixels[8:24, 24:40] = (180, 60, 50)
    Image.fromarray(pixels).save(tmp_path / "patches.png")
    editor.give(tmp_path / "patches.png")
    editor.page.locator("#file").wait_for()
    editor.wait_for_zoom(800)
    return editor


def block(*boxes):
    mask = np.zeros((64, 64), bool)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


def click(editor, x, y, **how):
    editor.page.mouse.click(*editor.place(x, y), **how)


def test_the_smart_brush_takes_what_touches_and_is_alike(patches):
    """Catches a flood that leaks into other colours, jumps to places apart, or passes the tolerance over."""
    page = patches.page
    page.keyboard.press("s")
    page.locator("#tolerance").fill("10")
    click(patches, 16.5, 16.5)
    np.testing.assert_array_equal(patches.mask(), block((8, 8, 24, 24)))
    page.click("#undo")
    page.locator("#tolerance").fill("20")
    click(patches, 16.5, 16.5)
    np.testing.assert_array_equal(patches.mask(), block((8, 8, 24, 40)))
    patches.drag((16.5, 36.5), (16.5, 48.5))  # a stroke takes each colour it comes to
    everything = np.ones((64, 64), bool)
    np.testing.assert_array_equal(patches.mask(), everything)
    page.click("#undo")
    page.keyboard.down("Shift")
    click(patches, 30.5, 16.5)
    page.keyboard.up("Shift")
    assert page.locator("#mask-save").is_disabled()  # it is empty
    page.click("#undo")
    page.locator("#canvas").focus()
    page.keyboard.press("Delete")
    page.keyboard.press("Space")  # in the middle of the stage
    page.keyboard.press("Space")
    assert patches.mask().sum() == 64 * 64 - 3 * 256


def test_a_polygon_is_laid_corner_by_corner(patches):
    """Catches corners that cannot be taken back, and a polygon that only a double click closes."""
    page = patches.page
    page.keyboard.press("g")
    for corner in ((10, 10), (50, 10), (60, 30)):
        click(patches, *corner)
    page.keyboard.press("Backspace")
    click(patches, 50, 40)
    click(patches, 10, 40)
    assert patches.page.locator("#mask-save").is_disabled()
    click(patches, 10, 10)  # its first corner again
    np.testing.assert_array_equal(patches.mask(), block((10, 10, 40, 50)))
    page.keyboard.down("Shift")
    for corner in ((10, 10), (30, 10), (30, 40), (10, 40)):
        click(patches, *corner)
    page.keyboard.up("Shift")
    page.click("#corner-close")
    np.testing.assert_array_equal(patches.mask(), block((10, 30, 40, 50)))
    for corner in ((2, 50), (9, 50), (9, 60), (2, 60)):
        click(patches, *corner)
    page.keyboard.press("Escape")
    np.testing.assert_array_equal(patches.mask(), block((10, 30, 40, 50)))
    assert not patches.shown("#corner-close")
    for corner in ((2, 50), (9, 50), (9, 60), (2, 60)):
        click(patches, *corner)
    page.locator("#canvas").focus()
    page.keyboard.press("Enter")
    np.testing.assert_array_equal(patches.mask(), block((10, 30, 40, 50), (50, 2, 60, 9)))


@pytest.mark.parametrize("by", [5, 1, -3])
def test_a_mask_grows_as_the_server_grows_it(editor, by):
    """Catches a preview, and a mask, that are not what `grow` means elsewhere, by a pixel or in shape."""
    page = editor.page
    editor.take_sample()
    editor.drag((12, 30), (30, 24), (50, 50))
    before = editor.mask()
    page.keyboard.press("t")
    page.locator("#grow-by").fill(str(by))
    assert editor.shown("#grow-legend")
    page.click("#grow-apply")
    wanted = grow(before, by) if by > 0 else ~grow(~before, -by)
    np.testing.assert_array_equal(editor.mask(), wanted)
    assert page.locator("#grow-by").input_value() == "0"
    page.click("#undo")
    np.testing.assert_array_equal(editor.mask(), before)


def test_what_grows_and_where_the_seam_is_blended_is_shown_before(editor):
    page = editor.page
    editor.take_sample()
    page.keyboard.press("r")
    editor.drag((20, 20), (50, 50))
    plain = editor.seen()
    page.keyboard.press("t")
    page.locator("#grow-by").fill("4")
    page.keyboard.press("Escape")
    np.testing.assert_array_equal(editor.seen(), plain)  # nothing is tried while the drawer is closed
    page.click("#settings summary")
    page.locator("[name=grow]").fill("4")  # and what a fill will add is shown
    grown = editor.seen()
    changed = (grown != plain).any(axis=2)
    np.testing.assert_array_equal(changed, grow(block((20, 20, 50, 50)), 4) & ~block((20, 20, 50, 50)))
    page.locator("[name=grow]").fill("0")
    page.keyboard.press("Escape")
    page.click("#drawer-open")
    page.locator("#show-feather").check(force=True)
    page.click("#drawer-close")
    band = (editor.seen() != plain).any(axis=2)
    assert band[20:50, 20].all()
    assert band[35, 20:27].all()
    assert not band[29:41, 29:41].any()


def test_a_finger_that_presses_lightly_paints_finer_where_that_is_measured(editor):
    """Catches pressure of pens only; and a screen that measures none, whose one number made strokes thin."""
    page = editor.page
    editor.take_sample()
    page.locator("#size").fill("20")

    def width(row, *pressures):
        for n, pressure in enumerate(pressures):
            x, y = editor.place(20 + n, row)
            page.evaluate(FINGER, ["pointerdown" if n == 0 else "pointermove", x, y, pressure])
        page.evaluate(FINGER, ["pointerup", x, y, 0])
        mask = editor.mask()
        page.click("#undo")
        return mask[:, 20 + len(pressures) - 1].sum()

    assert width(32, 0.5, 0.5, 0.5) == 20
    assert width(32, *[0.1] * 12, *[0.12] * 12) < 12
    assert width(32, *[0.12] * 12) < 12  # known by now
    page.keyboard.press("t")
    page.locator("#pressure").uncheck(force=True)
    assert width(32, *[0.12] * 3) == 20


def test_a_pasted_mask_is_taken_for_one(editor):
    """Catches a mask from another program that can only come in as a file, and a photograph taken for one."""
    page = editor.page
    editor.take_sample()

    def paste(levels, name):
        file = io.BytesIO()
        Image.fromarray(levels).save(file, "PNG")
        page.evaluate(PASTE, [base64.b64encode(file.getvalue()).decode(), name])

    mask = block((5, 6, 30, 40))
    paste(mask.astype(np.uint8) * 255, "mask.png")
    page.click("#paste-dialog [value=mask]")
    page.locator("#status", has_text="mask.png is the mask now").wait_for()
    np.testing.assert_array_equal(editor.mask(), mask)
    paste(mask.astype(np.uint8) * 255, "picture.png")
    page.click("#paste-dialog [value=picture]")
    page.locator("#file-name", has_text="picture.png").wait_for()
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))
    paste(ramp, "ramp.png")
    page.locator("#file-name", has_text="ramp.png").wait_for()
    assert not editor.shown("#paste-dialog")
