"""Files of a person's own in the editor: colour profiles, TIFF, dropped and pasted ones."""

import io

import numpy as np
from PIL import Image, ImageCms

from browser_parts import Editor
from fakes import smooth_pixels
from maskmend.cli.demo import sample_pairs
from maskmend.images.picture import load_image, read_image

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SAMPLE = load_image(sample_pairs()[0][1]).pixels


def test_profile_and_known_pixels_of_a_chosen_file(editor, tmp_path):
    """Catches a page that encodes from its canvas: profile and transparent colour would be lost."""
    pixels = smooth_pixels(40, 50)
    alpha = np.full((40, 50), 255, np.uint8)
    alpha[:10] = 0
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "photo.png", icc_profile=ICC)
    editor.give(tmp_path / "photo.png")
    editor.page.locator("#file-size", has_text="50 × 40").wait_for()
    editor.page.mouse.click(*editor.middle())
    mask = editor.mask()
    assert mask.any()
    editor.fill()
    saved = read_image(editor.saved("#download"))
    assert saved.icc == ICC
    np.testing.assert_array_equal(saved.pixels[~mask], pixels[~mask])
    assert saved.alpha is not None
    np.testing.assert_array_equal(saved.alpha[~mask], alpha[~mask])
    editor.page.select_option("#format", "jpeg")
    editor.page.click("#download")
    editor.page.locator("#trouble", has_text="JPEG holds no alpha channel").wait_for()
    editor.page.select_option("#format", "webp")
    assert editor.shown("#quality-label")
    webp = editor.saved("#download")
    assert (read_image(webp).format, read_image(webp).icc) == ("WEBP", ICC)


def test_a_tiff_is_shown_and_saved_as_it_was(editor, tmp_path):
    pixels = smooth_pixels(30, 30)
    Image.fromarray(pixels).save(tmp_path / "scan.tif", icc_profile=ICC)
    editor.give(tmp_path / "scan.tif")
    editor.page.locator("#file-name", has_text="scan.tif").wait_for()
    saved = read_image(editor.saved("#download"))
    np.testing.assert_array_equal(saved.pixels, pixels)
    assert saved.icc == ICC


def test_dropped_and_pasted(browser, url):
    context = browser.new_context(bypass_csp=True)  # the test's own scripts, not the page's
    editor = Editor(context, url)
    buffer = io.BytesIO()
    Image.fromarray(SAMPLE).save(buffer, "PNG")
    for kind in ("drop", "paste"):
        editor.hand_over(kind, buffer.getvalue())
        editor.page.locator("#file-name", has_text=f"{kind}.png").wait_for()
    context.close()
    assert editor.complaints == []
