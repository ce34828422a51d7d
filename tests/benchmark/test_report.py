"""The tables of a benchmark: shares of the right thing."""

from maskmend.benchmark.report import as_json, as_markdown
from maskmend.benchmark.timing import Case, Measured


def measured(group, name, seconds, operations=0.0, ceiling=""):
    one = Case(group=group, name=name, run=lambda: 0.0, operations=operations, ceiling=ceiling)
    return Measured(case=one, seconds=(seconds, seconds))


FOUND = [
    measured("ceilings", "fp32", 1.0, 100e9),
    measured("ceilings", "copy", 1.0, 9e9),
    measured("full pass", "hole 20 %", 0.1),
    measured("fill", "hole 20 %", 0.2, 5e9, "fp32"),
    measured("fill", "hole 100 %", 0.5, 5e9, "fp32"),
    measured("batch", "hole 20 %", 1.2, 5e9, "fp32"),
    measured("batch", "hole 100 %", 4.0, 5e9, "fp32"),
    measured("steps", "4 steps", 0.1),
    measured("peers", "another model", 0.8),
    measured("peers", "MI-GAN (ONNX), whole fill", 0.8),
    measured("whole fill", "64 x 64", 0.5),
    measured("whole fill", "256 x 256", 7.0),
    measured("start", "imports", 1.5),
    measured("start", "imports, loading and the first fill", 3.0),
]
TRAINING = {"tokenizer": {"images_per_second": 12.0, "mfu": 0.4, "data_wait": 0.002}}
ABOUT = {"command": "maskmend bench", "hardware": "two cores", "threads": 2}


def test_every_share_is_of_what_it_says():
    """Catches a fill compared with one pass instead of eight, a peer with the wrong time, a mean ceiling."""
    text = as_markdown(FOUND, TRAINING, ABOUT)
    for line in (
        "`maskmend bench` on two cores. Median [quartiles].",
        "| fp32 matrix product | 100 GFLOP/s |",
        "| memory copy | 9 GB/s |",
        "|  | time | of 8 full passes | of a hole of 100 % | share of the ceiling |",
        "| hole 20 % | 200.0 ms [200.0, 200.0] | 25% | 40% | 25% |",
        "| hole 100 % | 500.0 ms [500.0, 500.0] | - | 100% | 10% |",
        "| hole 20 % | 1.20 s [1.20, 1.20] | 30% | 4% |",
        "| 4 steps | 100.0 ms [100.0, 100.0] | 25% |",
        "| maskmend | 200.0 ms [200.0, 200.0] | 1.0 |",
        "| another model | 800.0 ms [800.0, 800.0] | 4.0 |",
        "| MI-GAN (ONNX), whole fill | 800.0 ms [800.0, 800.0] | - |",
        "| imports | 1.50 s [1.50, 1.50] |",
        "| the last, over imports plus one fill | 1.50 times |",
        "| tokenizer | 12.0 | 40% | 0.2% |",
    ):
        assert line in text.replace("| - |\n", "| - |\n"), line


def test_json_holds_every_case():
    """Catches figures that only the table has."""
    content = as_json(FOUND, TRAINING, ABOUT)
    assert len(content["cases"]) == len(FOUND)
    fill = next(c for c in content["cases"] if c["group"] == "fill")
    assert fill["share_of_ceiling"] == 0.25
    assert fill["runs"] == 2
    assert content["first_fill"] == 1.5
    assert content["training"] == TRAINING


def test_without_fresh_processes_there_is_no_first_fill():
    """Catches a quick look that fails over what it does not measure."""
    some = [m for m in FOUND if m.case.group != "start"]
    assert as_json(some, {}, ABOUT)["first_fill"] is None
    assert "imports" not in as_markdown(some, {}, ABOUT)
