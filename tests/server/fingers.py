"""Fingers and pens on the page, with the pressure that a screen measures: as Chromium's own input events."""

import itertools
import time
from collections.abc import Sequence
from typing import Any

Points = Sequence[tuple[float, float]]
FRAME = 0.008
"""Seconds between two places of a finger, by its screen's clock: quick strokes, on however slow a machine."""


class Finger:
    """One finger; for a context with `has_touch`."""

    def __init__(self, page: Any) -> None:
        self.page, self.wire = page, page.context.new_cdp_session(page)

    def drag(self, points: Points, pressures: Sequence[float] = (1.0,)) -> None:
        """Along `points`, in pixels of the page; pressures are taken in turn."""
        now = time.time()
        for n, (x, y) in enumerate(points):
            touch = {"x": x, "y": y, "id": 1, "force": pressures[n % len(pressures)]}
            self._send("touchMove" if n else "touchStart", [touch], now + n * FRAME)
        self._send("touchEnd", [], now + len(points) * FRAME)

    def tap(self, x: float, y: float) -> None:
        """At once, without looking what is there."""
        now = time.time()
        self._send("touchStart", [{"x": x, "y": y, "id": 1}], now)
        self._send("touchEnd", [], now + 6 * FRAME)

    def _send(self, kind: str, touches: list[dict[str, float]], now: float) -> None:
        event = {"type": kind, "touchPoints": touches, "timestamp": now}
        self.wire.send("Input.dispatchTouchEvent", event)


class Pen:
    """A pen, on any screen."""

    def __init__(self, page: Any) -> None:
        self.wire = page.context.new_cdp_session(page)

    def drag(self, points: Points, pressures: Sequence[float] = (1.0,)) -> None:
        """Along `points`, in pixels of the page; pressures are taken in turn."""
        for n, (x, y) in enumerate(points):
            self._send("mouseMoved" if n else "mousePressed", x, y, pressures[n % len(pressures)])
        self._send("mouseReleased", *points[-1], 0.0)

    def _send(self, kind: str, x: float, y: float, force: float) -> None:
        button = {"button": "left", "buttons": 1, "clickCount": int(kind != "mouseMoved")}
        event = {"type": kind, "x": x, "y": y, "pointerType": "pen", "force": force, **button}
        self.wire.send("Input.dispatchMouseEvent", event)


def between(*corners: tuple[float, float], steps: int = 6) -> list[tuple[float, float]]:
    """Points along a line through `corners`."""
    points = [corners[0]]
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        points += [(x0 + (x1 - x0) * n / steps, y0 + (y1 - y0) * n / steps) for n in range(1, steps + 1)]
    return points
