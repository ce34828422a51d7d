"""The page as files: complete, from here only, and what is said of the address."""

import re
from pathlib import Path

import pytest

from maskmend.server.run import address, listen
from maskmend.server.settings import ServeConfig
from maskmend.server.static import PAGE

FILES = sorted(path.name for path in PAGE.iterdir())


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_with_its_type(client, name):
    answer = client.get(f"/{name}")
    assert answer.status_code == 200
    assert answer.content == (PAGE / name).read_bytes()
    kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    assert answer.headers["content-type"].startswith(kinds[name.rsplit(".")[-1]])
    tag = answer.headers["etag"]
    assert client.get(f"/{name}", headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("path", ["/", "/docs", "/editor.js", "/samples"])
def test_heads_are_answered(client, path):
    """Catches a page that is said not to be there when only its headers are asked for (curl -I)."""
    whole, head = client.get(path), client.head(path)
    assert (head.status_code, head.headers) == (200, whole.headers)


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_fetched_from_elsewhere(name):
    """Catches a font, a script or a style of another server."""
    text = (PAGE / name).read_text()
    found = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", re.sub(r"(?m)^\s*//.*$", "", text))
    assert [one for one in found if "www.w3.org/2000/svg" not in one] == []


def test_every_module_and_every_id_that_is_asked_for_exists():
    """Catches an import or an element that was renamed in one place only."""
    page = (PAGE / "index.html").read_text()
    ids = set(re.findall(r'id="([\w-]+)"', page))
    for path in PAGE.glob("*.js"):
        text = path.read_text()
        assert {f"{name}.js" for name in re.findall(r'from "\./([\w-]+)\.js"', text)} <= set(FILES)
        if path.name != "docs.js":
            asked = re.findall(r'(?:\$|getElementById|\bon|\bpress)\("([\w-]+)"', text)
            assert set(asked) <= ids, path.name
    assert set(re.findall(r'(?:src|href)="([\w.-]+\.\w+)"', page)) <= set(FILES)


def test_samples_are_listed_and_served(client):
    names = client.get("/samples").json()["samples"]
    assert len(names) == 8
    for name in names:
        kind = {".png": "image/png", ".jpg": "image/jpeg"}[Path(name).suffix]
        assert client.get(f"/samples/{name}").headers["content-type"] == kind
        assert client.get(f"/samples/{Path(name).stem}.mask.png").status_code == 200


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, r"http://127\.0\.0\.1:\d+/"),
        ({"host": "::1"}, r"http://\[::1\]:\d+/"),
        ({"token": "0123456789abcdef"}, r"http://127\.0\.0\.1:\d+/#token=0123456789abcdef"),
        ({"host": "0.0.0.0", "allow_remote": True, "names": ("studio.lan",)}, r"http://studio\.lan:\d+/"),
    ],
)
def test_the_address_that_is_told_can_be_opened(changes, wanted):
    config = ServeConfig(port=0, **changes)
    listening = listen(config.host, config.port)
    with listening:
        assert re.fullmatch(wanted, address(listening, config))


def test_a_port_that_is_taken_is_said_in_one_line():
    from maskmend.errors import ConfigError

    with listen("127.0.0.1", 0) as taken, pytest.raises(ConfigError, match=r"cannot listen on .*--port"):
        listen("127.0.0.1", taken.getsockname()[1])
