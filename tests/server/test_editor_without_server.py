"""The site of `maskmend export web` in Chromium: fills in a worker are Python's, without a server."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import jaxtyping
import numpy as np
import pytest
from PIL import Image

from browser_parts import ARGUMENTS, Editor, come_true, executable, files_served
from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.assets import SAMPLES
from maskmend.errors import WeightsError
from maskmend.export.web import ICONS, export_web
from maskmend.export.web_runtime import BUILDS, runtime_files
from maskmend.fill.familiarity import Domain
from maskmend.pipeline import InpaintPipeline
from maskmend.settings import Settings
from page_texts import BARE, MARKED

pytestmark = pytest.mark.slow

FILLS = """async ({images, masks, guide, parameters}) => {
  const { fill } = await import("./api.js");
  const blob = (text) => new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]);
  const results = [];
  for (const [i, image] of images.entries()) {
    const more = guide ? { guide: blob(guide) } : {};
    const result = { images: [], steps: 0, levels: 0, left: [] };
    const { signal } = new AbortController();
    const stream = fill(blob(image), blob(masks[i]), { ...parameters, ...more }, signal);
    for await (const [name, data] of stream) {
      if (name === "step") result.steps += 1;
      if (name === "level") result.levels += 1;
      if (name === "step") result.left.push(data.seconds_left);
      if (name === "fill") {
        let text = "";
        for (const byte of new Uint8Array(await data.image.arrayBuffer())) text += String.fromCharCode(byte);
        result.images.push(btoa(text));
      }
      if (name === "done") {
        const { tokens, best, note, unfamiliar } = data;
        Object.assign(result, { tokens, best, note, unfamiliar });
      }
    }
    results.push(result);
  }
  return results;
}"""


SMOOTH, SMALL = smooth_pixels(64, 64, 1), box_mask(64, 64, 20, 20, 44, 44)
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
SOFTWARE_GPU = (
    "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan",
    "--use-vulkan=swiftshader", "--js-flags=--stack-size=400",
)  # fmt: skip
"""WebGPU without a GPU; and a stack in which, as in some browsers, 65,536 arguments are too many."""


@pytest.fixture(scope="module")
def pipe() -> InpaintPipeline:
    """A tiny model of 64 x 64 pixels that draws coarser fills anew."""
    defaults = Settings(steps=3, detail="auto", plain=1.0, ranking="typical")
    tokenizer, transformer = tiny_models(16, guesses=True)
    # As shipped models are stored: most tensors are exact in float16.
    pipe = InpaintPipeline(tokenizer.half().float(), transformer.half().float(), defaults)
    pipe.domain = Domain(learnt="smooth squares", distance=1.0)
    between = sum(pipe(image, SMALL, samples=1).unfamiliar or 0 for image in (SMOOTH, NOISE)) / 2
    pipe.domain = replace(pipe.domain, distance=between)
    return pipe


@pytest.fixture(scope="module")
def site(pipe: InpaintPipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        runtime_files(builds=BUILDS)
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
    editor = opened(context, site)
    yield editor
    context.close()
    assert editor.complaints == []


@pytest.fixture(scope="module")
def with_gpu(browser: Any, site: str) -> Iterator[Editor]:
    """The site in a browser that draws with WebGPU, in software. Skips where Chromium has no such adapter."""
    arguments = [one for one in ARGUMENTS if one != "--disable-gpu"]
    another = browser.browser_type.launch(executable_path=executable(), args=[*arguments, *SOFTWARE_GPU])
    editor = opened(another.new_context(viewport={"width": 1200, "height": 800}), f"{site}?run=webgpu")
    if not editor.page.evaluate("navigator.gpu?.requestAdapter().then(Boolean)"):
        another.close()
        pytest.skip("this Chromium has no WebGPU adapter in software")
    yield editor
    another.close()
    assert editor.complaints == []


def opened(context: Any, url: str) -> Editor:
    editor = Editor(context, url)
    come_true(editor.page, "globalThis.crossOriginIsolated")  # it is loaded once more with its service worker
    editor.page.locator("#sample-list img").first.wait_for()
    return editor


def png(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def compared(
    editor: Editor, pipe: InpaintPipeline, cases: Sequence[tuple[np.ndarray, np.ndarray]], **settings: Any
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
        assert mine["note"] == theirs.note
        assert all(left == round(left, 1) >= 0 for left in mine["left"])
        if not mine["levels"]:  # else the finer levels are still to come
            assert mine["left"][-1] == 0
        expected = None if theirs.unfamiliar is None else pytest.approx(theirs.unfamiliar, rel=1e-4)
        assert mine["unfamiliar"] == expected
        likelihood = theirs.log_likelihood  # equal ones differ by rounding
        assert likelihood[mine["best"]] == pytest.approx(likelihood[theirs.best], abs=1e-5)
        for one, other in zip(mine["images"], theirs.pictures, strict=True):
            drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(one))))
            np.testing.assert_array_equal(drawn[~mask], image[~mask])
            assert np.abs(drawn.astype(int) - other.pixels).max() <= 1
    return found


FIVE = [(smooth_pixels(64, 64, n), box_mask(64, 64, 8 + n, 12, 30 + 5 * n, 40 + 2 * n)) for n in range(5)]


def test_twenty_fills_have_the_tokens_of_python(editor: Editor, pipe: InpaintPipeline):
    """Catches noise, order, hints or infill that differ between the worker and the pipeline."""
    compared(editor, pipe, FIVE, samples=4)
    runs = editor.page.locator("#runs").text_content()
    assert runs is not None
    assert runs.startswith("Runs on WebAssembly")
    assert "WebGPU" not in runs  # a browser without an adapter


@pytest.mark.nightly  # a GPU in software keeps the processors busy for minutes
def test_fills_drawn_with_webgpu_have_the_tokens_of_python(with_gpu: Editor, pipe: InpaintPipeline):
    """Catches a graph that decides on tokens with a GPU's rounding, and a decoder that WebGPU gets wrong. Two
    fills only: a GPU in software takes seconds for each (bench/web_site.py --webgpu compares twenty)."""
    compared(with_gpu, pipe, FIVE[:2], samples=1)
    assert "WebGPU draws" in (with_gpu.page.locator("#runs").text_content() or "")


@pytest.mark.nightly  # a GPU in software keeps the processors busy for minutes
def test_a_gpu_that_is_lost_gives_way_to_webassembly(with_gpu: Editor, site: str):
    """Catches a page that cannot draw any more once its GPU is gone, with its driver or by the system."""
    context = with_gpu.page.context.browser.new_context(service_workers="block")
    page = context.new_page()
    page.goto(f"{site}site.json")
    runs, levels = page.evaluate(
        """async () => {
          const { loadModel } = await import("./browser/loading.js");
          const model = await loadModel(new URL("model/", location.href), () => {}, "webgpu");
          const runs = [model.runs.gpu];
          (await model.ort.env.webgpu.device).destroy();
          const { resolution, grid } = model.about;
          const plane = new Float32Array(resolution ** 2);
          const nothing = new Uint8Array(resolution ** 2);
          const image = { width: resolution, height: resolution, planes: [plane, plane, plane] };
          const region = { image, mask: { data: nothing }, guess: nothing };
          const [drawn] = await model.draw([new Array(grid ** 2).fill(0)], region);
          return [[...runs, model.runs.gpu], Array.from(drawn.planes[0])];
        }"""
    )
    context.close()
    assert runs == [True, False]
    assert len(levels) == 64 * 64
    assert np.isfinite(levels).all()


def test_what_is_unlike_the_models_pictures_is_told_as_in_python(editor: Editor, pipe: InpaintPipeline):
    """Catches another threshold or wording, and distances of tokens that the hole touches."""
    wide = box_mask(64, 64, 2, 2, 62, 62)
    cases = [(SMOOTH, SMALL), (NOISE, SMALL), (SMOOTH, wide), (NOISE, np.ones_like(wide))]
    notes = [found["note"] for found in compared(editor, pipe, cases, samples=1)]
    alike, unlike = sorted(notes[:2], key=bool)  # which of the two it is depends on the tiny model's weights
    assert alike is None
    assert [note.split(" ")[:4] for note in (unlike, *notes[2:])] == [
        ["this", "picture", "is", "unlike"],
        ["the", "mask", "leaves", "little"],
        ["the", "mask", "leaves", "nothing"],
    ]


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


def test_a_masks_pixels_are_limited(editor: Editor):
    """Catches a mask of a few bytes that takes gigabytes once it is unpacked."""
    buffer = io.BytesIO()
    Image.new("1", (9000, 5000)).save(buffer, "PNG")
    told = editor.page.evaluate(
        """async (text) => {
          const { mask } = await import("./api.js");
          const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          const told = ({ code, message }) => `${code}: ${message}`;
          return mask(new Blob([bytes]), 64, 64).then(() => "read", told);
        }""",
        base64.b64encode(buffer.getvalue()).decode(),
    )
    assert told == "too_many_pixels: It has 45.0 Mpx, the limit is 40.0 Mpx. Scale it down."


def test_a_large_colour_profile_is_kept(with_gpu: Editor):
    """Catches a profile whose bytes are passed as arguments, for which the stack has no room."""
    profile = np.random.default_rng(3).bytes(150_000)
    buffer = io.BytesIO()
    Image.fromarray(SMOOTH).save(buffer, "JPEG", icc_profile=profile)
    told = with_gpu.page.evaluate(
        """async (text) => {
          const { convert } = await import("./api.js");
          const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          const { blob } = await convert(new Blob([bytes]), "png", 90);
          const read = new Uint8Array(await blob.arrayBuffer());
          return btoa(Array.from(read, (byte) => String.fromCharCode(byte)).join(""));
        }""",
        base64.b64encode(buffer.getvalue()).decode(),
    )
    assert Image.open(io.BytesIO(base64.b64decode(told))).info["icc_profile"] == profile


def test_the_site_can_be_installed(editor: Editor):
    """Catches a manifest that Chromium refuses, and icons that it cannot show."""
    session = editor.page.context.new_cdp_session(editor.page)
    assert session.send("Page.getAppManifest")["errors"] == []
    errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert {error["errorId"] for error in errors} <= {"in-incognito"}  # as all contexts of a test are
    sides = editor.page.evaluate(
        """(names) => Promise.all(names.map(async (name) => {
          const { width, height } = await createImageBitmap(await (await fetch(name)).blob());
          return [width, height];
        }))""",
        list(ICONS),
    )
    assert sides == [[side, side] for side, _ in ICONS.values()]


def test_a_model_that_does_not_come_is_told_and_nothing_else(browser: Any, site: str):
    """Catches "Filling." beside the message that says why nothing is filled."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, service_workers="block")
    context.route("**/weights.bin", lambda route: route.abort())
    editor = Editor(context, site)
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    editor.page.click("#fill")
    editor.page.locator("#trouble", has_text="The model cannot be loaded").wait_for()
    assert editor.status() == ""
    assert editor.page.locator("#fill").inner_text() == "Fill"
    context.close()
    assert editor.complaints == []


def test_no_text_of_the_site_is_outside_the_language_files(browser: Any, site: str):
    """Catches English of the worker and of what loads the model, in a page in another language."""
    context = browser.new_context(
        viewport={"width": 1200, "height": 800}, locale="zh-CN", service_workers="block"
    )
    context.route("**/words-zh.js", lambda route: route.fulfill(body=MARKED, content_type="text/javascript"))
    held: list[Any] = []
    context.route("**/weights.bin", lambda route: held.append(route))
    editor = Editor(context, site)
    page = editor.page
    loading = page.locator("#loading")
    loading.wait_for()
    assert loading.inner_text().startswith("⟦model")
    assert page.evaluate(BARE) == []
    held.pop().abort()
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    page.click("#fill")
    page.locator("#trouble").wait_for()
    assert page.locator("#trouble").inner_text().startswith("⟦The model cannot be loaded: ⟦weights.bin could")
    assert page.evaluate(BARE) == []
    assert editor.complaints == []
    context.close()
