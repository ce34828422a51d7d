"""What the editor shows of four fills: the hole close by, one key to flip through them, likelihoods in words;
and how far the finer scales of a wide hole are."""

import base64
import io
import re
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from browser_parts import Editor
from fakes import smooth_pixels, tiny_models
from maskmend.pipeline import InpaintPipeline
from page_looks import settle
from server_parts import PATIENCE, app_of, on_a_socket, until

CROP = """async ([width, height, lines]) => {
    const { Mask } = await import("./mask.js");
    const { around } = await import("./picks.js");
    const { capsule } = await import("./shapes.js");
    const mask = new Mask(width, height);
    mask.begin();
    for (const [x0, y0, x1, y1, radius] of lines) mask.spans(capsule(x0, y0, x1, y1, radius), 1);
    mask.end();
    const { left, top, side } = around(mask);
    let inside = 0;
    mask.data.forEach((value, i) => {
        const [x, y] = [i % width - left, Math.floor(i / width) - top];
        if (x >= 0 && x < side && y >= 0 && y < side) inside += value;
    });
    return [left, top, side, inside / (side * side)];
}"""


@pytest.mark.parametrize(
    ("name", "size", "lines", "largest"),
    [
        ("a scratch from corner to corner", (1024, 768), [(0, 0, 1023, 767, 3)], 180),
        ("a scratch at the edge", (768, 1024), [(2, 0, 2, 1023, 2)], 160),
        ("two spots far apart", (1000, 1000), [(50, 50, 60, 60, 8), (950, 940, 960, 960, 12)], 200),
        ("a hair", (4000, 3000), [(100, 100, 3900, 2800, 1)], 60),
    ],
)
def test_thumbnails_of_thin_holes_show_them_close_by(editor, name, size, lines, largest):
    """Catches thumbnails of the whole picture, in which nobody sees what differs."""
    left, top, side, share = editor.page.evaluate(CROP, [*size, lines])
    assert side <= largest
    assert share >= (0.04 if name != "a hair" else 0.02)
    assert left >= 0
    assert top >= 0
    assert left + side <= size[0]
    assert top + side <= size[1]


def test_thumbnails_of_compact_holes_show_all_of_them(editor):
    left, top, side, share = editor.page.evaluate(CROP, [1024, 768, [(500, 300, 600, 360, 40)]])
    assert left < 460
    assert left + side > 640
    assert top < 260
    assert top + side > 400
    assert share > 0.1


def test_one_key_flips_through_the_fills_in_place(editor):
    """Catches a comparison for which the eyes have to leave the picture."""
    page = editor.page
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    editor.fill()
    first = int(page.locator(".pick input:checked").get_attribute("value"))
    pictures = []
    for step in range(4):
        assert page.locator(".pick input").nth((first + step) % 4).is_checked()
        pictures.append(editor.seen())
        page.keyboard.press("v")
        assert f"Alternative {(first + step + 1) % 4 + 1} is shown" in editor.status()
    assert (pictures[0] != pictures[1]).any()
    np.testing.assert_array_equal(editor.seen(), pictures[0])
    page.keyboard.press("Shift+V")
    np.testing.assert_array_equal(editor.seen(), pictures[3])
    page.click("#accept")
    page.keyboard.press("v")
    assert "Accepted" in editor.status()


def test_likelihoods_are_said_in_words_and_the_figures_are_at_hand(editor):
    """Catches "-3.04 nats" as all that a person is told."""
    page = editor.page
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    editor.fill()
    for text in page.locator(".facts").all_inner_texts():
        assert re.fullmatch("best|much alike|(much )?(safer|bolder)", text)
        assert not re.search(r"\d|nats", text)
    for pick in page.locator(".pick").all():
        assert re.search(r"−\d+\.\d\d nats a token: \d+\.\d % for each", pick.get_attribute("title"))
    words = """async () => {
        const { inWords } = await import("./likelihood.js");
        return [-2, -2.8, -2.95, -3.05, -3.3, -5].map((nats) => inWords(nats, -3));
    }"""
    wanted = ["much safer", "safer", "much alike", "much alike", "bolder", "much bolder"]
    assert page.evaluate(words) == wanted


def test_the_finer_scales_of_a_wide_hole_are_counted_and_shown(browser, tmp_path):
    """Catches a bar that stands at the last step while most of the work is still to come, and a coarse
    picture that stays until all of them are drawn."""
    go_on, reached = threading.Event(), threading.Event()

    class Held(InpaintPipeline):
        def __call__(self, *given, events, **more):
            def told(progress):
                events.on_level(progress)
                if progress.sample == 1 and progress.windows:
                    reached.set()
                    assert go_on.wait(PATIENCE)

            return super().__call__(*given, events=replace(events, on_level=told), **more)

    Image.fromarray(smooth_pixels(60, 60)).save(tmp_path / "wide.png")
    with on_a_socket(app_of(Held(*tiny_models(guesses=True)))) as port:
        context = browser.new_context(viewport={"width": 1200, "height": 800})
        editor = Editor(context, f"http://127.0.0.1:{port}/")
        editor.give(tmp_path / "wide.png")
        editor.page.locator("#file").wait_for()
        settle(editor.page)
        editor.page.locator("#size").fill("30")
        editor.drag(*(tuple(60 * at / 64 for at in point) for point in ((25, 25), (40, 40))))
        editor.page.click("#fill")
        try:
            assert reached.wait(PATIENCE)
            editor.page.locator(
                "#progress-text", has_text=re.compile(r"finer detail, about \d+ s left")
            ).wait_for()
            bar = editor.page.locator("#bar")
            until(lambda: bar.evaluate("(bar) => bar.value / bar.max") > 0.25)
            # Two of four fills are drawn finely, or nearly.
            assert bar.evaluate("(bar) => bar.value / bar.max") < 0.75
            settle(editor.page)
            shown = [thumbnail(editor, number) for number in (0, 2)]
        finally:
            go_on.set()
        editor.until_filled()
        fine, coarse = (
            np.abs(before - thumbnail(editor, number)).mean()
            for before, number in zip(shown, (0, 2), strict=True)
        )
        assert fine < 1 < coarse  # the first was as it is now, the third was still coarse
        assert editor.complaints == []
        context.close()


LIVE = """async ([parts, news]) => {
    const { Live } = await import("./filling.js");
    const { Mask } = await import("./mask.js");
    const live = new Live(new Mask(8, 8), 8);
    const box = { left: 0, top: 0, width: 8, height: 8 };
    const fills = [{ hidden: ["1"] }];
    return news.map(([part, step, seconds]) => live.take({
        kind: "step", part, parts, step, steps: 8, box, fills, patches: [null], seconds_left: seconds,
    })[2]);
}"""


@pytest.mark.parametrize(
    ("parts", "news", "wanted"),
    [
        (1, [(1, 1, 1.5), (1, 8, 0)], ["step 1 of 8", "step 8 of 8"]),
        (
            1,
            [(1, 1, 3.5), (1, 7, 0.4), (1, 8, 0)],
            ["step 1 of 8, about 4 s left", "step 7 of 8, about 1 s left", "step 8 of 8"],
        ),
        (
            40,
            [(1, 2, 400), (1, 8, 93), (4, 8, 60.4)],
            [
                "part 1 of 40, step 2 of 8, about 7 min left",
                "part 1 of 40, step 8 of 8, about 2 min left",
                "part 4 of 40, step 8 of 8, about 60 s left",
            ],
        ),
        (2, [(1, 1, None)], ["part 1 of 2, step 1 of 8"]),
    ],
    ids=["a moment", "seconds", "minutes", "unknown"],
)
def test_the_time_left_is_told_of_all_that_takes_longer_than_a_moment(editor, parts, news, wanted):
    """Catches "part N of M" as all that is told of a minute, and seconds that flicker at what takes none."""
    assert editor.page.evaluate(LIVE, [parts, news]) == wanted


def thumbnail(editor, number):
    url = editor.page.locator(".pick canvas").nth(number).evaluate("(canvas) => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"), int)
