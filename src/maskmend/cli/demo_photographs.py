"""The second part of the demo: filled photographs, side by side with their holes."""

import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.markup import escape

from maskmend.assets import PHOTOGRAPHS
from maskmend.assets.samples import sample_pairs
from maskmend.cli.demo import make_folder
from maskmend.evaluation.contact_sheet import masked_input
from maskmend.images.picture import load_image, picture_from
from maskmend.images.writing import encode_image
from maskmend.masks.reading import load_mask
from maskmend.pipeline import InpaintPipeline
from maskmend.storage.files import write_files

SHEET = "photographs.png"
SOURCES = "photographs.md"
"""Sources and licences of the photographs, beside the results."""


def repair_photographs(
    out: Path,
    *,
    model: str = "photo",
    seed: int = 0,
    folder: Path = PHOTOGRAPHS,
    console: Console | None = None,
) -> None:
    """Fills the holes of the photographs in `folder`; writes each result, a sheet of all, and
    their sources (`README.md` of `folder`, where there is one) into `out`."""
    console = console or Console()
    pipe = InpaintPipeline.from_pretrained(model)
    files: dict[Path, bytes] = {}
    rows = []
    make_folder(out)
    start = time.perf_counter()
    for name, image_path, mask_path in sample_pairs(folder):
        with console.status(f"repairing a photograph: {name}"):
            picture = load_image(image_path)
            result = pipe(picture, load_mask(mask_path, size=picture.pixels.shape[:2]), seed=seed)
        path = out / f"{name}-repaired.png"
        files[path] = encode_image(result.pictures[0], path)
        rows.append(np.concatenate([np.asarray(masked_input(result)), result.pictures[0].pixels], axis=1))
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    if (folder / "README.md").is_file():
        files[out / SOURCES] = (folder / "README.md").read_bytes()
    sheet = out / SHEET
    files[sheet] = encode_image(picture_from(Image.fromarray(np.concatenate(padded))), sheet)
    write_files(files)
    spent = time.perf_counter() - start
    console.print(
        f"repaired {len(rows)} photographs in {spent:.1f} s: look at [bold]{escape(str(sheet))}[/bold]"
        + (f" (sources: {escape(str(out / SOURCES))})" if out / SOURCES in files else ""),
        soft_wrap=True,
    )
