"""Pictures and masks that come into the editor: those before are kept, some converted, some refused."""

import io

import numpy as np
import pytest
from PIL import Image

from browser_parts import Editor
from fakes import print_profile, smooth_pixels
from maskmend.assets.samples import sample_pairs
from maskmend.images.picture import load_image, read_image

SAMPLE = load_image(sample_pairs()[0][1]).pixels
OTHER = smooth_pixels(40, 50)


def pixels_shown(editor):
    return read_image(editor.saved("#download")).pixels


def test_opening_another_picture_loses_no_work(editor, other):
    """Catches an accepted fill, and the strokes after it, gone without a question when another picture is
    opened, and Undo disabled."""
    page = editor.page
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    editor.fill()
    page.click("#accept")
    accepted = pixels_shown(editor)
    assert (accepted != SAMPLE).any()
    editor.drag((8, 50), (16, 56))
    stroke = editor.mask()
    assert not editor.shown("#pictures")
    editor.give(other)
    page.locator("#file-size", has_text="50 × 40").wait_for()
    np.testing.assert_array_equal(pixels_shown(editor), OTHER)
    page.mouse.click(*editor.middle())
    dab = editor.mask()

    # By the strip, there and back.
    page.get_by_role("button", name="00245.png", exact=True).click()
    np.testing.assert_array_equal(pixels_shown(editor), accepted)
    np.testing.assert_array_equal(editor.mask(), stroke)
    assert "00245" in page.locator("#file-name").inner_text()
    page.get_by_role("button", name="other.png", exact=True).click()
    np.testing.assert_array_equal(editor.mask(), dab)

    # And by Undo, through both pictures, up to the stroke before the first fill, and forward again.
    seen = []
    while page.locator("#undo").is_enabled():
        page.click("#undo")
        seen.append(editor.status())
    assert [line.removeprefix("Undone: ") for line in seen] == [
        "Change of picture.",
        "Change of picture.",
        "Brush.",
        "Opening other.png.",
        "Brush.",
        "Accept.",
        "Fill.",
        "Brush.",
    ]
    assert not editor.shown("#pictures")
    np.testing.assert_array_equal(pixels_shown(editor), SAMPLE)
    while page.locator("#redo").is_enabled():
        page.click("#redo")
    np.testing.assert_array_equal(pixels_shown(editor), OTHER)
    np.testing.assert_array_equal(editor.mask(), dab)
    page.get_by_role("button", name="00245.png", exact=True).click()
    np.testing.assert_array_equal(pixels_shown(editor), accepted)


def test_the_fills_of_a_picture_that_was_left_are_there_again(editor, other):
    """Catches four fills that are gone because a look was taken at another picture, or because a new fill of
    it was under way then."""
    page = editor.page
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    editor.fill()
    page.locator(".pick input").nth(2).check()
    filled = pixels_shown(editor)
    editor.give(other)
    page.locator("#file-size", has_text="50 × 40").wait_for()
    assert not editor.shown("#results")
    page.get_by_role("button", name="00245.png", exact=True).click()
    editor.until_filled()
    assert page.locator(".pick input").nth(2).is_checked()
    np.testing.assert_array_equal(pixels_shown(editor), filled)
    page.route("**/v1/inpaint", lambda route: None)  # never answered
    page.click("#again")
    page.get_by_role("button", name="other.png", exact=True).click()
    page.get_by_role("button", name="00245.png", exact=True).click()
    editor.until_filled()
    np.testing.assert_array_equal(pixels_shown(editor), filled)


def test_a_closed_picture_comes_back_by_undo(editor, other):
    page = editor.page
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    mask = editor.mask()
    editor.give(other)
    page.locator("#file-size", has_text="50 × 40").wait_for()
    page.get_by_role("button", name="Close 00245.png").click()
    assert "closed" in editor.status()
    assert not editor.shown("#pictures")
    page.click("#undo")
    page.get_by_role("button", name="00245.png", exact=True).click()
    np.testing.assert_array_equal(editor.mask(), mask)


def test_the_page_asks_before_work_in_any_picture_is_lost(editor, other):
    """Catches a page that closes without a word because the picture in sight is untouched."""
    page = editor.page
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    editor.give(other)
    page.locator("#file-size", has_text="50 × 40").wait_for()
    asked = "() => !dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert page.evaluate(asked)
    page.get_by_role("button", name="Close 00245.png").click()
    assert not page.evaluate(asked)


def deep_file(folder):
    Image.fromarray(OTHER[:, :, 0].astype(np.uint16) * 257).save(folder / "deep.png")
    return "16 bits a channel to 8", np.repeat(OTHER[:, :, :1], 3, axis=2)


def print_file(folder):
    ink = Image.merge("CMYK", [Image.new("L", (50, 40), level) for level in (255, 0, 0, 0)])
    ink.save(folder / "print.jpg", icc_profile=print_profile(), quality=100)
    return "CMYK to sRGB by its colour profile", np.full((40, 50, 3), 119)


def moving_file(folder, kind="webp", **options):
    frames = [Image.fromarray(one) for one in (OTHER, 255 - OTHER)]
    frames[0].save(folder / f"moving.{kind}", save_all=True, append_images=frames[1:], **options)
    return "the first of 2 frames", OTHER


def moving_png(folder):
    return moving_file(folder, "png")


def still_webp(folder):
    return moving_file(folder, lossless=True)


@pytest.mark.parametrize("make", [deep_file, print_file, moving_png, still_webp])
def test_what_would_be_flattened_is_asked_about_when_it_is_opened(editor, tmp_path, make):
    """Catches a picture that is shown and painted on, and refused at Fill."""
    page = editor.page
    words, pixels = make(tmp_path)
    (path,) = tmp_path.iterdir()
    dialog = page.locator("#convert-dialog")
    editor.give(path)
    dialog.wait_for()
    assert words.split(" by its ")[0] in dialog.inner_text()
    assert path.name in dialog.inner_text()
    page.get_by_role("button", name="Leave it").click()
    assert editor.shown("#welcome")
    editor.give(path)
    page.get_by_role("button", name="Convert and open").click()
    page.locator("#file-size", has_text="50 × 40").wait_for()
    assert page.locator("#notice-text").inner_text().startswith(f"Converted as it was opened: {words}.")
    page.mouse.click(*editor.middle())
    mask = editor.mask()
    editor.fill()
    filled = pixels_shown(editor)
    assert np.abs(filled[~mask].astype(int) - pixels[~mask]).max() <= 3
    page.click("#notice-close")
    assert not editor.shown("#notice")
    page.click("#accept")
    assert not editor.shown("#notice")


def test_a_dropped_or_pasted_file_is_checked_too(browser, url, tmp_path):
    deep_file(tmp_path)
    content = (tmp_path / "deep.png").read_bytes()
    context = browser.new_context(bypass_csp=True)  # the test's own scripts, not the page's
    editor = Editor(context, url)
    for kind in ("drop", "paste"):
        editor.hand_over(kind, content)
        editor.page.locator("#convert-dialog", has_text=f"{kind}.png").wait_for()
        editor.page.get_by_role("button", name="Leave it").click()
    context.close()
    assert editor.complaints == []


@pytest.mark.parametrize("name", ["float.tif", "cut.png", "cut.jpg", "cut.webp", "nothing.avif"])
def test_what_cannot_be_used_is_refused_when_it_is_opened(editor, tmp_path, name):
    """Catches half a file that the browser shows, and the server refuses at Fill."""
    kind = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}.get(name.partition(".")[2])
    content = io.BytesIO()
    if name == "float.tif":
        Image.new("F", (40, 40)).save(content, "TIFF")
    elif kind:
        noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
        Image.fromarray(noise).save(content, kind)
    file = content.getvalue()
    (tmp_path / name).write_bytes(file if name == "float.tif" else file[: len(file) * 2 // 3] or b"none")
    editor.give(tmp_path / name)
    editor.page.locator("#trouble", has_text=f"{name} cannot be opened").wait_for()
    assert editor.shown("#welcome")


def test_avif_is_opened_and_filled(editor, tmp_path):
    Image.fromarray(OTHER).save(tmp_path / "photo.avif", quality=100)
    editor.give(tmp_path / "photo.avif")
    editor.page.locator("#file-size", has_text="50 × 40").wait_for()
    assert not editor.shown("#notice")
    editor.page.mouse.click(*editor.middle())
    mask = editor.mask()
    editor.fill()
    np.testing.assert_array_equal(
        pixels_shown(editor)[~mask], load_image(tmp_path / "photo.avif").pixels[~mask]
    )


def test_ordinary_files_are_not_sent_twice(editor, tmp_path):
    """Catches a check that costs an upload where the file itself tells."""
    for name in ("a.png", "a.jpg", "a.webp"):
        Image.fromarray(OTHER).save(tmp_path / name)
        editor.give(tmp_path / name)
        editor.page.locator("#status", has_text=f"{name} opened").wait_for()
    assert [one for one in editor.requests if "/v1/convert" in one] == []


def test_masks_are_read_by_the_rule_of_the_command_line(editor, tmp_path):
    """Catches a photograph taken for a mask, and red paint for an empty one, without a word."""
    page = editor.page
    photograph = sample_pairs()[1][1]
    red = np.zeros((64, 64, 3), np.uint8)
    red[20:30, 5:60, 0] = 255
    Image.fromarray(red).save(tmp_path / "red.png")
    erased = np.dstack([SAMPLE, np.where(red[:, :, 0] > 0, 0, 255).astype(np.uint8)])
    Image.fromarray(erased).save(tmp_path / "erased.png")
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    before = editor.mask()
    editor.give(tmp_path / "red.png", "#mask-input")
    trouble = page.locator("#trouble", has_text="brightest pixel is 0.299 of white")
    trouble.wait_for()
    assert "red.png cannot be read as a mask" in trouble.inner_text()
    assert "mask_threshold" not in trouble.inner_text()
    np.testing.assert_array_equal(editor.mask(), before)
    editor.give(photograph, "#mask-input")
    page.locator("#status", has_text="looks like a photograph").wait_for()
    editor.give(tmp_path / "erased.png", "#mask-input")
    page.locator("#status", has_text="read by its transparency").wait_for()
    np.testing.assert_array_equal(editor.mask(), red[:, :, 0] > 0)
