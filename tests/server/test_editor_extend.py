"""Outpainting in the editor: borders dragged or sizes typed, the file's own pixels and metadata kept."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from maskmend.cli.demo import sample_pairs
from maskmend.images.picture import load_image, read_image
from page_looks import settle

SAMPLE = load_image(sample_pairs()[0][1]).pixels


@pytest.fixture
def extending(editor):
    editor.take_sample()
    editor.page.keyboard.press("x")
    settle(editor.page)
    return editor


def size(editor):
    return editor.page.locator("#file-size").inner_text()


def screen(editor, x, y, width=64, height=64):
    """Where a pixel lies when the whole picture, with room around it, is in the middle of the stage."""
    box = editor.page.locator("#canvas").bounding_box()
    scale = editor.zoom / 100
    # Fitted first, then made smaller around the stage's middle
    middle = box["height"] / 2 - 28 * 0.75
    return (
        box["x"] + box["width"] / 2 + (x - width / 2) * scale,
        box["y"] + middle + (y - height / 2) * scale,
    )


def drag(editor, start, end):
    mouse = editor.page.mouse
    mouse.move(*screen(editor, *start))
    mouse.down()
    mouse.move(*screen(editor, *end), steps=4)
    mouse.up()


def typed(editor, **margins):
    for side, text in margins.items():
        editor.page.locator(f"#extend-form [name={side}]").fill(text)
    editor.page.keyboard.press("Enter")


def test_a_border_is_dragged_and_what_is_new_is_filled(extending, tiny_pipeline):
    """Catches a picture that moves on its canvas, and known pixels that come back changed."""
    editor = extending
    drag(editor, (64, 40), (80, 40))
    assert size(editor) == "80 × 64"
    assert editor.mask()[:, 64:].all()
    assert not editor.mask()[:, :64].any()
    editor.fill()
    wide = read_image(editor.saved("#download")).pixels
    np.testing.assert_array_equal(wide[:, :64], SAMPLE)
    wanted = tiny_pipeline(SAMPLE, extend="right=16", samples=4)
    np.testing.assert_array_equal(wide, wanted.pictures[wanted.best].pixels)

    page = editor.page
    page.click("#undo")
    page.click("#undo")
    assert size(editor) == "64 × 64"
    assert page.locator("#fill").is_disabled()
    page.click("#redo")
    page.click("#redo")
    page.click("#accept")
    assert size(editor) == "80 × 64"
    assert page.locator("#mask-save").is_disabled()
    np.testing.assert_array_equal(read_image(editor.saved("#download")).pixels, wide)
    typed(editor, left="4")  # from what was accepted on
    assert size(editor) == "84 × 64"
    editor.fill()
    np.testing.assert_array_equal(read_image(editor.saved("#download")).pixels[:, 4:], wide)


def test_a_corner_is_dragged_out_and_back(extending):
    editor = extending
    drag(editor, (0, 0), (-8, -6))
    assert size(editor) == "72 × 70"
    editor.page.mouse.move(*screen(editor, 0, 0, 72, 70))
    editor.page.mouse.down()
    editor.page.mouse.move(*screen(editor, 30, 30, 72, 70), steps=4)
    editor.page.keyboard.press("Escape")  # gives the drag up
    editor.page.mouse.up()
    assert size(editor) == "72 × 70"
    editor.page.mouse.move(*screen(editor, 0, 0, 72, 70))
    editor.page.mouse.down()
    editor.page.mouse.move(*screen(editor, 30, 30, 72, 70), steps=4)
    editor.page.mouse.up()
    assert size(editor) == "64 × 64"  # a picture is not cropped


def test_sizes_are_typed_in_pixels_and_percent(extending):
    """Catches sizes that are taken for others, and nonsense or too much that is taken at all."""
    editor = extending
    page = editor.page
    typed(editor, left="10", right="12.5%", top="25 %", bottom="3px")
    assert size(editor) == "82 × 83"
    mask = editor.mask()
    assert mask[16:80, 10:74].sum() == 0
    assert mask.sum() == mask.size - 64 * 64
    typed(editor, left="-3")
    assert "-3 is no length" in page.locator("#trouble").inner_text()
    assert page.locator("#extend-form [name=left]").input_value() == "10"
    typed(editor, left="40000")
    assert "more than 32767 pixels. Extend it less" in page.locator("#trouble").inner_text()
    assert size(editor) == "82 × 83"
    typed(editor, left="9999")
    typed(editor, top="9999")
    assert "the limit is 50.0 Mpx. Extend it less" in page.locator("#trouble").inner_text()
    assert size(editor) == "10071 × 83"
    page.click("#extend-reset")
    assert size(editor) == "64 × 64"


def test_new_canvas_stays_open_whatever_is_done_to_the_mask(extending, recorded):
    """Catches a preview that promises less than the server fills; a hole, or colours, that are moved when the
    canvas grows."""
    editor = extending
    page = editor.page
    page.keyboard.press("b")
    settle(page)
    editor.drag((20, 20), (40, 30))
    hole = editor.mask()
    page.keyboard.press("p")
    editor.drag((30, 25), (31, 26))
    page.keyboard.press("x")
    typed(editor, left="8")
    np.testing.assert_array_equal(editor.mask()[:, 8:], hole)
    for key in ("i", "i", "e"):
        page.locator("#canvas").focus()
        page.keyboard.press(key)
    x, y = editor.middle()
    y -= 7 * editor.zoom / 100  # through the hole, and on over the new canvas
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 400, y, steps=8)
    page.mouse.up()
    assert editor.mask()[:, 8:].sum() < hole.sum()
    assert editor.mask()[:, :8].all()
    for _ in range(3):
        page.click("#undo")
    editor.fill()
    asked = recorded[0].asked[-1]
    np.testing.assert_array_equal(asked["mask"][0][:, 8:], hole)
    assert asked["mask"][0][:, :8].all()
    painted = asked["guide"][0].alpha > 0
    assert painted.any()
    assert painted.shape == (64, 72)
    rows, columns = np.nonzero(painted)
    assert abs(rows.mean() - 25.5) < 2
    assert abs(columns.mean() - 38.5) < 2


def test_the_files_metadata_is_kept(extending, tmp_path):
    """Catches a canvas made in the browser, which would lose the profile."""
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(SAMPLE[:40, :50]).save(tmp_path / "profile.png", icc_profile=icc)
    editor = extending
    editor.give(tmp_path / "profile.png")
    editor.page.locator("#file-size", has_text="50 × 40").wait_for()
    typed(editor, bottom="8")
    editor.fill()
    saved = editor.saved("#download")
    assert Image.open(io.BytesIO(saved)).info["icc_profile"] == icc
    np.testing.assert_array_equal(read_image(saved).pixels[:40], SAMPLE[:40, :50])
