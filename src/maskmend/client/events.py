"""The progress of a fill: the events of a stream (text/event-stream), in order.

Queued, Started, Step ..., Level ..., FillMade (one for each sample), Done
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from maskmend.client.answers import Fill, Summary, bytes_of, field, fill_of, summary_of
from maskmend.client.errors import UnexpectedAnswer, error_of


@dataclass(frozen=True, kw_only=True)
class Queued:
    """The request was queued."""

    ahead: int
    """Number of requests ahead of it."""


@dataclass(frozen=True, kw_only=True)
class Started:
    batch: int
    """Number of requests in its batch."""


@dataclass(frozen=True, kw_only=True)
class StepFill:
    """The state of one sample."""

    hidden: tuple[str, ...]
    """Rows of 0 and 1; 1 for tokens that are still masked."""
    content: bytes
    """PNG of the box, at the model's resolution."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A decoding step of one part of the hole."""

    step: int
    steps: int
    part: int
    parts: int
    top: int
    left: int
    height: int
    width: int
    """The model's view, in pixels of the picture."""
    fills: tuple[StepFill, ...]


@dataclass(frozen=True, kw_only=True)
class Level:
    """Progress of one sample at the finer scales of a wide hole."""

    sample: int
    samples: int
    level: int
    levels: int
    windows: int
    total: int
    seconds_left: float


@dataclass(frozen=True, kw_only=True)
class FillMade:
    index: int
    """Index of the sample."""
    fill: Fill


@dataclass(frozen=True, kw_only=True)
class Done(Summary):
    """The last event."""


Event = Queued | Started | Step | Level | FillMade | Done


class EventReader:
    """Incremental parser: takes chunks of a stream and returns the complete events."""

    def __init__(self) -> None:
        self._rest = b""
        self._name, self._data = "", list[str]()
        self.done = False
        """Whether the last event has arrived."""

    def feed(self, content: bytes) -> Iterator[Event]:
        """Raises the server's error (`errors`) for an error event, and UnexpectedAnswer."""
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            text = line.rstrip(b"\r").decode("utf-8", "replace")
            if text:
                self._take(text)
                continue
            name, data = self._name, "\n".join(self._data)
            self._name, self._data = "", []
            if data:
                event = event_of(name, data)
                if event is not None:
                    self.done = isinstance(event, Done)
                    yield event

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")  # a line that begins with a colon is a comment
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)


def event_of(name: str, data: str) -> Event | None:
    """None for unknown kinds of event. Raises the server's error, and UnexpectedAnswer."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise UnexpectedAnswer(f"the server sent an event {name[:40]!r} that is no JSON") from None
    match name:
        case "error":
            raise error_of(body)
        case "queued":
            return Queued(ahead=int(field(body, "ahead")))
        case "started":
            return Started(batch=int(field(body, "batch")))
        case "step":
            return _step(body)
        case "level":
            counts = ("sample", "samples", "level", "levels", "windows", "total")
            left = float(field(body, "seconds_left"))
            return Level(**{each: int(field(body, each)) for each in counts}, seconds_left=left)
        case "fill":
            return FillMade(index=int(field(body, "index")), fill=fill_of(body))
        case "done":
            return Done(**summary_of(body))
    return None


def _step(body: Any) -> Step:
    box = field(body, "box")
    return Step(
        **{name: int(field(body, name)) for name in ("step", "steps", "part", "parts")},
        **{name: int(field(box, name)) for name in ("top", "left", "height", "width")},
        fills=tuple(
            StepFill(hidden=tuple(field(one, "hidden")), content=bytes_of(field(one, "image")))
            for one in field(body, "fills")
        ),
    )
