"""The kind of a response is the one that was accepted, errors included; health, readiness and metrics."""

import pytest

from maskmend.images.picture import read_image
from server_parts import form


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
