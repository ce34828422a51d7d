"""`maskmend bench` from end to end on the tiny model, with peers that are none."""

import json
import sys

import onnxruntime
import pytest
from click.testing import CliRunner
from packaging.version import Version

import exported  # noqa: F401 - graphs that were exported already are not exported again
from maskmend.benchmark import run as module
from maskmend.benchmark import waits
from maskmend.benchmark.fills import FIRST, SHARES, batch, picture, scratched
from maskmend.benchmark.peers import peer_cases
from maskmend.cli import main
from maskmend.errors import ConfigError
from maskmend.fill.windows import lay_windows
from maskmend.inference.kernel_caches import LIMITS
from maskmend.inference.threads import WAITING
from maskmend.models.transformer import small_config

PEER = """
import json, sys
sizes = json.loads(sys.stdin.readline())
print(json.dumps({"ready": ["another"], "failed": FAILED}), flush=True)
for line in sys.stdin:
    print(json.dumps(0.25 if json.loads(line) == "another" else None), flush=True)
"""


def peers(folder, failed=None):
    """A folder as bench/peers/build.py leaves it."""
    (folder / "venv" / "bin").mkdir(parents=True)
    (folder / "venv" / "bin" / "python").symlink_to(sys.executable)
    (folder / "serve.py").write_text(PEER.replace("FAILED", repr(failed or {})))
    return folder


def test_a_quick_look_writes_table_and_figures(tiny_model, tmp_path, monkeypatch):
    """Catches a benchmark that breaks after its ten minutes, before anything is written."""
    monkeypatch.setattr(module, "QUICK", (1, 10.0))
    monkeypatch.setattr("maskmend.inference.roofline.SIDE", {"cpu": 64})
    monkeypatch.setattr("maskmend.benchmark.hardware.COPIED", 1000)
    out, folder = tmp_path / "out", peers(tmp_path / "peers")
    arguments = ["bench", "--quick", "--model", str(tiny_model), "-o", str(out), "--peers", str(folder)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    table = (out / "bench.md").read_text()
    assert table in result.output
    assert "| another | 250.0 ms" in table
    assert "hole 5 %" in table
    groups = {case["group"] for case in json.loads((out / "bench.json").read_text())["cases"]}
    assert groups == {"ceilings", "full pass", "fill", "batch", "steps", "peers", "whole fill"}


def test_peers_that_do_not_run_are_named(tmp_path):
    """Catches a table in which a peer is silently missing."""
    broken = peers(tmp_path / "broken", {"one": "ImportError: no"})
    for folder, message in ((tmp_path / "none", "build them with"), (broken, "one: ImportError: no")):
        with pytest.raises(ConfigError, match=message), peer_cases(folder, small_config(), 64):
            pass


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")  # the exporter would trace the annotations' checks too
def test_the_whole_benchmark_runs_through(tiny_model, tmp_path, monkeypatch):
    """Catches a benchmark that breaks after its ten minutes: cases of formats, fresh processes, ONNX Runtime
    and training are in this test only. Also catches figures that are lost when a training fails."""
    monkeypatch.setattr(module, "WHOLE", (1, 1.0))
    monkeypatch.setattr(module, "BATCHES", {"tokenizer": 2, "transformer": 2})
    monkeypatch.setattr(module, "TRAININGS", 1)
    monkeypatch.setattr("maskmend.benchmark.decoding.coursework_config", small_config)
    monkeypatch.setattr("maskmend.inference.roofline.SIDE", {"cpu": 64})
    monkeypatch.setattr("maskmend.benchmark.hardware.COPIED", 1000)
    before, train = [], module.train_once

    def trained(*given):
        before.append((tmp_path / "bench.md").read_text())
        return train(*given)

    monkeypatch.setattr(module, "train_once", trained)
    monkeypatch.setattr(waits, "LARGE", (90, 120))
    monkeypatch.setattr(waits, "OBJECT", 20)
    monkeypatch.setattr(waits, "PHOTOGRAPH", (120, 200))
    table = module.bench(str(tiny_model), tmp_path, photo_model=str(tiny_model))
    assert (tmp_path / "bench.md").read_text() == table
    assert "**Starting up**" in before[0]
    assert "**Training**" not in before[0]
    found = json.loads((tmp_path / "bench.json").read_text())
    assert {case["group"] for case in found["cases"]} == {
        "ceilings", "full pass", "fill", "batch", "steps", "formats", "peers", "whole fill", "start", "waits",
    }  # fmt: skip
    names = [case["name"] for case in found["cases"]]
    old = Version(onnxruntime.__version__) < Version("1.32")  # the first that was seen to quantize
    made = [name for name in names if "ONNX" in name]
    wanted = [f"16 x 16, ONNX Runtime, {kind}" for kind in ("fp32", "int8")]
    assert made == wanted or (old and made == wanted[:1])
    assert found["first_fill"] > 0
    for told in found["training"].values():
        assert told["images_per_second"] > 0
        assert told["mfu"] > 0
        assert 0 <= told["data_wait"] < 1


def test_the_first_fill_is_that_of_the_whole_fills():
    """Catches a fresh process that fills another hole than the process it is compared with."""
    namespace: dict = {"__builtins__": __builtins__}
    source = FIRST.replace("from maskmend.pipeline import InpaintPipeline", "").split("pipe = ")[0]
    exec(source, namespace)
    for ours, theirs in zip(picture(64), namespace["picture"](64), strict=True):
        assert (ours == theirs).all()
    image, mask = picture(64)
    assert image.shape == (64, 64, 3)
    assert 0.19 < mask.mean() < 0.21


def test_the_scratch_takes_many_windows():
    """Catches a row of the table that says scratch and times one more box."""
    image, mask = scratched(256)
    assert image.shape == (256, 256, 3)
    assert len(lay_windows(mask, 64, context=0.75, most=64)) == 16


def test_the_batch_has_holes_of_all_sizes():
    """Catches a batch of equal holes, in which nothing is padded or packed."""
    images, masks = batch(64)
    assert len(images) == len(masks) == 8
    assert [mask.mean() for mask in masks] == pytest.approx([share / 100 for share in SHARES], abs=0.01)


def test_peers_run_without_our_limits(tmp_path, monkeypatch):
    """Catches peers that prepare their kernels anew in every round, or sleep, because ours do."""
    first, second = LIMITS
    monkeypatch.setenv(first, LIMITS[first])
    for name, value in WAITING.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(second, "7")  # the user's own stays
    told = "".join(
        f"import os; assert os.environ.get({n!r}) == {v!r}\n"
        for n, v in ((first, None), (second, "7"), *((name, None) for name in WAITING))
    )
    folder = peers(tmp_path)
    (folder / "serve.py").write_text(told + (folder / "serve.py").read_text())
    with peer_cases(folder, small_config(), 64) as cases:
        assert cases[0].run() == 0.25
