"""The line in which requests wait, and from which worker threads take those that can be filled together.

Bounded by places: a request takes one when its body has arrived (`uploads` bounds those still on their way),
and leaves when it is answered or its client is gone. Requests with the same model, settings and number of
samples form a batch; the oldest one sets the terms, and nothing ever waits for a batch to fill up.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskmend.images.picture import Picture
from maskmend.server.errors import Refusal, stopping


@dataclass(eq=False, kw_only=True)
class Job:
    """One image to fill, and how to tell whoever waits for it."""

    picture: Picture
    mask: np.ndarray
    guide: Picture | None = None
    """Colours to draw from."""
    note: str | None = None
    """What the caller should know of what was sent."""
    model: str
    samples: int
    seed: int
    settings: dict[str, Any]
    tell: Callable[[str, Any], None]
    """Called from worker threads with (what, detail): "started", "step", "filled" or "failed"."""
    watched: bool = False
    """Somebody wants to see the steps."""
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when nobody waits for it any more."""
    queued: float = field(default_factory=time.monotonic)

    @property
    def terms(self) -> tuple[Any, ...]:
        """Jobs of the same terms can be filled together."""
        return self.model, self.samples, tuple(sorted(self.settings.items()))


class Line:
    """Thread-safe; `places` requests at once, of `pixels` in sum, batches of at most `batch` fills."""

    def __init__(self, *, places: int, pixels: int, batch: int, workers: int = 1) -> None:
        self.places, self.pixels, self.batch, self.workers = places, pixels, batch, workers
        self._jobs: deque[Job] = deque()
        self._change = threading.Condition()
        self._taken = 0
        self._announced = 0
        self._weight = 0
        self._closed = False
        self._seconds = 1.0  # of one request, as lately measured

    def announce(self) -> None:
        """Says that a request is arriving, for which workers stay until it is withdrawn.

        Takes no place, but raises Refusal (429) when there is none: nobody should send a body in vain.
        """
        with self._change:
            self._check_room(announced=False)
            self._announced += 1

    def withdraw(self) -> None:
        """Says that an announced request has arrived, and taken its place, or will not come."""
        with self._change:
            self._announced -= 1
            self._change.notify_all()

    def enter(self, *, announced: bool = False) -> "Place":
        """Takes a place; also of a closed line if it was announced before. Raises Refusal (429, 503)."""
        with self._change:
            self._check_room(announced)
            self._taken += 1
        return Place(self)

    def _check_room(self, announced: bool) -> None:
        if self._closed and not announced:
            raise stopping()
        if self._taken >= self.places:
            raise self._full(f"{self._taken} requests are under way, as many as there are places")

    def _full(self, reason: str) -> Refusal:
        wait = max(1, min(120, round(self._seconds * self._taken / self.workers)))
        return Refusal(429, "busy", f"{reason}: try again in {wait} s", {"Retry-After": str(wait)})

    def add(self, job: Job) -> int:
        """Lets a job wait; returns how many wait before it."""
        with self._change:
            self._jobs.append(job)
            self._change.notify()
            return len(self._jobs) - 1

    def next_batch(self) -> list[Job] | None:
        """The oldest job and those that go with it; blocks until there is one.

        None after the end: the line is closed, and nobody has a place, or is arriving, from whom a job could
        still come.
        """
        with self._change:
            while True:
                self._jobs = deque(job for job in self._jobs if not job.gone.is_set())
                if self._jobs:
                    break
                if self._closed and not self._taken and not self._announced:
                    return None
                self._change.wait()
            first = self._jobs[0]
            most = max(1, self.batch // first.samples)
            together = [job for job in self._jobs if job.terms == first.terms][:most]
            chosen = set(map(id, together))
            self._jobs = deque(job for job in self._jobs if id(job) not in chosen)
            return together

    def measured(self, seconds: float, requests: int) -> None:
        """What a batch cost, for honest advice on when to come back."""
        self._seconds += 0.2 * (seconds / requests - self._seconds)

    def close(self) -> None:
        """No further requests; workers finish those that have a place and are then sent home."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    @property
    def waiting(self) -> int:
        return len(self._jobs)

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def arriving(self) -> int:
        return self._announced

    @property
    def closed(self) -> bool:
        return self._closed


class Place:
    """A request's place; to be left exactly when it is done, however it ends."""

    def __init__(self, line: Line) -> None:
        self._line: Line | None = line
        self._weight = 0

    def weigh(self, pixels: int) -> None:
        """Says how large the picture is. Raises Refusal (429) when too much is in memory already."""
        line = self._line
        assert line is not None
        with line._change:
            if line._weight and line._weight + pixels > line.pixels:
                raise line._full("other large pictures are under way")
            line._weight += pixels
            self._weight += pixels

    def leave(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            with line._change:
                line._taken -= 1
                line._weight -= self._weight
                if line._closed and not line._taken:
                    line._change.notify_all()  # workers that stayed for it may go home

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()
