"""`maskmend serve`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from maskmend.assets import DEFAULT
from maskmend.cli.options import DEVICE, Choice
from maskmend.errors import ConfigError, pip_install

TOKEN = "MASKMEND_TOKEN"
"""The variable that may hold the token."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8765, show_default=True, help="0 takes any free one.")
@click.option("--allow-remote", is_flag=True, help="Allow a --host that other machines can reach.")
@click.option("--name", "names", multiple=True, help="A host name under which clients know the server.")
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="A page of another site that may use the API, such as https://app.example; can be repeated.",
)
@click.option(
    "--token",
    envvar=TOKEN,
    help="What clients must send (16 characters or more); better given as MASKMEND_TOKEN.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    default=("default",),
    show_default=True,
    help="Shipped name, model folder, or hub id; several are loaded when first asked for.",
)
@DEVICE
@click.option("--workers", default=1, show_default=True, help="Threads that each fill one batch at a time.")
@click.option(
    "--engine",
    type=Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Fill in this process, or by replicas on a Ray cluster (RAY_ADDRESS, or this machine).",
)
@click.option("--replicas", default=1, show_default=True, help="With --engine ray: processes that fill.")
@click.option(
    "--replica-cpus",
    default=1.0,
    show_default=True,
    help="With --engine ray: processors of each replica; with --device cuda it has a GPU too.",
)
@click.option("--max-upload", default=32.0, show_default=True, help="Largest request, in MiB.")
@click.option("--max-megapixels", default=50.0, show_default=True, help="Largest picture.")
@click.option("--max-samples", default=8, show_default=True, help="Most fills of one request.")
@click.option(
    "--places",
    default=32,
    show_default=True,
    help="Maximum number of requests at a time; further ones get 429.",
)
@click.option(
    "--upload-pace",
    default=1.0,
    show_default=True,
    help="Minimum speed of an upload in KiB a second; slower ones get 408.",
)
@click.option(
    "--upload-silence", default=10.0, show_default=True, help="Seconds over which that speed is averaged."
)
@click.option("--batch", default=16, show_default=True, help="Most fills in a batch.")
@click.option("--timeout", default=120.0, show_default=True, help="Seconds for one request.")
@click.option(
    "--drain", default=30.0, show_default=True, help="Seconds for running requests to finish when stopped."
)
def serve(
    host: str,
    port: int,
    allow_remote: bool,
    names: tuple[str, ...],
    origins: tuple[str, ...],
    token: str | None,
    models: tuple[str, ...],
    device: str,
    workers: int,
    engine: str,
    replicas: int,
    replica_cpus: float,
    max_upload: float,
    max_megapixels: float,
    max_samples: int,
    places: int,
    upload_pace: float,
    upload_silence: float,
    batch: int,
    timeout: float,
    drain: float,
) -> None:
    """Serves the editor to the browser, and the same as an HTTP API."""
    with _extra():
        from maskmend.server.settings import Limits, ServeConfig
    if token is None:
        # click treats an empty variable as unset; here it is a lost secret, not a wish for an open server.
        token = os.environ.get(TOKEN)
    config = ServeConfig(
        host=host,
        port=port,
        allow_remote=allow_remote,
        names=names,
        origins=origins,
        token=token,
        models=models,
        device=device,
        workers=workers,
        engine=engine,  # pyright: ignore[reportArgumentType]
        replicas=replicas,
        replica_cpus=replica_cpus,
        limits=Limits(
            upload_mib=max_upload,
            megapixels=max_megapixels,
            samples=max_samples,
            places=places,
            pace_kib=upload_pace,
            silence=upload_silence,
            batch=batch,
            seconds=timeout,
            drain=drain,
        ),
    )
    # Before PyTorch and the web framework are imported, which takes seconds.
    click.echo(_loading(models, replicas if engine == "ray" else 0), err=True)
    with _extra():
        from maskmend.server.run import serve as run
    from maskmend.inference.devices import pick_device

    # Replicas use devices of their own: this process may have none.
    own = pick_device("cpu" if engine == "ray" else device)
    run(config, own, lambda url: click.echo(f"the editor is at {url} (Ctrl-C ends it)"))


@contextmanager
def _extra() -> Iterator[None]:
    """Names the extra where one of its packages is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error.name} is not installed: {pip_install('server')}") from None


def _loading(models: tuple[str, ...], replicas: int) -> str:
    """What is loaded now, and what will be when it is asked for."""
    first, *others = (f"default ({DEFAULT})" if model == "default" else model for model in models)
    where = f" in {replicas} replica{'' if replicas == 1 else 's'}" if replicas else ""
    later = f"; when first asked for: {', '.join(others)}" if others else ""
    return f"loading the model {first}{where}{later}"
