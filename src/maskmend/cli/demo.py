"""`maskmend demo`: fills the shipped samples with the shipped model and writes every kind of output."""

import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from maskmend import __version__
from maskmend.assets.samples import sample_pairs
from maskmend.errors import ImageError
from maskmend.evaluation.contact_sheet import contact_sheet, masked_input, step_frames
from maskmend.fill.result import Inpainted
from maskmend.images.picture import load_image, picture_from
from maskmend.images.writing import check_writable, encode_image
from maskmend.masks.reading import load_mask
from maskmend.pipeline import InpaintPipeline
from maskmend.storage.files import json_bytes, write_files


def run_demo(
    out: Path, *, model: str = "cats64", seed: int = 0, samples: int = 4, console: Console | None = None
) -> None:
    """Fills the shipped pictures; writes contact sheet, animation, results and `report.json` into `out`."""
    console = console or Console()
    seconds: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        value = work()
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start
        return value

    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("loading the model", total=len(sample_pairs()) + 3)
        pipe: InpaintPipeline = timed("load", lambda: InpaintPipeline.from_pretrained(model))
        make_folder(out)
        progress.advance(task)
        results: dict[str, Inpainted] = {}
        for name, image_path, mask_path in sample_pairs():
            progress.update(task, description=f"filling {name} ({samples} ways)")
            picture = load_image(image_path)
            mask = load_mask(mask_path, size=picture.pixels.shape[:2])
            results[name] = timed("fill", lambda p=picture, m=mask: pipe(p, m, samples=samples, seed=seed))
            for stage, spent in pipe.seconds.items():
                seconds[f"fill.{stage}"] = seconds.get(f"fill.{stage}", 0.0) + spent
            progress.advance(task)
        progress.update(task, description="drawing the contact sheet")
        shown, files = list(results.values()), dict[Path, bytes]()
        sheet, gif = out / "contact-sheet.png", out / "steps.gif"
        files[sheet] = timed("contact sheet", lambda: encoded(contact_sheet(pipe, shown), sheet))
        progress.advance(task)
        progress.update(task, description="drawing the animation")
        files[gif] = timed("animation", lambda: animation(step_frames(pipe, shown[:4])))
        for name, result in results.items():
            files |= timed("save", lambda n=name, r=result: result_files(out, n, r))
        progress.advance(task)
        progress.update(task, description="done")
    report = {
        "maskmend": __version__,
        "python": platform.python_version(),
        "model": model,
        "seed": seed,
        "samples": samples,
        "settings": asdict(pipe.defaults),
        "seconds": {stage: round(spent, 3) for stage, spent in seconds.items()},
        "pictures": {name: describe(result) for name, result in results.items()},
    }
    write_files(files | {out / "report.json": json_bytes(report)})
    total = sum(spent for stage, spent in seconds.items() if "." not in stage)
    console.print(
        f"filled {len(results)} pictures {samples} ways each in {seconds['fill']:.1f} s "
        f"({total:.1f} s with drawing)"
    )
    sheet_path, gif_path, report_path = (escape(str(path)) for path in (sheet, gif, out / "report.json"))
    console.print(
        f"look at [bold]{sheet_path}[/bold], {gif_path} and {report_path}",
        soft_wrap=True,
    )
    console.print(
        "next: [bold]maskmend inpaint photo.jpg --mask mask.png -o out.png[/bold]  "
        "(white in the mask is filled)"
    )


def describe(result: Inpainted) -> dict[str, Any]:
    """The report's entry for one picture."""
    wrong = [
        int(np.abs(p.pixels.astype(int) - result.source.pixels)[~result.mask].max(initial=0))
        for p in result.pictures
    ]
    return {
        "hole_share": round(float(result.mask.mean()), 4),
        "tokens_filled": int(result.hole.sum()),
        "log_likelihood": [round(float(value), 4) for value in result.log_likelihood],
        "best": result.best,
        "mean_uncertainty_nats": round(float(result.uncertainty[result.mask].mean()), 4),
        "known_pixel_error": max(wrong),
    }


def result_files(out: Path, name: str, result: Inpainted) -> dict[Path, bytes]:
    """Every picture of one result as PNG."""
    source = out / f"{name}-input.png"
    files = {source: encoded(masked_input(result), source)}
    named = {f"{name}-fill{number}": picture for number, picture in enumerate(result.pictures, start=1)}
    for stem, picture in (named | {name: result.pictures[result.best]}).items():
        path = out / f"{stem}.png"
        files[path] = encode_image(picture, path)
    return files


def animation(frames: list[Image.Image]) -> bytes:
    """An animated GIF, a step every half second, the last one held."""
    durations = [900] + [450] * (len(frames) - 2) + [2500]
    content = BytesIO()
    frames[0].save(
        content, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True
    )
    return content.getvalue()


def encoded(image: Image.Image, path: Path) -> bytes:
    """The image encoded in the format of its path."""
    return encode_image(picture_from(image), path)


def make_folder(path: Path) -> None:
    """Raises ImageError when `path` cannot be a folder to write into."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(f"cannot make folder {path} ({error.strerror}): choose another one.") from None
    check_writable(path / "report.png", alpha=False)
