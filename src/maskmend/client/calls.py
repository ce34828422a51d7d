"""The API's routes: building requests and parsing responses, without network I/O.

Pictures are sent as form files, as base64 is a third larger. Only IOPaint's route takes JSON.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from maskmend.client.answers import (
    Converted,
    Fills,
    Mask,
    Models,
    Picture,
    fills_of,
    models_of,
)
from maskmend.client.errors import UnexpectedAnswer
from maskmend.errors import ConfigError

T = TypeVar("T")
Source = bytes | str | Path
"""A picture file: its content or its path."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A complete response with a status below 300."""

    headers: Mapping[str, str]
    """Case-insensitive mapping."""
    content: bytes

    @property
    def media_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip()

    def json(self) -> Any:
        """Raises UnexpectedAnswer."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            raise UnexpectedAnswer("the server's answer is no JSON: it may be another program") from None


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    method: str
    path: str
    read: Callable[[Answered], T]
    accept: str = "*/*"
    data: dict[str, str] = field(default_factory=dict)
    """Fields of a form."""
    files: dict[str, bytes] = field(default_factory=dict)
    body: Any = None
    """JSON body, if it is not a form."""

    def options(self) -> dict[str, Any]:
        """Arguments for a client's `request`; can be used several times."""
        options: dict[str, Any] = {"headers": {"Accept": self.accept}}
        if self.body is not None:
            options["json"] = self.body
        if self.files:
            options["files"] = {name: (name, content) for name, content in self.files.items()}
            options["data"] = self.data
        return options


def inpaint(
    image: Source, mask: Source | None, guide: Source | None, parameters: Mapping[str, Any]
) -> Call[Picture]:
    """The best fill as a picture."""
    return _fill("image/*", _picture, image, mask, guide, parameters)


def inpaint_all(
    image: Source, mask: Source | None, guide: Source | None, parameters: Mapping[str, Any]
) -> Call[Fills]:
    """All fills."""
    return _fill("application/json", lambda answer: fills_of(answer.json()), image, mask, guide, parameters)


def stream(
    image: Source, mask: Source | None, guide: Source | None, parameters: Mapping[str, Any]
) -> Call[None]:
    """All fills as a stream of events, parsed by `events.EventReader`."""
    return _fill("text/event-stream", lambda _: None, image, mask, guide, parameters)


def convert(image: Source, parameters: Mapping[str, Any]) -> Call[Converted]:
    def read(answer: Answered) -> Converted:
        return Converted(content=answer.content, media_type=answer.media_type, converted=_converted(answer))

    files = {"image": content_of(image, "image")}
    return Call(method="POST", path="/v1/convert", read=read, files=files, data=fields_of(parameters))


def read_mask(mask: Source, parameters: Mapping[str, Any]) -> Call[Mask]:
    def read(answer: Answered) -> Mask:
        before = answer.headers.get("X-Maskmend-Resized")
        width, _, height = (before or "").partition("x")
        return Mask(
            content=answer.content,
            channel=_header(answer, "X-Maskmend-Channel"),
            resized=(int(width), int(height)) if before else None,
            note=answer.headers.get("X-Maskmend-Note"),
        )

    files = {"mask": content_of(mask, "mask")}
    return Call(method="POST", path="/v1/mask", read=read, files=files, data=fields_of(parameters))


def iopaint(image: Source, mask: Source, sd_seed: int) -> Call[Picture]:
    """IOPaint's route, which returns fewer details."""

    def read(answer: Answered) -> Picture:
        return _picture(answer, seed="X-Seed")

    body = {
        name: base64.b64encode(content_of(source, name)).decode("ascii")
        for name, source in (("image", image), ("mask", mask))
    }
    return Call(method="POST", path="/api/v1/inpaint", read=read, body=body | {"sd_seed": sd_seed})


def models() -> Call[Models]:
    return Call(method="GET", path="/v1/models", read=lambda answer: models_of(answer.json()))


def alive() -> Call[str]:
    return Call(method="GET", path="/healthz", read=_status)


def ready() -> Call[str]:
    return Call(method="GET", path="/readyz", read=_status)


def metrics() -> Call[str]:
    return Call(method="GET", path="/metrics", read=lambda answer: answer.content.decode("utf-8", "replace"))


def content_of(source: Source, name: str) -> bytes:
    """Raises ConfigError for a file that cannot be read."""
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the {name} {source} cannot be read ({error.strerror or error}): check the path"
        ) from None


def fields_of(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as form fields. Forms have no null, so None is omitted."""

    def written(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    return {name: written(value) for name, value in parameters.items() if value is not None}


def _fill(
    accept: str,
    read: Callable[[Answered], T],
    image: Source,
    mask: Source | None,
    guide: Source | None,
    parameters: Mapping[str, Any],
) -> Call[T]:
    given = {"image": image, "mask": mask, "guide": guide}
    files = {name: content_of(source, name) for name, source in given.items() if source is not None}
    data = fields_of(parameters)
    if "format" in data and accept == "image/*":
        accept = "*/*"  # the `format` parameter decides
    return Call(method="POST", path="/v1/inpaint", read=read, accept=accept, files=files, data=data)


def _picture(answer: Answered, seed: str = "X-Maskmend-Seed") -> Picture:
    likelihood, unfamiliar = (
        answer.headers.get(f"X-Maskmend-{name}") for name in ("Log-Likelihood", "Unfamiliar")
    )
    return Picture(
        content=answer.content,
        media_type=answer.media_type,
        converted=_converted(answer),
        seed=int(_header(answer, seed)),
        log_likelihood=None if likelihood is None else float(likelihood),
        note=answer.headers.get("X-Maskmend-Note"),
        unfamiliar=None if unfamiliar is None else float(unfamiliar),
    )


def _converted(answer: Answered) -> tuple[str, ...]:
    value = answer.headers.get("X-Maskmend-Converted")
    return tuple(value.split(", ")) if value else ()


def _header(answer: Answered, name: str) -> str:
    """Raises UnexpectedAnswer if the header is missing."""
    value = answer.headers.get(name)
    if value is None:
        raise UnexpectedAnswer(f"the server's answer has no {name}: it may be another program, or version")
    return value


def _status(answer: Answered) -> str:
    body = answer.json()
    return str(body.get("status")) if isinstance(body, dict) else ""
