"""New pictures of a folder, each found once it is whole, together with its mask.

A file that is being written grows: a picture is taken when it, its mask and its guide have stayed the same,
by size and time of change, for a second. One whose writer paused that long is found to be damaged when it
is decoded, and tried again when it has changed. What is done is told by the results that lie there, as for
any folder, so that every picture is filled once, however often watching is begun.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from maskmend.batch.folder import Task

SETTLED = 1.0
"""Seconds for which files have to stay as they are."""
Signature = tuple[tuple[str, int, int], ...]
"""Of each file its path, size, and the time of its last change in nanoseconds."""


class Watcher:
    """Looks at a folder again and again.

    Args:
        plan: what there is to do now (`plan_folder`).
        needs_mask: whether a picture waits until there is a mask for it.
        clock: seconds.
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
        """What was seen of each picture, and since when."""
        self._taken: dict[str, Signature] = {}
        self.failures: dict[str, str] = {}
        """By the picture's path within the folder why it could not be filled, until it is changed or gone."""
        self.done: list[Task] = []
        """Pictures whose results lie there, at the last look."""
        self.waiting: dict[str, str] = {}
        """Likewise: what the picture waits for, such as its mask."""

    def look(self) -> list[Task]:
        """Pictures that are whole, not done, and not tried before as they are."""
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
        """Notes what became of pictures that `look` gave; those that were changed meanwhile are given back.

        Their results, of files that were not whole, are removed: they are filled again.
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
    """Of all files that the fill is made of; None where one of them is gone."""
    try:
        return tuple(_signed(path) for path in (task.image, task.mask, task.guide) if path is not None)
    except OSError:
        return None


def _signed(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns
