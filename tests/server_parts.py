"""A server around the tiny pipeline: in memory for most tests, on a socket where the wire itself is the
question.
"""

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from fakes import box_mask, smooth_pixels
from maskmend.pipeline import InpaintPipeline
from maskmend.server.app import create_app
from maskmend.server.registry import Catalogue, ModelEntry
from maskmend.server.run import configuration, listen
from maskmend.server.settings import Limits, ServeConfig
from waiting import PATIENCE, until

HEIGHT, WIDTH = 20, 34
PIXELS = smooth_pixels(HEIGHT, WIDTH)
MASK = box_mask(HEIGHT, WIDTH, 5, 6, 14, 19)


def file_of(levels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(levels).save(content, kind, **options)
    return content.getvalue()


IMAGE_FILE = file_of(PIXELS)
MASK_FILE = file_of(MASK.astype(np.uint8) * 255)


def form(image: bytes = IMAGE_FILE, mask: bytes = MASK_FILE) -> dict[str, Any]:
    """Files of a multipart form."""
    return {"image": ("image.png", image), "mask": ("mask.png", mask)}


def body(**more: Any) -> dict[str, Any]:
    """The same as a JSON body."""
    return {"image": in_base64(IMAGE_FILE), "mask": in_base64(MASK_FILE), **more}


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def pixels_of(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def events_of(answer: Any) -> list[tuple[str, Any]]:
    """[(name, data)] of a text/event-stream."""
    found = []
    for block in answer.text.strip().split("\n\n"):
        if not block.startswith(":"):
            name, data = block.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


class Gated(InpaintPipeline):
    """The tiny pipeline, filling only while its gate is open; remembers what it was asked for."""

    def __init__(self, pipe: InpaintPipeline) -> None:
        super().__init__(pipe.tokenizer, pipe.transformer, pipe.defaults)
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.batches: list[int] = []
        self.asked: list[dict[str, Any]] = []

    def __call__(self, image: Any, mask: Any, **more: Any) -> Any:
        self.batches.append(len(image))
        self.asked.append({"mask": mask, **more})
        self.entered.set()
        assert self.gate.wait(PATIENCE)
        return super().__call__(image, mask, **more)


def app_of(pipe: InpaintPipeline, *, limits: Limits | None = None, **config: Any) -> FastAPI:
    """An application whose only model is `pipe`."""
    catalogue = Catalogue([ModelEntry("tiny", pipe.defaults, lambda: pipe)])
    return create_app(ServeConfig(limits=limits or Limits(drain=5.0), **config), catalogue)


@contextmanager
def client_of(app: FastAPI, **options: Any) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://127.0.0.1:8765", **options) as client:
        until(lambda: app.state.service.ready is None)
        yield client


@contextmanager
def on_a_socket(app: FastAPI) -> Iterator[int]:
    """Serves `app` on a free port of this machine; gives the port."""
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(configuration(app, app.state.service.limits))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        until(lambda: server.started and app.state.service.ready is None)
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listening.close()
        assert not thread.is_alive()
