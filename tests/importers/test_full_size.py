"""The bench of published sizes measures what it says, and a conversion stays within its bound of memory."""

import importlib.util
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from coursework import LabTransformer, LabVQGAN, shaken

BENCH = Path(__file__).parents[2] / "bench" / "checkpoints"


def loaded(name: str):
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OF_ANY_SIZE = 150_000_000
"""Memory of a conversion that does not grow with the file, such as what PyTorch loads on the way."""
full_size, published_files = loaded("full_size"), loaded("published_files")


def test_memory_is_that_of_the_process(tmp_path, monkeypatch):
    """Catches a peak that is read too late, or of the process that measures."""
    taken, gate = 150_000_000, tmp_path / "gate"
    os.mkfifo(gate)
    writers = []

    def sleep(seconds: float) -> None:
        """Between two looks at the process, which waits at the gate with its memory taken: it goes on once
        that has been looked at."""
        time.sleep(seconds)
        if writers:
            os.close(writers.pop())
        else:
            with suppress(OSError):  # the process is not there yet, or has gone on
                writers.append(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))

    monkeypatch.setattr(full_size, "time", SimpleNamespace(sleep=sleep, perf_counter=time.perf_counter))
    program = f"x = b'x' * {taken}; open({str(gate)!r}).read(); del x; print('done')"
    used = full_size.measured([sys.executable, "-c", program])
    assert used["printed"] == "done\n"
    assert taken < used["peak"] < taken + 60_000_000
    assert 0 < used["cpu"] <= used["clock"] * 2 + 0.1
    with pytest.raises(SystemExit, match="ended with 3"):
        full_size.measured([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["mage-b", "halton-l-384", "maskgit-256", "valeoai-512", "amused-512", "coursework"]
)
def test_each_model_is_written_as_its_converter_reads_it(name, tmp_path):
    """Catches a file of gigabytes, written for minutes, that is then refused."""
    from click.testing import CliRunner

    from maskmend.cli import main

    path = list(sys.path)
    kind, *sources = published_files.write(name, tmp_path / "files", small=True)
    sys.path[:] = path
    result = CliRunner().invoke(main, ["convert", kind, *sources, "-o", str(tmp_path / "model")])
    assert result.exit_code == 0, result.output
    side = {"valeoai-512": 512, "amused-512": 512, "halton-l-384": 384, "coursework": 64}.get(name, 256)
    assert f"{side}x{side} pictures" in result.output


def test_figures_become_tables_and_cards():
    """Catches a page whose markers are gone, and memory that counts PyTorch itself."""
    seconds = {"clock": 2.0, "cpu": 3.5}
    few = {"clock": 1.0, "cpu": 1.5}
    run = {
        "load": seconds, "first": seconds, "second": seconds, "few": few, "steps": 12, "side": 256,
        "dim": 768, "architecture": "mage", "machine": "a processor", "peak": 1.5e9,
    }  # fmt: skip
    one = {
        "kind": "mage", "load of the machine": 0.5, "files": 1_000_000_000, "model": 1,
        "imports": {"peak": 400_000_000, "anonymous": 200_000_000},
        "conversion": {"clock": 9.0, "cpu": 8.0, "peak": 1_400_000_000, "anonymous": 300_000_000},
        "fills": {"fp32": run, "bf16": run},
    }  # fmt: skip
    table = full_size.tables({"mage-b": one})
    assert "| mage-b | 1.00 | 9 (8) | 1.40 | 1.00 | 0.10 |" in table
    assert "| mage-b | 12 | 2.0 (3.5) |" in table
    assert "| 1.0 (1.5) | (0.25) | 1.5, 1.5 |" in table
    page = full_size.into_page("a\n<!-- full size -->\nold\n<!-- /full size -->\nb\n", table)
    assert page == f"a\n<!-- full size -->\n\n{table}\n\n<!-- /full size -->\nb\n"
    with pytest.raises(SystemExit, match="put them back"):
        full_size.into_page("a\n", table)
    (cost,) = full_size.costs({"mage-b": one})
    assert (cost["fp32"], cost["gigabytes"], cost["machine"]) == (3.5, 1.5, "a processor")


def test_costs_in_the_package_are_those_that_were_measured():
    """Catches a card that says what nobody measured: both files are written by the bench."""
    measured = json.loads(full_size.RESULTS.read_text()) if full_size.RESULTS.exists() else {}
    assert json.loads(full_size.COSTS.read_text()) == full_size.costs(measured)


@pytest.mark.slow
def test_a_conversion_takes_little_more_memory_than_its_file(tmp_path):
    """Catches a checkpoint that is read whole, copied into modules and written from a third copy."""
    import torch

    torch.save(shaken(LabVQGAN(codes=1024, grid=16)).state_dict(), tmp_path / "VQGAN.pt")
    network = LabTransformer(codes=1024, tokens=256, dim=768, heads=16, layers=12, hidden=1536)
    torch.save(shaken(network).state_dict(), tmp_path / "transformer.pt")
    size = full_size.size_of(tmp_path)
    assert size > 200_000_000
    imports = full_size.measured(
        [sys.executable, "-c", full_size.IMPORTS.format(module="coursework.convert")]
    )
    files = [str(tmp_path / name) for name in ("VQGAN.pt", "transformer.pt")]
    command = [
        sys.executable,
        "-m",
        "maskmend",
        "convert",
        "coursework",
        *files,
        "-o",
        str(tmp_path / "model"),
    ]
    used = full_size.measured(command)
    assert used["peak"] - imports["peak"] < 1.3 * size + OF_ANY_SIZE
