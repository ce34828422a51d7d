"""The site of `maskmend export web` in Chromium: fills in a worker are Python's, without a server."""

import base64
import contextlib
import io
from collections.abc import Iterator
from typing import Any

import jaxtyping
import numpy as np
import pytest
from PIL import Image

from browser_parts import Editor, files_served
from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.assets import SAMPLES
from maskmend.errors import WeightsError
from maskmend.export.web import export_web
from maskmend.export.web_runtime import runtime_files
from maskmend.pipeline import InpaintPipeline
from maskmend.settings import Settings

pytestmark = pytest.mark.slow

FILLS = """async ({images, masks, guide, parameters}) => {
  const { fill } = await import("./api.js");
  const blob = (text) => new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]);
  const results = [];
  for (const [i, image] of images.entries()) {
    const more = guide ? { guide: blob(guide) } : {};
    const result = { images: [], steps: 0, levels: 0 };
    const { signal } = new AbortController();
    const stream = fill(blob(image), blob(masks[i]), { ...parameters, ...more }, signal);
    for await (const [name, data] of stream) {
      if (name === "step") result.steps += 1;
      if (name === "level") result.levels += 1;
      if (name === "fill") {
        let text = "";
        for (const byte of new Uint8Array(await data.image.arrayBuffer())) text += String.fromCharCode(byte);
        result.images.push(btoa(text));
      }
      if (name === "done") Object.assign(result, { tokens: data.tokens, best: data.best });
    }
    results.push(result);
  }
  return results;
}"""


@pytest.fixture(scope="module")
def pipe() -> InpaintPipeline:
    """A tiny model of 64 x 64 pixels that draws coarser fills anew."""
    defaults = Settings(steps=3, detail="auto", plain=1.0, ranking="typical")
    tokenizer, transformer = tiny_models(16, guesses=True)
    # As shipped models are stored: most tensors are exact in float16.
    return InpaintPipeline(tokenizer.half().float(), transformer.half().float(), defaults)


@pytest.fixture(scope="module")
def site(pipe: InpaintPipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        runtime_files()
    except WeightsError as error:
        pytest.skip(f"no onnxruntime-web here: {error}")
    folder = tmp_path_factory.mktemp("site")
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)  # the exporter would trace the checks too
    try:
        export_web(pipe, folder, name="tiny")
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
    with files_served(folder) as url:
        yield url


@pytest.fixture(scope="module")
def editor(browser: Any, site: str) -> Iterator[Editor]:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    editor = Editor(context, site)
    until_isolated(editor.page)
    editor.page.locator("#sample-list img").first.wait_for()
    yield editor
    context.close()
    assert editor.complaints == []


def until_isolated(page: Any) -> None:
    """The page is loaded once more as soon as its service worker is there."""
    playwright = pytest.importorskip("playwright.sync_api")
    for _ in range(600):
        # Its security policy forbids `wait_for_function`; a page that goes has no answer.
        with contextlib.suppress(playwright.Error):
            if page.evaluate("globalThis.crossOriginIsolated"):
                return
        page.wait_for_timeout(50)
    raise AssertionError("the page is not isolated")


def png(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def compared(
    editor: Editor, pipe: InpaintPipeline, cases: list[tuple[np.ndarray, np.ndarray]], **settings: Any
) -> list[dict[str, Any]]:
    """The fills of the site, of which tokens and pictures are the pipeline's."""
    guide = settings.pop("guide", None)
    given = {
        "images": [png(image) for image, _ in cases],
        "masks": [png(mask) for _, mask in cases],
        "guide": None if guide is None else png(guide),
        "parameters": settings | {"seed": 7},
    }
    found = editor.page.evaluate(FILLS, given)
    for (image, mask), mine in zip(cases, found, strict=True):
        theirs = pipe(image, mask, seed=7, guide=guide, **settings)
        assert mine["tokens"] == [rows.ravel().tolist() for rows in theirs.tokens]
        # Two of four are equally far from their median, but for rounding.
        far = np.abs(theirs.log_likelihood - np.median(theirs.log_likelihood))
        assert far[mine["best"]] == pytest.approx(far[theirs.best], abs=1e-5)
        for one, other in zip(mine["images"], theirs.pictures, strict=True):
            drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(one))))
            np.testing.assert_array_equal(drawn[~mask], image[~mask])
            assert np.abs(drawn.astype(int) - other.pixels).max() <= 1
    return found


def test_twenty_fills_have_the_tokens_of_python(editor: Editor, pipe: InpaintPipeline):
    """Catches noise, order, hints or infill that differ between the worker and the pipeline."""
    cases = [
        (smooth_pixels(64, 64, n), box_mask(64, 64, 8 + n, 12, 30 + 5 * n, 40 + 2 * n)) for n in range(5)
    ]
    compared(editor, pipe, cases, samples=4)


def test_thin_holes_wide_holes_and_colours_are_filled_as_in_python(editor: Editor, pipe: InpaintPipeline):
    """Catches windows, finer levels, their seeds, or a guide that differ."""
    image = smooth_pixels(96, 200, 3)
    (found,) = compared(editor, pipe, [(image, box_mask(96, 200, 40, 5, 50, 195))], samples=1)
    assert found["steps"] > 3  # of several windows
    image, wide = smooth_pixels(112, 144, 4), box_mask(112, 144, 20, 30, 90, 110)
    guide = np.zeros((112, 144, 4), np.uint8)
    guide[40:70, 50:80] = (200, 30, 60, 255)
    (found,) = compared(editor, pipe, [(image, wide)], samples=1, guide=guide)
    assert found["levels"] > 0


def test_transparency_comes_back_to_the_bit(editor: Editor, pipe: InpaintPipeline):
    """Catches colours that a canvas multiplied by their alpha."""
    image = np.dstack([smooth_pixels(64, 64, 9), np.arange(4096, dtype=np.int64).reshape(64, 64) % 256])
    image, mask = image.astype(np.uint8), box_mask(64, 64, 20, 20, 40, 40)
    given = {
        "images": [png(image)],
        "masks": [png(mask)],
        "guide": None,
        "parameters": {"samples": 1, "seed": 0},
    }
    (found,) = editor.page.evaluate(FILLS, given)
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["images"][0]))))
    np.testing.assert_array_equal(drawn[~mask], image[~mask])
    assert (drawn[mask][:, 3] == 255).all()


def test_paint_fill_and_download_without_a_network(editor: Editor, site: str):
    """Catches a page that needs its server after the first visit, and requests to other hosts."""
    editor.page.context.set_offline(True)
    try:
        editor.page.reload()
        editor.page.locator("#sample-list img").first.wait_for()
        editor.take_sample()
        editor.drag((20, 20), (40, 30))
        mask = editor.mask()
        editor.fill()
        saved = np.asarray(Image.open(io.BytesIO(editor.saved("#download"))))
    finally:
        editor.page.context.set_offline(False)
    name = editor.page.locator("#file-name").inner_text()
    sample = np.asarray(Image.open(SAMPLES / name))
    np.testing.assert_array_equal(saved[~mask], sample[~mask])
    assert (saved[mask] != sample[mask]).any()
    assert all(url.startswith((site, "blob:", "data:")) for url in editor.requests)
