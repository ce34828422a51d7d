"""The Space: what it makes of gradio's ImageEditor; and its page in Chromium, where gradio is installed."""

import importlib.util
import io
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from browser_parts import launched
from fakes import box_mask, smooth_pixels
from maskmend.errors import MaskmendError

FOLDER = Path(__file__).parents[2] / "integrations" / "space"
HEIGHT, WIDTH = 96, 128
PIXELS = smooth_pixels(HEIGHT, WIDTH)
MASK = box_mask(HEIGHT, WIDTH, 40, 30, 60, 70)


@pytest.fixture
def app(monkeypatch, tiny_model):
    """The Space's module, with the tiny model."""
    monkeypatch.setenv("MASKMEND_MODEL", str(tiny_model))
    spec = importlib.util.spec_from_file_location("space_app", FOLDER / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def editor_value(pixels, *masks):
    """What gradio's ImageEditor gives with type="pil": RGBA, a layer with alpha for each that was painted."""
    layers = [
        Image.fromarray(np.dstack([np.full((*mask.shape, 3), 9, np.uint8), mask * np.uint8(128)]))
        for mask in masks
    ]
    background = Image.fromarray(pixels).convert("RGBA")
    return {"background": background, "layers": layers, "composite": background}


def test_the_paint_of_all_layers_is_filled_and_nothing_else(app, tiny_pipeline):
    """Catches paint that is half transparent and counts for nothing, or a picture that comes back as RGBA."""
    other = box_mask(HEIGHT, WIDTH, 5, 90, 20, 110)
    images = app.fill(editor_value(PIXELS, MASK, other), samples=2, seed=5)
    wanted = tiny_pipeline(PIXELS, MASK | other, samples=2, seed=5)
    assert [image.mode for image in images] == ["RGB", "RGB"]
    assert images[0] == wanted.images[wanted.best]
    assert images[1] == wanted.images[1 - wanted.best]
    for image in images:
        np.testing.assert_array_equal(np.asarray(image)[~(MASK | other)], PIXELS[~(MASK | other)])


def test_who_asks_without_the_page_gets_no_more_fills_than_it_offers(app):
    """Catches one request that keeps a public Space busy for hours."""
    assert len(app.fill(editor_value(PIXELS, MASK), samples=9)) == app.MOST


@pytest.mark.parametrize(
    "nothing",
    [None, {"background": None, "layers": []}, editor_value(PIXELS), editor_value(PIXELS, MASK & False)],
)
def test_no_picture_and_no_paint_are_told(app, nothing):
    """Catches a traceback in the page's place."""
    with pytest.raises(MaskmendError, match="paint over what should go"):
        app.fill(nothing)


def test_the_front_matter_is_what_the_hub_wants_of_a_space():
    """Catches a Space that does not start: no SDK, or a file that is not there."""
    head = dict(re.findall(r"(?m)^(\w+): (.+)$", (FOLDER / "README.md").read_text().split("---")[1]))
    assert (head["sdk"], head["license"]) == ("gradio", "apache-2.0")
    assert (FOLDER / head["app_file"]).is_file()
    assert len(head["short_description"]) <= 60  # the hub's limit


@pytest.fixture
def served(tiny_model, tmp_path):
    """The Space on this machine, with all that gradio would ask of others switched off."""
    if find_spec("gradio") is None:
        pytest.skip("gradio is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "MASKMEND_MODEL": str(tiny_model), "GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(tmp_path), "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen([sys.executable, "app.py"], cwd=FOLDER, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(600):
            assert server.poll() is None, (tmp_path / "log").read_text()[-3000:]
            try:
                urllib.request.urlopen(url).close()
                break
            except OSError:
                time.sleep(0.3)
        yield url
    finally:
        server.terminate()
        server.wait(30)
        log.close()


FRAMES = """() => new Promise((done) => {
  let left = 15;
  const next = () => (left-- ? requestAnimationFrame(next) : done());
  next();
})"""
PINK = (255, 51, 102)
"""The paint."""


def rested(page, canvas):
    """The pixels of gradio's canvas, once frames go by that change none: springs move the picture, frame by
    frame, for as long as the machine takes. Where it stands still tells where a stroke goes."""
    before = None
    for _ in range(200):
        page.evaluate(FRAMES)
        now = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB"))
        if before is not None and np.array_equal(before, now):
            return now
        before = now
    raise AssertionError("the canvas never stands still")


def fitted(page, canvas):
    """The canvas once it shows a picture of random colours that stands still, and where on the screen the
    picture's middle is."""
    for _ in range(200):
        seen = rested(page, canvas)
        rows, columns = np.nonzero(np.ptp(seen, axis=2) > 24)  # all else is grey, but for a button
        if len(rows) > 10_000:
            box = canvas.bounding_box()
            return seen, (box["x"] + float(np.median(columns)), box["y"] + float(np.median(rows)))
    raise AssertionError("the picture never comes")


@pytest.mark.slow
def test_a_stroke_in_the_page_is_filled(served, tmp_path):
    """Catches an editor that gives layers without transparency, a page that loads from elsewhere, and known
    pixels that a lossy format on the way would change."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (3 * HEIGHT, 3 * WIDTH, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    elsewhere = []
    with launched() as browser:
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(60_000)
        page.on(
            "request",
            lambda one: one.url.startswith((served, "blob:", "data:")) or elsewhere.append(one.url),
        )
        page.goto(served)
        upload = page.get_by_role("button", name="Upload", exact=True)
        upload.wait_for()
        canvas = page.locator("canvas").first
        rested(page, canvas)  # the editor has built it
        with page.expect_file_chooser() as chooser:
            upload.click()
        chooser.value.set_files(str(tmp_path / "photo.png"))
        page.get_by_text("Upload an image").wait_for(state="hidden")
        page.get_by_role("button", name="Brush", exact=True).click()
        page.mouse.move(5, 5)  # no brush over it
        before, middle = fitted(page, canvas)
        page.mouse.move(*middle)
        page.mouse.down()
        page.mouse.move(middle[0] + 30, middle[1] + 8, steps=6)
        page.mouse.up()
        page.mouse.move(5, 5)
        after = rested(page, canvas)
        painted = (np.abs(after.astype(int) - PINK) < 24).all(axis=2) & (after != before).any(axis=2)
        assert painted.any()
        page.locator("#fill").click()
        picture = page.locator("#fills img").first
        try:
            picture.wait_for()
        finally:
            if shot := os.environ.get("MASKMEND_SHOT"):
                page.screenshot(path=shot)
        address = picture.get_attribute("src")
        filled = np.asarray(Image.open(io.BytesIO(page.request.get(address).body())).convert("RGB"))
    assert elsewhere == []
    assert filled.shape == pixels.shape
    changed = (filled != pixels).any(axis=2)
    assert 0 < changed.mean() < 0.2
    rows, columns = np.nonzero(changed)
    assert np.ptp(rows) < len(pixels) / 2
    assert np.ptp(columns) < pixels.shape[1] / 2
