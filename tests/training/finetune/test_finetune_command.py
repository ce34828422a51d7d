"""`maskmend train --on PHOTOS -o MODEL` as a person meets it: from a folder to a model that fills, stopped
and gone on with; one line and status 2 when it cannot."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from fakes import box_mask, smooth_pixels
from finetuning import write_photos
from maskmend.cli import main
from maskmend.errors import WeightsError
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.hashes import model_hash, tokens_hash
from maskmend.training.finetune import pack, run
from maskmend.training.finetune.pack import default_name
from maskmend.training.stages.decoder import DecoderStage
from maskmend.training.stages.transformer import TransformerStage


def train(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["train", *map(str, arguments)], prog_name="maskmend")


def sheet_height(path: Path) -> int:
    with Image.open(path) as sheet:
        return sheet.height


def weights(model: Path) -> str:
    pipe = InpaintPipeline.from_pretrained(model)
    return model_hash(pipe.tokenizer, pipe.transformer)


@pytest.fixture
def asked(pictures_folder: Path, tmp_path: Path, tiny_model: Path, quick: None) -> list[object]:
    """The command, but for what a test adds."""
    return ["--on", pictures_folder, "-o", tmp_path / "mine", "--from", tiny_model, "--device", "cpu"]


def stop_in(stage: type, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A signal arrives in the second step of a stage."""
    whole = stage.train_step

    def interrupted(self: Any, parts: Any, step: int, rng: Any) -> Any:
        if step == 1:
            signal.raise_signal(number)
        return whole(self, parts, step, rng)

    monkeypatch.setattr(stage, "train_step", interrupted)
    # The pace would meet the signal too.
    monkeypatch.setattr(run, "seconds_a_step", lambda recipe, images: 0.5)


def test_from_a_folder_to_a_model_that_fills(asked: list[object], tmp_path: Path, tiny_model: Path) -> None:
    """Would catch a model that `inpaint` does not take, other tokens than those the transformer learnt, lost
    settings, and a training that begins before it has said how long it takes."""
    result = train(*asked, "--learnt", "soft waves")
    assert result.exit_code == 0, result.output
    said = result.output.splitlines()
    assert said[0].startswith("12 pictures in ")
    assert said[0].endswith("11 to learn from, 1 held out; kept with a shorter side of 40 pixels")
    assert "12 pictures are few" in said[1]
    assert said[2].endswith("a view of 16x16 pixels, 4x4 tokens of 24 codes")
    work = tmp_path / "mine-training"
    before_first_step = said[: next(i for i, line in enumerate(said) if line.startswith("train step"))]
    assert any(line.endswith(str(work / "pictures" / "before.png")) for line in before_first_step)
    assert any("<- this run" in line for line in before_first_step)
    assert any("Ctrl-C saves" in line for line in before_first_step)
    for stage in ("transformer", "decoder"):
        assert any(line.startswith(f"{stage}: 3 steps, about ") for line in said)
        assert list((work / stage / "pictures").glob("*.png"))
    assert sheet_height(work / "pictures" / "after.png") > sheet_height(work / "pictures" / "before.png")
    assert any(line.startswith("LPIPS of fills of 1 held-out pictures, 3 holes each: ") for line in said)

    model = tmp_path / "mine"
    start, mine = InpaintPipeline.from_pretrained(tiny_model), InpaintPipeline.from_pretrained(model)
    assert tokens_hash(mine.tokenizer) == tokens_hash(start.tokenizer)
    assert model_hash(mine.tokenizer) != model_hash(start.tokenizer)
    assert model_hash(mine.transformer) != model_hash(start.transformer)
    assert mine.defaults == start.defaults
    assert mine.domain is not None
    assert mine.domain.learnt == "soft waves"
    assert mine.card is not None
    assert "11 pictures (soft waves)" in mine.card
    assert "LPIPS of fills" in mine.card
    assert str(work) not in mine.card  # whoever shares the model need not share the names of their folders

    Image.fromarray(smooth_pixels(30, 30, 99)).save(tmp_path / "photo.png")
    Image.fromarray(box_mask(30, 30, 8, 8, 20, 20)).convert("L").save(tmp_path / "mask.png")
    command = ["inpaint", tmp_path / "photo.png", "--mask", tmp_path / "mask.png", "-o", tmp_path / "out.png"]
    filled = CliRunner().invoke(main, [*map(str, command), "--model", str(model)])
    assert filled.exit_code == 0, filled.output
    with Image.open(tmp_path / "out.png") as image:
        out, mask = np.asarray(image), box_mask(30, 30, 8, 8, 20, 20)
    assert np.array_equal(out[~mask], smooth_pixels(30, 30, 99)[~mask])


def test_a_run_that_ends_before_its_last_sheet_makes_it_when_it_goes_on(
    asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a run that counts as finished while something of it is still to be written."""

    def ended(image: Image.Image, path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pack, "save_sheet", ended)
        assert train(*asked).exit_code == 130
    sheet = tmp_path / "mine-training" / "pictures" / "after.png"
    assert not sheet.exists()
    assert train(*asked).exit_code == 0
    assert sheet.is_file()


def test_what_is_finished_stays_and_can_be_trained_longer(asked: list[object], tmp_path: Path) -> None:
    """Would catch a finished model trained again by the same command, and a longer run that begins anew."""
    assert train(*asked).exit_code == 0
    before = weights(tmp_path / "mine")
    again = train(*asked)
    assert again.exit_code == 0
    assert again.output.count("\n") == 1
    assert "is finished; to train it longer: --minutes " in again.output
    assert weights(tmp_path / "mine") == before

    plan = json.loads((tmp_path / "mine-training" / "plan.json").read_text())
    plan["seconds"] = {"transformer": 6.0, "decoder": 6.0}
    (tmp_path / "mine-training" / "plan.json").write_text(json.dumps(plan))
    longer = train(*asked, "--minutes", "1.05")
    assert longer.exit_code == 0, longer.output
    assert "resuming at step 3" in longer.output
    assert "train step 5/5" in longer.output
    assert weights(tmp_path / "mine") != before


@pytest.mark.parametrize("stage", [TransformerStage, DecoderStage])
def test_stopped_and_gone_on_with_is_the_same_model(
    stage: type, asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch work lost at Ctrl-C, a stage done twice, a model that depends on where it was stopped."""
    monkeypatch.setattr(run, "seconds_a_step", lambda recipe, images: 0.5)
    assert train(*asked).exit_code == 0
    whole = weights(tmp_path / "mine")
    shutil.rmtree(tmp_path / "mine")
    shutil.rmtree(tmp_path / "mine-training")

    with monkeypatch.context() as patch:
        stop_in(stage, patch, signal.SIGINT)
        stopped = train(*asked)
    assert stopped.exit_code == 130
    assert stopped.output.splitlines()[-1].startswith("stopped and saved; the same command resumes at step 2")
    assert not (tmp_path / "mine").exists()
    result = train(*asked)
    assert result.exit_code == 0, result.output
    assert "continues with" in result.output
    assert "resuming at step 2" in result.output
    assert weights(tmp_path / "mine") == whole


def test_stopped_before_the_first_step(
    asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a traceback, or "Aborted!", for Ctrl-C while the pace is measured."""

    def interrupt(recipe: Any, images: Any) -> float:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "seconds_a_step", interrupt)
        stopped = train(*asked)
    assert stopped.exit_code == 130
    assert stopped.output.splitlines()[-1] == "stopped; what was done is kept, and the same command resumes"
    assert train(*asked).exit_code == 0


def test_a_folder_that_has_changed_is_told(
    asked: list[object], pictures_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch new pictures that are taken for granted, and --restart that goes on with the old ones."""
    with monkeypatch.context() as patch:
        stop_in(TransformerStage, patch, signal.SIGTERM)
        train(*asked)
    write_photos(pictures_folder, 14)
    result = train(*asked)
    assert result.exit_code == 0
    assert "has other pictures than when this run began" in result.output
    anew = train(*asked, "--restart")
    assert anew.exit_code == 0, anew.output
    assert anew.output.startswith("14 pictures in ")
    assert "going on" not in anew.output


def test_another_model_does_not_go_on_with_a_run(
    asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a decoder trained over another model's tokens."""
    with monkeypatch.context() as patch:
        stop_in(TransformerStage, patch, signal.SIGTERM)
        train(*asked)
    result = train(*asked, "--from", "cats64")
    assert result.exit_code == 2
    assert "holds a run that started from another model (tiny), not from cats64" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    (tmp_path / "mine-training" / "pictures" / "training.tar").unlink()
    result = train(*asked)
    assert result.exit_code == 2
    assert "training.tar, which this run needs: start over with --restart" in result.stderr


def test_a_foreign_model_is_not_written_over(asked: list[object], tmp_path: Path, tiny_model: Path) -> None:
    """Would catch --restart that takes a model from elsewhere for its own."""
    shutil.copytree(tiny_model, tmp_path / "mine")
    before = weights(tmp_path / "mine")
    for more in ([], ["--restart"]):
        result = train(*asked, *more)
        assert result.exit_code == 2
        assert "already holds a model: choose another --output" in result.stderr
    assert weights(tmp_path / "mine") == before
    assert not (tmp_path / "mine-training").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"--on": "nowhere"}, "no folder or tar file at nowhere: check the path"),
        ({"--on": "{tmp}/empty"}, "no images in"),
        ({"--on": "{tmp}/one"}, "1 usable picture in"),
        ({"--on": "{tmp}/small"}, "0 usable pictures in"),
        ({"-o": "{photos}/mine"}, "whose pictures would then be the run's own: choose one outside"),
        ({"-o": "{photos}"}, "whose pictures would then be the run's own: choose one outside"),
        ({"-o": "{tmp}"}, "choose one that holds no pictures"),
        ({"-o": "{tmp}/file"}, "is a file: give a folder"),
        ({"-o": "{tiny}"}, "is the --output too: choose another"),
        ({"--from": "phot"}, "no model 'phot'"),
        ({"--from": "{tmp}/empty"}, "no model_index.json"),
        ({"--from": "{tmp}/half"}, "no config.json"),
        ({"--device": "abacus"}, "abacus"),
        ({"--minutes": "0.0001"}, "or more, for at least"),
        ({"--minutes": "-3"}, "--minutes"),
        ({"--learnt": "a\nb"}, "in one line"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(
    changes: dict[str, str], words: str, pictures_folder: Path, tmp_path: Path, tiny_model: Path, quick: None
) -> None:
    """Would catch tracebacks, and work begun for nothing."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("a file")
    write_photos(tmp_path / "one", 1)
    write_photos(tmp_path / "small", 12, side=15)
    (tmp_path / "half").mkdir()
    shutil.copy(tiny_model / "model_index.json", tmp_path / "half")
    options = {"--on": str(pictures_folder), "-o": str(tmp_path / "mine"), "--from": str(tiny_model)}
    options |= {
        name: value.format(tmp=tmp_path, photos=pictures_folder, tiny=tiny_model)
        for name, value in changes.items()
    }
    result = train(*(word for pair in options.items() for word in pair))
    assert result.exit_code == 2, result.output
    told = result.stderr.splitlines()
    assert words in told[-1]
    assert len(told) == 1
    assert "train step" not in result.output
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "no STAGE: give --on PHOTOS -o MODEL, or a stage"),
        (["decoder"], "no --config RECIPE: give --on PHOTOS -o MODEL, or a stage"),
        (["--on", "photos"], "without --output: name the folder of the model, such as -o my-model"),
        (["decoder", "--on", "photos", "-o", "m"], "trains the stages it needs: leave out 'decoder'"),
        (
            ["--on", "photos", "-o", "m", "--config", "r.toml"],
            "train --on does not take --config: leave it out",
        ),
        (["--on", "photos", "-o", "m", "--set", "training.steps=3"], "does not take --set"),
        (["decoder", "--config", "r.toml", "--from", "photo"], "train decoder does not take --from"),
        (["decoder", "--config", "r.toml", "--minutes", "3"], "train decoder does not take --minutes"),
        (["decoder", "--config", "r.toml", "--device", "cpu"], "--set training.device"),
    ],
)
def test_the_two_ways_to_train_do_not_mix(words: list[str], told: str) -> None:
    """Would catch an option that is silently of no effect."""
    result = train(*words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_missing_networks_are_told_before_the_work(
    asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a first stage of an hour before the second one says what is missing."""

    def missing(name: str) -> Path:
        raise WeightsError(f"the weights {name!r} are not on this machine yet: run: maskmend weights fetch")

    monkeypatch.setattr(run, "locate", missing)
    result = train(*asked)
    assert result.exit_code == 2
    assert "maskmend weights fetch" in result.stderr
    assert not (tmp_path / "mine-training").exists()


def test_several_processes_are_refused(asked: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch two processes of torchrun that prepare and pack the same folder."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = train(*asked)
    assert result.exit_code == 2
    assert "one process: start it without torchrun" in result.stderr


def test_a_model_is_called_after_its_folder() -> None:
    """Would catch a name that the notice of a fill refuses: of two lines, or of a hundred characters."""
    assert default_name(Path("holiday")) == "pictures like those in holiday"
    assert default_name(Path("holiday.tar")) == "pictures like those in holiday"
    assert len(default_name(Path("x" * 200))) <= 80
    assert default_name(Path("two\nlines")) == "pictures of one folder"
