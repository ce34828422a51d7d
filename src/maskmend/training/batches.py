"""Batches of pictures by step number, prepared ahead of the step in a thread or in worker processes.

Everything random about batch k is derived from the seed, k and a picture's position in the whole batch, not
from the worker. So a batch is the same with any number of workers, and the shares of any number of processes
are parts of the same batch.
"""

import multiprocessing
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from maskmend.errors import DataError, MaskmendError, TrainingError
from maskmend.progress import Log
from maskmend.storage.stores import is_url
from maskmend.training.dataset import Box, ImageSet, batch_indices, crop, cut, draw_box
from maskmend.training.recipe import Recipe
from maskmend.training.shards.pictures import ShardSet
from maskmend.training.shards.tokens import TokenBatch, TokenSet

Pictures = ImageSet | ShardSet
MicroBatch = Tensor | TokenBatch

AHEAD = 2
"""Batches that each worker process makes ahead."""


def validation_crop(images: Pictures, index: int, size: int, smallest: float) -> np.ndarray:
    """The centre of a picture held at `size`; of one held larger a crop at a scale as in training, the same
    in every run."""
    rng = None if images.size == size else np.random.default_rng([13, index])
    return crop(images[index], size, rng, (smallest, 1.0))


def to_float(pictures: list[np.ndarray]) -> Tensor:
    """uint8 (H, W, 3) pictures to one float (B, 3, H, W) batch in [-1, 1]."""
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return stacked.float().div_(127.5).sub_(1)


def vary_colour(batch: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Random brightness, contrast and saturation of each picture, within [-1, 1]."""
    return change_colour(batch, rng.uniform(-strength, strength, (3, len(batch))))


def change_colour(batch: Tensor, changes: np.ndarray) -> Tensor:
    """Brightness, contrast and saturation of each picture changed by `changes` (3, B), within [-1, 1]."""
    change = torch.from_numpy(changes[..., None, None, None]).float()
    grey = batch.mean(1, keepdim=True)
    batch = grey + (batch - grey) * (1 + change[2])
    return (batch * (1 + change[1]) + change[0]).clamp(-1, 1)


class Made(NamedTuple):
    """The outcome of making a batch."""

    micro_batches: list[Any]
    skipped: list[str]
    """A line for each picture that could not be decoded."""
    error: str | None = None
    """The error that stopped it; an exception raised in a worker process would have its traceback as its
    message."""


@dataclass(frozen=True, kw_only=True)
class BatchMaker(Dataset):
    """Makes the micro-batches of a process's share of any step's batch."""

    images: Pictures
    recipe: Recipe
    size: int
    rank: int
    world: int
    with_pictures: bool = True
    """Whether batches of a token set hold the pictures too."""

    def __getitem__(self, step: int) -> Made:
        skipped_before = len(self.images.skipped)
        try:
            micro_batches = self.make(step)
        except MaskmendError as error:
            return Made([], self.images.skipped[skipped_before:], str(error))
        return Made(micro_batches, self.images.skipped[skipped_before:])

    def make(self, step: int) -> list[MicroBatch]:
        training, data = self.recipe.training, self.recipe.data
        chosen = [int(i) for i in batch_indices(step, training.batch, len(self.images), training.seed)]
        own = slice(self.rank, None, self.world)
        if isinstance(self.images, TokenSet):
            rng = np.random.default_rng([training.seed, step, 0, 1])
            flips = rng.random(len(chosen)) < 0.5
            batch = self.images.batch(chosen[own], flips[own].tolist(), pictures=self.with_pictures)
            return cast("list[MicroBatch]", batch.chunk(training.accumulate))
        scale = data.crop_scale, 1.0
        if isinstance(self.images, ShardSet):
            # The sides of the others' pictures, on which draws depend, are known to those who decode them.
            rngs = [
                np.random.default_rng([training.seed, step, position, 3])
                for position in range(len(chosen))[own]
            ]
            pictures = self.images.take(chosen[own])
            boxes: list[Box] = [
                draw_box(p.shape[:2], rng, scale) for p, rng in zip(pictures, rngs, strict=True)
            ]
            changes = np.array([rng.uniform(-data.colour, data.colour, 3) for rng in rngs]).T
        else:
            rng = np.random.default_rng([training.seed, step, 0, 1])
            boxes = [draw_box(self.images.shapes[i], rng, scale) for i in chosen][own]
            pictures = [self.images[i] for i in chosen[own]]
            changes = rng.uniform(-data.colour, data.colour, (3, len(chosen)))[:, own]
        batch = to_float([cut(p, self.size, box) for p, box in zip(pictures, boxes, strict=True)])
        if data.colour > 0:
            batch = change_colour(batch, changes)
        return list(batch.chunk(training.accumulate))


class Batches:
    """Micro-batches by step number; the next ones are prepared during the step. A context manager: its thread
    or processes end with it. Raises TrainingError at its end where a worker process was killed.

    Args:
        log: called with a line for each picture that could not be decoded.
    """

    def __init__(
        self,
        images: Pictures,
        recipe: Recipe,
        size: int,
        rank: int,
        world: int,
        *,
        with_pictures: bool = True,
        log: Log | None = None,
    ) -> None:
        self.maker = BatchMaker(
            images=images, recipe=recipe, size=size, rank=rank, world=world, with_pictures=with_pictures
        )
        self.workers, self.log = recipe.data.workers, log
        self._logged: set[str] = set()
        self.pool = ThreadPoolExecutor(1) if self.workers == 0 else None
        self.ahead: tuple[int, Future[Made]] | None = None
        self._coming: Iterator[Made] | None = None
        self._next = -1

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)
        self._coming = None  # ends the processes
        # The loader may report a killed process at any point of the training.
        if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
            raise _ended(error) from None

    def take(self, step: int) -> list[Any]:
        """The micro-batches of this process's share of batch `step`. Raises DataError."""
        made = self._from_workers(step) if self.pool is None else self._from_thread(step, self.pool)
        for line in made.skipped:
            if self.log and line not in self._logged:
                self.log(f"skipped {line}")
                self._logged.add(line)
        if made.error is not None:
            raise DataError(made.error)
        return made.micro_batches

    def _from_thread(self, step: int, pool: ThreadPoolExecutor) -> Made:
        expected = self.ahead is not None and self.ahead[0] == step
        made = self.ahead[1].result() if self.ahead and expected else self.maker[step]
        self.ahead = (step + 1, pool.submit(self.maker.__getitem__, step + 1))
        return made

    def _from_workers(self, step: int) -> Made:
        if self._coming is None or self._next != step:
            self._coming = iter(made_by_workers(self.maker, self.workers, step))
        self._next = step + 1
        try:
            return next(self._coming)
        except (EOFError, ConnectionError) as error:  # its pipe is closed before the loader has noticed
            _reap(getattr(self._coming, "_workers", []))
            raise _ended(error) from None


def _reap(workers: Sequence[Any]) -> None:
    """Waits until the process that ended is no longer a child: until then the loader's handler of SIGCHLD may
    raise wherever the training is, in the handling of our own error too."""
    with suppress(RuntimeError):  # what it raises
        for _ in range(500):
            if not all(worker.is_alive() for worker in workers):
                return
            time.sleep(0.01)


def _ended(error: Exception) -> TrainingError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return TrainingError(
        f"a process that decodes pictures was ended ({reason}): if memory was short, lower data.workers or "
        "data.cache_gib, and resume"
    )


def made_by_workers(maker: BatchMaker, workers: int, start: int) -> DataLoader:
    """The batches from step `start` on, in order, each made whole by one of the processes."""
    steps = range(start, max(start + 1, maker.recipe.training.steps))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the recipe asks for more processes than cores
        return _loader(maker, workers, steps)


def _loader(maker: BatchMaker, workers: int, steps: range) -> DataLoader:
    with warnings.catch_warnings():
        # The user chose how many; where they wait for a network, more than there are processors may be right.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        return DataLoader(
            maker,
            batch_size=None,
            sampler=steps,
            num_workers=workers,
            prefetch_factor=AHEAD,
            collate_fn=cast("Any", _as_made),
            worker_init_fn=_leave_signals,
            multiprocessing_context=multiprocessing.get_context(start_method(maker.images)),
            # Else the loader draws from PyTorch's global generator.
            generator=torch.Generator(),
        )


def start_method(images: Pictures) -> str:
    """How the processes that make batches of `images` are started.

    A fork shares the pictures in memory. It is not safe elsewhere than on Linux, beside threads; nor where
    pictures are read from a URL: fsspec has its event loop in a thread, which a forked process lacks, while
    it inherits the thread's open connections and whatever locks it held at that moment.
    """
    remote = isinstance(images, ShardSet) and is_url(images.index.place)
    return "fork" if sys.platform == "linux" and not remote else "spawn"


def _as_made(made: Made) -> Made:
    """The loader would look through it for arrays."""
    return made


def _leave_signals(_: int) -> None:
    """Ctrl-C reaches every process of the terminal: the training process alone answers it, and saves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
