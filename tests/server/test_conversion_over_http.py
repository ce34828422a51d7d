"""What the API converts when it is asked to, and masks read by themselves."""

import io

import numpy as np
import pytest
from PIL import Image

from server_parts import HEIGHT, MASK, MASK_FILE, PIXELS, WIDTH, body, file_of, form, in_base64, pixels_of

DEEP = file_of(PIXELS[:, :, 0].astype(np.uint16) * 257)
GREY = PIXELS[:, :, 0]
WORDS = "16 bits a channel to 8"


def moving() -> bytes:
    content = io.BytesIO()
    frames = [Image.fromarray(one) for one in (PIXELS, 255 - PIXELS)]
    frames[0].save(content, "PNG", save_all=True, append_images=frames[1:])
    return content.getvalue()


@pytest.mark.parametrize("path", ["/v1/inpaint", "/v1/convert"])
def test_a_refusal_names_the_field_and_what_it_would_do(client, path):
    files = {"image": ("a", DEEP)} if path == "/v1/convert" else form(image=DEEP)
    answer = client.post(path, files=files)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["conversions"]) == ("conversion_needed", [WORDS])
    assert "16 bits a channel" in error["message"]
    assert " with convert." in error["message"]
    assert "--" not in error["message"]


def test_with_consent_it_is_filled_and_told(client):
    """Catches a conversion without a word."""
    picture = client.post("/v1/inpaint", files=form(image=DEEP), data={"convert": True})
    assert picture.headers["X-Maskmend-Converted"] == WORDS
    np.testing.assert_array_equal(pixels_of(picture.content)[~MASK], GREY[~MASK])
    told = client.post("/v1/inpaint", json=body(convert=True) | {"image": in_base64(moving())},
                       headers={"Accept": "application/json"}).json()  # fmt: skip
    assert told["converted"] == ["the first of 2 frames"]
    plain = client.post("/v1/inpaint", files=form(), data={"convert": True})
    assert "X-Maskmend-Converted" not in plain.headers


def test_a_file_is_converted_in_format_and_depth(client):
    answer = client.post("/v1/convert", files={"image": ("a", DEEP)}, data={"convert": True})
    assert answer.headers["X-Maskmend-Converted"] == WORDS
    np.testing.assert_array_equal(pixels_of(answer.content), GREY)


def read(client, content, **fields):
    data = {"width": WIDTH, "height": HEIGHT} | fields
    return client.post("/v1/mask", files={"mask": ("mask", content)}, data=data)


def test_a_mask_alone_is_read_as_a_fill_reads_it(client):
    answer = read(client, MASK_FILE)
    assert answer.headers["X-Maskmend-Channel"] == "luma"
    assert "X-Maskmend-Resized" not in answer.headers
    np.testing.assert_array_equal(pixels_of(answer.content), MASK * np.uint8(255))
    erased = file_of(np.dstack([PIXELS, np.where(MASK, 0, 255).astype(np.uint8)]))
    answer = read(client, erased)
    assert answer.headers["X-Maskmend-Channel"] == "alpha"
    np.testing.assert_array_equal(pixels_of(answer.content), MASK * np.uint8(255))
    twice = file_of(np.kron(MASK, np.ones((2, 2), bool)).astype(np.uint8) * 255)
    answer = read(client, twice, fit_mask=True)
    assert answer.headers["X-Maskmend-Resized"] == f"{2 * WIDTH}x{2 * HEIGHT}"
    np.testing.assert_array_equal(pixels_of(answer.content), MASK * np.uint8(255))
    inverted = read(client, MASK_FILE, invert_mask=True)
    np.testing.assert_array_equal(pixels_of(inverted.content), ~MASK * np.uint8(255))


REFUSE = {"mask_photo_check": "refuse"}
RED = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
RED[MASK] = [255, 0, 0]
PHOTOGRAPH = np.random.default_rng(0).normal(128, 45, (96, 128)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("content", "fields", "status", "words"),
    [
        (file_of(RED), {}, 422, "brightest pixel is 0.299 of white"),
        (
            file_of(PHOTOGRAPH),
            {"fit_mask": True, "mask_photo_check": "refuse"},
            422,
            "looks like a photograph",
        ),
        (file_of(MASK.astype(np.uint8)), {}, 422, "brightest pixel"),
        (file_of(MASK[:15].astype(np.uint8) * 255), {}, 422, "fit_mask"),
        (b"no mask", {}, 422, "the mask cannot be used"),
        (MASK_FILE, {"width": 100_000, "height": 100_000}, 413, "limit"),
        (MASK_FILE, {"width": 0}, 422, "width"),
        (MASK_FILE, {"steps": 3}, 422, "steps"),
    ],
)
def test_a_mask_alone_is_refused_as_a_fill_refuses_it(client, content, fields, status, words):
    """Catches a second rule, which takes what the first one does not."""
    answer = read(client, content, **fields)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]


def test_a_mask_alone_that_looks_like_a_photograph_is_told(client):
    """Catches image and mask swapped without a word."""
    answer = read(client, file_of(PHOTOGRAPH), fit_mask=True)
    assert answer.status_code == 200
    assert "looks like a photograph" in answer.headers["X-Maskmend-Note"]
    meant = read(client, file_of(PHOTOGRAPH), fit_mask=True, mask_photo_check="off")
    assert "X-Maskmend-Note" not in meant.headers
