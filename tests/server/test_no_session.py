"""A session of the editor does not depend on which server of several answers: what one process keeps would
show here as an answer that differs.
"""

import json

import pytest

from maskmend.pipeline import InpaintPipeline
from server_parts import IMAGE_FILE, MASK_FILE, app_of, client_of, form

EVENTS, JSON = {"Accept": "text/event-stream"}, {"Accept": "application/json"}


def session(clients):
    """What the page does: it opens, checks picture and mask, fills, rolls again, takes one and goes on,
    saves. Each request goes to the next of `clients`; gives the answers, but for the seconds they took."""
    answers = []

    def ask(method, path, **more):
        answer = clients[len(answers) % len(clients)].request(method, path, **more)
        assert answer.status_code == 200, (path, answer.text)
        kind = answer.headers["content-type"]
        answers.append((path, kind, answer.content if kind.startswith("image/") else told_of(answer)))
        return answer

    for path in ("/", "/api.js", "/samples", "/readyz", "/v1/models"):
        ask("GET", path)
    picture = ask("POST", "/v1/convert", files={"image": ("a.png", IMAGE_FILE)}).content
    size = {"width": 34, "height": 20}
    mask = ask("POST", "/v1/mask", files={"mask": ("m.png", MASK_FILE)}, data=size).content
    for seed in (0, 4):  # Fill, and Roll again
        settings = {"samples": 2, "seed": seed, "steps": 2}
        ask("POST", "/v1/inpaint", files=form(picture, mask), data=settings, headers=EVENTS)
    picture = ask("POST", "/v1/inpaint", files=form(picture, mask), data={"seed": 5, "steps": 2}).content
    ask("POST", "/v1/inpaint", files=form(picture, mask), data={"steps": 3, "samples": 2}, headers=JSON)
    ask("POST", "/v1/convert", files={"image": ("b.png", picture)}, data={"format": "webp"})
    return answers


def told_of(answer):
    """The text without what is measured in seconds, or depends on how many come at once."""
    lines = []
    for line in answer.text.splitlines():
        start, brace, rest = line.partition("{")
        try:
            said = json.loads(brace + rest)
        except ValueError:
            lines.append(line)
            continue
        for name in ("seconds", "seconds_left"):
            said.pop(name, None)
        lines.append(start + json.dumps(said, sort_keys=True))
    return lines


@pytest.fixture(scope="module")
def two(tiny_pipeline: InpaintPipeline):
    with client_of(app_of(tiny_pipeline)) as one, client_of(app_of(tiny_pipeline)) as other:
        yield one, other


def test_a_session_that_goes_from_server_to_server_is_answered_as_by_one(client, two):
    """Catches a result, a picture or a setting that one server keeps for the next request."""
    alone, both = session([client]), session(two)
    assert [path for path, *_ in both] == [path for path, *_ in alone]
    for one, other in zip(alone, both, strict=True):
        assert one == other, one[0]


def test_pages_tag_is_the_same_on_every_server(two):
    """Catches a page that is fetched anew whenever another server answers."""
    tag = two[0].get("/editor.js").headers["etag"]
    assert two[1].get("/editor.js", headers={"If-None-Match": tag}).status_code == 304
