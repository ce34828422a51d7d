"""`maskmend inpaint --layout coursework FOLDER`: folders laid out as in the coursework."""

from pathlib import Path

import click

from maskmend.cli.options import Filler, refuse_options


def inpaint_coursework(folder: Path, output: Path, filler: Filler, seed: int, fit_mask: bool) -> None:
    """`inpaint --layout coursework`, in older versions `--layout lab`."""
    useless = (
        "convert",
        "extend",
        "overwrite",
        "samples",
        "yes",
        "growth",
        "invert_mask",
        "mask_channel",
        "mask_threshold",
        "mask_photo_check",
        "max_megapixels",
        "quality",
        "uncertainty",
    )
    named = {"mask_path": "--mask", "guide_path": "--guide", "growth": "--grow"}
    named |= {"mask_boxes": "--mask-box", "mask_colors": "--mask-color", "context_box": "", "show": ""}
    refuse_options("--layout coursework", named | dict.fromkeys(useless, ""))
    from maskmend.cli.progress import stages
    from maskmend.importers.coursework.layout import (
        check_output,
        fill_coursework_folder,
        read_coursework_folder,
    )

    check_output(output)
    pairs = read_coursework_folder(folder, fit=fit_mask)
    pipe, chosen = filler.load()
    with stages() as progress:
        fill_coursework_folder(pipe, pairs, output, seed=seed, progress=progress, **chosen)
    click.echo(f"filled {len(pairs)} pictures of {folder}: {output / 'test_results'}, its strips beside it")
