"""Fills over HTTP: the same as in Python to the bit, in every form of question and answer; and nothing but
4xx for whatever is wrong.
"""

import base64
import io
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import maskmend
from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.fill.familiarity import Domain
from maskmend.images.picture import read_image
from maskmend.masks.morphology import grow
from maskmend.pipeline import InpaintPipeline
from maskmend.server.app import create_app
from maskmend.server.errors import in_fields
from maskmend.server.parameters import Infill, Order, Parameters, Schedule, Seam
from maskmend.server.registry import Catalogue, Entry
from maskmend.server.settings import Limits, ServeConfig
from server_parts import (
    IMAGE_FILE,
    MASK,
    MASK_FILE,
    PIXELS,
    WIDTH,
    Gated,
    app_of,
    body,
    bomb,
    client_of,
    file_of,
    form,
    in_base64,
    pixels_of,
)

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PHOTO = (Path(maskmend.__file__).parent / "assets" / "samples" / "00385.png").read_bytes()
EVENTS = {"Accept": "text/event-stream"}
JSON = {"Accept": "application/json"}


def events_of(answer):
    """[(name, data)] of a text/event-stream."""
    found = []
    for block in answer.text.strip().split("\n\n"):
        if not block.startswith(":"):
            name, data = block.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


@pytest.fixture(scope="module")
def alone(tiny_pipeline):
    """What the pipeline gives by itself."""
    return tiny_pipeline(PIXELS, MASK, samples=3, seed=5, steps=4)


# The same as in Python


def test_a_picture_is_answered_with_a_picture(client, alone):
    """Catches a fill that changes on its way through the server, and known pixels that are touched."""
    answer = client.post("/v1/inpaint", files=form(), data={"samples": 3, "seed": 5, "steps": 4})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    filled = pixels_of(answer.content)
    np.testing.assert_array_equal(filled, alone.pictures[alone.best].pixels)
    np.testing.assert_array_equal(filled[~MASK], PIXELS[~MASK])
    assert int(answer.headers["x-maskmend-seed"]) == 5 + alone.best
    assert float(answer.headers["x-maskmend-log-likelihood"]) == pytest.approx(
        alone.log_likelihood.max(), abs=1e-5
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


def test_events_tell_how_far_the_finer_scales_are():
    """Catches a stream that is silent while most of a wide hole is drawn, and one that shows none of it."""
    image, mask = file_of(smooth_pixels(60, 60)), box_mask(60, 60, 10, 10, 50, 50)
    with client_of(app_of(InpaintPipeline(*tiny_models(guesses=True)))) as client:
        files = form(image, file_of(mask.astype(np.uint8) * 255))
        told = events_of(client.post("/v1/inpaint", files=files, data={"samples": 2}, headers=EVENTS))
    names = [name for name, _ in told]
    assert names == sorted(names, key=["queued", "started", "step", "level", "fill", "done"].index)
    levels = [data for name, data in told if name == "level"]
    assert [one["sample"] for one in levels] == sorted(one["sample"] for one in levels)
    for sample in (0, 1):
        mine = [one for one in levels if one["sample"] == sample]
        assert [mine[0]["windows"], mine[-1]["windows"]] == [0, mine[-1]["total"]]
        assert [mine[-1][name] for name in ("level", "samples", "seconds_left")] == [mine[-1]["levels"], 2, 0]
        assert mine[0]["seconds_left"] > 0
        done = [one for one in mine if "image" in one]
        assert [one["level"] for one in done] == list(range(1, mine[-1]["levels"] + 1))
        assert all(one["box"] == {"top": 10, "left": 10, "height": 40, "width": 40} for one in done)
        # The last one is the fill
        filled = pixels_of(base64.b64decode(told[-3 + sample][1]["image"]))
        np.testing.assert_array_equal(pixels_of(base64.b64decode(done[-1]["image"])), filled[10:50, 10:50])


def test_events_tell_the_steps_as_they_come(client, alone):
    """Catches steps that are missing, out of order, or of another sample."""
    answer = client.post(
        "/v1/inpaint", files=form(), data={"samples": 3, "seed": 5, "steps": 4}, headers=EVENTS
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events_of(answer)
    assert [name for name, _ in told] == ["queued", "started", *["step"] * 4, *["fill"] * 3, "done"]
    steps = [data for name, data in told if name == "step"]
    assert [(step["step"], step["steps"]) for step in steps] == [(n, 4) for n in (1, 2, 3, 4)]
    box = steps[0]["box"]
    assert (
        MASK[box["top"] : box["top"] + box["height"], box["left"] : box["left"] + box["width"]].sum()
        == MASK.sum()
    )
    for sample in range(3):
        open_tokens = ["".join(step["fills"][sample]["hidden"]).count("1") for step in steps]
        assert open_tokens == sorted(open_tokens, reverse=True)
        assert open_tokens[-1] == 0 < open_tokens[0]
        assert pixels_of(base64.b64decode(steps[0]["fills"][sample]["image"])).shape == (16, 16, 3)
    fills = [data for name, data in told if name == "fill"]
    assert [fill["index"] for fill in fills] == [0, 1, 2]
    for fill, picture in zip(fills, alone.pictures, strict=True):
        np.testing.assert_array_equal(pixels_of(base64.b64decode(fill["image"])), picture.pixels)
    assert told[-1][1]["best"] == alone.best


def test_events_tell_which_hole_a_step_is_of(client, tiny_pipeline):
    """Catches steps of holes far apart that cannot be told from each other, and boxes of another part."""
    image, mask = smooth_pixels(40, 160, 4), box_mask(40, 160, 5, 5, 11, 12)
    mask |= box_mask(40, 160, 20, 130, 26, 137)
    wanted = tiny_pipeline(image, mask, steps=2)
    answer = client.post(
        "/v1/inpaint",
        files=form(file_of(image), file_of(mask)),
        data={"samples": 1, "steps": 2},
        headers=EVENTS,
    )
    told = events_of(answer)
    steps = [data for name, data in told if name == "step"]
    assert [(s["part"], s["parts"], s["step"], s["steps"]) for s in steps] == [
        (1, 2, 1, 2), (2, 2, 1, 2), (1, 2, 2, 2), (2, 2, 2, 2)
    ]  # fmt: skip
    boxes = [steps[number]["box"] for number in (0, 1)]
    assert boxes == [asdict(region.box) for region in wanted.regions]
    (fill,) = [data for name, data in told if name == "fill"]
    np.testing.assert_array_equal(pixels_of(base64.b64decode(fill["image"])), wanted.pictures[0].pixels)


@pytest.mark.slow
def test_of_many_windows_only_the_last_step_is_told(client, tiny_pipeline, monkeypatch):
    """Catches a scratch for which drawing the steps takes several times as long as filling it."""
    # On a busy machine a step is shown between.
    monkeypatch.setattr("maskmend.server.workers.EVERY", math.inf)
    image, mask = smooth_pixels(40, 160, 4), box_mask(40, 160, 20, 5, 22, 155)
    wanted = tiny_pipeline(image, mask, steps=3)
    answer = client.post(
        "/v1/inpaint",
        files=form(file_of(image), file_of(mask)),
        data={"samples": 1, "steps": 3},
        headers=EVENTS,
    )
    told = events_of(answer)
    steps = [data for name, data in told if name == "step"]
    count = len(wanted.regions)
    assert count > 10
    assert [(s["part"], s["parts"], s["step"]) for s in steps] == [(n, count, 3) for n in range(1, count + 1)]
    assert [step["box"] for step in steps] == [asdict(region.box) for region in wanted.regions]
    assert not any("1" in row for step in steps for row in step["fills"][0]["hidden"])
    (fill,) = [data for name, data in told if name == "fill"]
    np.testing.assert_array_equal(pixels_of(base64.b64decode(fill["image"])), wanted.pictures[0].pixels)


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
    entries = [Entry(name, pipe.defaults, lambda pipe=pipe: pipe) for name, pipe in pipes.items()]
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


def test_what_the_api_names_is_what_the_pipeline_knows():
    """Catches a setting that was added or renamed in one place only."""
    from maskmend.decoding.schedules import SCHEDULES
    from maskmend.fill.compositing import SEAMS
    from maskmend.images.infill import STRATEGIES
    from maskmend.server.parameters import _SETTINGS
    from maskmend.settings import ORDERS, Settings

    for names, known in ((Schedule, SCHEDULES), (Order, ORDERS), (Seam, SEAMS), (Infill, STRATEGIES)):
        assert set(names.__args__) == set(known)
    assert set(_SETTINGS) == set(Settings.__dataclass_fields__)
    assert set(_SETTINGS) <= set(Parameters.model_fields)


# What is wrong

BOMB = bomb(30_000, 30_000)
FRAMES = io.BytesIO()
Image.new("RGB", (4, 4)).save(FRAMES, "GIF", save_all=True, append_images=[Image.new("RGB", (4, 4), "red")])


@pytest.mark.parametrize(
    ("files", "data", "status", "code"),
    [
        ({"image": ("a", IMAGE_FILE)}, {}, 422, "parameters_invalid"),
        ({"mask": ("a", MASK_FILE)}, {}, 422, "parameters_invalid"),
        (form(image=b"no picture"), {}, 422, "image_unusable"),
        (form(image=b""), {}, 422, "image_unusable"),
        (form(image=IMAGE_FILE[:-200]), {}, 422, "image_unusable"),
        (form(image=BOMB), {}, 413, "too_many_pixels"),
        (form(mask=BOMB), {}, 422, "mask_unusable"),
        (form(image=FRAMES.getvalue()), {}, 422, "conversion_needed"),
        (form(mask=b"no mask"), {}, 422, "mask_unusable"),
        (form(mask=file_of(np.zeros((3, 3), np.uint8))), {}, 422, "mask_unusable"),
        (form(image=PHOTO, mask=PHOTO), {"mask_photo_check": "refuse"}, 422, "mask_unusable"),
        (form(), {"steps": "many"}, 422, "parameters_invalid"),
        (form(), {"mask_threshold": 0}, 422, "parameters_invalid"),
        (form(), {"steps": 0}, 422, "parameters_invalid"),
        (form(), {"steps": 65}, 422, "parameters_invalid"),
        (form(), {"samples": 9}, 422, "parameters_invalid"),
        (form(), {"samples": 10**30}, 422, "parameters_invalid"),
        (form(), {"temperature": "nan"}, 422, "parameters_invalid"),
        (form(), {"schedule": "cosinus"}, 422, "parameters_invalid"),
        (form(), {"sweet_spot": 7, "steps": 4}, 422, "setting_invalid"),
        (form(), {"model": "other"}, 422, "model_unknown"),
        (form(), {"format": "tiff"}, 422, "parameters_invalid"),
        (form(), {"colour": "red"}, 422, "parameters_invalid"),
        (form(), {"callback": "x"}, 422, "parameters_invalid"),
        (form(), {"seed": 2**63}, 422, "parameters_invalid"),
        (form(image=file_of(np.zeros((4, 4, 4), np.uint8)), mask=file_of(np.full((4, 4), 255, np.uint8))),
         {"format": "jpeg"}, 422, "image_unusable"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
def test_bad_forms_are_told_what_is_wrong(client, files, data, status, code, accept):
    """Catches a 500, and an error that is no JSON."""
    answer = client.post("/v1/inpaint", files=files, data=data, headers={"Accept": accept})
    if answer.status_code == 200:  # a stream that had begun says so in its last event
        name, told = events_of(answer)[-1]
        assert name == "error"
    else:
        told = answer.json()
        assert answer.status_code == status
    assert told["error"]["code"] == code
    assert len(told["error"]["message"]) > 10


def test_a_mask_that_looks_like_a_photograph_is_told(client):
    """Catches image and mask swapped, of which nothing is said."""
    files = form(image=PHOTO, mask=PHOTO)
    told = client.post("/v1/inpaint", files=files, headers={"Accept": "application/json"})
    assert "looks like a photograph" in told.json()["note"]
    assert "looks like a photograph" in client.post("/v1/inpaint", files=files).headers["X-Maskmend-Note"]
    meant = client.post(
        "/v1/inpaint",
        files=files,
        data={"mask_photo_check": "off"},
        headers={"Accept": "application/json"},
    )
    assert "looks like a photograph" not in (meant.json()["note"] or "")


@pytest.mark.parametrize(
    ("path", "question", "words"),
    [
        ("/v1/inpaint", {"files": form(), "data": {"stps": 9}}, "'stps' (did you mean 'steps'?)"),
        ("/v1/inpaint", {"json": body(stps=9)}, "'stps' (did you mean 'steps'?)"),
        (
            "/v1/convert",
            {"files": {"image": ("a", IMAGE_FILE)}, "data": {"formt": "png"}},
            "'formt' (did you mean 'format'?)",
        ),
    ],
)
def test_a_misspelt_parameter_is_told_the_nearest(client, path, question, words):
    """Catches "Extra inputs are not permitted", which says neither what nor what to do."""
    answer = client.post(path, **question)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == f"unknown parameter {words}"


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "json_malformed"),
        (b"", "application/json", 400, "json_malformed"),
        (b"\xff\xfe", "application/json", 400, "json_malformed"),
        (b"[" * 100_000, "application/json", 422, "parameters_invalid"),
        (b"[]", "application/json", 422, "parameters_invalid"),
        (b'{"image": 3, "mask": null}', "application/json", 422, "parameters_invalid"),
        (b'{"image": "%%%", "mask": "AAAA"}', "application/json", 422, "image_unusable"),
        (b'{"image": "AAAA", "mask": ""}', "application/json", 422, "parameters_invalid"),
        (b'{"image": "data:image/png;base64,", "mask": "AAAA"}', "application/json", 422, "image_unusable"),
        (json.dumps(body(steps="8")).encode(), "application/json", 422, "parameters_invalid"),
        (json.dumps(body(steps=True)).encode(), "application/json", 422, "parameters_invalid"),
        (json.dumps(body(temperature=float("nan"))).encode(), "application/json", 422, "parameters_invalid"),
        (b"whatever", "text/plain", 415, "unsupported_media_type"),
        (b"whatever", "", 415, "unsupported_media_type"),
        (b"whatever", "multipart/form-data", 400, "form_malformed"),
        (b"whatever", "multipart/form-data; boundary=", 400, "form_malformed"),
        (b"whatever", "multipart/form-data; boundary=x", 400, "form_malformed"),
        (b"--x\r\n\r\n\r\n--x--", "multipart/form-data; boundary=x", 400, "form_malformed"),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--", "multipart/form-data; boundary=x", 400,
         "form_malformed"),
        (b"--x--\r\n", "multipart/form-data; boundary=x; charset=nonsense", 422, "parameters_invalid"),
        (b"--x\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\n" + b"a" * 70_000 + b"\r\n--x--",
         "multipart/form-data; boundary=x", 400, "form_malformed"),
    ],
)  # fmt: skip
def test_bad_bodies_are_told_what_is_wrong(client, content, kind, status, code):
    answer = client.post("/v1/inpaint", content=content, headers={"Content-Type": kind} if kind else {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/event-stream"])
@pytest.mark.parametrize(
    ("data", "most"),
    [
        ({"samples": 9}, 8),
        ({"samples": 99}, 8),
        ({"samples": 10**30}, 8),
        ({"steps": 65}, 64),
        ({"steps": 999}, 64),
        ({"sweet_spot": 65}, 64),
        ({"sweet_spot": 999}, 64),
    ],
)
def test_there_is_one_bound_and_it_is_this_servers(client, data, most, accept):
    """Catches advice that, followed, is refused for another bound; and a refusal with status 200."""
    (name,) = data
    for answer in (
        client.post("/v1/inpaint", files=form(), data=data, headers={"Accept": accept}),
        client.post("/v1/inpaint", json=body(**data), headers={"Accept": accept}),
    ):
        assert answer.status_code == 422
        assert answer.json()["error"] == {
            "code": "parameters_invalid",
            "message": f"{name}: give 1 to {most}, the most that this server takes",
        }


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
def test_every_seed_that_is_told_can_be_given_back(client, accept):
    """Catches the seed of a later sample that is refused when asked for, and rounded in JavaScript."""
    data = {"samples": 4, "seed": 2**53 - 4, "steps": 1}
    told = client.post("/v1/inpaint", files=form(), data=data, headers=JSON).json()
    assert [fill["seed"] for fill in told["fills"]] == [2**53 - n for n in (4, 3, 2, 1)]
    last = {"seed": told["fills"][-1]["seed"], "steps": 1}
    again = client.post("/v1/inpaint", files=form(), data=last, headers=JSON).json()
    assert again["fills"][0]["image"] == told["fills"][-1]["image"]
    data["seed"] += 1
    answer = client.post("/v1/inpaint", files=form(), data=data, headers={"Accept": accept})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "parameters_invalid")
    assert str(2**53 - 4) in answer.json()["error"]["message"]


def test_a_server_may_take_more_than_the_usual(tiny_pipeline):
    """Catches a bound beside that of the server's owner."""
    with client_of(app_of(tiny_pipeline, limits=Limits(samples=70, drain=5.0))) as client:
        told = client.post("/v1/inpaint", files=form(), data={"samples": 66, "steps": 1}, headers=JSON)
        assert len(told.json()["fills"]) == 66


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
def test_advice_names_fields_not_options(client, accept):
    """Catches a client that is told of an option of the command line, or of an argument in Python."""
    files = form(mask=file_of(np.zeros((3, 3), np.uint8)))
    answer = client.post("/v1/inpaint", files=files, headers={"Accept": accept})
    told = answer.json() if accept == "*/*" else events_of(answer)[-1][1]
    message = told["error"]["message"]
    assert message.endswith("have it resized with fit_mask.")
    assert "--" not in message
    assert "Python" not in message
    assert client.post("/v1/inpaint", files=files, data={"fit_mask": "true"}).status_code == 200


def test_only_options_that_are_fields_are_translated():
    """Catches a sentence that is garbled because it holds dashes."""
    assert in_fields("use --fit-mask, --seed 3 or (in Python: x=1) --from FILE") == (
        "use fit_mask, seed 3 or --from FILE"
    )
    assert in_fields("a--seed b -- c ---seed") == "a--seed b -- c ---seed"


def test_jpeg_for_transparency_is_refused_with_formats_that_there_are(client):
    """Catches advice to take TIFF, which the API does not write."""
    files = form(image=file_of(np.dstack([PIXELS, PIXELS[:, :, 0]])))
    message = client.post("/v1/inpaint", files=files, data={"format": "jpg"}).json()["error"]["message"]
    assert "png or webp" in message
    assert "TIFF" not in message


@pytest.mark.parametrize("accept", ["image/jpeg", "application/json", "text/event-stream"])
def test_what_cannot_be_written_is_not_filled(tiny_pipeline, accept):
    """Catches a fill that is made only to be thrown away."""
    gated = Gated(tiny_pipeline)
    files = form(image=file_of(np.dstack([PIXELS, PIXELS[:, :, 0]])))
    with client_of(app_of(gated)) as client:
        gated.gate.set()
        told = client.post("/v1/inpaint", files=files, data={"format": "jpg"}, headers={"Accept": accept})
        assert "JPEG holds no alpha channel" in told.text
        assert gated.batches == []


def test_too_many_parts_and_parts_given_twice(client):
    many = [
        ("image", ("a", IMAGE_FILE)),
        ("mask", ("b", MASK_FILE)),
        ("guide", ("c", b"x")),
        ("more", ("d", b"x")),
    ]
    assert client.post("/v1/inpaint", files=many).json()["error"]["code"] == "form_malformed"
    twice = [("image", ("a", IMAGE_FILE)), ("image", ("b", MASK_FILE))]
    assert client.post("/v1/inpaint", files=twice).json()["error"]["code"] == "parameters_invalid"
    strange = [("image", ("a", IMAGE_FILE)), ("steps", ("b", b"8"))]
    assert client.post("/v1/inpaint", files=strange).status_code == 422
    fields = {f"field{n}": "x" for n in range(60)}
    assert client.post("/v1/inpaint", files=form(), data=fields).json()["error"]["code"] == "form_malformed"


# More than Starlette keeps in memory by itself
LARGE = np.random.default_rng(0).integers(0, 256, (640, 640, 3), dtype=np.uint8)
LARGE_FILE, LARGE_MASK_FILE = (
    file_of(LARGE),
    file_of(box_mask(640, 640, 300, 300, 16, 16).astype(np.uint8) * 255),
)


@pytest.mark.parametrize(
    "name",
    ["../../evil.png", "{here}/evil.png", "/etc/passwd", "a\\b.png", "a" * 5000, "\u202egnp.exe", "con", ""],
)
@pytest.mark.parametrize(
    "files", [(IMAGE_FILE, MASK_FILE), (LARGE_FILE, LARGE_MASK_FILE)], ids=["small", "large"]
)
def test_file_names_are_not_looked_at(client, tmp_path, monkeypatch, name, files):
    """Catches a file that is written where a client says, from where the server runs or from its temporary
    folder.
    """
    assert len(LARGE_FILE) > 2**20
    here, temporary = tmp_path / "a" / "b" / "c", tmp_path / "d" / "e" / "f"
    for folder in (here, temporary):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    name = name.format(here=tmp_path)
    image, mask = files
    answer = client.post("/v1/inpaint", files={"image": (name or "x", image), "mask": (name or "y", mask)})
    assert answer.status_code == 200 or (
        len(name) > 4000 and answer.json()["error"]["code"] == "form_malformed"
    )
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), MemoryError()])
def test_a_full_machine_is_no_fault_of_the_form(client, monkeypatch, failure):
    """Catches a good form that is called malformed because the server could not keep it."""

    async def fail(*_):
        raise failure

    monkeypatch.setattr("starlette.datastructures.UploadFile.write", fail)
    answer = client.post("/v1/inpaint", files=form())
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "failed")


def test_no_file_is_written_for_a_large_upload(client, monkeypatch):
    """Catches uploads that go to the disk, and are refused when it is full."""

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", fail)
    assert client.post("/v1/inpaint", files=form(LARGE_FILE, LARGE_MASK_FILE)).status_code == 200


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/png", "image/png"),
        ("image/*;q=0.5, application/json", "application/json"),
        ("application/json;q=0, */*", "image/png"),
        ("text/event-stream", "text/event-stream"),
        ("text/*", "text/event-stream"),
        ("text/html, text/*;q=0.5, image/*;q=0.8", "image/png"),
        ("", "image/png"),
        (" ", "image/png"),
        ("image/webp", "image/webp"),
        ("Image/JPEG", "image/jpeg"),
        ("image/jpeg, image/webp", "image/webp"),
        ("image/jpeg, */*", "image/png"),
        ("image/jpeg, image/png;q=0.5", "image/jpeg"),
        ("image/jpeg, */*;q=0.8", "image/jpeg"),
        ("image/png;q=0, image/*", "image/webp"),
        ("image/tiff", None),
        ("image/avif, text/html", None),
        ("image/png;q=0", None),
        ("image/*, image/png;q=0, image/webp;q=0, image/jpeg;q=0", None),
        ("text/html", None),
        ("application/json;q=oops", None),
    ],
)
def test_the_answer_is_of_the_kind_that_is_accepted(client, accept, kind):
    """Catches a picture of a format that the client does not take, and loss that it did not ask for."""
    answer = client.post("/v1/inpaint", files=form(), headers={"Accept": accept})
    if kind is None:
        assert (answer.status_code, answer.json()["error"]["code"]) == (406, "not_acceptable")
    else:
        assert answer.headers["content-type"].startswith(kind)
        if kind.startswith("image/"):
            assert read_image(answer.content).format == kind.removeprefix("image/").upper()


def test_several_accept_headers_are_one(client):
    """Catches a client that is refused what only its second header takes."""
    headers = [("Accept", "text/html"), ("Accept", ""), ("Accept", "application/json")]
    answer = client.post("/v1/inpaint", files=form(), headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize(
    ("accept", "given", "kind"),
    [
        ("*/*", "webp", "image/webp"),
        ("image/*", "jpg", "image/jpeg"),
        ("image/png;q=0.1, image/webp", "png", "image/png"),
        ("image/webp", "webp", "image/webp"),
        ("image/webp", "png", None),
        ("image/webp", "", "image/webp"),
        ("application/json", "webp", "application/json"),
    ],
)
def test_format_and_accept_do_not_contradict_each_other(client, accept, given, kind):
    """Catches an answer that one of them rules out."""
    answer = client.post("/v1/inpaint", files=form(), data={"format": given}, headers={"Accept": accept})
    if kind is None:
        assert (answer.status_code, answer.json()["error"]["code"]) == (406, "not_acceptable")
        assert "format is png" in answer.json()["error"]["message"]
    else:
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/inpaint", 405), ("DELETE", "/", 405), ("GET", "/nothing", 404),
     ("GET", "/../etc/passwd", 404), ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
     ("GET", "/samples/../app.py", 404), ("GET", "/a\0b", 404)],
)  # fmt: skip
def test_wrong_ways_are_json_too(client, method, path, status):
    answer = client.request(method, path.replace("\0", "%00"))
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


# What else it tells


def test_health_readiness_models_and_metrics(client):
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    told = client.get("/v1/models").json()
    (model,) = told["models"]
    assert (model["name"], model["loaded"], model["resolution"], model["grid"]) == ("tiny", True, 16, 4)
    assert told["limits"]["pixels"] == 50_000_000
    assert "poisson" in told["choices"]["seam"]
    client.post("/v1/inpaint", files=form())
    text = client.get("/metrics").text
    assert 'maskmend_requests_total{route="/v1/inpaint",status="200"}' in text
    assert "maskmend_batch_requests_count" in text
    assert "maskmend_places_taken 0.0" in text
