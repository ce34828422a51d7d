"""Watches a folder for new pictures, each together with its mask.

A picture is taken when its file, its mask and its guide have kept their size and modification time for one
second, so that partially written files are not read. If a writer pauses for longer, the file fails to decode
and is tried again after its next change. As for any folder, existing results mark a picture as done, so every
picture is filled once, however often watching is restarted.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from maskmend.batch.folder import Task

SETTLED = 1.0
"""Seconds for which files must be unchanged."""
Signature = tuple[tuple[str, int, int], ...]
"""Path, size and modification time in nanoseconds of each file."""


class Watcher:
    """Polls a folder.

    Args:
        plan: lists the current tasks (`plan_folder`).
        needs_mask: whether a picture has to wait for a mask.
        clock: time in seconds.
    """

    def __init__(
        self,
        plan: Callable[[], Iterable[Task]],
        *,
        needs_mask: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plan, self.needs_mask, self.clock = plan, needs_mask, clock
        self._seen: dict[str, tuple[Signature, float]] = {}
        """State of each picture's files, and the time since which they have been in it."""
        self._taken: dict[str, Signature] = {}
        self.failures: dict[str, str] = {}
        """Error message by the picture's path within the folder, until the file changes or is removed."""
        self.done: list[Task] = []
        """Pictures with existing results, at the last poll."""
        self.waiting: dict[str, str] = {}
        """Likewise: what the picture is waiting for, such as its mask."""

    def poll(self) -> list[Task]:
        """Pictures that are complete, not done, and not tried before in their current state."""
        ready, self.done = [], []
        seen: dict[str, tuple[Signature, float]] = {}
        now = self.clock()
        waiting: dict[str, str] = {}
        for task in self.plan():
            signature = signature_of(task)
            if task.done:
                self.done.append(task)
                continue
            if signature is None:
                continue
            before, since = self._seen.get(task.name, (None, now))
            seen[task.name] = (signature, since if before == signature else now)
            if self._taken.get(task.name) == signature:
                continue
            if task.trouble is not None or (task.mask is None and self.needs_mask):
                waiting[task.name] = task.trouble or "no mask"
            elif before == signature and now - since >= SETTLED:
                ready.append(task)
        self._seen, self.waiting = seen, waiting
        self.failures = {
            name: why
            for name, why in self.failures.items()
            if name in seen and seen[name][0] == self._taken[name]
        }
        self._taken = {name: its for name, its in self._taken.items() if name in seen}
        return ready

    def tried(self, tasks: Iterable[Task], failures: dict[str, str]) -> list[Task]:
        """Records the outcome of pictures from `poll`; returns those that have changed in the meantime.

        Their results come from incomplete files and are removed; the pictures are filled again.
        """
        changed: list[Task] = []
        for task in tasks:
            before, _ = self._seen.get(task.name, (None, 0.0))
            now = signature_of(task)
            if before is not None and now == before:
                self._taken[task.name] = before
                if task.name in failures:
                    self.failures[task.name] = failures[task.name]
            elif now is not None:
                changed.append(task)
                for path in task.outputs:
                    path.unlink(missing_ok=True)
        return changed


def signature_of(task: Task) -> Signature | None:
    """State of all files that the fill depends on; None if one of them is missing."""
    try:
        return tuple(_signed(path) for path in (task.image, task.mask, task.guide) if path is not None)
    except OSError:
        return None


def _signed(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns
