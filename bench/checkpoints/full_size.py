"""What converting a checkpoint of the published size costs, and what a fill with it costs.

    python bench/checkpoints/full_size.py                          every model of published_files.py
    python bench/checkpoints/full_size.py amused-512 mage-b        these
    python bench/checkpoints/full_size.py --pages                  the figures so far into docs and cards

For each model: its files with random weights, converted by the command line in a process of its own; then a
picture of the model's own size with a hole of a quarter is filled on two threads, in a process for each
number format: twice at the default number of steps, and once at 4. Of a model that fills under classes only
it is one class; `label = "auto"` fills under eight. Files are removed after each model; 10 GB of disk are
needed. `--conversions` leaves the fills out.

Memory is the most that the process had at once: all of it (what the kernel calls VmHWM, mapped files
included), and the part of it that is no mapped file. "Above imports" is without what a process takes that
only imports the same modules. Next to seconds on the clock stand those of CPU time, which other work on the
machine changes less; the load of the machine before each model is kept with its figures.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = HERE / "full_size.json"
PAGE = ROOT / "docs" / "checkpoints.md"
COSTS = ROOT / "src" / "maskmend" / "importers" / "fill_costs.json"
THREADS = 2
FEW = 4
INNER = {"amused": "amused.convert", "coursework": "coursework.convert"}
"""Modules of the converters that are not called as their kind."""
IMPORTS = """import torch, maskmend.cli.convert, maskmend.importers.{module}, maskmend.importers.writing
torch.nn.Linear(2, 2, device="meta")"""
"""What a conversion imports, and what PyTorch loads at the first use of that device."""
GB = 1e9
FORMATS = ("fp32", "bf16")


class Used(dict[str, Any]):
    """What a process used: clock, cpu (seconds), peak, anonymous (bytes); and what it printed."""


def measured(command: list[str], threads: int = THREADS) -> Used:
    """Runs a command; raises SystemExit with what it said where it fails."""
    waiting = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | waiting | {"PYTHONPATH": path}
    )
    most = {"VmHWM": 0, "RssAnon": 0}
    watcher = threading.Thread(target=_watch, args=(process.pid, most), daemon=True)
    watcher.start()
    assert process.stdout is not None
    with process.stdout:
        printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {printed}")
    return Used(
        clock=time.perf_counter() - began,
        cpu=usage.ru_utime + usage.ru_stime,
        peak=most["VmHWM"],
        anonymous=most["RssAnon"],
        printed=printed,
    )


def _watch(process: int, most: dict[str, int]) -> None:
    """Follows the memory of a process every 10 ms until it ends.

    Not `ru_maxrss`, which begins with what the process that started it had.
    """
    status = Path(f"/proc/{process}/status")
    while True:
        try:
            text = status.read_text()
        except OSError:
            return
        found = {name: re.search(rf"{name}:\s+(\d+) kB", text) for name in most}
        for name, match in found.items():
            if match is None:  # it has ended, and nobody has waited for it
                return
            most[name] = max(most[name], 1024 * int(match[1]))
        time.sleep(0.01)


def fill(model: Path, precision: str) -> dict[str, Any]:
    """Loading and three fills in this process: seconds on the clock and of CPU time."""
    import numpy as np
    import torch

    from maskmend.benchmark.hardware import hardware
    from maskmend.pipeline import InpaintPipeline

    torch.set_num_threads(THREADS)
    found: dict[str, Any] = {}

    def timed(name: str, run: Any) -> Any:
        clock, cpu = time.perf_counter(), time.process_time()
        result = run()
        found[name] = {"clock": time.perf_counter() - clock, "cpu": time.process_time() - cpu}
        return result

    pipe = timed("load", lambda: InpaintPipeline.from_pretrained(model, precision=precision))
    side = pipe.resolution
    rows, columns = np.mgrid[0:side, 0:side] / side
    waves = [128 + 100 * np.sin(a * rows + b * columns) for a, b in ((5, 2), (3, 7), (4, 4))]
    pixels = np.stack(waves, axis=2).astype(np.uint8)
    mask = np.zeros((side, side), bool)
    mask[side // 4 : side // 4 + side // 2, side // 4 : side // 4 + side // 2] = True
    config = pipe.transformer.config
    # Google's model fills under classes only; one of them, not the eight of "auto".
    settings: dict[str, Any] = {"label": 0} if config.labels and not config.unconditional else {}
    for name, steps in (("first", {}), ("second", {}), ("few", {"steps": FEW})):
        result = timed(name, lambda steps=steps: pipe(pixels, mask, **settings, **steps))
        assert (np.asarray(result.images[0])[~mask] == pixels[~mask]).all()
    found |= {"steps": pipe.defaults.steps, "side": side, "dim": config.dim}
    return found | {"architecture": pipe.transformer.architecture, "machine": hardware()}


def size_of(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def try_model(name: str, work: Path, small: bool = False, fills: bool = True) -> dict[str, Any]:
    """All figures of one model, or those of its conversion."""
    python = sys.executable
    with tempfile.TemporaryDirectory(dir=work) as folder:
        place = Path(folder)
        load = os.getloadavg()[0]
        made = measured(
            [python, str(HERE / "published_files.py"), name, str(place / "files"), *["--small"][:small]]
        )
        kind, *sources = json.loads(made["printed"])
        size = sum(size_of(Path(source)) for source in sources)
        imports = measured([python, "-c", IMPORTS.format(module=INNER.get(kind, kind))])
        model = place / "model"
        converted = measured([python, "-m", "maskmend", "convert", kind, *sources, "-o", str(model)])
        shutil.rmtree(place / "files")
        found: dict[str, Any] = {
            "kind": kind, "load of the machine": load, "files": size, "model": size_of(model),
            "imports": {key: imports[key] for key in ("peak", "anonymous")},
            "conversion": {key: converted[key] for key in ("clock", "cpu", "peak", "anonymous")},
        }  # fmt: skip
        for precision in FORMATS if fills else ():
            used = measured([python, __file__, "--fill", str(model), "--precision", precision])
            found.setdefault("fills", {})[precision] = json.loads(used["printed"]) | {"peak": used["peak"]}
        return found


def ratio(result: dict[str, Any], of: str = "peak") -> float:
    """Memory of the conversion above that of the imports, in sizes of the file."""
    return (result["conversion"][of] - result["imports"][of]) / result["files"]


def tables(results: dict[str, Any]) -> str:
    """The figures as the page has them."""
    lines = [
        "| model | files, GB | converted in, s (CPU) | memory, GB | above imports, in sizes of the files "
        "| of it no mapped file |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, one in results.items():
        c = one["conversion"]
        lines.append(
            f"| {name} | {one['files'] / GB:.2f} | {c['clock']:.0f} ({c['cpu']:.0f}) | {c['peak'] / GB:.2f} "
            f"| {ratio(one):.2f} | {ratio(one, 'anonymous'):.2f} |"
        )
    lines += [
        "",
        "| a fill, s (CPU) | steps | loading | float32: first | second | bfloat16: first | second "
        f"| bfloat16, {FEW} steps | one step more | memory float32, bfloat16, GB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    filled = {name: one["fills"] for name, one in results.items() if "fills" in one}
    for name, fills in filled.items():
        wide, narrow = (fills[precision] for precision in FORMATS)
        twice = [run[which] for run in (wide, narrow) for which in ("first", "second")]
        cells = [wide["load"], *twice, narrow["few"]]
        shown = " | ".join(f"{cell['clock']:.1f} ({cell['cpu']:.1f})" for cell in cells)
        step = (narrow["second"]["cpu"] - narrow["few"]["cpu"]) / (narrow["steps"] - FEW)
        peaks = f"{wide['peak'] / GB:.1f}, {narrow['peak'] / GB:.1f}"
        lines.append(f"| {name} | {wide['steps']} | {shown} | ({step:.2f}) | {peaks} |")
    loads = [one["load of the machine"] for one in results.values()]
    machines = {fills["fp32"]["machine"] for fills in filled.values()}
    if loads:
        said = f"Load of the machine before the models: {min(loads):.1f} to {max(loads):.1f}."
        lines += ["", f"{'; '.join(sorted(machines))}. {said}"]
    return "\n".join(lines)


def costs(results: dict[str, Any]) -> list[dict[str, Any]]:
    """What the card of a converted model says: seconds of CPU time of a second fill."""
    found = []
    for one in results.values():
        if "fills" not in one:
            continue
        wide, narrow = (one["fills"][precision] for precision in FORMATS)
        found.append(
            {name: wide[name] for name in ("architecture", "side", "dim", "steps", "machine")}
            | {
                "fp32": round(wide["second"]["cpu"], 1),
                "bf16": round(narrow["second"]["cpu"], 1),
                "few": FEW,
                "bf16_few": round(narrow["few"]["cpu"], 1),
                "gigabytes": round(max(wide["peak"], narrow["peak"]) / GB, 1),
            }
        )
    return found


def into_page(text: str, table: str) -> str:
    """The page with the table between its markers. Raises SystemExit where there are none."""
    pattern = re.compile(r"(<!-- full size -->\n).*?(<!-- /full size -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{PAGE.name} has no <!-- full size --> and <!-- /full size -->: put them back")
    return pattern.sub(lambda found: f"{found[1]}\n{table}\n\n{found[2]}", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--work", type=Path, help="where the large files go; the system's temporary folder")
    parser.add_argument("--small", action="store_true", help="to try the script: nothing is kept")
    parser.add_argument("--pages", action="store_true", help="only write what was measured into docs, cards")
    parser.add_argument("--conversions", action="store_true", help="without fills, whose figures stay")
    parser.add_argument("--fill", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="fp32", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill is not None:
        print(json.dumps(fill(options.fill, options.precision)))
        return
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() and not options.small else {}
    if not options.pages:
        from published_files import MODELS

        for name in options.models or MODELS:
            work = options.work or Path(tempfile.gettempdir())
            found = try_model(name, work, options.small, not options.conversions)
            results[name] = results.get(name, {}) | found
            print(tables({name: results[name]}), flush=True)
            if not options.small:
                ordered = {known: results[known] for known in MODELS if known in results}
                RESULTS.write_text(json.dumps(ordered, indent=1) + "\n")
    elif results:
        PAGE.write_text(into_page(PAGE.read_text(), tables(results)))
        COSTS.write_text(json.dumps(costs(results), indent=1) + "\n")


if __name__ == "__main__":
    main()
