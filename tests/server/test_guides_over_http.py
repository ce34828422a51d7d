"""Guides and new canvas over HTTP: the same as in Python to the bit; what is wrong is a 4xx."""

import threading

import numpy as np
import pytest

from crafted_files import bomb
from fakes import box_mask
from maskmend.server.settings import Limits
from server_parts import (
    HEIGHT,
    IMAGE_FILE,
    MASK,
    MASK_FILE,
    PIXELS,
    WIDTH,
    Gated,
    app_of,
    client_of,
    file_of,
    form,
    in_base64,
    pixels_of,
    until,
)


def red(height, width, *box):
    painted = box_mask(height, width, *box)
    return np.dstack([np.full((height, width, 3), (230, 30, 20)), np.where(painted, 255, 0)]).astype(np.uint8)


GUIDE = red(HEIGHT, WIDTH, 6, 8, 12, 15)
WIDE = red(HEIGHT, WIDTH + 12, 2, 2, 15, 10)
ALONE = {"image": ("image.png", IMAGE_FILE)}


def guide_part(levels):
    return {"guide": ("guide.png", file_of(levels))}


@pytest.fixture(scope="module")
def client(tiny_pipeline):
    with client_of(app_of(tiny_pipeline)) as client:
        yield client


def test_a_guide_as_a_file_of_a_form_and_in_json(client, tiny_pipeline):
    wanted = tiny_pipeline(PIXELS, MASK, guide=GUIDE, guide_strength=0.5).pictures[0].pixels
    assert (wanted != tiny_pipeline(PIXELS, MASK).pictures[0].pixels).any()
    sent = client.post("/v1/inpaint", files=form() | guide_part(GUIDE), data={"guide_strength": "0.5"})
    np.testing.assert_array_equal(pixels_of(sent.content), wanted)
    body = {"image": in_base64(IMAGE_FILE), "mask": in_base64(MASK_FILE), "guide": in_base64(file_of(GUIDE))}
    sent = client.post("/v1/inpaint", json=body | {"guide_strength": 0.5})
    np.testing.assert_array_equal(pixels_of(sent.content), wanted)


def test_new_canvas_needs_no_mask_and_takes_one(client, tiny_pipeline):
    for files, mask in ((ALONE, None), (form(), MASK)):
        wanted = tiny_pipeline(PIXELS, mask, extend="left=12,top=10%").pictures[0].pixels
        sent = client.post("/v1/inpaint", files=files, data={"extend": "left=12,top=10%"})
        assert sent.status_code == 200, sent.text
        np.testing.assert_array_equal(pixels_of(sent.content), wanted)
        np.testing.assert_array_equal(wanted[2:, 12:][~MASK], PIXELS[~MASK])
    sent = client.post("/v1/inpaint", json={"image": in_base64(IMAGE_FILE), "extend": "left=12"})
    wanted = tiny_pipeline(PIXELS, extend="left=12").pictures[0].pixels
    np.testing.assert_array_equal(pixels_of(sent.content), wanted)


def test_a_guide_goes_with_new_canvas(client, tiny_pipeline):
    wanted = tiny_pipeline(PIXELS, extend="left=12", guide=WIDE).pictures[0].pixels
    sent = client.post("/v1/inpaint", files=ALONE | guide_part(WIDE), data={"extend": "left=12"})
    np.testing.assert_array_equal(pixels_of(sent.content), wanted)


@pytest.mark.parametrize(
    ("files", "data", "status", "words"),
    [
        (
            form() | guide_part(GUIDE[:9]),
            {},
            422,
            ["guide_unusable", "the guide is 34 x 9, the image 34 x 20"],
        ),
        (form() | guide_part(PIXELS), {}, 422, ["guide_unusable", "no transparency"]),
        (form() | {"guide": ("a", b"no picture")}, {}, 422, ["guide_unusable"]),
        (form() | {"guide": ("a", b"")}, {}, 422, ["guide_unusable", "empty file"]),
        (form() | {"guide": ("a", bomb(30_000, 30_000))}, {}, 413, ["too_many_pixels"]),
        (form(), {"guide": "text"}, 422, ["guide is a plain field"]),
        (form(), {"guide_strength": "2"}, 422, ["guide_strength"]),
        (ALONE, {}, 422, ["mask is missing"]),
        (ALONE, {"extend": ""}, 422, ["mask is missing"]),
        (ALONE, {"extend": "left"}, 422, ["extend", "write SIDE=LENGTH"]),
        (ALONE, {"extend": "left=-3"}, 422, ["extend", "write SIDE=LENGTH"]),
        (ALONE, {"extend": "left=0"}, 422, ["setting_invalid", "adds no pixel to 34 x 20"]),
        (ALONE, {"extend": "left=1,left=2"}, 422, ["setting_invalid", "given twice"]),
        (ALONE, {"extend": "left=99999,top=99999"}, 413, ["too_many_pixels", "extend it less"]),
    ],
)
def test_what_cannot_be_used_is_refused(client, files, data, status, words):
    answer = client.post("/v1/inpaint", files=files, data=data)
    assert answer.status_code == status, answer.text
    for word in words:
        assert word in answer.text


def test_json_wants_a_mask_or_new_canvas(client):
    for more in ({}, {"mask": None}, {"extend": None}):
        answer = client.post("/v1/inpaint", json={"image": in_base64(IMAGE_FILE), **more})
        assert answer.status_code == 422
        assert "mask is missing" in answer.json()["error"]["message"]


def test_the_canvas_counts_as_a_picture_of_its_size(tiny_pipeline):
    """Catches a small upload that takes as much memory as a picture that would be refused."""
    with client_of(app_of(tiny_pipeline, limits=Limits(megapixels=0.001, drain=5.0))) as client:
        answer = client.post("/v1/inpaint", files=ALONE, data={"extend": "right=16"})
        assert answer.status_code == 200, answer.text
        answer = client.post("/v1/inpaint", files=ALONE, data={"extend": "right=17"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_many_pixels")


def test_requests_with_and_without_guides_are_filled_together(tiny_pipeline):
    """Catches a guide that goes to a neighbour in the batch."""
    gated = Gated(tiny_pipeline)
    answers = {}
    app = app_of(gated)
    with client_of(app) as client:

        def ask(name, parts):
            answers[name] = client.post("/v1/inpaint", files=form() | parts)

        kinds = {"first": {}, "guided": guide_part(GUIDE), "plain": {}}
        threads = [threading.Thread(target=ask, args=item) for item in kinds.items()]
        threads[0].start()
        until(gated.entered.is_set)
        for thread in threads[1:]:
            thread.start()
        until(lambda: app.state.service.queue.waiting == 2)
        gated.gate.set()
        for thread in threads:
            thread.join()
    assert gated.batches == [1, 2]
    for name, guide in (("guided", GUIDE), ("plain", None)):
        wanted = tiny_pipeline(PIXELS, MASK, guide=guide).pictures[0].pixels
        np.testing.assert_array_equal(pixels_of(answers[name].content), wanted)
