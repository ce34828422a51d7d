"""The request queue, from which worker threads take batches of compatible requests.

The queue has a limited number of slots. A request takes one when its body has arrived (`uploads` limits those
still being received), and releases it when its fill is complete or its client disconnects. Requests with the
same model, settings and number of samples form a batch. The oldest request determines which; a request never
waits for a batch to fill up.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskmend.images.picture import Picture
from maskmend.server.errors import ApiError, stopping


@dataclass(eq=False, kw_only=True)
class Job:
    """One image to fill, and the callback that reports to the waiting request."""

    picture: Picture
    mask: np.ndarray
    guide: Picture | None = None
    """Guide image with colours."""
    note: str | None = None
    """Note for the caller about the inputs."""
    model: str
    samples: int
    seed: int
    settings: dict[str, Any]
    notify: Callable[[str, Any], None]
    """Called from worker threads with (what, detail): "started", "step", "filled" or "failed"."""
    watched: bool = False
    """The client wants step events."""
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when no client waits for the job any more."""
    queued: float = field(default_factory=time.monotonic)

    @property
    def terms(self) -> tuple[Any, ...]:
        """Jobs with equal terms can be filled in one batch."""
        return self.model, self.samples, tuple(sorted(self.settings.items()))


class JobQueue:
    """Thread-safe; at most `places` requests with `pixels` in total, in batches of up to `batch` fills."""

    def __init__(self, *, places: int, pixels: int, batch: int, workers: int = 1) -> None:
        self.places, self.pixels, self.batch, self.workers = places, pixels, batch, workers
        self._jobs: deque[Job] = deque()
        self._change = threading.Condition()
        self._taken = 0
        self._announced = 0
        self._reserved_pixels = 0
        self._held_bytes = 0
        self._closed = False
        self._seconds = 1.0  # per request, as recently measured

    def announce(self) -> None:
        """Announces a request that is being received; workers keep running until it is withdrawn.

        Takes no slot, but raises ApiError (429) when none is free, before the client sends its body in vain.
        """
        with self._change:
            self._check_room(announced=False)
            self._announced += 1

    def withdraw(self) -> None:
        """Ends an announcement: the request has arrived and taken its slot, or will not arrive."""
        with self._change:
            self._announced -= 1
            self._change.notify_all()

    def acquire(self, *, announced: bool = False) -> "Slot":
        """Takes a slot; announced requests can do so even after closing. Raises ApiError (429, 503)."""
        with self._change:
            self._check_room(announced)
            self._taken += 1
        return Slot(self)

    def _check_room(self, announced: bool) -> None:
        if self._closed and not announced:
            raise stopping()
        if self._taken >= self.places:
            raise self._full(f"{self._taken} requests are in progress, as many as there are slots")

    def _full(self, reason: str) -> ApiError:
        wait = max(1, min(120, round(self._seconds * self._taken / self.workers)))
        return ApiError(429, "busy", f"{reason}: try again in {wait} s", {"Retry-After": str(wait)})

    def add(self, job: Job) -> int:
        """Adds a job to the queue; returns the number of jobs ahead of it."""
        with self._change:
            self._jobs.append(job)
            self._change.notify()
            return len(self._jobs) - 1

    def next_batch(self) -> list[Job] | None:
        """The oldest job and the jobs that can be filled with it; blocks until there is one.

        None when the queue is closed and no job can follow: no slot is taken and no request is being
        received.
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
            compatible = [job for job in self._jobs if job.terms == first.terms][:most]
            chosen = set(map(id, compatible))
            self._jobs = deque(job for job in self._jobs if id(job) not in chosen)
            return compatible

    def measured(self, seconds: float, requests: int) -> None:
        """Records how long a batch took, to estimate Retry-After."""
        self._seconds += 0.2 * (seconds / requests - self._seconds)

    def close(self) -> None:
        """Stops accepting requests; workers finish the requests that hold a slot, then end."""
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
    def held_bytes(self) -> int:
        """Bytes of received requests that are not decoded yet."""
        return self._held_bytes

    @property
    def arriving(self) -> int:
        return self._announced

    @property
    def closed(self) -> bool:
        return self._closed


class Slot:
    """A request's slot; must be released when the request ends, for whatever reason."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue: JobQueue | None = queue
        self._reserved_pixels = 0
        self._held_bytes = 0

    def reserve_pixels(self, pixels: int) -> None:
        """Reserves memory for the picture. Raises ApiError: 413 when the request alone takes more than there
        is, 429 when too much is in use already."""
        queue = self._queue
        assert queue is not None
        with queue._change:
            if (wanted := self._reserved_pixels + pixels) > queue.pixels:
                raise ApiError(
                    413,
                    "too_many_pixels",
                    f"the request's pictures have {wanted / 1e6:.1f} Mpx in all, where each fill after the "
                    f"first counts as half a picture: more than the {queue.pixels / 1e6:g} Mpx that this "
                    "server holds at once; take fewer samples, or a smaller picture",
                )
            if queue._reserved_pixels + pixels > queue.pixels:
                raise queue._full("other large pictures are in progress")
            queue._reserved_pixels += pixels
            self._reserved_pixels += pixels

    def hold_bytes(self, count: int) -> None:
        """Counts the bytes of the request, until `forget_bytes`."""
        queue = self._queue
        assert queue is not None
        with queue._change:
            queue._held_bytes += count
            self._held_bytes += count

    def forget_bytes(self) -> None:
        """The request's bytes are decoded, and kept no longer."""
        if self._queue is not None:
            self.hold_bytes(-self._held_bytes)

    def release(self) -> None:
        self.forget_bytes()
        queue, self._queue = self._queue, None
        if queue is not None:
            with queue._change:
                queue._taken -= 1
                queue._reserved_pixels -= self._reserved_pixels
                if queue._closed and not queue._taken:
                    queue._change.notify_all()  # workers that waited for this request can end

    def __enter__(self) -> "Slot":
        return self

    def __exit__(self, *error: object) -> None:
        self.release()
