"""What the editor shows of a fill: its steps as they come, its uncertainty, before and after."""

import io
import re
import threading
from dataclasses import replace

import numpy as np
from PIL import Image

from browser_parts import Editor
from fakes import CODES
from maskmend.cli.demo import sample_pairs
from maskmend.images.picture import load_image
from server_parts import PATIENCE, Gated, app_of, on_a_socket

SAMPLE = load_image(sample_pairs()[0][1]).pixels


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
