"""The tables of a recipe that every stage has: [data] and [training]."""

import math
from dataclasses import dataclass
from typing import Literal

from maskmend.errors import ConfigError
from maskmend.training.recipe_checks import check_bounds


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    train: str
    """Folder of images (searched recursively), tar file, or folder of tar files. With an index made by
    `maskmend data index` or `maskmend data tokenize`: the shards (a folder, a URL, or the index itself),
    whose pictures are read on demand."""
    validation: str
    """Likewise; never used for training."""
    side: int = 0
    """Shorter side, in pixels, at which pictures are stored. With more than the model's resolution, small
    random crops are still sharp. 0, or any number below the resolution: the resolution."""
    crop_scale: float = 1.0
    """Smallest side of a random crop, as a share of the picture's shorter side; 1: always the whole shorter
    side. Sides are sampled uniformly on a logarithmic scale."""
    colour: float = 0.0
    """Strength of random brightness, contrast and saturation changes; 0 is none, 0.1 is mild."""
    cache_gib: float = 4.0
    """Memory for decoded pictures, in GiB; what does not fit is decoded again in each epoch."""
    workers: int = 0
    """Processes that decode pictures in advance, for each training process; 0: one thread of the training
    process."""

    def __post_init__(self) -> None:
        bounds = {"side": (0, 4096), "crop_scale": (0.1, 1), "colour": (0, 0.5), "cache_gib": (0, math.inf)}
        bounds["workers"] = (0, 1024)
        check_bounds("data", self, bounds)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    steps: int
    """Number of optimizer steps."""
    batch: int = 32
    """Images per step, over all processes and micro-batches."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """How several processes (torchrun) share the work. ddp: each has the whole model, and gradients are
    averaged. fsdp: weights, gradients, moving average and optimizer state are sharded, for transformers that
    do not fit on one device; checkpoints are folders that any number of processes can load."""
    recompute: bool = False
    """Activation checkpointing of a transformer: the activations of a block are recomputed in the backward
    pass instead of stored, which adds a forward pass of the blocks to each step."""
    accumulate: int = 1
    """Number of micro-batches of a step, over which gradients are accumulated."""
    lr: float = 1e-4
    """Peak learning rate of AdamW."""
    final_lr: float = 0.05
    """Final learning rate, as a share of the peak (cosine decay)."""
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
    """Decay of the moving average of the weights, per step."""
    seed: int = 0
    """Seed of initial weights, data order, crops and masks."""
    log_every: int = 20
    """Steps between lines in metrics.jsonl."""
    validate_every: int = 500
    """Steps between validations."""
    checkpoint_every: int = 250
    """Steps between checkpoints."""
    picture_every: int = 500
    """Steps between grids of pictures; the first is always at step 20."""
    validation_images: int = 256
    """Number of validation images that are used, starting with the first."""
    keep: Literal["best", "last"] = "best"
    """Which averaged weights the run exports: those with the lowest validation loss, or the last ones. Choose
    the last with an adversarial loss, which makes pictures sharper and increases their distance from the
    originals."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 autocast on CUDA, fp32 elsewhere."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    threads: int = 0
    """Number of CPU threads; 0: PyTorch's default."""
    tensorboard: bool = False
    """Also write the metrics for TensorBoard into the run folder; `pip install '.[tensorboard]'`."""

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
