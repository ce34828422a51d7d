"""The tools of the editor: what they paint, how masks change, zoom and pan."""

import numpy as np
from PIL import Image

from maskmend.cli.demo import sample_pairs
from maskmend.images.picture import load_image

SAMPLE = load_image(sample_pairs()[0][1]).pixels


def test_a_mask_that_changes_under_the_brush(editor, tmp_path):
    """Catches strokes that are not ended when something else changes the mask: what they had painted came
    back, could not be undone, or ended in an exception.
    """
    page = editor.page
    mask = np.zeros((64, 64), np.uint8)
    mask[:8] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")

    def brush_down(key):
        page.locator("#canvas").focus()
        page.keyboard.press(key)
        for _ in range(8):
            page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("Space")
        for _ in range(2):
            page.keyboard.press("Shift+ArrowRight")

    editor.take_sample()
    brush_down("b")
    page.keyboard.press("Control+z")
    assert "Undone: Brush" in editor.status()
    assert page.locator("#fill").is_disabled()
    page.keyboard.press("Control+Shift+z")
    assert editor.mask()[32, :16].all()
    page.locator("#canvas").focus()
    page.keyboard.press("Delete")
    brush_down("b")
    page.keyboard.press("i")
    page.keyboard.press("Shift+ArrowLeft")  # paints no more
    inverted = editor.mask()
    assert not inverted[32, :16].any()
    assert inverted[0].all()
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert page.locator("#fill").is_disabled()
    brush_down("b")
    page.keyboard.press("Delete")
    assert page.locator("#fill").is_disabled()
    page.keyboard.press("Control+z")
    assert editor.mask()[32, :16].all()
    brush_down("e")
    editor.give(tmp_path / "mask.png", "#mask-input")
    page.locator("#status", has_text="is the mask now").wait_for()
    page.locator("#canvas").focus()
    page.keyboard.press("Shift+ArrowRight")
    np.testing.assert_array_equal(editor.mask(), mask > 0)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert editor.mask()[32, :16].all()
    brush_down("b")
    page.mouse.click(*centre(editor, "#invert"))
    page.keyboard.press("Control+z")
    assert "Undone: Inverted" in editor.status()


def centre(editor, selector):
    box = editor.page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_tools_paint_what_they_say(editor):
    page = editor.page
    editor.take_sample()
    page.keyboard.press("r")
    editor.drag((10, 12), (30, 22))
    wanted = np.zeros((64, 64), bool)
    wanted[12:22, 10:30] = True
    np.testing.assert_array_equal(editor.mask(), wanted)
    page.keyboard.press("e")
    for _ in range(9):
        page.keyboard.press("[")
    assert page.locator("#size-out").inner_text() == "1 px"
    editor.drag((15.5, 15.5), (20.5, 15.5))
    wanted[15, 15:21] = False
    np.testing.assert_array_equal(editor.mask(), wanted)
    page.keyboard.press("i")
    np.testing.assert_array_equal(editor.mask(), ~wanted)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    wanted[15, 15:21] = True
    np.testing.assert_array_equal(editor.mask(), wanted)
    page.keyboard.press("Delete")
    page.keyboard.press("l")
    editor.drag((40, 40), (60, 40), (60, 60), (40, 60))
    lasso = editor.mask()
    assert lasso[42:58, 42:58].all()
    assert not lasso[:39].any()
    page.keyboard.press("b")
    page.mouse.move(*editor.place(5, 5))
    page.mouse.wheel(0, -100)
    assert page.locator("#size-out").inner_text() == "2 px"


def test_zoom_and_pan(editor):
    page = editor.page
    editor.take_sample()
    for _ in range(4):
        page.keyboard.press("+")
    editor.wait_for_zoom(800)  # and no more
    page.keyboard.press("1")
    editor.wait_for_zoom(100)
    page.keyboard.press("0")
    editor.wait_for_zoom(800)
    page.keyboard.press("h")
    page.mouse.move(*editor.place(32, 32))
    page.mouse.down()
    page.mouse.move(*editor.place(40, 32))
    page.mouse.up()
    page.keyboard.press("b")
    editor.drag((32, 32), (33, 32))  # the picture lies 8 of its pixels further right now
    rows, columns = np.nonzero(editor.mask())
    assert abs(columns.mean() - 24.5) < 1
    assert abs(rows.mean() - 31.5) < 1


def test_masks_come_and_go_as_files(editor, tmp_path):
    mask = np.zeros((64, 64), np.uint8)
    mask[20:30, 5:60] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    erased = np.dstack([SAMPLE, np.where(mask > 0, 0, 255).astype(np.uint8)])
    Image.fromarray(erased).save(tmp_path / "erased.png")
    Image.fromarray(np.kron(mask, np.ones((2, 2), np.uint8))).save(tmp_path / "twice.png")
    (tmp_path / "none.png").write_bytes(b"no picture")
    editor.take_sample()
    for name, words in (("mask", "is the mask now"), ("erased", "is the mask now"), ("twice", "stretched")):
        editor.page.keyboard.press("Delete")
        editor.give(tmp_path / f"{name}.png", "#mask-input")
        editor.page.locator("#status", has_text=words).wait_for()
        np.testing.assert_array_equal(editor.mask(), mask > 0)
    editor.give(tmp_path / "none.png", "#mask-input")
    editor.page.locator("#trouble", has_text="cannot be read as a mask").wait_for()
    np.testing.assert_array_equal(editor.mask(), mask > 0)
