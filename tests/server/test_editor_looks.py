"""How the editor looks on a wide screen and on a phone, light and dark, in three languages, step by step.

In each state of a walk through the tools nothing is cut off, covered, too pale or too small, and the pixels
on the screen are those of the picture with what is laid over it. With MASKMEND_SHOTS=folder the walks use
the shipped model and write each state as PNG:

    MASKMEND_SHOTS=shots python -m pytest tests/server/test_editor_looks.py
"""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from browser_parts import Editor
from fakes import box_mask, smooth_pixels
from fingers import between
from maskmend.masks.morphology import grow
from maskmend.pipeline import InpaintPipeline
from maskmend.server.app import create_app
from maskmend.server.registry import Catalogue, ModelEntry
from maskmend.server.settings import Limits, ServeConfig
from page_looks import settle
from server_parts import on_a_socket, until
from test_editor_selecting import PASTE
from walks import PHONE, SAMPLE, SHOTS, SIDE, WALKS, ByItsClock, Held, Walk, alike, cut_out, near, over, read

BOX = box_mask(SIDE, SIDE, 6, 34, 22, 56)
"""A hole that no drawer covers, on whatever screen."""
RED, GAINED, LOST = (229, 40, 72, 140), (250, 176, 36, 170), (36, 60, 120, 190)
"""Mask, what growing adds, what shrinking takes away: as they lie over the picture."""


@pytest.fixture(scope="module")
def served(tiny_pipeline: InpaintPipeline) -> Iterator[tuple[Held, str]]:
    """(the pipeline, where its editor is)"""
    source = InpaintPipeline.from_pretrained("default") if SHOTS else tiny_pipeline
    pipe = Held(source.tokenizer, source.transformer, source.defaults)
    catalogue = Catalogue([ModelEntry("tiny", pipe.defaults, lambda: pipe)])
    app = create_app(ServeConfig(limits=Limits(drain=5.0)), catalogue, ByItsClock(catalogue))
    with on_a_socket(app) as port:
        yield pipe, f"http://127.0.0.1:{port}/"


def selecting(walk: Walk) -> None:
    """Smart brush and polygon; leaves BOX as the mask."""
    page = walk.page
    walk.state("welcome")
    walk.editor.take_sample(0)
    assert near(walk.cells(), SAMPLE)
    walk.state("opened")
    walk.tool("smart")
    page.locator("#tolerance").fill("40")
    walk.tap(20.5, 40.5)
    marked = np.abs(walk.cells() - SAMPLE).max(axis=-1) > 3
    assert near(walk.cells(), over(SAMPLE, RED, marked))
    assert marked[40, 20]
    apart = np.abs(SAMPLE.astype(int) - SAMPLE[40, 20]).max(axis=-1)
    assert apart[marked].max() <= 40 < apart.max()
    walk.state("smart-brush")
    walk.press("#undo")
    walk.tool("polygon")
    for corner in ((34, 6), (56, 6), (56, 22), (34, 22)):
        walk.tap(*corner)
    assert page.locator("#corner-close").is_enabled()
    walk.state("polygon")
    walk.press("#corner-close")
    assert near(walk.cells(), over(SAMPLE, RED, BOX))


def drawing_together(walk: Walk) -> None:
    """The drawer: what growing, shrinking and the seam would do, and the history."""
    page = walk.page
    walk.press("#drawer-open")
    settle(page)
    free, red = walk.uncovered(), over(SAMPLE, RED, BOX)
    assert (free & BOX).any()
    page.locator("#grow-by").fill("5")
    assert near(walk.cells(), over(red, GAINED, grow(BOX, 5) & ~BOX), free)
    walk.state("growing")
    page.locator("#grow-by").fill("-3")
    assert near(walk.cells(), over(red, LOST, grow(~BOX, 3) & BOX), free)
    walk.state("shrinking")
    page.locator("#grow-by").fill("0")
    page.locator("#show-feather").check(force=True)
    paler = walk.cells() - red
    assert paler[14, 34].mean() > 40  # at the hole's border
    assert np.abs(paler[14, 45]).max() < 12  # in its middle
    assert near(walk.cells(), red, free & ~BOX)
    walk.state("feather")
    page.locator("#show-feather").uncheck(force=True)
    steps = page.locator("#timeline canvas")
    steps.first.scroll_into_view_if_needed()
    assert alike(steps.first, SAMPLE)
    assert alike(steps.last, red)
    assert not alike(steps.first, red)
    walk.state("history")
    walk.press("#drawer-close")


def filling(walk: Walk, pipe: Held) -> np.ndarray:
    """A fill under way, four to pick from, side by side; returns the picture that was accepted."""
    page = walk.page
    pipe.go_on.clear()
    pipe.hold = True
    try:
        walk.press("#fill")
        until(lambda: page.evaluate("document.querySelector('#bar').value >= 2"))
        live = walk.cells()
        assert near(live, SAMPLE, ~box_mask(SIDE, SIDE, 0, 18, 40, SIDE))  # tokens reach beyond the hole
        assert not near(live, over(SAMPLE, RED, BOX), levels=20)
        left = 9 * (pipe.defaults.steps - 2)
        assert str(left) in page.locator("#progress-text").inner_text()
        walk.state("under-way")
    finally:
        pipe.hold = False
        pipe.go_on.set()
    walk.editor.until_filled()
    first = walk.cells()
    assert near(first, SAMPLE, ~BOX)
    assert not near(first, SAMPLE)
    best = int(page.locator(".pick input:checked").get_attribute("value"))
    part = box_mask(SIDE, SIDE, 2, 30, 30, 60)
    # 33 pixels of the picture around the hole, on a canvas of 280
    thumbs = page.locator(".pick canvas")
    shrunk = page.evaluate("document.querySelector('.pick canvas').clientWidth") / 33
    shown = read(thumbs.nth(best), -28.5 * shrunk, 0, shrunk, part)
    assert near(shown, cut_out(first, part))
    walk.state("filled")
    page.keyboard.press("v")
    flipped = walk.cells()
    assert near(flipped, first, ~BOX)
    assert not near(flipped, first, levels=0)
    walk.state("flipped")

    walk.press("#compare")
    panes = page.locator(".pane canvas")
    panes.nth(4).wait_for()
    settle(page)
    size = panes.first.evaluate("(canvas) => [canvas.clientWidth, canvas.clientHeight]")
    scale = min(24, *(each / 33 for each in size))
    left, top = size[0] / 2 - 45 * scale, size[1] / 2 - 16.5 * scale
    for number, wanted in ((0, SAMPLE), (best + 1, first), ((best + 1) % 4 + 1, flipped)):
        shown = read(panes.nth(number), left, top, scale, part)
        assert near(shown, cut_out(wanted, part))
    walk.state("side-by-side")
    walk.press(f".pane:nth-child({best + 2}) button")
    page.locator("#compare-dialog").wait_for(state="hidden")
    settle(page)
    if walk.touch:
        walk.press("#more")
    page.locator("#show-uncertainty").check(force=True)
    page.locator("#scale").scroll_into_view_if_needed()
    walk.state("uncertainty")
    page.locator("#show-uncertainty").uncheck(force=True)
    page.locator("#show-compare").check(force=True)
    if not walk.touch:  # a phone shows the picture too small for this
        half = walk.cells()
        assert near(half[:, :28], SAMPLE[:, :28])
        assert near(half[:24, 36:], first[:24, 36:])  # the handle lies in the middle
    walk.state("before-and-after")
    page.locator("#show-compare").uncheck(force=True)
    page.locator("#settings summary").scroll_into_view_if_needed()
    walk.press("#settings summary")
    page.locator("#language").scroll_into_view_if_needed()
    walk.state("settings")
    walk.press("#settings summary")
    if walk.touch:
        walk.press("#more")
    walk.press("#accept")
    return first


def extending(walk: Walk, accepted: np.ndarray) -> None:
    """The border dragged outwards, and colours painted into what is new."""
    page, size = walk.page, (SIDE + 16, SIDE)
    walk.tool("extend")
    walk.hand.drag(between(walk.at(SIDE, 40, room=True), walk.at(SIDE + 16, 40, room=True)))
    settle(page)
    assert page.locator("#extend-form [name=right]").input_value() == "16"
    wide = walk.cells(size=size, room=True)
    assert near(wide[:, 2:62], accepted[:, 2:62], box_mask(SIDE, 60, 2, 0, 28, 28))
    new = wide[6:26, 66:78]
    assert (new[..., 0] - new[..., 1:].max(axis=-1)).min() > 60  # red on a checkerboard
    walk.state("extending")
    walk.tool("colour")
    page.locator("#colour").fill("#2080d0")
    walk.hand.drag(between(walk.at(72, 20, size), walk.at(72, 44, size)))
    assert near(walk.cells(size=size)[22:42, 72], np.array((32, 128, 208)))
    walk.state("colours")


def several(walk: Walk, folder: Path) -> None:
    """Three more pictures in the strip, and a mask that is pasted onto the last."""
    page = walk.page
    paths = [folder / f"{name}.png" for name in ("one", "two", "a-name-that-is-longer-than-any-label")]
    for seed, path in enumerate(paths):
        Image.fromarray(smooth_pixels(SIDE, SIDE, seed)).save(path)
    page.set_input_files("#file-input", [str(path) for path in paths])
    page.locator(".picture").nth(3).wait_for()
    for number in range(3):
        assert alike(page.locator(".picture canvas").nth(number + 1), smooth_pixels(SIDE, SIDE, number))
    page.locator(".picture").last.scroll_into_view_if_needed()
    walk.state("several")
    file = io.BytesIO()
    Image.fromarray(BOX).save(file, "PNG")
    page.evaluate(PASTE, [base64.b64encode(file.getvalue()).decode(), "mask.png"])
    page.locator("#paste-dialog").wait_for()
    walk.state("mask-or-picture")
    walk.press("#paste-dialog [value=mask]")
    until(lambda: page.evaluate("!document.querySelector('#mask-save').disabled"))
    last = smooth_pixels(SIDE, SIDE, 2)
    assert near(walk.cells(), over(last, RED, BOX))
    walk.state("pasted-mask")

    walk.tool("brush")
    page.locator("#size").fill("12")
    for row, pressures in ((34, (0.1, 0.12)), (52, (0.9, 1.0))):
        walk.hand.drag(between(walk.at(10, row), walk.at(50, row), steps=10), pressures)
    painted = np.abs(walk.cells() - last).max(axis=-1) > 3
    thin, thick = painted[26:42, 40].sum(), painted[44:60, 40].sum()
    assert 3 <= thin <= 7
    assert 10 <= thick <= 13
    walk.state("pressure")


def questions(walk: Walk, folder: Path) -> None:
    """What the page asks and complains about, and the list of keys, on the screen and on paper."""
    page = walk.page
    deep = folder / "deep.png"
    Image.fromarray(smooth_pixels(SIDE, SIDE)[:, :, 0].astype(np.uint16) * 257).save(deep)
    walk.editor.give(deep)
    page.locator("#convert-dialog").wait_for()
    walk.state("convert")
    walk.press("#convert-dialog [value=convert]")
    page.locator("#notice").wait_for()
    (folder / "cut.png").write_bytes((folder / "one.png").read_bytes()[:200])
    walk.editor.give(folder / "cut.png")
    page.locator("#trouble").wait_for()
    walk.state("trouble")
    page.keyboard.press("?")
    page.locator("#keys-dialog").wait_for()
    walk.state("keys")
    page.emulate_media(media="print")
    settle(page)
    walk.shot("print")
    paper = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"), int)
    assert (paper > 250).mean() > 0.7  # paper, whatever the page's own colours
    assert paper.min() < 60
    page.emulate_media(media="screen")
    page.keyboard.press("Escape")


@pytest.mark.parametrize(
    "name", [name if name == "phone-dark" else pytest.param(name, marks=pytest.mark.slow) for name in WALKS]
)
def test_what_is_in_sight_can_be_read_and_pressed_and_is_what_it_should_be(name, browser, served, tmp_path):
    """Catches labels that do not fit in another language, pale text in the dark, buttons under other things,
    and previews, panes and thumbnails that show something else than they say."""
    screen, scheme, language = WALKS[name]
    context = browser.new_context(
        **screen, color_scheme=scheme, locale=language, reduced_motion="reduce",
        device_scale_factor=2 if SHOTS and screen == PHONE else 1,
    )  # fmt: skip
    pipe, url = served
    editor = Editor(context, url)
    walk = Walk(editor, name, touch=screen == PHONE)
    selecting(walk)
    drawing_together(walk)
    accepted = filling(walk, pipe)
    extending(walk, accepted)
    several(walk, tmp_path)
    questions(walk, tmp_path)
    context.close()
    assert walk.wrong == []
    assert editor.complaints == []
