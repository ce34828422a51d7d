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
    """A decoding step of window `part` of the `parts` windows that cover the hole."""

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
    seconds_left: float | None = None
    """Until all windows are decoded, as estimated from the steps so far; None from servers that do not
    say."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A part of the picture, in its pixels."""

    top: int
    left: int
    height: int
    width: int


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
    box: Box | None = None
    """What `content` shows; None unless a level is complete."""
    content: bytes | None = None
    """PNG of the hole as it is now, at most 1024 pixels a side."""


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
        self._pieces = list[bytes]()  # of a line that is not complete: those of large pictures come in many
        self._name, self._data = "", list[str]()
        self.done = False
        """Whether the last event has arrived."""

    def feed(self, content: bytes) -> Iterator[Event]:
        """Raises the server's error (`errors`) for an error event, and UnexpectedAnswer."""
        self._pieces.append(content)
        if b"\n" not in content:
            return
        *lines, rest = b"".join(self._pieces).split(b"\n")
        self._pieces = [rest]
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
    if name == "error":
        raise error_of(body)
    try:
        return _event(name, body)
    except (TypeError, ValueError, AttributeError) as error:
        message = f"the server sent an event {name[:40]!r} that cannot be read ({error})"
        raise UnexpectedAnswer(message) from error


def _event(name: str, body: Any) -> Event | None:
    match name:
        case "queued":
            return Queued(ahead=int(field(body, "ahead")))
        case "started":
            return Started(batch=int(field(body, "batch")))
        case "step":
            return _step(body)
        case "level":
            return _level(body)
        case "fill":
            return FillMade(index=int(field(body, "index")), fill=fill_of(body))
        case "done":
            return Done(**summary_of(body))
    return None


def _level(body: Any) -> Level:
    counts = ("sample", "samples", "level", "levels", "windows", "total")
    values: dict[str, Any] = {each: int(field(body, each)) for each in counts}
    if body.get("image") is not None:
        box = field(body, "box")
        sides = {name: int(field(box, name)) for name in ("top", "left", "height", "width")}
        values |= {"box": Box(**sides), "content": bytes_of(body["image"])}
    return Level(**values, seconds_left=float(field(body, "seconds_left")))


def _step(body: Any) -> Step:
    box, left = field(body, "box"), body.get("seconds_left")
    return Step(
        **{name: int(field(body, name)) for name in ("step", "steps", "part", "parts")},
        **{name: int(field(box, name)) for name in ("top", "left", "height", "width")},
        fills=tuple(
            StepFill(hidden=tuple(field(one, "hidden")), content=bytes_of(field(one, "image")))
            for one in field(body, "fills")
        ),
        seconds_left=None if left is None else float(left),
    )
