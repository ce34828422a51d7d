"""`maskmend export`: models for other runtimes."""

from pathlib import Path

import click

from maskmend.cli.options import PATH, Choice, Commands, working


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


@export.command()
@click.argument("model", default="cats64")
@click.option("-o", "--output", type=PATH, required=True, help="Folder for the site.")
@click.option(
    "--weights",
    type=Choice(["auto", "float16", "int8"]),
    default="auto",
    help="Format of the weights: float16; int8: the decoder's in 8 bits; auto: int8 where no token "
    "depends on it.",
)
@click.option(
    "--runtime",
    type=PATH,
    metavar="FOLDER",
    help="Folder with onnxruntime-web's files, instead of fetching them with npm.",
)
@click.option(
    "--webgpu/--no-webgpu",
    default=None,
    help="Include onnxruntime-web's build for WebGPU, which draws on the GPU where the browser can. Default: "
    "where the model draws finer levels.",
)
def web(model: str, output: Path, weights: str, runtime: Path | None, webgpu: bool | None) -> None:
    """Writes MODEL as a static site: the editor, with fills in the browser and no server behind it."""
    from maskmend.assets import DEFAULT
    from maskmend.export.web import export_web
    from maskmend.pipeline import InpaintPipeline

    pipe = InpaintPipeline.from_pretrained(model)
    name = DEFAULT if model == "default" else Path(model).name
    with working("exporting"):
        sizes = export_web(pipe, output, name=name, weights=weights, runtime=runtime, webgpu=webgpu)
    parts = ", ".join(f"{part} {size / 1e6:.1f} MB" for part, size in sizes.items())
    click.echo(f"wrote {output}: {sum(sizes.values()) / 1e6:.1f} MB ({parts})")
    click.echo(f"open it: python -m http.server --directory {output} 8000, then http://localhost:8000")
