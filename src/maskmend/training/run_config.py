"""The tables of a recipe that every stage has: [data] and [training]."""

import math
from dataclasses import dataclass
from typing import Literal

from maskmend.errors import ConfigError
from maskmend.training.bounds import check_bounds


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    train: str
    """Folder of images (searched recursively), tar file, or folder of tar files. Where `maskmend data index`
    or `maskmend data tokenize` made an index, shards (a folder, a URL, or the index itself), of which
    pictures are read when they are needed."""
    validation: str
    """Likewise; never trained on."""
    side: int = 0
    """Pictures are held with a shorter side of so many pixels, so that a random crop may be as small as the
    model's resolution and still be sharp; 0: of the model's resolution, as is any number below it."""
    crop_scale: float = 1.0
    """Smallest side of a random crop, as a share of the shorter side; 1 keeps the whole side. Sides are drawn
    evenly over the logarithm: halvings are met equally often."""
    colour: float = 0.0
    """Strength of random brightness, contrast and saturation changes; 0 is none, 0.1 is mild."""
    cache_gib: float = 4.0
    """Memory for decoded pictures, in GiB; what does not fit is decoded again in each epoch."""
    workers: int = 0
    """Processes that decode pictures ahead of the step, for each training process; 0: one thread of it."""

    def __post_init__(self) -> None:
        bounds = {"side": (0, 4096), "crop_scale": (0.1, 1), "colour": (0, 0.5), "cache_gib": (0, math.inf)}
        bounds["workers"] = (0, 1024)
        check_bounds("data", self, bounds)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    steps: int
    """Optimizer steps in all."""
    batch: int = 32
    """Images a step, over all processes and micro-batches."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """What several processes (torchrun) do. ddp: each has the whole model and gradients are averaged. fsdp:
    weights, gradients, moving average and optimizer are shared out, for transformers that one device does
    not hold, and checkpoints are folders that any number of processes loads."""
    recompute: bool = False
    """Activation checkpointing of a transformer: a block's activations are computed again in the backward
    pass instead of kept, which adds a forward pass of the blocks to each step."""
    accumulate: int = 1
    """Number of micro-batches of a step, over which gradients are accumulated."""
    lr: float = 1e-4
    """Peak learning rate of AdamW."""
    final_lr: float = 0.05
    """Learning rate at the end, as a share of the peak (cosine decay)."""
    warmup: int = 200
    """Steps over which the learning rate rises linearly."""
    beta1: float = 0.9
    """Decay of AdamW's average of the gradient."""
    beta2: float = 0.95
    """Decay of AdamW's average of the squared gradient."""
    weight_decay: float = 0.01
    """Decoupled weight decay, on matrices and filters only."""
    clip: float = 1.0
    """Largest gradient norm."""
    ema: float = 0.999
    """Decay of the moving average of the weights, a step."""
    seed: int = 0
    """Of initial weights, data order, crops and masks."""
    log_every: int = 20
    """Steps between lines in metrics.jsonl."""
    validate_every: int = 500
    """Steps between validations."""
    checkpoint_every: int = 250
    """Steps between checkpoints."""
    picture_every: int = 500
    """Steps between picture grids; there is one at step 20 in any case."""
    validation_images: int = 256
    """Number of validation images that are used, from the first."""
    keep: Literal["best", "last"] = "best"
    """Which averaged weights the run exports: those of the lowest validation loss, or the last. Take the
    last with an adversarial loss, which makes pictures sharper and their distance to the truth larger."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 autocast on CUDA, fp32 elsewhere."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    threads: int = 0
    """CPU threads; 0 leaves PyTorch's choice."""
    tensorboard: bool = False
    """Also writes the metrics for TensorBoard into the run folder; `pip install '.[tensorboard]'`."""

    def __post_init__(self) -> None:
        counts = ("steps", "batch", "accumulate", "validation_images")
        counts += ("log_every", "validate_every", "checkpoint_every", "picture_every")
        check_bounds("training", self, dict.fromkeys(counts, (1, math.inf)))
        check_bounds(
            "training", self, dict.fromkeys(("warmup", "weight_decay", "seed", "threads"), (0, math.inf))
        )
        check_bounds("training", self, {"final_lr": (0, 1)})
        if self.batch % self.accumulate:
            raise ConfigError(
                f"training.accumulate = {self.accumulate} does not divide training.batch = {self.batch}: "
                "choose a divisor"
            )
        for name, example in (("lr", 1e-4), ("clip", 1.0)):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(
                    f"training.{name} = {getattr(self, name)}: choose a positive number, such as {example}"
                )
        for name, example in (("ema", 0.999), ("beta1", 0.9), ("beta2", 0.95)):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    f"training.{name} = {getattr(self, name)}: choose a value in [0, 1), such as {example}"
                )
