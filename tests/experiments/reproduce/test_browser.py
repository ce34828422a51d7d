"""The page in a real browser: it opens without a request to anywhere, in light and in dark, wide and narrow.

Needs Playwright (the extra `dev`) and a Chromium on the PATH (Debian: apt-get install chromium).
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.reproduce.conftest import runner_of
from maskmend.experiments.reproduce.run import reproduce
from maskmend.pipeline import InpaintPipeline

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
    )
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with api.sync_playwright() as playwright:
        # Without the sandbox: in a container, and for a page of our own making.
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page_file(tiny_pipeline: InpaintPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    reproduce(runner_of(tiny_pipeline, folder), folder / "out", quick=True)
    return folder / "out" / "page.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_without_a_request_to_anywhere(
    browser: Any, page_file: Path, tmp_path: Path, scheme: str
) -> None:
    """Would catch fonts, scripts, pictures from elsewhere, broken pictures, a page wider than a phone."""
    alone = tmp_path / "page.html"  # without the PNGs beside it
    alone.write_bytes(page_file.read_bytes())
    context = browser.new_context(color_scheme=scheme, viewport={"width": 400, "height": 800})
    page, asked, said = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(alone.as_uri(), wait_until="networkidle")
    assert [url for url in asked if not url.startswith("data:")] == [alone.as_uri()]
    assert said == []
    shown = page.evaluate("[...document.images].map(image => image.complete && image.naturalWidth > 0)")
    assert len(shown) >= 6
    assert all(shown)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (_light(paper) > _light(ink)) is (scheme == "light")
    for link in page.query_selector_all("nav a"):
        assert page.query_selector(link.get_attribute("href")) is not None
    context.close()


def _light(colour: str) -> int:
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))
