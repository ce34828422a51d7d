"""The report of an evaluation (scores, hashes of the data, settings), as JSON or as a table."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text

from maskmend.metrics.bootstrap import Interval
from maskmend.storage.files import write_files

STEADY = 500
"""Images from which FID is near enough to that of larger sets to be compared with published figures."""


class Metric(NamedTuple):
    """How a figure is shown."""

    label: str
    better: str
    """"lower", "higher", or "" if neither is better."""
    form: str
    """Format of its numbers."""


METRICS: dict[str, Metric] = {
    "fid": Metric("FID", "lower", ".2f"),
    "kid": Metric("KID", "lower", ".5f"),
    "lpips": Metric("LPIPS", "lower", ".4f"),
    "psnr": Metric("PSNR, dB", "higher", ".2f"),
    "ssim": Metric("SSIM", "higher", ".4f"),
    "hole_l1": Metric("L1 in the hole", "lower", ".4f"),
    "seam_l1": Metric("L1 near the seam", "lower", ".4f"),
    "seam_step": Metric("step across the seam less the truth's", "lower", ".4f"),
    "known_error": Metric("known-pixel error", "lower", "d"),
    "p_ids": Metric("P-IDS", "higher", ".3f"),
    "u_ids": Metric("U-IDS", "higher", ".3f"),
    "diversity": Metric("diversity", "", ".4f"),
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """The outcome of one evaluation."""

    images: int
    """Number of pairs compared."""
    figures: Mapping[str, Interval]
    """By the names of `METRICS`."""
    known_error: int | None = None
    """Largest change of a known pixel over all images, in grey levels; None without masks."""
    seconds_per_image: float | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 over the decoded pixels of results and truths; of the masks, that of their manifest."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What a reader must know: images and metrics left out."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a figure that is not finite becomes None."""
        return {
            "images": self.images,
            "figures": {name: _plain(asdict(figure)) for name, figure in self.figures.items()},
            "known_error": self.known_error,
            "seconds_per_image": self.seconds_per_image,
            "sha256": dict(self.digests),
            "settings": dict(self.settings),
            "notes": list(self.notes),
        }

    def save(self, path: str | Path) -> None:
        """Writes the report as JSON, whole or not at all."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        write_files({Path(path): (text + "\n").encode()})

    def table(self) -> Table:
        """The figures as a table for the terminal."""
        level = next((f"{figure.level:.0%}" for figure in self.figures.values()), "")
        # As text: in pip install '.[evaluate]' the brackets would be read as markup.
        notes = Text("\n".join(self._footnotes()), style="table.caption")
        table = Table(title=f"{self.images} images", caption=notes, caption_justify="left")
        table.add_column("metric")
        table.add_column("value", justify="right")
        table.add_column(f"{level} interval".strip(), justify="right")
        table.add_column("better")
        for name, metric in METRICS.items():
            if name in self.figures:
                figure = self.figures[name]
                ends = f"{figure.low:{metric.form}} to {figure.high:{metric.form}}"
                table.add_row(metric.label, f"{figure.value:{metric.form}}", ends, metric.better)
            elif name == "known_error" and self.known_error is not None:
                table.add_row(metric.label, f"{self.known_error:{metric.form}}", "", metric.better)
        if self.seconds_per_image is not None:
            table.add_row("seconds an image", f"{self.seconds_per_image:.3g}", "", "lower")
        return table

    def _footnotes(self) -> list[str]:
        return [*self.notes, *(f"{what} sha256 {digest[:16]}" for what, digest in self.digests.items())]


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
