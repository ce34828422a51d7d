"""The training loop: a run that was stopped goes on bit for bit, and nothing good is ever overwritten."""

import itertools
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from maskmend.errors import ConfigError, DataError, TrainingError
from maskmend.storage.temporary import beside
from maskmend.training import checkpoint
from maskmend.training import run as run_module
from maskmend.training.batches import Batches, to_float, vary_colour
from maskmend.training.dataset import ImageSet
from maskmend.training.loop import FIRST_PICTURES, Outcome, learning_rate, train
from maskmend.training.recipe import Recipe
from maskmend.training.run import build_stage, run
from maskmend.training.stages.stage import Stage
from maskmend.training.stages.token_cache import TokenCache
from maskmend.training.stages.transformer import TransformerStage

CPU = torch.device("cpu")
TIMES = ("time", "images_per_second", "mfu", "data_wait")


class FakeStage:
    """One weight a pixel, pulled towards the pictures, with noise; `events` are called at the start of a
    step."""

    component = "tokenizer"
    resolution = 16

    def __init__(self, validations: tuple[float, ...] = ()) -> None:
        self.weight = torch.zeros(3, 16, 16, requires_grad=True)
        self.optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW([self.weight], lr=1.0)]
        self.validations = list(validations)
        self.events: dict[int, Callable[[], None]] = {}
        self.spoilt: dict[int, str] = {}
        self.exports: list[Tensor] = []

    def train_step(self, parts: list[Tensor], step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        self.events.get(step, lambda: None)()
        noise = torch.from_numpy(rng.standard_normal(self.weight.shape)).float()
        loss = sum((self.weight - part.mean(0) + 0.1 * noise).square().mean() for part in parts) / len(parts)
        self.optimizers[0].zero_grad()
        loss.backward()
        figures = {"loss": loss.detach(), "gradient": self.weight.grad.norm()}
        if step in self.spoilt:
            figures[self.spoilt[step]] = torch.tensor(float("nan"))
            self.weight.grad.fill_(float("nan"))
        self.optimizers[0].step()
        return figures

    def validate(self, batches: list[Tensor]) -> dict[str, float]:
        assert sum(len(batch) for batch in batches) == 3
        return {
            "loss": self.validations.pop(0) if self.validations else self.weight.detach().abs().mean().item()
        }

    def pictures(self, images: Tensor) -> Image.Image:
        return Image.new("RGB", (2, 2))

    def state(self) -> dict[str, Any]:
        return {"weight": self.weight.detach(), "optimizer": self.optimizers[0].state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            self.weight.copy_(state["weight"])
        self.optimizers[0].load_state_dict(state["optimizer"])

    def export(self, folder: Path) -> None:
        self.exports.append(self.weight.detach().clone())


def go(recipe: Recipe, stage: Stage, out: Path, **options: Any) -> Outcome:
    train_images = ImageSet(recipe.data.train, stage.resolution)
    validation = ImageSet(recipe.data.validation, stage.resolution)
    return train(
        recipe, stage, out, train_images=train_images, validation_images=validation, device=CPU, **options
    )


def lines(out: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without what a clock says."""
    read = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in TIMES} for line in read]


def same(a: Any, b: Any) -> bool:
    """Whether two states are equal to the bit."""
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def stop_at(stage: Any, step: int, number: int = signal.SIGTERM) -> None:
    """Lets a signal arrive in the middle of training step `step` (from 0)."""
    inner = stage.train_step

    def interrupted(parts: list[Tensor], now: int, rng: np.random.Generator) -> dict[str, Tensor]:
        if now == step:
            signal.raise_signal(number)
        return inner(parts, now, rng)

    stage.train_step = interrupted


EVERYTHING = {
    "tokenizer": {
        "data": {"crop_scale": 0.7, "colour": 0.1},
        "training": {"accumulate": 2},
        "tokenizer": {"quantize_from": 1, "adversarial": 0.5, "adversarial_start": 3, "adversarial_ramp": 4},
    },
    "transformer": {
        "data": {"crop_scale": 0.7},
        "model": {"dropout": 0.2},
        "transformer": {"bernoulli": 0.3, "replace": 0.2, "codebook_start": True},
    },
}
KINDS = {
    "fake": "tokenizer",
    "tokenizer": "tokenizer",
    "transformer": "transformer",
    "remembering": "transformer",
}
"""What is trained, by the name of the case; `remembering` with pictures that come back unchanged."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_stopped_by_signal_and_resumed_is_bit_exact(kind: str, tmp_path: Path, make_recipe) -> None:
    """Would catch any state that is not in the checkpoint: averages, optimizers, codebook use, random
    numbers, data order, the best loss, lines of the log, tokens that hang on what was encoded before."""
    recipe = make_recipe(KINDS[kind], **EVERYTHING.get(kind, {}))

    def stage() -> Any:
        return FakeStage() if kind == "fake" else build_stage(recipe, CPU)

    whole = stage()
    assert go(recipe, whole, tmp_path / "whole").finished
    for step in (4, 6):  # a fresh object each time, as a new process has; neither is a step that saves anyway
        part = stage()
        stop_at(part, step)
        outcome = go(recipe, part, tmp_path / "parts")
        assert (outcome.step, outcome.finished) == (step + 1, False)
        assert checkpoint.read(tmp_path / "parts" / "last.pt")["step"] == step + 1
    resumed = stage()
    assert go(recipe, resumed, tmp_path / "parts").finished
    assert same(whole.state(), resumed.state())
    assert lines(tmp_path / "whole") == lines(tmp_path / "parts")
    for name in ("last.pt", "best.pt"):
        a, b = checkpoint.read(tmp_path / "whole" / name), checkpoint.read(tmp_path / "parts" / name)
        assert same(a, b)
    for picture in (tmp_path / "whole" / "pictures").iterdir():
        assert picture.read_bytes() == (tmp_path / "parts" / "pictures" / picture.name).read_bytes()
    if kind != "fake":
        a, b = (load_file(tmp_path / run / KINDS[kind] / "weights.safetensors") for run in ("whole", "parts"))
        assert same(a, b)


def test_a_run_removes_what_a_killed_one_was_writing(tmp_path: Path, make_recipe) -> None:
    """Catches half checkpoints that stay beside the whole ones for ever."""
    dead = 2**22 + 1  # more than any process number of Linux
    (tmp_path / "tokenizer").mkdir()
    left = [tmp_path / f".last.pt.{dead}", tmp_path / f".best.pt.{dead}"]
    left.append(tmp_path / "tokenizer" / beside(tmp_path / "a").name.replace(str(os.getpid()), str(dead)))
    for path in left:
        path.write_bytes(b"half")
    go(make_recipe("tokenizer", training={"steps": 1}), FakeStage(), tmp_path)
    assert [path for path in left if path.exists()] == []


def test_a_run_killed_while_it_draws_pictures_draws_them_later(tmp_path: Path, make_recipe) -> None:
    """Catches pictures that are never drawn, as a checkpoint of their step was there before them."""
    recipe = make_recipe("tokenizer", training={"steps": 3, "validate_every": 1})
    stage = FakeStage(validations=(3.0, 2.0, 1.0))

    def killed(images: Tensor) -> Image.Image:
        raise KeyboardInterrupt

    stage.pictures = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        go(recipe, stage, tmp_path)
    assert go(recipe, FakeStage(), tmp_path).finished
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["0000003.png"]


def test_a_crash_loses_only_what_came_after_the_checkpoint(tmp_path: Path, make_recipe) -> None:
    """Would catch figures logged twice, and a line cut short by the crash that makes resuming impossible."""
    recipe = make_recipe("tokenizer")
    go(recipe, FakeStage(), tmp_path / "whole")
    crashing = FakeStage()
    crashing.events[7] = lambda: (_ for _ in ()).throw(OSError("power cut"))
    with pytest.raises(OSError, match="power cut"):
        go(recipe, crashing, tmp_path / "parts")
    assert [line["step"] for line in lines(tmp_path / "parts")][-1] == 6
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')
    resumed = FakeStage()
    resumed.events[3] = lambda: pytest.fail("did not resume from the checkpoint")
    go(recipe, resumed, tmp_path / "parts")
    assert lines(tmp_path / "whole") == lines(tmp_path / "parts")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_handlers_are_put_back(number: int, tmp_path: Path, make_recipe) -> None:
    """Would catch a program that can no longer be interrupted after training."""
    before = signal.getsignal(number)
    stage = FakeStage()
    stop_at(stage, 1, number)
    assert go(make_recipe("tokenizer"), stage, tmp_path).step == 2
    assert signal.getsignal(number) is before


@pytest.fixture
def listening_to_ctrl_c() -> Iterator[None]:
    """As in a terminal: a shell that starts tests in the background has them ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening_to_ctrl_c")
def test_a_second_signal_acts_at_once(tmp_path: Path, make_recipe) -> None:
    """Would catch a run stuck in a step that cannot be stopped but by force."""
    stage = FakeStage()
    stage.events[1] = lambda: [signal.raise_signal(signal.SIGINT) for _ in range(2)]
    with pytest.raises(KeyboardInterrupt):
        go(make_recipe("tokenizer"), stage, tmp_path)
    assert not (tmp_path / "last.pt").exists()


@pytest.mark.parametrize("figure", ["loss", "gradient"])
def test_nan_names_the_step_and_spares_the_good_checkpoint(figure: str, tmp_path: Path, make_recipe) -> None:
    """Would catch a checkpoint full of NaN over the good one. Step 8 of the log saves: the loss was still
    finite there when only the gradient was spoilt."""
    stage = FakeStage()
    stage.spoilt = {7: figure}
    with pytest.raises(TrainingError, match=r"at step 8; the last good checkpoint is .*last\.pt") as caught:
        go(make_recipe("tokenizer"), stage, tmp_path)
    assert "\n" not in str(caught.value)
    assert not torch.isfinite(stage.weight).all()
    for name in ("last.pt", "best.pt"):
        good = checkpoint.read(tmp_path / name)
        assert good["step"] == 4
        assert torch.isfinite(good["stage"]["weight"]).all()
    assert not any("ThreadPool" in thread.name for thread in threading.enumerate())
    assert go(make_recipe("tokenizer", training={"lr": 1e-4}), FakeStage(), tmp_path).finished


def test_nan_before_the_first_checkpoint(tmp_path: Path, make_recipe) -> None:
    """Would catch a message that names a file that is not there, or one of an older run begun anew."""
    for resume in (True, False):
        stage = FakeStage()
        stage.spoilt = {1: "loss"}
        with pytest.raises(TrainingError, match="at step 2; no checkpoint was written yet"):
            go(make_recipe("tokenizer"), stage, tmp_path, resume=resume)
        go(make_recipe("tokenizer"), FakeStage(), tmp_path)


def test_a_signal_after_nan_saves_nothing(tmp_path: Path, make_recipe) -> None:
    """Would catch a stop between two looks at the loss that saves spoilt weights."""
    stage = FakeStage()
    stage.spoilt = {4: "loss"}
    stop_at(stage, 4)
    with pytest.raises(TrainingError, match="at step 5"):
        go(make_recipe("tokenizer", training={"log_every": 10}), stage, tmp_path)
    assert checkpoint.read(tmp_path / "last.pt")["step"] == 4


def test_best_and_last_are_kept(tmp_path: Path, make_recipe) -> None:
    """Would catch a best checkpoint that is merely the last, and an export of other weights than the best."""
    stage = FakeStage(validations=(3.0, 1.0, 2.0))  # after steps 4, 8, 10
    outcome = go(make_recipe("tokenizer"), stage, tmp_path)
    best, last = checkpoint.read(tmp_path / "best.pt"), checkpoint.read(tmp_path / "last.pt")
    assert (outcome.best, best["best"], last["best"]) == (1.0, 1.0, 1.0)
    assert (best["step"], last["step"]) == (8, 10)
    assert len(stage.exports) == 2
    assert torch.equal(stage.exports[-1], best["stage"]["weight"])
    assert [path.name for path in sorted((tmp_path / "pictures").iterdir())] == ["0000008.png", "0000010.png"]
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize(("keep", "step"), [("best", 8), ("last", 10)])
def test_what_the_run_hands_over(keep: str, step: int, tmp_path: Path, make_recipe) -> None:
    """Would catch the softest tokenizer shipped instead of the last, whose pictures are sharper."""
    stage = FakeStage(validations=(3.0, 1.0, 2.0))
    go(make_recipe("tokenizer", training={"keep": keep}), stage, tmp_path)
    kept = checkpoint.read(tmp_path / ("best.pt" if keep == "best" else "last.pt"))
    assert kept["step"] == step
    assert torch.equal(stage.exports[-1], kept["stage"]["weight"])


def test_a_finished_run_stays_finished(tmp_path: Path, make_recipe) -> None:
    """Would catch the same command, given once more, training again."""
    go(make_recipe("tokenizer"), FakeStage(), tmp_path)
    before = lines(tmp_path)
    again = FakeStage()
    again.events = dict.fromkeys(range(10), lambda: pytest.fail("trained again"))
    assert go(make_recipe("tokenizer"), again, tmp_path).finished
    assert lines(tmp_path) == before


def test_restart_forgets_the_run_before(tmp_path: Path, make_recipe) -> None:
    """Would catch an interrupted restart that next time goes on from the old run's checkpoint."""
    go(make_recipe("tokenizer"), FakeStage(), tmp_path)
    stage = FakeStage()
    stage.events[1] = lambda: (_ for _ in ()).throw(OSError("power cut"))
    with pytest.raises(OSError, match="power cut"):
        go(make_recipe("tokenizer"), stage, tmp_path, resume=False)
    assert not (tmp_path / "last.pt").exists()
    assert not (tmp_path / "best.pt").exists()
    assert lines(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"preset": "coursework"}, "preset"), ({"model": {"decoder_blocks": 2}}, "model")],
)
def test_a_run_of_another_recipe_is_refused(changes: dict, word: str, tmp_path: Path, make_recipe) -> None:
    """Would catch weights of one model poured into another, or a finished run overwritten."""
    go(make_recipe("tokenizer"), FakeStage(), tmp_path)
    kept = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(TrainingError, match=f"another {word}.*--restart"):
        go(make_recipe("tokenizer", **changes), FakeStage(), tmp_path)
    assert (tmp_path / "last.pt").read_bytes() == kept


@pytest.mark.parametrize("change", [{"discriminator_channels": 12}, {"adversarial": 0.0}])
def test_a_discriminator_that_does_not_fit_is_refused(change: dict, tmp_path: Path, make_recipe) -> None:
    """Would catch a traceback of many lines: these settings are not part of the model, and change it all
    the same."""
    recipe = make_recipe("tokenizer", training={"steps": 1})
    go(recipe, build_stage(recipe, CPU), tmp_path)
    other = make_recipe("tokenizer", training={"steps": 2}, tokenizer=change)
    ((name, value),) = change.items()
    with pytest.raises(TrainingError, match=rf"fit \(tokenizer\.{name} = {value}, was .*--restart") as caught:
        go(other, build_stage(other, CPU), tmp_path)
    assert "\n" not in str(caught.value)
    assert "zip" not in str(caught.value)


def test_a_run_that_goes_on_says_where_and_with_what(tmp_path: Path, make_recipe) -> None:
    """Would catch a setting changed by mistake, or a run taken up by mistake, that nobody is told of."""
    said: list[str] = []
    go(make_recipe("tokenizer"), FakeStage(), tmp_path, log=said.append)
    go(make_recipe("tokenizer"), FakeStage(), tmp_path, log=said.append)
    assert not said
    longer = make_recipe("tokenizer", training={"steps": 12, "lr": 1e-4})
    go(longer, FakeStage(), tmp_path, log=said.append)
    assert said == [
        "resuming at step 10; changed: training.lr = 0.0001, was 0.001, training.steps = 12, was 10"
    ]


def test_more_steps_and_another_rate_are_no_other_recipe(tmp_path: Path, make_recipe) -> None:
    """Would catch a run that cannot be prolonged."""
    go(make_recipe("tokenizer"), FakeStage(), tmp_path)
    longer = make_recipe("tokenizer", training={"steps": 12, "lr": 1e-4})
    outcome = go(longer, FakeStage(), tmp_path)
    assert (outcome.step, outcome.finished) == (12, True)


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({"tokenizer": {"discriminator_channels": 16}}, 10),
        ({"data": {"validation": "train"}}, 10),
        ({"training": {"steps": 12}}, 8),
    ],
)
def test_the_lowest_loss_of_other_settings_is_forgotten(
    change: dict, step: int, tmp_path: Path, photos: Path, make_recipe
) -> None:
    """Would catch a run that hands over weights of before the change, for a loss nobody can compare."""
    if "data" in change:
        change = {"data": {"validation": str(photos / change["data"]["validation"])}}
    go(make_recipe("tokenizer", training={"steps": 8}), FakeStage(validations=(3.0, 1.0)), tmp_path)
    go(make_recipe("tokenizer", **change), FakeStage(validations=(2.0,)), tmp_path)
    assert checkpoint.read(tmp_path / "best.pt")["step"] == step


def test_a_setting_that_is_new_counts_as_its_default(tmp_path: Path, make_recipe) -> None:
    """Would catch a setting of a later version that changes a run without a word, or a word about none."""
    go(make_recipe("tokenizer"), FakeStage(), tmp_path)
    content = checkpoint.read(tmp_path / "last.pt")
    for name in ("discriminator_channels", "feature_adversarial"):  # of which the recipe changes the first
        del content["recipe"]["tokenizer"][name]
    checkpoint.write(tmp_path / "last.pt", content)
    said: list[str] = []
    go(make_recipe("tokenizer", training={"steps": 12}), FakeStage(), tmp_path, log=said.append)
    assert said[0].startswith("resuming at step 10; changed: tokenizer.discriminator_channels = 8, was 64")
    assert "feature_adversarial" not in said[0]


def test_failing_write_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch a full disk that costs the run, and half files left lying about."""
    path = tmp_path / "last.pt"
    checkpoint.write(path, {"step": 1})

    def full(content: Any, file: Any) -> None:
        file.write(b"half a checkpoint")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingError, match=r"last\.pt.*No space left"):
        checkpoint.write(path, {"step": 2})
    assert checkpoint.read(path)["step"] == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch warns of odd pickles before it fails
def test_damaged_checkpoint_is_one_line(tmp_path: Path) -> None:
    """Would catch a traceback of the unpickler instead of the way out."""
    path = tmp_path / "last.pt"
    checkpoint.write(path, {"step": 1, "stage": torch.arange(100)})
    intact = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(30):
        noise = rng.integers(0, 256, rng.integers(0, 400), dtype=np.uint8).tobytes()
        for damaged in (intact[: rng.integers(len(intact))], noise, b"\x80\x02" + noise):
            path.write_bytes(damaged)
            with pytest.raises(TrainingError, match=r"last\.pt") as caught:
                checkpoint.read(path)
            assert "\n" not in str(caught.value)


def test_checkpoint_runs_no_code_of_strangers(tmp_path: Path) -> None:
    """Would catch a checkpoint that executes what it contains."""

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"format": checkpoint.FORMAT, "step": Evil()}, tmp_path / "last.pt")
    with pytest.raises(TrainingError):
        checkpoint.read(tmp_path / "last.pt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [{"format": checkpoint.FORMAT + 1}, {"step": 1}, [1, 2]])
def test_checkpoint_of_another_format(content: Any, tmp_path: Path) -> None:
    """Would catch a newer checkpoint read as if it were of this version."""
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(TrainingError, match=r"upgrade|is it the checkpoint of a run"):
        checkpoint.read(tmp_path / "last.pt")


def test_run_folder_that_cannot_be_made(tmp_path: Path, make_recipe) -> None:
    """Would catch a traceback when --output names a file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"file.*--out"):
        go(make_recipe("tokenizer"), FakeStage(), tmp_path / "file")


def test_fewer_validation_pictures_than_processes(tmp_path: Path, make_recipe) -> None:
    """Would catch a division by zero in the process that got none."""
    with pytest.raises(DataError, match="3 validation images for 4 processes"):
        go(make_recipe("tokenizer"), FakeStage(), tmp_path, world=4)


def test_learning_rate_warms_up_and_decays(make_recipe) -> None:
    """Would catch a jump after the warm-up, and an end far from the wanted one."""
    config = make_recipe(
        "tokenizer", training={"steps": 100, "warmup": 10, "lr": 1.0, "final_lr": 0.1}
    ).training
    rates = [learning_rate(step, config) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == 1.0
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert rates[55] == pytest.approx(0.55)
    assert rates[99] == pytest.approx(0.1, abs=1e-3)
    without = make_recipe("tokenizer", training={"steps": 100, "warmup": 0, "lr": 1.0}).training
    assert learning_rate(0, without) == 1.0


def test_batches_made_ahead_are_the_batches_asked_for(make_recipe) -> None:
    """Would catch the picture thread running ahead or behind, and parts that lose a picture."""
    recipe = make_recipe("tokenizer", training={"accumulate": 2}, data={"crop_scale": 0.5, "colour": 0.2})
    images = ImageSet(recipe.data.train, 16)
    with Batches(images, recipe, 16, 0, 1) as ahead:
        taken = [ahead.take(step) for step in (0, 1, 2, 2, 7, 3)]
    for step, parts in zip((0, 1, 2, 2, 7, 3), taken, strict=True):
        with Batches(images, recipe, 16, 0, 1) as alone:
            assert same(parts, alone.take(step))
        assert [tuple(part.shape) for part in parts] == [(2, 3, 16, 16)] * 2
        assert all(part.min() >= -1 and part.max() <= 1 for part in parts)


def test_processes_share_out_the_batch(tmp_path: Path, make_recipe) -> None:
    """Would catch pictures seen by two processes, or by none."""
    for level in range(6):
        Image.new("RGB", (16, 16), (level, 0, 0)).save(tmp_path / f"{level}.png")
    images = ImageSet(tmp_path, 16)
    recipe = make_recipe("tokenizer", training={"batch": 6})

    def seen(rank: int, world: int) -> list[int]:
        with Batches(images, recipe, 16, rank, world) as batches:
            (part,) = batches.take(0)
        return ((part[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()

    shares = [seen(rank, 3) for rank in range(3)]
    assert [len(share) for share in shares] == [2, 2, 2]
    assert sorted(itertools.chain(*shares)) == sorted(seen(0, 1)) == list(range(6))


def test_to_float_spans_minus_one_to_one() -> None:
    """Would catch pictures in 0..255 or 0..1, and channels last."""
    picture = np.zeros((2, 3, 3), dtype=np.uint8)
    picture[..., 1], picture[..., 2] = 255, 51
    batch = to_float([picture])
    assert batch.shape == (1, 3, 2, 3)
    torch.testing.assert_close(batch[0, :, 0, 0], torch.tensor([-1.0, 1.0, -0.6]))


def test_colours_vary_within_the_range_and_by_seed(batch: Tensor) -> None:
    """Would catch pictures beyond [-1, 1], one change for the whole batch, and a seed that is ignored."""
    changed = vary_colour(batch, 0.5, np.random.default_rng(0))
    assert changed.min() >= -1
    assert changed.max() <= 1
    assert torch.equal(changed, vary_colour(batch, 0.5, np.random.default_rng(0)))
    assert not torch.equal(changed, vary_colour(batch, 0.5, np.random.default_rng(1)))
    twins = vary_colour(batch[:1].expand(2, -1, -1, -1) * 0.2, 0.1, np.random.default_rng(0))
    assert not torch.equal(twins[0], twins[1])
    torch.testing.assert_close(vary_colour(batch, 0.0, np.random.default_rng(0)), batch)


def test_tensorboard_gets_the_figures(tmp_path: Path, make_recipe) -> None:
    """Would catch figures that are asked for and not written."""
    pytest.importorskip("tensorboard")
    recipe = make_recipe("tokenizer", training={"steps": 2, "tensorboard": True})
    go(recipe, FakeStage(), tmp_path)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    read = {name: events.Scalars(name)[0] for name in ("train/loss", "validation/loss")}
    for line in lines(tmp_path):
        event = read[f"{line['kind']}/loss"]
        assert (event.step, event.value) == (line["step"], pytest.approx(line["loss"], rel=1e-5))


def test_tensorboard_missing_is_one_line(
    tmp_path: Path, make_recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch an ImportError, or figures that silently go nowhere."""
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    recipe = make_recipe("tokenizer", training={"tensorboard": True})
    with pytest.raises(ConfigError, match=r"pip install '\.\[tensorboard\]'"):
        go(recipe, FakeStage(), tmp_path)


def test_the_best_takes_the_place_of_a_lost_last(tmp_path: Path, make_recipe) -> None:
    """Would catch the only good checkpoint being deleted because the other one was damaged and removed."""
    recipe = make_recipe("tokenizer", training={"steps": 10})
    go(recipe, FakeStage([3.0, 1.0, 2.0]), tmp_path)
    assert checkpoint.read(tmp_path / "best.pt")["step"] == 8
    (tmp_path / "last.pt").unlink()
    starts = []
    stage = FakeStage([5.0])
    stage.events = {step: lambda step=step: starts.append(step) for step in range(10)}
    outcome = go(recipe, stage, tmp_path)
    assert (starts, outcome.step, outcome.best) == ([8, 9], 10, 1.0)


def test_a_transformer_of_another_tokenizer_does_not_go_on(tmp_path: Path, make_recipe) -> None:
    """Would catch tokens that mean something else half-way through a run."""
    recipe = make_recipe("transformer", training={"steps": 1})
    go(recipe, build_stage(recipe, CPU), tmp_path)
    longer = make_recipe("transformer", training={"steps": 2})
    stage = build_stage(longer, CPU)
    stage.tokenizer.quantizer.codebook += 0.1
    with pytest.raises(TrainingError, match="tokens of another tokenizer"):
        go(longer, stage, tmp_path)


@pytest.mark.parametrize(
    ("shapes", "data"),
    [("square", {}), ("any", {}), ("square", {"colour": 0.1}), ("square", {"crop_scale": 0.8})],
)
def test_only_tokens_of_pictures_that_recur_are_cached(
    shapes: str, data: dict, tmp_path: Path, make_recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch random crops and colours that hardly ever recur filling the memory."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, width in enumerate([16, 16 if shapes == "square" else 19]):
        Image.new("RGB", (width, 16), (99, 60 * number, 7)).save(folder / f"{number}.png")
    recipe = make_recipe(
        "transformer", data={"train": str(folder)} | data, training={"steps": 1, "device": "cpu"}
    )
    caches: list[TokenCache] = []
    monkeypatch.setattr(TransformerStage, "use_cache", lambda stage, cache: caches.append(cache))
    assert run_module.run(recipe, tmp_path / "run").finished
    assert len(caches) == (shapes == "square" and not data)


def test_operations_are_counted_where_they_are_told(tmp_path: Path, make_recipe) -> None:
    """Would catch an MFU that flatters: the operations of the first step, in which every picture is encoded,
    for those of later ones, which remember their tokens."""
    recipe = make_recipe("tokenizer", training={"steps": 5, "log_every": 2, "validate_every": 5})
    stage, counted = FakeStage(), []
    for step in range(5):
        stage.events[step] = lambda step=step: counted.append((step + 1, bool(_get_current_dispatch_mode())))
    go(recipe, stage, tmp_path)
    assert counted == [(1, False), (2, True), (3, False), (4, True), (5, True)]


def test_the_first_pictures_come_early(tmp_path: Path, make_recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch a quarter of an hour of training on pictures that are upside down, unseen."""
    assert FIRST_PICTURES == 20
    monkeypatch.setattr("maskmend.training.loop.FIRST_PICTURES", 1)
    run(make_recipe("tokenizer", training={"steps": 3}), tmp_path)
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["0000001.png", "0000003.png"]
