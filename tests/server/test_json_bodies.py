"""JSON bodies that would cost more than their bytes, and those that are merely unusual."""

import json
import tracemalloc

import pytest

from server_parts import body

JSON = {"Content-Type": "application/json"}
COUNT = 300_000
CRAFTED = {
    "keys": "{" + ",".join(f'"{n}":0' for n in range(COUNT)) + "}",
    "values": '{"image":[' + ",".join("0" * COUNT) + "]}",
    "objects": '{"image":[' + ",".join(["{}"] * COUNT) + "]}",
    "depth": '{"image":' + "[" * COUNT,
}


@pytest.mark.parametrize("path", ["/v1/inpaint", "/api/v1/inpaint", "/api/v1/model"])
@pytest.mark.parametrize("name", CRAFTED)
def test_a_body_of_a_million_parts_costs_no_more_than_its_bytes(client, path, name):
    """Catches an error message for each of a million unknown keys, gigabytes that are made while nobody else
    is answered.
    """
    content = CRAFTED[name].encode()
    tracemalloc.start()
    answer = client.post(path, content=content, headers=JSON)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == 422
    assert "more than 20000" in answer.json()["error"]["message"]
    assert peak < 20 * len(content)


def test_whatever_a_fill_may_say_fits(client):
    """Catches a bound that a long prompt or a client with fields of its own comes upon."""
    told = json.dumps(body(steps=1, seed=3, prompt='a "b", ' * 140, label="1/2", mask_channel="luma"))
    answer = client.post("/v1/inpaint", content=told, headers=JSON)
    assert "more than" not in answer.text  # the tiny model takes no prompt
    more = {f"field {n}": [1, {"a": "b"}] for n in range(500)}
    answer = client.post("/api/v1/inpaint", json=body() | more)
    assert answer.status_code == 200


def test_five_unknown_names_are_told_and_not_five_thousand(client):
    """Catches an answer, or a list of errors, as long as the request."""
    answer = client.post("/v1/inpaint", json=body() | {f"stps{n}": 9 for n in range(2000)})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].count("unknown parameter") == 5
