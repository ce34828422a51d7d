"""Fills over HTTP: the same as in Python to the bit, in every form of question and answer; and nothing but
4xx for whatever is wrong.
"""

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import maskmend
from fakes import tiny_models
from maskmend.fill.familiarity import Domain
from maskmend.images.picture import read_image
from maskmend.masks.morphology import grow
from maskmend.pipeline import InpaintPipeline
from maskmend.server.app import create_app
from maskmend.server.registry import Catalogue, ModelEntry
from maskmend.server.settings import Limits, ServeConfig
from server_parts import (
    IMAGE_FILE,
    MASK,
    MASK_FILE,
    PIXELS,
    WIDTH,
    app_of,
    body,
    client_of,
    events_of,
    file_of,
    form,
    in_base64,
    pixels_of,
)

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PHOTO = (Path(maskmend.__file__).parent / "assets" / "samples" / "00385.png").read_bytes()
EVENTS = {"Accept": "text/event-stream"}
JSON = {"Accept": "application/json"}


def test_a_picture_is_answered_with_a_picture(client, alone):
    """Catches a fill that changes on its way through the server, and known pixels that are touched."""
    answer = client.post("/v1/inpaint", files=form(), data={"samples": 3, "seed": 5, "steps": 4})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    filled = pixels_of(answer.content)
    np.testing.assert_array_equal(filled, alone.pictures[alone.best].pixels)
    np.testing.assert_array_equal(filled[~MASK], PIXELS[~MASK])
    assert int(answer.headers["x-maskmend-seed"]) == 5 + alone.best
    assert float(answer.headers["x-maskmend-log-likelihood"]) == pytest.approx(
        alone.log_likelihood[alone.best], abs=1e-5
    )


def test_json_asks_and_tells_all(client, alone):
    question = body(samples=3, seed=5, steps=4)
    told = client.post("/v1/inpaint", json=question, headers=JSON).json()
    assert [fill["seed"] for fill in told["fills"]] == [5, 6, 7]
    for fill, picture in zip(told["fills"], alone.pictures, strict=True):
        np.testing.assert_array_equal(pixels_of(base64.b64decode(fill["image"])), picture.pixels)
    likelihoods = [fill["log_likelihood"] for fill in told["fills"]]
    np.testing.assert_allclose(likelihoods, alone.log_likelihood, atol=1e-5)
    assert told["best"] == alone.best
    assert (told["width"], told["model"]) == (WIDTH, "tiny")
    assert told["note"] is told["unfamiliar"] is None
    assert told["settings"]["steps"] == 4
    levels = pixels_of(base64.b64decode(told["uncertainty"]))
    assert (levels[~MASK] == 0).all()
    np.testing.assert_allclose(
        levels[MASK] / 255 * told["most"], alone.uncertainty[MASK], atol=told["most"] / 255
    )


def test_a_picture_unlike_what_the_model_learnt_is_told():
    """Catches an answer that looks like any other though the fill has nothing to do with the picture, in any
    of the three kinds; and a name that no header can hold."""
    pipe = InpaintPipeline(*tiny_models())
    pipe.domain = Domain(learnt="猫", distance=1e-3)
    note = "this picture is unlike what the model learnt (猫): expect the fill to look like them"
    wanted = pipe(PIXELS, MASK, steps=2)
    assert wanted.note == note
    with client_of(app_of(pipe)) as client:
        told = client.post("/v1/inpaint", json=body(steps=2), headers=JSON).json()
        assert (told["note"], told["unfamiliar"]) == (note, pytest.approx(wanted.unfamiliar, abs=1e-4))
        events = events_of(client.post("/v1/inpaint", files=form(), data={"steps": 2}, headers=EVENTS))
        assert (events[-1][1]["note"], events[-1][1]["unfamiliar"]) == (note, told["unfamiliar"])
        picture = client.post("/v1/inpaint", files=form(), data={"steps": 2})
        assert picture.status_code == 200
        assert picture.headers["x-maskmend-note"] == note.replace("猫", "?")
        assert float(picture.headers["x-maskmend-unfamiliar"]) == told["unfamiliar"]


def test_profile_exif_and_transparency_come_back(client):
    """Catches a server that flattens what the file carried."""
    rgba = np.dstack([PIXELS, np.linspace(0, 255, PIXELS[:, :, 0].size).reshape(MASK.shape).astype(np.uint8)])
    exif = Image.Exif()
    exif[0x0131] = "a camera"
    content = file_of(rgba, icc_profile=ICC, exif=exif.tobytes())
    source = read_image(content)
    answer = client.post("/v1/inpaint", files=form(image=content))
    got = read_image(answer.content)
    assert (got.icc, got.exif) == (ICC, source.exif)
    assert got.alpha is not None
    assert source.alpha is not None
    np.testing.assert_array_equal(got.alpha[~MASK], source.alpha[~MASK])
    np.testing.assert_array_equal(got.pixels[~MASK], source.pixels[~MASK])


def test_a_grown_hole_is_larger_by_so_many_pixels(client, tiny_pipeline):
    filled = pixels_of(client.post("/v1/inpaint", files=form(), data={"grow": 2}).content)
    larger = grow(MASK, 2)
    np.testing.assert_array_equal(filled, tiny_pipeline(PIXELS, larger).pictures[0].pixels)
    np.testing.assert_array_equal(filled[~larger], PIXELS[~larger])


def test_an_empty_mask_gives_the_picture_back_with_a_word(client):
    empty = form(mask=file_of(np.zeros_like(MASK).astype(np.uint8)))
    answer = client.post("/v1/inpaint", files=empty)
    np.testing.assert_array_equal(pixels_of(answer.content), PIXELS)
    assert "empty" in answer.headers["x-maskmend-note"]
    assert [name for name, _ in events_of(client.post("/v1/inpaint", files=empty, headers=EVENTS))] == [
        "queued", "started", "fill", "done",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "media"), [("jpeg", "image/jpeg"), ("webp", "image/webp"), ("png", "image/png")]
)
def test_other_formats_and_their_quality(client, kind, media):
    sizes = []
    for quality in (20, 95):
        answer = client.post("/v1/inpaint", files=form(), data={"format": kind, "quality": quality})
        assert answer.headers["content-type"] == media
        sizes.append(len(answer.content))
    assert sizes[0] < sizes[1] or kind == "png"


@pytest.mark.parametrize("route", ["/v1/inpaint", "/v1/convert"])
def test_webp_loses_nothing_unless_a_quality_is_given(client, alone, route):
    """Catches WebP over HTTP that changes known pixels where the command line's does not, those under
    transparency included.
    """
    rgba = np.dstack([PIXELS, np.where(np.arange(WIDTH) % 2, 255, 0) + np.zeros_like(MASK)]).astype(np.uint8)
    files = form(image=file_of(rgba)) if "inpaint" in route else {"image": ("a.png", file_of(rgba))}
    kept = ~MASK if "inpaint" in route else np.ones_like(MASK)
    answer = client.post(route, files=files, data={"format": "webp"})
    got = read_image(answer.content)
    assert got.format == "WEBP"
    np.testing.assert_array_equal(got.pixels[kept], PIXELS[kept])
    lossy = client.post(route, files=files, data={"format": "webp", "quality": 100})
    assert (read_image(lossy.content).pixels[kept] != PIXELS[kept]).any()


def test_what_is_filled_becomes_opaque(client):
    """Catches a fill that nobody sees, being as transparent as what it replaces."""
    rgba = np.dstack([PIXELS, np.zeros_like(MASK, np.uint8)])
    got = pixels_of(client.post("/v1/inpaint", files=form(image=file_of(rgba))).content)
    np.testing.assert_array_equal(got[:, :, 3], np.where(MASK, 255, 0))


@pytest.mark.parametrize("route", ["/v1/inpaint", "/v1/convert"])
def test_jpg_is_jpeg(client, route):
    """Catches a name that only the command line takes."""
    files = form() if "inpaint" in route else {"image": ("a.png", IMAGE_FILE)}
    answer = client.post(route, files=files, data={"format": "jpg"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert read_image(answer.content).format == "JPEG"
    if "inpaint" in route:
        told = client.post(route, json=body(format="jpg"), headers=JSON).json()
        assert read_image(base64.b64decode(told["fills"][0]["image"])).format == "JPEG"


def test_conversion_keeps_pixels_and_profile(client):
    content = file_of(PIXELS, "TIFF", icc_profile=ICC)
    got = read_image(client.post("/v1/convert", files={"image": ("a.tif", content)}).content)
    np.testing.assert_array_equal(got.pixels, PIXELS)
    assert got.icc == ICC
    jpeg = client.post(
        "/v1/convert", files={"image": ("a.tif", content)}, data={"format": "jpeg", "quality": 40}
    )
    assert jpeg.headers["content-type"] == "image/jpeg"
    assert read_image(jpeg.content).icc == ICC


def test_iopaint_clients_get_what_they_are_used_to(client, tiny_pipeline):
    """Its body with many fields that mean nothing here, with and without the data URI's head."""
    question = {
        "image": "data:image/png;base64," + in_base64(IMAGE_FILE), "mask": in_base64(MASK_FILE),
        "ldm_steps": 20, "hd_strategy": "Crop", "prompt": "", "sd_seed": 7, "cv2_radius": None,
    }  # fmt: skip
    answer = client.post("/api/v1/inpaint", json=question)
    assert (answer.headers["content-type"], answer.headers["x-seed"]) == ("image/png", "7")
    np.testing.assert_array_equal(
        pixels_of(answer.content), tiny_pipeline(PIXELS, MASK, seed=7).pictures[0].pixels
    )
    bare = {"image": question["image"], "mask": question["mask"]}  # as the Krita plug-in sends it
    assert client.post("/api/v1/inpaint", json=bare).headers["x-seed"] == "42"
    one, two = (client.post("/api/v1/inpaint", json=bare | {"sd_seed": -1}).headers["x-seed"] for _ in "ab")
    assert one != two
    # It has no field that says that a photograph is meant
    meant = {"image": in_base64(PHOTO), "mask": in_base64(PHOTO)}
    assert client.post("/api/v1/inpaint", json=meant).status_code == 200


def test_the_model_that_is_asked_for_fills(tiny_pipeline):
    """Catches a server whose first model fills whatever is asked of the others."""
    other = InpaintPipeline(*tiny_models(codes=32), replace(tiny_pipeline.defaults, steps=3))
    pipes = {"one": tiny_pipeline, "two": other}
    entries = [ModelEntry(name, pipe.defaults, lambda pipe=pipe: pipe) for name, pipe in pipes.items()]
    with client_of(create_app(ServeConfig(limits=Limits(drain=5.0)), Catalogue(entries))) as client:
        fills = []
        for name, pipe in pipes.items():
            answer = client.post("/v1/inpaint", json=body(model=name, seed=5), headers=JSON).json()
            assert (answer["model"], answer["settings"]["steps"]) == (name, pipe.defaults.steps)
            assert answer["most"] == pytest.approx(np.log(pipe.transformer.config.codes))
            fills.append(pixels_of(base64.b64decode(answer["fills"][0]["image"])))
            np.testing.assert_array_equal(fills[-1], pipe(PIXELS, MASK, seed=5).pictures[0].pixels)
            told = events_of(
                client.post("/v1/inpaint", files=form(), data={"model": name, "seed": 5}, headers=EVENTS)
            )
            assert {data["steps"] for what, data in told if what == "step"} == {pipe.defaults.steps}
            assert told[-1][1]["model"] == name
        assert (fills[0] != fills[1]).any()
