"""What each of two processes does; the tests run this file as a script."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from maskmend.config import from_dict
from maskmend.errors import TrainingError
from maskmend.training.dataset import ImageSet
from maskmend.training.distributed import agree, local, mean_over_processes, process_group
from maskmend.training.loop import train
from maskmend.training.recipe import Recipe
from maskmend.training.run import TOKENIZERS, build_stage, configured
from maskmend.training.stages.tokenizer import TokenizerStage

CPU = torch.device("cpu")
WORLD = 2
MODEL = {
    "resolution": 16,
    "encoder_channels": [8, 8, 8],
    "decoder_channels": [8, 8],
    "decoder_blocks": 1,
    "downsample_after": [1, 2],
    "upsample_after": [1, 2],
}


def recipe(folder: Path, update: str, **training: Any) -> Recipe:
    return from_dict(
        Recipe,
        {
            "stage": "tokenizer",
            "data": {"train": str(folder), "validation": str(folder)},
            "training": {"steps": 4, "batch": 4, "log_every": 1, "validate_every": 2, "clip": 1e9} | training,
            "model": MODEL | {"quantizer": {"codes": 16, "code_dim": 4, "update": update}},
            "tokenizer": {"perceptual": 0.0, "adversarial": 0.5 if update == "ema" else 0.0}
            | {"adversarial_start": 2, "discriminator_channels": 8},
        },
    )


def one_step(parts: list[Tensor]) -> tuple[dict[str, Tensor], float]:
    """The weights after a step of plain gradient descent, and the norm of the gradient."""
    torch.manual_seed(0)
    settings = recipe(Path(), "gradient")
    stage = TokenizerStage(settings, configured(TOKENIZERS, settings), CPU, None)
    stage.model.quantizer.initialised = True
    # AdamW divides by the gradient's size, and so makes much of its last bits.
    stage.optimizers = [torch.optim.SGD(stage.model.parameters(), lr=0.1)]
    figures = stage.train_step(parts, 0, np.random.default_rng(0))
    return stage.model.state_dict(), float(figures["gradient"])


def batch() -> Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def transformer_recipe(folder: Path, tokenizer: Path, **training: Any) -> Recipe:
    """A transformer with hints and guesses, over two micro-batches; its rate does not depend on the steps."""
    constant = {"warmup": 0, "final_lr": 1.0, "lr": 1e-3}
    given = {"steps": 4, "batch": 4, "accumulate": 2, "log_every": 1, "validate_every": 2}
    given["validation_images"] = 4
    model = {"codes": 16, "grid": 4, "dim": 16, "heads": 2, "layers": 2, "mlp": 32, "dropout": 0.0}
    return from_dict(
        Recipe,
        {
            "stage": "transformer",
            "data": {"train": str(folder), "validation": str(folder), "crop_scale": 0.5, "colour": 0.1},
            "training": given | constant | training,
            "model": model | {"hints": True, "guesses": True},
            "transformer": {"tokenizer": str(tokenizer), "guesses": 0.3, "replace": 0.1},
        },
    )


def decoder_recipe(folder: Path, tokenizer: Path, **training: Any) -> Recipe:
    """A decoder on true tokens, without discriminators, over two micro-batches."""
    given = {"steps": 4, "batch": 4, "accumulate": 2, "log_every": 1, "validate_every": 2}
    given |= {"validation_images": 4, "warmup": 0, "final_lr": 1.0, "lr": 1e-3}
    return from_dict(
        Recipe,
        {
            "stage": "decoder",
            "data": {"train": str(folder), "validation": str(folder), "crop_scale": 0.5, "colour": 0.1},
            "training": given | training,
            "model": {"known_channels": [8, 8, 8]},
            "decoder": {"tokenizer": str(tokenizer), "perceptual": 0.0, "adversarial": 0.0},
        },
    )


def train_stage(settings: Recipe, out: Path, rank: int = 0, world: int = 1) -> Any:
    """The stage after its run."""
    stage = build_stage(settings, CPU)
    images = ImageSet(settings.data.train, 16)
    options: dict[str, Any] = {"train_images": images, "validation_images": images, "device": CPU}
    train(settings, stage, out, rank=rank, world=world, **options)
    return stage


def reductions(settings: Recipe, parts: int) -> int:
    """How often the processes meet in a step of so many micro-batches."""
    stage: Any = build_stage(settings, CPU)
    met = []

    def counted(group: Any, bucket: torch.distributed.GradBucket) -> torch.futures.Future[Tensor]:
        met.append(bucket.index())
        return allreduce_hook(group, bucket)

    assert isinstance(stage.parallel, DistributedDataParallel)
    stage.parallel.register_comm_hook(None, counted)
    stage.train_step(list(batch().chunk(parts)), 0, np.random.default_rng(0))
    return len(met)


def collectives(settings: Recipe, parts: int) -> dict[str, int]:
    """How often sharded gradients are sent and weights gathered in a step of so many micro-batches."""
    stage: Any = build_stage(settings, CPU)
    found = {"sent": 0, "gathered": 0}

    def counted(kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*given: Any, **options: Any) -> Any:
            found[kind] += 1
            return call(*given, **options)

        return counting

    # Newer versions of PyTorch have other names for them.
    names = {"reduce_scatter_tensor": "sent", "reduce_scatter_single": "sent"}
    names |= {"all_gather_into_tensor": "gathered", "all_gather_single": "gathered"}
    with pytest.MonkeyPatch.context() as patch:
        for name, kind in names.items():
            if hasattr(torch.distributed, name):
                patch.setattr(torch.distributed, name, counted(kind, getattr(torch.distributed, name)))
        stage.train_step(list(batch().chunk(parts)), 0, np.random.default_rng(0))
    return found


def transformers(folder: Path, tokenizer: Path, rank: int, world: int) -> dict[str, Any]:
    """What both processes found in training transformers, whole and sharded."""
    photos = folder / "photos"
    stage = train_stage(transformer_recipe(photos, tokenizer), folder / "ddp", rank, world)
    found: dict[str, Any] = {"ddp": stage.state()["model"]}
    # Begun by one process, before these were started.
    train_stage(transformer_recipe(photos, tokenizer), folder / "one-then-two", rank, world)
    found["met"] = [reductions(transformer_recipe(photos, tokenizer), parts) for parts in (1, 2)]
    options = {"parallel": "fsdp", "recompute": True}
    sharded = transformer_recipe(photos, tokenizer, **options)
    found["collectives"] = [collectives(sharded, parts) for parts in (1, 2)]
    whole = train_stage(sharded, folder / "fsdp", rank, world).tensors()
    half = transformer_recipe(photos, tokenizer, steps=2, **options)
    train_stage(half, folder / "stopped", rank, world)
    resumed = train_stage(sharded, folder / "stopped", rank, world).tensors()
    found["exact"] = {name: torch.equal(local(whole[name]), local(resumed[name])) for name in whole}
    found["share"] = sum(local(value).numel() for name, value in whole.items() if name.startswith("model."))
    return found


def nan_in_one_process(folder: Path, rank: int, world: int) -> str:
    """What the run says when only process 1 meets a NaN."""
    settings = recipe(folder / "photos", "ema", steps=6, log_every=3)
    stage = build_stage(settings, CPU)
    inner = stage.train_step

    def spoilt(parts: list[Tensor], step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        if (rank, step) == (1, 3):
            parts = [part * float("nan") for part in parts]
        return inner(parts, step, rng)

    stage.train_step = spoilt  # type: ignore[method-assign]
    images = ImageSet(settings.data.train, 16)
    options: dict[str, Any] = {"train_images": images, "validation_images": images, "device": CPU}
    try:
        train(settings, stage, folder / "nan", rank=rank, world=world, **options)
    except TrainingError as error:
        return str(error)
    return "finished"


def work(folder: Path, tokenizer: Path) -> None:
    """What each process does."""
    torch.set_num_threads(1)
    with process_group(CPU) as (rank, world):
        found: dict[str, Any] = {"rank": rank, "world": world}
        found["mean"] = mean_over_processes({"a": float(rank), "b": 3.0}, CPU)
        found["agree"] = [agree(False), agree(rank == 1), agree(True)]
        found["step"] = one_step([batch()[rank::world]])

        settings = recipe(folder / "photos", "ema")
        stage = build_stage(settings, CPU)
        images = ImageSet(settings.data.train, 16)
        options: dict[str, Any] = {"train_images": images, "validation_images": images, "device": CPU}
        outcome = train(settings, stage, folder / "run", rank=rank, world=world, **options)
        found["finished"] = outcome.finished
        found["state"] = stage.state()
        found |= transformers(folder, tokenizer, rank, world)
        train_stage(decoder_recipe(folder / "photos", tokenizer), folder / "decoder", rank, world)
        found["nan"] = nan_in_one_process(folder, rank, world)
        # Before the group is left: what comes after may abort.
        torch.save(found, folder / f"rank{rank}.pt")


if __name__ == "__main__":
    work(Path(sys.argv[1]), Path(sys.argv[2]))
