"""The API's description against the API, by schemathesis: what it forbids is refused, every answer is one
that it names, and nothing is ever a 500.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from maskmend.server.settings import Limits
from server_parts import PATIENCE, app_of, client_of, form, on_a_socket

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def url(tiny_pipeline):
    if find_spec("schemathesis") is None:
        pytest.skip("schemathesis is not installed")
    with on_a_socket(app_of(tiny_pipeline, limits=Limits(drain=5.0))) as port:
        yield f"http://127.0.0.1:{port}"


def test_the_description_tells_this_servers_limits(tiny_pipeline):
    """Catches a description that promises more than the server gives."""
    limits = Limits(samples=3, steps=20, drain=5.0)
    with client_of(app_of(tiny_pipeline, limits=limits)) as client:
        described = client.get("/openapi.json").json()["paths"]["/v1/inpaint"]["post"]["requestBody"][
            "content"
        ]
        for kind in ("multipart/form-data", "application/json"):
            properties = described[kind]["schema"]["properties"]
            assert properties["samples"]["maximum"] == 3
            for name in ("steps", "sweet_spot", "detail_steps"):
                number = properties[name] if kind.startswith("multi") else properties[name]["anyOf"][0]
                assert (number["type"], number["minimum"], number["maximum"]) == ("integer", 1, 20)
        for values, status in (
            ({"samples": 3, "steps": 20}, 200),
            ({"samples": 4}, 422),
            ({"steps": 21}, 422),
            ({"detail_steps": 20, "detail": "full"}, 200),
            ({"detail_steps": 21}, 422),
            ({"detail": "2", "ranking": "typical", "plain": 1.5}, 200),
            ({"detail": "fine"}, 422),
        ):
            assert client.post("/v1/inpaint", files=form(), data=values).status_code == status


@pytest.mark.parametrize(
    "options",
    [
        # Bytes at random are no picture: refusing what the description can only call "binary" is right.
        ["--exclude-checks", "positive_data_acceptance"],
        ["--mode", "positive", "--phases", "fuzzing", "-H", "Accept: application/json"],
    ],
    ids=["anything", "real pictures"],
)
def test_every_operation_keeps_to_its_description(url, tmp_path, options):
    command = [
        sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run",
        f"{url}/openapi.json", "--max-examples", "8", "--seed", "1", "--no-color",
        "--request-timeout", str(PATIENCE), "--suppress-health-check", "too_slow", *options,
    ]  # fmt: skip
    paths = [str(TESTS), str(TESTS / "server"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    if "positive" in options:
        environment["SCHEMATHESIS_HOOKS"] = "schema_hooks"
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    assert "Tested: 8" in ran.stdout
