"""Progress of a run: pictures done, speed, time left; also as Prometheus metrics."""

import time
from dataclasses import dataclass, field

from maskmend.bulk.worker import Report
from maskmend.progress import duration

KEPT = 1000
"""Maximum number of failures kept in memory; the list at the end of a run is complete."""


@dataclass(kw_only=True)
class Tally:
    total: int | None = None
    """Total number of pictures; None if counting them would require reading remote shards."""
    parts: float = 0.0
    """The number of shards that the job fills, where the total is not known; then it is estimated, as if
    those that are not read yet held as many pictures as the others."""
    parts_done: float = 0.0
    filled: int = 0
    skipped: int = 0
    failed: int = 0
    windows: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Name and reason of the first failures."""
    failing: list[str] = field(default_factory=list)
    """Chunks with failures."""
    notes: dict[str, int] = field(default_factory=dict)
    """Number of fills by note."""
    names: set[str] = field(default_factory=set)
    """Chunks seen so far."""
    started: float = field(default_factory=time.monotonic)

    def add(self, report: Report) -> None:
        self.filled += report.filled
        self.skipped += report.skipped
        self.failed += len(report.failures)
        self.windows += report.windows
        self.failures.extend(report.failures[: KEPT - len(self.failures)])
        if report.failures:
            self.failing.append(report.chunk)
        for note in report.notes:
            if note in self.notes or len(self.notes) < KEPT:
                self.notes[note] = self.notes.get(note, 0) + 1
        self.names.add(report.chunk)
        self.parts_done += report.share

    @property
    def done(self) -> int:
        return self.filled + self.skipped + self.failed

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def rate(self) -> float:
        """Pictures per second, counting those filled in this run."""
        return self.filled / max(self.seconds, 1e-9)

    @property
    def expected(self) -> int | None:
        """The total, or an estimate of it; None if unknown."""
        if self.total is not None:
            return self.total
        if not self.parts or not self.parts_done:
            return None
        return max(self.done, round(self.done * self.parts / self.parts_done))

    @property
    def left(self) -> float | None:
        """Estimated seconds for the remaining pictures; None if unknown."""
        if self.expected is None or self.filled == 0:
            return None
        return max(self.expected - self.done, 0) / self.rate

    def line(self) -> str:
        """Such as "120 of 5000 pictures, 3.2 a second, 2 failed, 25 min left"."""
        words = [f"{self.done} pictures"]
        if self.expected is not None:
            about = "about " if self.total is None else ""
            words = [f"{self.done} of {about}{self.expected} pictures"]
        if self.filled:
            words.append(f"{self.rate:.3g} a second")
        if self.failed:
            words.append(f"{self.failed} failed")
        if self.left is not None:
            words.append(f"{duration(self.left)} left")
        return ", ".join(words)

    def prometheus(self) -> str:
        """Prometheus' text format, for the textfile collector of its node exporter."""
        figures = [
            ("pictures_filled_total", "counter", "Pictures filled in this run.", self.filled),
            ("pictures_skipped_total", "counter", "Pictures that were done before.", self.skipped),
            ("pictures_failed_total", "counter", "Pictures that could not be filled.", self.failed),
            ("windows_filled_total", "counter", "Windows decoded.", self.windows),
            ("pictures_per_second", "gauge", "Filled, over the whole run.", self.rate),
            ("run_seconds", "gauge", "Since the run began.", self.seconds),
        ]
        if self.expected is not None:
            text = "Pictures that there are; an estimate for remote tar shards."
            figures.append(("pictures", "gauge", text, self.expected))
        if self.left is not None:
            figures.append(("seconds_left", "gauge", "At this rate.", self.left))
        lines = []
        for name, kind, text, value in figures:
            name = f"maskmend_bulk_{name}"
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", f"{name} {value:.6g}"]
        return "\n".join(lines) + "\n"
