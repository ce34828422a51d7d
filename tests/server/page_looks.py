"""What is wrong with how a page looks: texts that are cut off, covered, too pale or outside the window,
controls too small for a finger."""

from pathlib import Path
from typing import Any

_FAULTS = (Path(__file__).parent / "page_looks.js").read_text(encoding="utf-8")

SIDEWAYS = ".strip, .timeline, .tools"
"""What may be scrolled from left to right."""
SHORTENED = "#file-name"
"""Texts that may be cut off: a file's name, which its title tells in full."""


def faults(page: Any, *, touch: bool) -> list[str]:
    """What is wrong with what is in sight now, in words; `touch` if controls are pressed with fingers.

    Texts need a contrast of 4.5, large ones and icons 3 (WCAG 2.2, 1.4.3 and 1.4.11); disabled controls are
    exempt.
    """
    options = {"touch": touch, "sideways": SIDEWAYS, "shortened": SHORTENED}
    return page.evaluate(_FAULTS, options)


def settle(page: Any) -> None:
    """Waits until what has changed is laid out, fitted and drawn."""
    page.evaluate(
        """async () => {
            for (let n = 0; n < 4; n++) await new Promise((resolve) => { requestAnimationFrame(resolve); });
        }"""
    )
