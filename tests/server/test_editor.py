"""The editor in a browser: a stroke, a fill, four results, and every known pixel as it was."""

import numpy as np
import pytest

from browser_parts import Editor
from fakes import smooth_pixels, tiny_models
from maskmend.cli.demo import sample_pairs
from maskmend.fill.familiarity import Domain
from maskmend.images.picture import load_image, read_image
from maskmend.masks.morphology import grow
from maskmend.pipeline import InpaintPipeline
from page_looks import settle
from server_parts import PATIENCE, app_of, on_a_socket, until

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
