"""Requests for fills that cannot be: each is told what is wrong with it, by the names of its fields."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import maskmend
from crafted_files import bomb
from fakes import box_mask
from maskmend.server.errors import in_fields
from maskmend.server.parameters import Parameters
from maskmend.server.settings import Limits
from server_parts import (
    IMAGE_FILE,
    MASK_FILE,
    PIXELS,
    Gated,
    app_of,
    body,
    client_of,
    events_of,
    file_of,
    form,
)

PHOTO = (Path(maskmend.__file__).parent / "assets" / "samples" / "00385.png").read_bytes()
JSON = {"Accept": "application/json"}


def test_what_the_api_names_is_what_the_pipeline_knows():
    """Catches a setting that was added or renamed in one place only."""
    from maskmend.settings import CHOICES_OF, Settings

    assert set(Settings.__dataclass_fields__) <= set(Parameters.model_fields)
    described = Parameters.model_json_schema()["properties"]
    for name, known in CHOICES_OF.items():
        assert described[name]["anyOf"][0]["enum"] == list(known)


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
