"""`maskmend export`: models for other runtimes."""

from pathlib import Path

import click

from maskmend.cli.options import PATH, Commands, working


@click.group(cls=Commands)
def export() -> None:
    """Models in other formats, for runtimes without PyTorch."""


@export.command()
@click.argument("model", default="default")
@click.option("-o", "--output", type=PATH, required=True, help="Folder for the four graphs and model.json.")
def onnx(model: str, output: Path) -> None:
    """Writes MODEL (shipped name, model folder, hub id) as ONNX graphs; takes about half a minute."""
    from maskmend.export.onnx import export_onnx
    from maskmend.pipeline import InpaintPipeline

    pipe = InpaintPipeline.from_pretrained(model)
    with working("exporting"):
        files = export_onnx(pipe, output)
    size = sum(path.stat().st_size for path in files) / 2**20
    click.echo(f"wrote {', '.join(path.name for path in files)} to {output} ({size:.1f} MiB)")
    click.echo(f'without PyTorch: maskmend.runtime.Runtime("{output}").fill(image, mask)')
