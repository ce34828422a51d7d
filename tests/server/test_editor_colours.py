"""The editor's colour brush: what is painted into the hole reaches the model, and nothing else does."""

import numpy as np
import pytest

from maskmend.cli.demo import sample_pairs
from maskmend.images.picture import load_image, read_image

SAMPLE = load_image(sample_pairs()[0][1]).pixels
RED = (208, 48, 32)


@pytest.fixture
def painted(editor):
    """The editor with a hole and, across its border, a stroke of red; and the hole."""
    editor.take_sample()
    editor.drag((16, 32), (40, 32))
    mask = editor.mask()
    editor.page.keyboard.press("p")
    editor.page.locator("#colour").fill("#d03020")
    editor.drag((32, 32), (60, 32))
    return editor, mask


def reds(editor):
    return (np.abs(editor.seen().astype(int) - RED) < 24).all(axis=2)


def asked(recorded):
    return recorded[0].asked[-1]


def test_the_guide_lies_in_the_hole_and_is_drawn_from(painted, recorded, tiny_pipeline):
    """Catches colours that get lost on the way, leak out of the hole, or whose strength is not heeded."""
    editor, mask = painted
    editor.page.locator("#strength").fill("50")
    editor.fill()
    (guide,) = asked(recorded)["guide"]
    given = guide.alpha > 0
    assert given.sum() > 40
    assert not given[~mask].any()
    assert (guide.pixels[given] == RED).all()
    assert asked(recorded)["guide_strength"] == 0.5
    filled = read_image(editor.saved("#download")).pixels
    np.testing.assert_array_equal(filled[~mask], SAMPLE[~mask])
    wanted = tiny_pipeline(SAMPLE, mask, samples=4, guide=guide, guide_strength=0.5)
    np.testing.assert_array_equal(filled, wanted.pictures[wanted.best].pixels)


def test_colours_are_undone_rubbed_out_and_erased_with_the_hole(painted, recorded):
    """Catches colours that stay where there is no hole any more, or do not come back with it."""
    editor, mask = painted
    page = editor.page
    whole = reds(editor)
    assert whole.sum() > 40
    assert not whole[~mask].any()
    page.click("#undo")
    assert not reds(editor).any()
    page.click("#redo")
    np.testing.assert_array_equal(reds(editor), whole)

    page.keyboard.down("Shift")
    editor.drag((38, 32), (38, 33))
    page.keyboard.up("Shift")
    fewer = reds(editor)
    assert 0 < fewer.sum() < whole.sum()
    np.testing.assert_array_equal(editor.mask(), mask)
    page.click("#undo")

    page.keyboard.press("e")
    editor.drag((38, 32), (38, 33))
    smaller = editor.mask()
    assert smaller.sum() < mask.sum()
    assert not reds(editor)[~smaller].any()
    page.keyboard.press("b")
    editor.drag((38, 32), (38, 33))  # the hole is there again, and has no colours
    assert reds(editor).sum() < whole.sum()
    page.click("#undo")
    page.click("#undo")
    np.testing.assert_array_equal(reds(editor), whole)

    page.click("#colours-clear")
    assert not reds(editor).any()
    editor.fill()
    assert "guide" not in asked(recorded)


def test_what_is_accepted_takes_its_colours_along(painted):
    """Catches colours that guide the next fill too."""
    editor, _ = painted
    editor.fill()
    editor.page.click("#accept")
    assert not reds(editor).any()
    assert editor.page.locator("#colours-clear").is_disabled()
    editor.page.click("#undo")
    editor.page.click("#undo")
    editor.page.locator("#show-mask").check(force=True)
    assert reds(editor).sum() > 40


def test_a_colour_is_taken_from_the_picture(painted):
    """Catches a dropper that takes the mask's red, or a neighbour's colour."""
    editor, mask = painted
    page = editor.page

    def taken(x, y):
        page.mouse.click(*editor.place(x + 0.5, y + 0.5))
        return page.locator("#colour").input_value()

    def written(levels):
        return "#" + bytes(int(level) for level in levels).hex()

    for x, y in ((5, 9), (60, 50)):
        page.keyboard.press("k")
        assert taken(x, y) == written(SAMPLE[y, x])
        assert page.locator("button[data-tool=colour]").get_attribute("aria-pressed") == "true"
    assert mask[32, 20]
    page.keyboard.down("Alt")
    assert taken(20, 32) == written(SAMPLE[32, 20])  # in the hole, what lies under the red
    assert taken(38, 32) == written(RED)  # and what was painted
    page.keyboard.up("Alt")


def test_a_colour_without_a_hole_is_told(editor):
    """Catches a brush that does nothing without a word."""
    editor.take_sample()
    editor.page.keyboard.press("p")
    editor.drag((20, 20), (40, 30))
    assert "paint it first" in editor.status()
    assert editor.page.locator("#undo").is_disabled()


def test_colours_by_keyboard(editor, recorded):
    """Catches a colour brush that only a mouse can use."""
    editor.take_sample()
    page = editor.page
    for tool in ("b", "p"):
        page.keyboard.press(tool)
        page.keyboard.press("Space")
        for _ in range(3):
            page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Space")
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("f")
    editor.until_filled()
    assert (asked(recorded)["guide"][0].alpha > 0).any()
