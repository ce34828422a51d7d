"""`maskmend convert amused`."""

from pathlib import Path

import click

from maskmend.cli.options import PATH, working


@click.command()
@click.argument("folder", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="The model folder to write.")
@click.option("--half/--full", default=False, show_default=True, help="Weights in float16 or float32.")
def amused(folder: Path, output: Path, half: bool) -> None:
    """Reads an aMUSEd model (amused-256, amused-512) from FOLDER, where diffusers has it."""
    from maskmend.importers.amused.convert import convert_amused
    from maskmend.importers.writing import check_free, write_conversion

    check_free(output)
    with working("reading the prompt's weights") as status:
        made = convert_amused(folder)

        def told(done: int, total: int) -> None:
            status.update(f"writing: {done / 2**20:,.0f} of {total / 2**20:,.0f} MiB")

        write_conversion(made, output, half=half, progress=told)
    for note in made.notes:
        click.echo(note)
    config, side = made.model.config, made.tokenizer.config.resolution
    click.echo(
        f"wrote {output}: {side}x{side} pictures, {config.grid}x{config.grid} tokens, {config.codes} codes, "
        f"{config.layers} blocks of {config.heads} heads; use it with --model {output}"
    )
