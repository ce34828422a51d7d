"""`maskmend train` as a person meets it: plain lines while it works, one line and status 2 when it cannot."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from fakes import TINY_TOKENIZER
from maskmend.cli import main
from maskmend.training.dataset import ImageSet
from maskmend.training.progress import metrics_line, time_left
from maskmend.training.run import data_warnings, run
from maskmend.training.stages.tokenizer import TokenizerStage

SETTINGS = """
stage = "tokenizer"
[data]
train = '{photos}/train'
validation = '{photos}/validation'
{model}[training]
steps = 3
batch = 2
log_every = 1
device = "cpu"
[tokenizer]
perceptual = 0
adversarial = 0
"""


@pytest.fixture
def recipe(photos: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(SETTINGS.format(photos=photos.as_posix(), model=TINY_TOKENIZER))
    return path


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


def test_names_of_older_recipes_are_read(recipe: Path, tmp_path: Path) -> None:
    """Would catch a recipe or an assignment of an older version that is refused for a renamed choice."""
    content = recipe.read_text().replace("quantizer =", 'design = "lab"\nquantizer =')
    (tmp_path / "old.toml").write_text(content)
    result = command("tokenizer", "--config", tmp_path / "old.toml", "--set", "preset='report'", "-o", "out")
    assert "has 8: choose multiples of 32 for design='coursework'" in result.output


def test_a_run_from_start_to_finish(recipe: Path, tmp_path: Path) -> None:
    """Would catch a run that does not say what it found, how fast it is, how long it takes and where it
    lies."""
    out = tmp_path / "run"
    result = command("tokenizer", "--config", recipe, "--output", out)
    assert result.exit_code == 0, result.output
    assert "6 training and 3 validation images; cpu, 1 process" in result.output
    steps = [line for line in result.output.splitlines() if line.startswith("train step")]
    assert [line.split()[2] for line in steps] == ["1/3", "2/3", "3/3"]
    assert all("images_per_second" in line and line.endswith("left") for line in steps)
    assert "validation step 3/3" in result.output
    assert result.output.splitlines()[-1].startswith("finished at step 3")
    assert str(out) in result.output
    assert {path.name for path in out.iterdir()} == {
        "best.pt", "last.pt", "metrics.jsonl", "pictures", "tokenizer",
    }  # fmt: skip
    assert len([json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]) == 4

    longer = command("tokenizer", "--config", recipe, "--output", out, "--set", "training.steps=4")
    assert [line.split()[2] for line in longer.output.splitlines() if line.startswith("train")] == ["4/4"]


def test_a_run_that_was_stopped_is_no_success(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch `train tokenizer && train transformer` that goes on with half a tokenizer after Ctrl-C, and
    a loss of None where none was measured."""
    whole = TokenizerStage.train_step

    def interrupted(self: TokenizerStage, *given: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return whole(self, *given)

    monkeypatch.setattr(TokenizerStage, "train_step", interrupted)
    result = command("tokenizer", "--config", recipe, "--output", tmp_path / "run")
    assert result.exit_code == 130
    last = result.output.splitlines()[-1]
    assert last.startswith("stopped and saved; the same command resumes at step 1; no validation yet; run")
    monkeypatch.undo()
    result = command("tokenizer", "--config", recipe, "--output", tmp_path / "run")
    assert result.exit_code == 0
    assert "resuming at step 1" in result.output.splitlines()


def test_unreadable_pictures_are_named_whatever_they_are_called(
    recipe: Path, tmp_path: Path, photos: Path
) -> None:
    """Would catch brackets of a name taken for markup, which vanish or raise, and names folded at 80
    columns."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "good.png").write_bytes(next((photos / "train").iterdir()).read_bytes())
    name = f"[bold]{'long ' * 30}[nothing].png"
    (folder / name).write_bytes(b"no picture")
    result = command(
        "tokenizer", "--config", recipe, "--output", tmp_path / "run", "--set", f"data.train={folder}"
    )
    assert result.exit_code == 0, result.output
    assert f"skipped {name}" in result.output
    assert "1 training and 3 validation images, 1 unreadable file skipped" in result.output


@pytest.mark.parametrize(
    ("stage", "options", "words"),
    [
        ("tokenizer", ["--set", "training.stesp=5"], "did you mean 'steps'"),
        ("tokenizer", ["--set", "training.steps"], "key=value"),
        ("tokenizer", ["--set", "preset=larg"], "known: coursework, small"),
        ("tokenizer", ["--set", "model.quantizer.code=5"], "did you mean 'codes'"),
        ("tokenizer", ["--set", "data.train=nowhere"], "nowhere"),
        ("tokenizer", ["--set", "training.device=abacus"], "abacus"),
        ("tokenizer", ["--set", "training.device=cuda:99"], "cuda:99"),
        ("tokenizer", ["--set", "model.downsample_after=[7, 8]"], "downsample_after"),
        ("tokenizer", ["--config", "no-such-recipe.toml"], "no-such-recipe.toml"),
        ("transformer", [], "recipe for stage 'tokenizer'"),
        ("transformer", ["--set", "stage=transformer"], "[transformer]"),
        (
            "transformer",
            ["--set", "stage=transformer", "--set", "model={}", "--set", "transformer.tokenizer=nowhere"],
            "nowhere",
        ),
        ("decoder", [], "decoder"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(
    stage: str, options: list[str], words: str, recipe: Path, tmp_path: Path
) -> None:
    """Would catch tracebacks, and a run folder left behind by a run that never began."""
    result = command(stage, "--config", recipe, "--output", tmp_path / "run", *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_is_no_toml(recipe: Path, tmp_path: Path) -> None:
    """Would catch the parser's traceback."""
    recipe.write_text("steps = = 3")
    result = command("tokenizer", "--config", recipe)
    assert result.exit_code == 2
    assert "tiny.toml" in result.stderr


def test_time_left_is_that_of_the_remaining_pictures(make_recipe) -> None:
    """Would catch a time left that grows as the run goes on, or steps taken for pictures."""
    training = make_recipe("tokenizer", training={"steps": 1000, "batch": 4}).training
    assert time_left({"step": 100.0, "images_per_second": 10.0}, training) == "  0:06:00 left"
    assert time_left({"step": 100.0}, training) == ""


def test_figures_are_short(make_recipe) -> None:
    """Would catch a line of twenty figures with seven digits."""
    assert metrics_line({"loss": 1.23456789, "lr": 1e-3, "psnr": 20.0}) == "loss 1.235  psnr 20"


def test_sets_that_prove_nothing_are_told(photos, tmp_path: Path) -> None:
    """Would catch a training set that is its own validation, or is one picture, taken without a word."""
    training, validation = (ImageSet(photos / name, 16) for name in ("train", "validation"))
    (tmp_path / "one").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "one" / "a.png")
    one = ImageSet(tmp_path / "one", 16)
    assert data_warnings(training, validation) == []
    (line,) = data_warnings(training, training)
    assert line.startswith("all validation images are training images too")
    (line,) = data_warnings(training, one)
    assert line.startswith("1 validation image says little")
    (line,) = data_warnings(one, validation)
    assert line.startswith("1 training image")
    assert len(data_warnings(one, one)) == 2


def test_a_run_tells_what_is_odd_about_its_sets(photos, make_recipe, tmp_path: Path) -> None:
    """Would catch data_warnings that nobody hears."""
    said: list[str] = []
    recipe = make_recipe("tokenizer", data={"validation": str(photos / "train")}, training={"steps": 1})
    run(recipe, tmp_path / "run", log=said.append)
    assert any("training images too" in line for line in said)
