"""A server around the tiny pipeline, in memory."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from maskmend.pipeline import InpaintPipeline
from server_parts import app_of, client_of


@pytest.fixture(scope="module")
def client(tiny_pipeline: InpaintPipeline) -> Iterator[TestClient]:
    with client_of(app_of(tiny_pipeline)) as client:
        yield client
