"""`maskmend doctor`: what is installed, what works, and how fast this machine is."""

import json
import platform
import sys
import time
from typing import Any

import click

from maskmend import __version__
from maskmend.cli.options import working

ROUNDS = 5
"""Number of timed fills, of which the median is shown; one more before them is not timed."""
BROKEN = ("does not work", "computes wrongly")
"""Prefixes of the state of a device that is present but cannot be used."""


@click.command()
@click.option("--model", default="default", show_default=True, help="Of the fill that is timed.")
@click.option("--no-speed", is_flag=True, help="Time nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text, for programs.")
def doctor(model: str, no_speed: bool, as_json: bool) -> None:
    """Says what is installed, which devices and extras work, and how fast this machine fills.

    The status is 1 where something is installed and does not work.
    """
    report: dict[str, Any] = {}
    with working("looking") as status:
        report["versions"] = _versions()
        report["devices"] = _devices()
        status.update("importing extras")
        report["extras"] = _extras()
        report["models"] = _models()
        report["weights"] = _weights()
        report["terminal"] = _terminal()
        if not no_speed:
            status.update("filling")
            report["speed"] = _speed(model)
    broken = [
        f"{package['name']}: {package['trouble']}"
        for extra in report["extras"].values()
        for package in extra["packages"]
        if package["trouble"]
    ]
    broken += [f"{name}: {status}" for name, status in report["devices"].items() if status.startswith(BROKEN)]
    if as_json:
        click.echo(json.dumps(report | {"broken": broken}, indent=2))
    else:
        for line in lines_of(report, broken):
            click.echo(line)
    if broken:
        sys.exit(1)


def lines_of(report: dict[str, Any], broken: list[str]) -> list[str]:
    """The report as text."""
    from maskmend.errors import pip_install

    versions = report["versions"]
    lines = [
        f"maskmend {versions['maskmend']}, Python {versions['python']}, PyTorch {versions['torch']}, "
        f"NumPy {versions['numpy']}, Pillow {versions['pillow']}",
        f"machine: {versions['machine']}",
        "",
        "devices",
    ]
    lines += [f"  {name}: {report['devices'][name]}" for name in ("cpu", "cuda", "mps")]
    lines += ["", "extras"]
    missing = []
    for name, extra in report["extras"].items():
        packages = extra["packages"]
        lacking = [package["name"] for package in packages if package["version"] is None]
        troubled = [package["name"] for package in packages if package["trouble"]]
        if troubled:
            state = f"does not work: {', '.join(troubled)}"
        elif lacking:
            missing.append(name)
            state = "not installed" if len(lacking) == len(packages) else f"lacks {', '.join(lacking)}"
        else:
            state = ", ".join(f"{package['name']} {package['version']}" for package in packages)
        lines.append(f"  {name} ({extra['purpose']}): {state}")
    if missing:
        lines.append(f"  to install one: {pip_install(missing[0])}")
    lines += ["", f"models: {', '.join(report['models'])}"]
    lines.append(f"weights for training and scoring: {', '.join(report['weights']) or 'none fetched'}")
    lines.append(f"pictures in this terminal (--show): {report['terminal'] or 'no'}")
    if "speed" in report:
        speed = report["speed"]
        lines += [
            "",
            f"speed, {speed['model']} on {speed['device']}, median of {speed['rounds']}: a hole in "
            f"{speed['side']} x {speed['side']} pixels takes {speed['fill_ms']:.0f} ms, four fills of it "
            f"{speed['four_fills_ms']:.0f} ms; loading the model took {speed['load_ms']:.0f} ms",
        ]
    lines += ["", *([f"does not work: {one}" for one in broken] or ["nothing is amiss"])]
    return lines


def _versions() -> dict[str, str]:
    import numpy
    import PIL
    import torch

    from maskmend.benchmark.hardware import hardware

    return {
        "maskmend": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "pillow": PIL.__version__,
        "machine": hardware(),
    }


def _devices() -> dict[str, str]:
    """The state of each kind of device, after a test computation."""
    import torch

    from maskmend.errors import ConfigError
    from maskmend.inference.devices import pick_device
    from maskmend.inference.precision import has_fast_bf16

    found: dict[str, str] = {}
    if not torch.cuda.is_available():
        built = torch.version.cuda is not None
        found["cuda"] = (
            f"not here ({'no GPU, or no driver for it' if built else 'PyTorch is built without it'})"
        )
    if not torch.backends.mps.is_available():
        found["mps"] = "not here (Apple's GPUs only)"
    for name in ("cpu", "cuda", "mps"):
        if name in found:
            continue
        try:
            device = pick_device(name)
            product = torch.ones(64, 64, device=device) @ torch.ones(64, 64, device=device)
            right = bool((product == 64).all())
        except (ConfigError, RuntimeError) as error:
            found[name] = f"{BROKEN[0]} ({_line(error)})"
            continue
        words = ["works" if right else BROKEN[1]]
        if name == "cpu":
            threads = torch.get_num_threads()
            words.append("1 thread" if threads == 1 else f"{threads} threads")
        elif name == "cuda":
            memory = torch.cuda.get_device_properties(device).total_memory / 2**30
            words.append(f"{torch.cuda.get_device_name(device)}, {memory:.0f} GiB")
        words.append("bfloat16 in hardware" if has_fast_bf16(device) else "float32")
        found[name] = ", ".join(words)
    return found


def _extras() -> dict[str, Any]:
    from maskmend.cli import extras  # looks up versions, which takes 30 ms that other commands save

    return {
        name: {
            "purpose": purpose,
            "packages": [
                {"name": one.name, "version": one.version, "trouble": one.trouble}
                for one in extras.packages_of(name)
            ],
        }
        for name, (purpose, _) in extras.EXTRAS.items()
    }


def _models() -> list[str]:
    from maskmend.cli.completion import shipped_models

    return shipped_models()


def _weights() -> list[str]:
    from maskmend.perceptual.weights import SOURCES, cached_path

    return [name for name in SOURCES if cached_path(name).is_file()]


def _terminal() -> str | None:
    from maskmend.cli.terminal_pictures import terminal_protocol

    return terminal_protocol()


def _speed(model: str) -> dict[str, Any]:
    """Seconds of a call of the pipeline, for a picture of the model's size whose hole is a fifth of it."""
    import numpy as np

    from maskmend.pipeline import InpaintPipeline

    begun = time.perf_counter()
    pipe = InpaintPipeline.from_pretrained(model)
    load = time.perf_counter() - begun
    side = pipe.resolution
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    mask = np.zeros((side, side), bool)
    mask[side // 4 : side // 4 + side * 45 // 100, side // 4 : side // 4 + side * 45 // 100] = True

    def median(samples: int) -> float:
        seconds = []
        for _ in range(ROUNDS + 1):
            begun = time.perf_counter()
            pipe(pixels, mask, samples=samples)
            seconds.append(time.perf_counter() - begun)
        return sorted(seconds[1:])[ROUNDS // 2] * 1000

    return {
        "model": model,
        "device": str(pipe.device),
        "side": side,
        "rounds": ROUNDS,
        "load_ms": load * 1000,
        "fill_ms": median(1),
        "four_fills_ms": median(4),
    }


def _line(error: Exception) -> str:
    return str(error).splitlines()[0].strip()[:200] if str(error) else type(error).__name__
