"""IOPaint's clients before our server: the routes they ask for, and IOPaint's own page in Chromium.

The page is not ours and is not shipped. Where it is given it is driven as a person would: MASKMEND_IOPAINT
names the wheel of IOPaint 1.6.0 (`pip download iopaint==1.6.0 --no-deps`) or a folder with its `web_app`.
"""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from maskmend.server.requests import from_base64
from maskmend.server.settings import Limits
from page_looks import settle
from server_parts import IMAGE_FILE, MASK_FILE, app_of, client_of, file_of, in_base64, on_a_socket, pixels_of

MODEL_FIELDS = {
    "name", "path", "model_type", "is_single_file_diffusers", "need_prompt", "controlnets", "brushnets",
    "support_strength", "support_outpainting", "support_lcm_lora", "support_controlnet", "support_brushnet",
    "support_powerpaint_v2",
}  # fmt: skip
"""Of IOPaint 1.6's ModelInfo."""
CONFIG_FIELDS = {
    "plugins", "modelInfos", "removeBGModel", "removeBGModels", "realesrganModel", "realesrganModels",
    "interactiveSegModel", "interactiveSegModels", "enableFileManager", "enableAutoSaving",
    "enableControlnet", "controlnetMethod", "disableModelSwitch", "isDesktop", "samplers",
}  # fmt: skip
"""Of IOPaint 1.6's ServerConfigResponse."""


def test_the_configuration_has_what_iopaints_page_reads(client):
    """Catches a field that is missing, on which the page stays white."""
    config = client.get("/api/v1/server-config").json()
    assert set(config) == CONFIG_FIELDS
    model = client.get("/api/v1/model").json()
    assert set(model) == MODEL_FIELDS
    assert config["modelInfos"] == [model]
    assert (model["name"], model["path"], model["need_prompt"]) == ("tiny", "tiny", False)
    assert client.get("/api/v1/samplers").json() == config["samplers"] != []


def test_the_model_is_switched_to_itself_only(client):
    """Catches a client that is told another model fills from now on, while the first goes on filling."""
    assert client.post("/api/v1/model", json={"name": "tiny"}).json()["name"] == "tiny"
    refused = client.post("/api/v1/model", json={"name": "lama"})
    assert refused.status_code == 422
    assert "'lama'" in refused.json()["error"]["message"]
    assert client.post("/api/v1/model", json={}).status_code == 422
    assert client.post("/api/v1/model", content=b"{").status_code == 400


def test_a_refusal_reaches_iopaints_user(client):
    """Catches a page that says "undefined": its clients read the message under "errors"."""
    wrong = {"image": in_base64(b"no picture"), "mask": in_base64(MASK_FILE)}
    answer = client.post("/api/v1/inpaint", json=wrong).json()
    assert answer["errors"] == answer["error"]["message"]
    assert "errors" not in client.post("/v1/inpaint", json=wrong).json()
    for answer in (client.post("/api/v1/run_plugin_gen_mask", json={}), client.get("/api/v1/inpaint")):
        assert answer.status_code in (404, 405)
        assert answer.json()["errors"] == answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/api/v1/server-config", "/api/v1/model", "/api/v1/samplers"])
def test_token_host_and_origin_count_for_these_routes_too(tiny_pipeline, path):
    """Catches new routes that bypass the middleware."""
    token = "0123456789abcdef"
    with client_of(app_of(tiny_pipeline, token=token)) as client:
        assert client.get(path).json()["errors"].startswith("send the server's token")
        given = {"Authorization": f"Bearer {token}"}
        assert client.get(path, headers=given).status_code == 200
        assert client.get(path, headers=given | {"Host": "evil.example"}).status_code == 400
        assert client.get(path, headers=given | {"Origin": "http://evil.example"}).status_code == 403


def test_size_limits_count_for_iopaints_bodies(tiny_pipeline):
    """Catches a body that is read whole before anyone asks how large it is."""
    with client_of(app_of(tiny_pipeline, limits=Limits(upload_mib=0.001, drain=5.0))) as client:
        large = {"name": "x" * 2000}
        assert client.post("/api/v1/model", json=large).status_code == 413
        fill = {"image": in_base64(IMAGE_FILE), "mask": in_base64(MASK_FILE), "prompt": "x" * 2000}
        assert client.post("/api/v1/inpaint", json=fill).status_code == 413


@pytest.fixture(scope="module")
def web_app(tmp_path_factory):
    """The files of IOPaint's page."""
    given = os.environ.get("MASKMEND_IOPAINT")
    if not given:
        pytest.skip("IOPaint's page is not here: name its wheel in MASKMEND_IOPAINT")
    if Path(given).is_dir():
        return Path(given)
    folder = tmp_path_factory.mktemp("iopaint")
    with zipfile.ZipFile(given) as wheel:
        wheel.extractall(folder, [name for name in wheel.namelist() if name.startswith("iopaint/web_app/")])
    return folder / "iopaint" / "web_app"


@pytest.fixture(scope="module")
def page_url(tiny_pipeline, web_app):
    """IOPaint's page and our API under one address, as a proxy in front of both would have them."""
    ours = app_of(tiny_pipeline)
    both = FastAPI(lifespan=ours.router.lifespan_context)
    both.mount("/api", lambda scope, receive, send: ours(scope | {"root_path": ""}, receive, send))
    both.mount("/", StaticFiles(directory=web_app, html=True))
    both.state.service = ours.state.service
    with on_a_socket(both) as port:
        yield f"http://127.0.0.1:{port}/"


def test_iopaints_own_page_fills_a_stroke(browser, page_url, tmp_path):
    """Catches a route, a field or a header that its page needs: it opens, takes a picture, and a stroke of
    the brush is filled; all known pixels of the answer are those of the file."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    (tmp_path / "photo.png").write_bytes(file_of(pixels))
    context = browser.new_context(viewport={"width": 1000, "height": 700})
    page = context.new_page()
    wrong, elsewhere, fills = [], [], []

    def kept(route) -> None:  # the page reads the answer as a blob, of which the browser tells nothing later
        answer = route.fetch()
        fills.append(answer.body())
        route.fulfill(response=answer)

    page.route("**/api/v1/inpaint", kept)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request", lambda one: one.url.startswith((page_url, "blob:", "data:")) or elsewhere.append(one.url)
    )
    try:
        page.goto(page_url)
        page.locator("input[type=file]").first.set_input_files(str(tmp_path / "photo.png"))
        canvas = page.locator("canvas").first
        canvas.wait_for()
        settle(page)  # it fits the picture into the window
        box = canvas.bounding_box()
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        with page.expect_response("**/api/v1/inpaint") as waiting:
            page.mouse.move(*middle)
            page.mouse.down()
            page.mouse.move(middle[0] + 40, middle[1] + 10, steps=5)
            page.mouse.up()
        answer, sent = waiting.value, waiting.value.request.post_data_json
        assert answer.status == 200, answer.text()
        filled = pixels_of(fills[0])[:, :, :3]
        mask = pixels_of(from_base64(sent["mask"], "mask")).reshape(*pixels.shape[:2], -1)[:, :, 0] > 127
        assert 0 < mask.mean() < 0.9
        np.testing.assert_array_equal(filled[~mask], pixels[~mask])
        assert (filled != pixels).any()
        if shot := os.environ.get("MASKMEND_SHOT"):
            settle(page)
            page.screenshot(path=shot)
    finally:
        context.close()
    assert wrong == []
    assert elsewhere == []
