"""The key of cached fills: it changes with the code that fills, and with nothing else."""

from pathlib import Path

import pytest

from maskmend.experiments.identity import code_hash, modules_below

FILES = {
    "__init__.py": '__version__ = "1"\n',
    "pipeline.py": '"""A pipeline."""\nfrom maskmend.fill import seam\n',
    "fill/__init__.py": "",
    "fill/seam.py": (
        'def blend(a, b):\n    """Mixes."""\n    from maskmend.rounding import half\n    return half(a + b)\n'
    ),
    "rounding.py": "def half(x):\n    return x / 2\n",
    "cli/__init__.py": "",
    "cli/inpaint.py": "from maskmend.pipeline import seam\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("__init__.py", '"1"', '"2"'),
        ("cli/inpaint.py", "seam", "seam as other"),
        ("fill/seam.py", "Mixes.", "Blends."),
        ("rounding.py", "x / 2", "x / 2  # the mean"),
    ],
)
def test_what_fills_nothing_changes_nothing(package: Path, file: str, before: str, after: str) -> None:
    """Would catch hours of fills discarded after an edit of the command line, or a new version."""
    first = code_hash(root=package)
    path = package / file
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    assert code_hash(root=package) == first


@pytest.mark.parametrize("file", ["pipeline.py", "fill/__init__.py", "fill/seam.py", "rounding.py"])
def test_code_that_fills_changes_the_hash(package: Path, file: str) -> None:
    """Would catch fills of other code taken for those of this one, also where a function imports it."""
    first = code_hash(root=package)
    (package / file).write_text(FILES[file] + "CHANGED = 1\n")
    assert code_hash(root=package) != first


def test_the_pipeline_covers_what_fills_and_not_what_uses_it() -> None:
    """Would catch a package of this project missing from the key."""
    names = modules_below("pipeline").keys()
    assert {
        "decoding.loop", "fill.compositing", "fill.levels", "images.infill", "inference.cached_transformer",
        "models.mage", "models.transformer", "models.vqgan", "pipeline", "pretrained.migrations", "settings",
    } <= names  # fmt: skip
    above = {"batch", "benchmark", "bulk", "cli", "client", "evaluation", "experiments", "server", "training"}
    assert not above & {name.split(".")[0] for name in names}
