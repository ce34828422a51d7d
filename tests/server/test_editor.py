"""The editor in a browser: a stroke, a fill, four results, and every known pixel as it was."""

import io
import re
import threading
from dataclasses import replace

import numpy as np
import pytest
import uvicorn
from PIL import Image, ImageCms

from browser_parts import Editor
from fakes import CODES, smooth_pixels, tiny_models
from maskmend.cli.demo import sample_pairs
from maskmend.fill.familiarity import Domain
from maskmend.images.picture import load_image, read_image
from maskmend.masks.morphology import grow
from maskmend.pipeline import InpaintPipeline
from maskmend.server.run import listen
from page_looks import settle
from server_parts import PATIENCE, Gated, app_of, on_a_socket, until

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SAMPLE = load_image(sample_pairs()[0][1]).pixels


def test_paint_fill_pick_undo_download(editor):
    """Catches known pixels that come back changed, by as little as one bit."""
    editor.take_sample()
    editor.wait_for_zoom(800)
    editor.drag((20, 20), (40, 30), (30, 45))
    mask = editor.mask()
    assert 100 < mask.sum() < 1500
    editor.fill()
    page = editor.page
    assert page.locator(".pick").count() == 4
    facts = page.locator(".facts").all_inner_texts()
    assert all(text in ("best", "much alike") or "er" in text for text in facts)
    assert sum("best" in text for text in facts) == 1

    page.locator(".pick input").nth(2).check()
    filled = read_image(editor.saved("#download")).pixels
    np.testing.assert_array_equal(filled[~mask], SAMPLE[~mask])
    assert (filled[mask] != SAMPLE[mask]).any()

    page.click("#undo")
    assert not editor.shown("#results")
    np.testing.assert_array_equal(read_image(editor.saved("#download")).pixels, SAMPLE)
    np.testing.assert_array_equal(editor.mask(), mask)
    page.click("#redo")
    assert page.locator(".pick input").nth(2).is_checked()
    np.testing.assert_array_equal(read_image(editor.saved("#download")).pixels, filled)

    page.click("#accept")
    assert not editor.shown("#results")
    assert page.locator("#mask-save").is_disabled()
    editor.drag((8, 50), (16, 56))
    second = editor.mask()
    editor.fill()
    again = read_image(editor.saved("#download")).pixels
    np.testing.assert_array_equal(again[~second], filled[~second])


def test_a_picture_unlike_what_the_model_learnt_is_told_until_dismissed(browser):
    """Catches a fill that has nothing to do with the picture, without a word; and a notice that stays, or
    that goes for good once one was put away."""
    pipe = InpaintPipeline(*tiny_models())
    pipe.domain = Domain(learnt="cat faces", distance=1e-6)
    with on_a_socket(app_of(pipe)) as port:
        context = browser.new_context(viewport={"width": 1200, "height": 800})
        editor = Editor(context, f"http://127.0.0.1:{port}/")
        page = editor.page
        editor.take_sample()
        editor.drag((20, 20), (40, 30))
        assert not editor.shown("#notice")
        editor.fill()
        assert page.locator("#notice-text").inner_text() == (
            "This picture is unlike what the model learnt (cat faces): expect the fill to look like them."
        )
        page.click("#notice-close")
        assert not editor.shown("#notice")
        page.locator(".pick input").nth(2).check()
        assert not editor.shown("#notice")
        page.click("#again")
        page.locator("#notice").wait_for()
        editor.until_filled()
        page.click("#accept")
        assert not editor.shown("#notice")
        assert editor.complaints == []
        context.close()


def test_rolling_again_gives_others_and_the_same_seed_the_same(editor):
    editor.take_sample(1)
    editor.drag((20, 20), (40, 30))
    editor.fill()
    first = editor.saved("#download")
    editor.page.click("#again")
    editor.page.locator("#status", has_text="4 fills").wait_for()
    editor.until_filled()
    assert editor.page.locator("[name=seed]").input_value() == "4"
    assert editor.saved("#download") != first
    editor.page.click("#settings summary")
    editor.page.click("#reset")
    assert editor.page.locator("[name=seed]").input_value() == "0"
    editor.fill()
    assert editor.saved("#download") == first


@pytest.mark.parametrize("button", ["#again", "#fill"])
def test_a_picture_opened_during_a_fill_is_not_mixed_up_with_the_one_before(gated_editor, other, button):
    """Catches fills of one picture that are shown, and downloaded, under another's name."""
    editor, pipe, line = gated_editor
    page = editor.page
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    editor.fill()
    pipe.gate.clear()
    pipe.entered.clear()
    page.click(button)
    assert pipe.entered.wait(PATIENCE)
    editor.give(other)
    page.locator("#file-size", has_text="50 × 40").wait_for()
    until(lambda: line.taken == 0)  # the server knows that nobody waits
    pipe.gate.set()
    settle(page)
    assert not editor.shown("#results")
    assert "other.png opened" in editor.status()
    np.testing.assert_array_equal(read_image(editor.saved("#download")).pixels, smooth_pixels(40, 50))
    page.mouse.click(*editor.middle())
    editor.fill()
    assert read_image(editor.saved("#download")).pixels.shape == (40, 50, 3)


@pytest.mark.parametrize("way", ["Escape", "button", "open"])
def test_what_comes_after_the_end_of_a_fill_is_not_taken(gated_editor, other, way):
    """Catches a fill that is applied although it was stopped, or its picture left, while it was decoded; and
    alternatives that cannot be picked any more."""
    editor, *_ = gated_editor
    page = editor.page
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    page.evaluate(
        """() => {
            const real = createImageBitmap;
            window.decoded = 0;
            window.hold = Infinity;
            window.createImageBitmap = async (blob, ...more) => {
                const held = !(blob instanceof File) && ++window.decoded === window.hold;
                if (held) await new Promise((go) => { window.go = go; });
                const picture = await real(blob, ...more);
                if (held) window.late = true;
                return picture;
            };
        }"""
    )
    editor.fill()
    first = editor.saved("#download")
    page.evaluate("() => { window.hold = 2 * window.decoded; }")  # the last one of the next fill
    page.click("#again")
    page.wait_for_function("() => window.go")
    if way == "open":
        editor.give(other)
        page.locator("#status", has_text="other.png opened").wait_for()
    elif way == "Escape":
        page.keyboard.press("Escape")
    else:
        page.click("#fill")
    page.evaluate("() => window.go()")
    page.wait_for_function("() => window.late")
    settle(page)
    if way == "open":
        assert not editor.shown("#results")
        assert "other.png opened" in editor.status()
        return
    page.locator("#status", has_text="Stopped").wait_for()
    editor.until_filled()
    assert page.locator(".pick input").nth(0).is_enabled()
    assert "best" in page.locator("#picks").inner_text()
    assert editor.saved("#download") == first
    page.click("#undo")
    assert not editor.shown("#results")  # one fill was made, not two


def test_everything_by_keyboard(editor):
    """Catches an editor that only a mouse can use."""
    page = editor.page
    page.locator("#sample-list button").first.focus()
    page.keyboard.press("Enter")
    page.locator("#file").wait_for()
    page.keyboard.press("]")
    page.keyboard.press("[")
    page.keyboard.press("Space")
    for _ in range(6):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert "% of the picture" in editor.status()
    mask = editor.mask()
    assert mask[32, 33:60].all()
    page.locator("#canvas").focus()
    page.keyboard.press("f")
    editor.until_filled()
    page.keyboard.press("Alt+2")
    assert page.locator(".pick input").nth(1).is_checked()
    page.keyboard.press("u")
    assert editor.shown("#scale")
    page.keyboard.press("c")
    assert editor.shown("#divider-label")
    with page.expect_download() as waiting:
        page.keyboard.press("Control+s")
    assert waiting.value.suggested_filename == "00245-mended.png"
    page.keyboard.press("a")
    assert "Accepted" in editor.status()
    page.keyboard.press("Control+z")
    assert page.locator(".pick input").nth(1).is_checked()
    page.keyboard.press("?")
    assert editor.shown("#keys-dialog")
    page.keyboard.press("Escape")
    page.keyboard.press("Delete")
    assert page.locator("#fill").is_disabled()


def test_the_focus_is_never_lost(editor):
    """Catches a keyboard, or a screen reader, that is back at the top of the page after a press."""
    page = editor.page

    def focused():
        return page.evaluate(
            """() => {
                const { id, name, checked, value, tagName } = document.activeElement;
                return checked ? `checked ${name} ${value}` : id || name || tagName;
            }"""
        )

    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    page.locator("#fill").focus()
    page.keyboard.press("Enter")
    editor.until_filled()
    assert focused() == "fill"
    page.locator(".pick input:checked").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("n")
    editor.until_filled()
    assert focused().startswith("checked pick")
    page.locator("#again").focus()
    page.keyboard.press("Enter")
    editor.until_filled()
    assert focused().startswith("checked pick")
    page.keyboard.press("Control+z")
    assert focused().startswith("checked pick")  # the roll before
    page.locator("#accept").focus()
    page.keyboard.press("Enter")
    assert "Accepted" in editor.status()
    assert focused() == "canvas"
    page.keyboard.press("Control+z")
    page.locator(".pick input:checked").focus()
    page.keyboard.press("a")
    assert focused() == "canvas"
    editor.drag((20, 20), (40, 30))
    page.locator("#clear").focus()
    page.keyboard.press("Enter")
    assert focused() == "canvas"


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


class Stepping(Gated):
    """Waits after those decoding steps that `stops` says yes to."""

    def __init__(self, pipe, stops):
        super().__init__(pipe)
        self.stops, self.go_on = stops, threading.Semaphore(0)
        self.gate.set()

    def __call__(self, *given, events, **more):
        def told(news):
            events.on_preview(news)
            assert not self.stops(news.step.index) or self.go_on.acquire(timeout=PATIENCE)

        return super().__call__(*given, events=replace(events, on_preview=told), **more)


def test_each_step_is_shown_as_it_comes(browser, tiny_pipeline):
    """Catches a page that shows nothing, or only the veil, until the fill is done."""
    pipe = Stepping(tiny_pipeline, lambda step: True)
    steps = pipe.defaults.steps
    with on_a_socket(app_of(pipe)) as port:
        context = browser.new_context(viewport={"width": 1200, "height": 800})
        editor = Editor(context, f"http://127.0.0.1:{port}/")
        page = editor.page
        editor.take_sample()
        editor.wait_for_zoom(800)
        page.keyboard.press("r")
        editor.drag((12, 16), (52, 48))
        before, mask = editor.seen(), editor.mask()
        np.testing.assert_array_equal(before[~mask], SAMPLE[~mask])
        page.click("#fill")
        looks, picks = [], []
        for step in range(1, steps + 1):
            page.get_by_text(re.compile(rf"^step {step} of {steps}(, about \d+ s left)?$")).wait_for()
            if step in (1, steps):
                looks.append(editor.seen())
                picks.append([shot_of(page.locator(".pick canvas").nth(n)) for n in range(4)])
            pipe.go_on.release()
        editor.until_filled()
        after = editor.seen()
        context.close()
    first, last = looks
    for look in looks:  # neither the mask's red nor what was there
        assert (look[mask] != before[mask]).any(1).mean() > 0.9
        assert (look[mask] != SAMPLE[mask]).any(1).mean() > 0.9
    assert (first[mask] != last[mask]).any(1).mean() > 0.3
    for look in (last, after):
        np.testing.assert_array_equal(look[~mask], SAMPLE[~mask])
    for early, late in zip(*picks, strict=True):
        assert (early != late).any()
    assert any((picks[1][0] != one).any() for one in picks[1][1:])


def shot_of(locator):
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB"))


RAMP = np.array([[30, 30, 110], [120, 40, 140], [225, 90, 80], [250, 200, 60]])


def test_holes_far_apart_are_shown_one_after_the_other(browser, tiny_pipeline):
    """Catches a hole that shows what was there until its turn comes, and a fill that vanishes as the next
    begins."""
    pipe = Stepping(tiny_pipeline, lambda step: step == 1)
    steps = pipe.defaults.steps
    first, second = np.zeros_like(SAMPLE[:, :, 0], bool), np.zeros_like(SAMPLE[:, :, 0], bool)
    first[3:8, 3:8] = second[52:58, 50:57] = True
    with on_a_socket(app_of(pipe)) as port:
        context = browser.new_context(viewport={"width": 1200, "height": 800})
        editor = Editor(context, f"http://127.0.0.1:{port}/")
        page = editor.page
        editor.take_sample()
        editor.wait_for_zoom(800)
        page.keyboard.press("r")
        editor.drag((3, 3), (7.9, 7.9))
        editor.drag((50, 52), (56.9, 57.9))
        np.testing.assert_array_equal(editor.mask(), first | second)
        painted = editor.seen()
        page.click("#fill")
        looks = []
        for hole in (1, 2):
            told = rf"^part {hole} of 2, step 1 of {steps}(, about \d+ s left)?$"
            page.get_by_text(re.compile(told)).wait_for()
            looks.append(editor.seen())
            pipe.go_on.release()
        editor.until_filled()
        after = editor.seen()
        context.close()
    np.testing.assert_array_equal(looks[0][second], painted[second])
    for look, hole in ((looks[0], first), (looks[1], first), (looks[1], second), (after, first | second)):
        assert (look[hole] != painted[hole]).any(1).mean() > 0.9
    known = ~(first | second)
    np.testing.assert_array_equal(after[known], SAMPLE[known])


def test_uncertainty_is_drawn_over_the_hole_and_nowhere_else(editor, tiny_pipeline):
    """Catches a check box without effect, and an overlay at the wrong place or in the wrong colours."""
    editor.take_sample()
    editor.wait_for_zoom(800)
    editor.page.keyboard.press("r")
    editor.drag((12, 16), (52, 48))
    mask = editor.mask()
    editor.fill()
    plain = editor.seen()
    editor.page.keyboard.press("u")
    drawn = editor.seen()
    np.testing.assert_array_equal(drawn[~mask], plain[~mask])
    levels = tiny_pipeline(SAMPLE, mask, samples=4, seed=0).uncertainty[mask] / np.log(CODES)
    ramp = np.stack([np.interp(levels * 3, range(4), RAMP[:, c]) for c in range(3)], 1)
    wanted = ramp * 215 / 255 + plain[mask].astype(float) * 40 / 255
    assert np.abs(drawn[mask] - wanted).max() < 5
    editor.page.keyboard.press("u")
    np.testing.assert_array_equal(editor.seen(), plain)


def test_before_and_after_lie_left_and_right_of_the_divider(editor):
    """Catches a comparison of a picture with itself, and a divider that is stuck."""
    page = editor.page
    editor.take_sample()
    editor.wait_for_zoom(800)
    page.keyboard.press("r")
    editor.drag((12, 16), (52, 48))
    mask = editor.mask()
    editor.fill()
    after = editor.seen()
    assert (after[mask] != SAMPLE[mask]).any(1).mean() > 0.9
    page.keyboard.press("c")
    divider, inside = page.locator("#divider"), slice(4, 60)  # without the line and its knob
    divider.press("Home")
    np.testing.assert_array_equal(editor.seen()[:, inside], after[:, inside])
    divider.press("End")
    np.testing.assert_array_equal(editor.seen()[:, inside], SAMPLE[:, inside])
    divider.fill("50")
    editor.drag((32, 40), (20, 40))
    assert 29 <= float(divider.input_value()) <= 33
    half = editor.seen()
    np.testing.assert_array_equal(half[:, :17], SAMPLE[:, :17])
    np.testing.assert_array_equal(half[:, 23:], after[:, 23:])
    page.click("#accept")  # what is compared from now on is the file as it was opened
    divider.press("End")
    np.testing.assert_array_equal(editor.seen()[:, inside], SAMPLE[:, inside])
    assert page.locator("#mask-save").is_disabled()  # the drag painted nothing


def test_settings_reach_the_pipeline_and_go_back(gated_editor):
    """Catches a control that changes nothing, or something else."""
    editor, pipe, _ = gated_editor
    page = editor.page
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    mask = editor.mask()
    page.click("#settings summary")
    note = page.locator("#settings-note")
    chosen = {
        "steps": "3",
        "temperature": "0.5",
        "schedule": "square_root",
        "order": "halton",
        "seam": "hard",
    }
    values = chosen | {"steps": 3, "temperature": 0.5}
    assert all(getattr(pipe.defaults, name) != value for name, value in values.items())
    for number, (name, value) in enumerate((chosen | {"grow": "4"}).items(), start=1):
        field = page.locator(f"[name={name}]")
        if name in ("schedule", "order", "seam"):
            field.select_option(value)
        else:
            field.fill(value)
        assert note.inner_text() == f"{number} changed"
    assert page.locator("label", has=page.locator("[name=grow]")).locator("output").inner_text() == "4 px"
    page.locator("[name=seed]").fill("11")
    editor.fill()
    asked = pipe.asked[-1]
    assert {name: asked[name] for name in values} == values
    assert asked["seed"] == [11]
    np.testing.assert_array_equal(asked["mask"][0], grow(mask, 4))
    page.click("#reset")
    assert note.inner_text() == ""
    editor.fill()
    asked = pipe.asked[-1]
    assert set(asked) == {"mask", "samples", "seed", "events"}
    assert asked["seed"] == [0]
    np.testing.assert_array_equal(asked["mask"][0], mask)


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


def test_failures_are_told_in_words(editor, tmp_path):
    (tmp_path / "notes.png").write_bytes(b"no picture")
    editor.give(tmp_path / "notes.png")
    editor.page.locator("#trouble", has_text="notes.png cannot be opened").wait_for()
    Image.new("RGB", (8600, 6000)).save(tmp_path / "large.png")
    editor.give(tmp_path / "large.png")
    editor.page.locator("#trouble", has_text="51.6 Mpx, the limit is 50.0 Mpx").wait_for()
    assert editor.shown("#welcome")


def test_dropped_and_pasted(browser, url):
    context = browser.new_context(bypass_csp=True)  # the test's own scripts, not the page's
    editor = Editor(context, url)
    buffer = io.BytesIO()
    Image.fromarray(SAMPLE).save(buffer, "PNG")
    for kind in ("drop", "paste"):
        editor.page.evaluate(
            """([kind, bytes]) => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([new Uint8Array(bytes)], `${kind}.png`, { type: "image/png" }));
                const carried = kind === "drop" ? { dataTransfer: transfer } : { clipboardData: transfer };
                const Kind = kind === "drop" ? DragEvent : ClipboardEvent;
                document.body.dispatchEvent(new Kind(kind, { bubbles: true, cancelable: true, ...carried }));
            }""",
            [kind, list(buffer.getvalue())],
        )
        editor.page.locator("#file-name", has_text=f"{kind}.png").wait_for()
    context.close()
    assert editor.complaints == []


def test_nothing_is_lost_when_the_server_is_restarted(browser, tiny_pipeline):
    """Catches a page that forgets the picture, or that never notices that the server is back."""

    def start(port):
        app = app_of(tiny_pipeline)
        listening = listen("127.0.0.1", port)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until(lambda: server.started and app.state.service.ready is None)

        def stop():
            server.should_exit = True
            thread.join(PATIENCE)
            listening.close()

        return listening.getsockname()[1], stop

    port, stop = start(0)
    context = browser.new_context()
    editor = Editor(context, f"http://127.0.0.1:{port}/")
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    mask = editor.mask()
    stop()
    editor.page.click("#fill")
    editor.page.locator("#trouble", has_text="Your picture and mask are safe").wait_for()
    _, stop = start(port)
    editor.page.locator("#status", has_text="The server is back").wait_for()
    np.testing.assert_array_equal(editor.mask(), mask)
    editor.fill()
    context.close()
    stop()
    assert editor.complaints == []


def test_a_token_is_asked_for_and_kept(browser, tiny_pipeline):
    token = "a token of the right length"
    with on_a_socket(app_of(tiny_pipeline, token=token)) as port:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.locator("#sample-list img").first.wait_for()
        context.close()
        context = browser.new_context()
        editor = Editor(context, f"http://127.0.0.1:{port}/#token={token.replace(' ', '%20')}")
        assert "token" not in editor.page.url
        context.close()


def test_a_dialog_that_was_closed_is_opened_again_by_what_needs_the_token(browser, tiny_pipeline, other):
    """Catches a Fill that does nothing at all, for ever, once the question for the token was dismissed."""
    token = "a token of the right length"
    with on_a_socket(app_of(tiny_pipeline, token=token)) as port:
        context = browser.new_context(viewport={"width": 1200, "height": 800})
        editor = Editor(context, f"http://127.0.0.1:{port}/", wait=False)
        page = editor.page
        page.locator("#token-dialog").wait_for()
        page.keyboard.press("Escape")
        assert not editor.shown("#token-dialog")
        editor.give(other)
        page.locator("#file-size", has_text="50 × 40").wait_for()
        page.mouse.click(*editor.middle())
        page.click("#settings summary")
        page.locator("[name=temperature]").press("ArrowRight")
        page.click("#reset")
        page.click("#fill")
        page.locator("#token-dialog").wait_for()
        assert editor.shown("#trouble")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.locator("#sample-list button").first.wait_for(state="attached")
        editor.fill()
        context.close()
    assert editor.complaints == []


def test_a_server_that_cannot_say_what_it_can_do_still_fills(browser, url, other):
    """Catches a page that is of no use when its first question went wrong."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    refused = {"status": 503, "json": {"error": {"code": "odd", "message": "not now"}}}
    context.route("**/v1/models", lambda route: route.fulfill(**refused))
    editor = Editor(context, url, wait=False)
    editor.page.locator("#trouble", has_text="Not now.").wait_for()
    editor.give(other)
    editor.page.locator("#file-size", has_text="50 × 40").wait_for()
    editor.page.mouse.click(*editor.middle())
    editor.fill()
    context.close()
    assert editor.complaints == []


def test_what_goes_wrong_in_the_page_is_told_in_words(gated_editor):
    """Catches buttons that do nothing, and a Fill that stays a Stop, when the browser refuses something."""
    editor, *_ = gated_editor
    page = editor.page
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    trouble = page.locator("#trouble", has_text="Something went wrong in the page: no memory.")
    page.evaluate(
        """() => {
            OffscreenCanvas.prototype.convertToBlob = () => Promise.reject(new Error("no memory"));
        }"""
    )
    for button in ("#mask-save", "#fill"):
        page.click(button)
        trouble.wait_for()
        assert page.locator("#fill").inner_text() == "Fill"
        page.evaluate("() => { document.getElementById('trouble').hidden = true; }")
    page.evaluate("() => { Promise.reject(new Error('no memory')); }")
    trouble.wait_for()
    page.evaluate("() => { document.getElementById('trouble').hidden = true; }")
    page.evaluate("() => { setTimeout(() => { throw new Error('no memory'); }); }")
    trouble.wait_for()
    assert all("no memory" in told for told in editor.complaints)
    editor.complaints.clear()


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


def test_every_control_has_a_name(editor):
    """Catches a button that a screen reader can only call "button"."""
    editor.take_sample()
    editor.drag((20, 20), (30, 30))
    editor.fill()
    editor.page.click("#settings summary")
    names = [line.strip() for line in editor.page.locator("body").aria_snapshot().splitlines()]
    kinds = ("button", "slider", "checkbox", "radio", "combobox", "spinbutton", "link")
    controls = [line.removeprefix("- ") for line in names if line.removeprefix("- ").startswith(kinds)]
    assert len(controls) > 30
    assert [line for line in controls if '"' not in line] == []


def test_the_description_of_the_api_needs_no_other_server(browser, url):
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}docs")
    page.locator("section", has_text="/v1/inpaint").first.wait_for()
    assert page.locator("section").count() >= 6
    assert all(one.startswith(url) for one in asked)
    context.close()
