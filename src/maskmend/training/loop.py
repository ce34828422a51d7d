"""The training loop of both stages.

    step k:  batch k of the data order (a pure function of seed and k) ─► stage.train_step ─► metrics.jsonl
    at intervals:  validation, a picture grid, a checkpoint (last.pt; best.pt at the lowest validation loss)

Everything random is drawn from (seed, step), for the whole batch in every process, so a resumed run repeats
bit for bit what an uninterrupted one does. A signal saves a checkpoint before the run ends. A metric that is
not finite stops the run before anything is saved, with an error that names the step and the last good
checkpoint.
"""

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import cast

import numpy as np
import torch
from torch import Tensor

from maskmend.config import to_dict
from maskmend.errors import DataError, TrainingError
from maskmend.pretrained.hashes import tokens_hash
from maskmend.progress import Log
from maskmend.storage.temporary import remove_stale
from maskmend.training import checkpoint, sharded_checkpoint
from maskmend.training.batches import Batches, Pictures, to_float, validation_crop
from maskmend.training.distributed import agree, mean_over_processes
from maskmend.training.metrics_log import MetricsLog
from maskmend.training.precision import uses_bf16
from maskmend.training.recipe import Recipe
from maskmend.training.resuming import resume_run
from maskmend.training.run_config import TrainingConfig
from maskmend.training.stages.stage import Stage
from maskmend.training.stages.transformer import TransformerStage
from maskmend.training.throughput import Meter

MetricsCallback = Callable[[str, dict[str, float]], object]
"""Called with the kind ("train" or "validation") and the metrics, "step" among them."""


@dataclass(frozen=True)
class TrainingOutcome:
    """How a run ended."""

    step: int
    finished: bool
    best: float | None
    """Lowest validation loss."""


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then half a cosine from `lr` to `final_lr` * `lr`."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    progress = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
    return config.lr * (config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * progress)))


FIRST_PICTURES = 20
"""A step with a picture grid, whatever `picture_every` is, so that errors in the pictures are seen early."""


def train(
    recipe: Recipe,
    stage: Stage,
    out: Path,
    *,
    train_images: Pictures,
    validation_images: Pictures,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
    resume: bool = True,
    on_metrics: MetricsCallback | None = None,
    log: Log | None = None,
) -> TrainingOutcome:
    """Trains `stage` to the recipe's last step, writing into `out`. Where a run is resumed, `log` is called
    with a line that names the settings changed since.

    Raises TrainingError on a loss or gradient that is not finite, when `out` holds a run of another recipe,
    or when it cannot be written; DataError with fewer validation images than processes.
    """
    config = recipe.training
    # Every process takes equally many, so that the mean of their means is the mean.
    shown = min(len(validation_images), config.validation_images) // world * world
    if shown == 0:
        raise DataError(
            f"{len(validation_images)} validation images for {world} processes: give at least as many"
        )
    sharded = config.parallel == "fsdp"
    last, best_file = out / ("last.json" if sharded else "last.pt"), out / "best.pt"
    _make_folder(out)
    if rank == 0:
        for folder in (out, out / stage.component):
            remove_stale(folder)  # left by a killed run, each as large as a checkpoint
    start, best = 0, None
    # Without last.pt, best.pt is the latest: of a run stopped between the two, or repaired by hand.
    before = next((path for path in ((last,) if sharded else (last, best_file)) if path.is_file()), None)
    other = out / ("last.pt" if sharded else "last.json")
    if resume and before is None and other.is_file():
        raise TrainingError(
            f"{out} holds a run with another training.parallel than {config.parallel!r}: give it the same, "
            "choose another --output, or start over with --restart"
        )
    if resume and before is not None:
        start, best, changed = resume_run(stage, before, recipe)
        if log and rank == 0 and start < config.steps:
            log(f"resuming at step {start}" + (f"; changed: {', '.join(changed)}" if changed else ""))
    elif rank == 0:
        # Files of an earlier run must not be resumed, nor exported as if they were of this run.
        exported = [out / stage.component / name for name in ("weights.safetensors", "config.json")]
        for old in (out / "last.pt", best_file, *exported):
            old.unlink(missing_ok=True)
        sharded_checkpoint.remove(out / "last.json")
    metrics_log = MetricsLog(out, start, tensorboard=config.tensorboard) if rank == 0 else None
    skipped_before = len(validation_images.skipped)
    held_out = [
        validation_crop(validation_images, i, stage.resolution, recipe.data.crop_scale)
        for i in range(rank, shown, world)
    ]
    if log:
        for line in validation_images.skipped[skipped_before:]:
            log(f"skipped {line}")
    part = max(1, 32 // world)  # so that masks are those of the batches of one process
    validation = [to_float(held_out[i : i + part]).to(device) for i in range(0, len(held_out), part)]
    bad = torch.full((), -1, device=device)
    step = start
    meter = Meter(config.batch, device, bf16=uses_bf16(config, device))

    def save(path: Path) -> None:
        _raise_if_not_finite(bad, last)
        content = {"step": step, "best": best, "recipe": to_dict(recipe)}
        if sharded:
            transformer = cast("TransformerStage", stage)
            content["tokenizer"] = tokens_hash(transformer.tokenizer)
            sharded_checkpoint.write(path, content, transformer.tensors())
        elif rank == 0:
            checkpoint.write(path, content | {"stage": stage.state()})

    def record(kind: str, values: dict[str, float]) -> None:
        if metrics_log is not None:
            metrics_log.write(kind, step, values)
            if on_metrics:
                on_metrics(kind, {"step": float(step), **values})

    ahead = Batches(
        train_images,
        recipe,
        stage.resolution,
        rank,
        world,
        with_pictures=getattr(stage, "needs_pictures", True),
        log=log,
    )
    with ahead as batches, _signals() as stopping:
        while step < config.steps:
            rate = learning_rate(step, config)
            for optimizer in stage.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate
            with meter.waiting():
                micro_batches = batches.take(step)
            logged = (step + 1) % config.log_every == 0 or step + 1 == config.steps
            with meter.step(counted=logged):
                metrics = stage.train_step(
                    micro_batches, step, np.random.default_rng([config.seed, step, 0, 2])
                )
            step += 1
            # Kept on the device: reading it in each step would synchronise. The gradient counts too: it makes
            # the weights infinite one step before the loss.
            finite = torch.stack([value.float() for value in metrics.values()]).isfinite().all()
            bad = bad.masked_fill((bad < 0) & ~finite, step)
            if logged:
                _raise_if_not_finite(bad, last)
                values = mean_over_processes({k: float(v) for k, v in metrics.items()}, device)
                record("train", values | {"lr": rate} | meter.read())
            # Before last.pt too: a run killed in between draws them when it comes to this step again.
            shows = step % config.picture_every == 0 or step in (FIRST_PICTURES, config.steps)
            if shows and (rank == 0 or sharded):  # sharded weights are gathered by all
                grid = stage.pictures(validation[0][:8])
                if rank == 0:
                    (out / "pictures").mkdir(exist_ok=True)
                    grid.save(out / "pictures" / f"{step:07d}.png")
            if step % config.validate_every == 0 or step == config.steps:
                values = mean_over_processes(stage.validate(validation), device)
                record("validation", values)
                if best is None or values["loss"] < best:
                    best = values["loss"]
                    if not sharded:
                        # Before last.pt: a run killed in between repeats this validation.
                        save(best_file)
                    if rank == 0 or sharded:
                        stage.export(out / stage.component)
                    save(last)
                meter.restart()
            stop = agree(stopping.is_set())
            if step % config.checkpoint_every == 0 or step == config.steps or stop:
                save(last)
            if stop:
                break
    if (rank == 0 or sharded) and config.keep == "last" and step > 0:
        stage.export(out / stage.component)
    if metrics_log is not None:
        metrics_log.close()
    return TrainingOutcome(step=step, finished=step >= config.steps, best=best)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(
            f"cannot make the run folder {out} ({error.strerror}): choose another --output"
        ) from None


def _raise_if_not_finite(bad: Tensor, last: Path) -> None:
    if (step := int(bad)) >= 0:
        kept = f"the last good checkpoint is {last}" if last.is_file() else "no checkpoint was written yet"
        raise TrainingError(
            f"the loss or its gradient was not finite at step {step}; {kept}; lower training.lr and resume"
        )


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second signal acts as usual."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {}

    def handle(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, handle)
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
