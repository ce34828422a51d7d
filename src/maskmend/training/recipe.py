"""A recipe: everything one training run depends on, as a TOML file (`maskmend train ... --config file.toml`).

    stage = "tokenizer"        [data] [model] [training] and [tokenizer], [transformer] or [decoder]

Each table is a dataclass that checks itself; the docstring under a field is its documentation.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from maskmend.config import from_dict, nearest, override, read_toml
from maskmend.errors import ConfigError
from maskmend.images.infill import STRATEGIES
from maskmend.pretrained.migrations import migrate_recipe
from maskmend.settings import SCHEDULES


def _check(table: str, config: Any, bounds: dict[str, tuple[int | float, int | float]]) -> None:
    """Raises ConfigError for a setting outside its (lowest, highest), both allowed; NaN is outside all."""
    for name, (lowest, highest) in bounds.items():
        value = getattr(config, name)
        if not (lowest <= value <= highest and math.isfinite(value)):
            wanted = (
                f"at least {lowest:g}" if highest == math.inf else f"a value from {lowest:g} to {highest:g}"
            )
            raise ConfigError(f"{table}.{name} = {value}: choose {wanted}")


def _check_some(table: str, config: Any, names: tuple[str, ...]) -> None:
    """Raises ConfigError when all of these weights are 0."""
    if not any(getattr(config, name) > 0 for name in names):
        raise ConfigError(f"{table}: the weights of {', '.join(names)} are all 0: give one a positive weight")


def _check_choices(table: str, config: Any, choices: Mapping[str, Iterable[str]]) -> None:
    """Raises ConfigError for a setting that is none of its choices."""
    for name, known in choices.items():
        value = getattr(config, name)
        if value not in known:
            raise ConfigError(f"{table}.{name} = {value!r} is unknown{nearest(value, known)}")


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
        _check("data", self, bounds)


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
        _check("training", self, dict.fromkeys(counts, (1, math.inf)))
        _check("training", self, dict.fromkeys(("warmup", "weight_decay", "seed", "threads"), (0, math.inf)))
        _check("training", self, {"final_lr": (0, 1)})
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


@dataclass(frozen=True, kw_only=True)
class ImageLossConfig:
    """Losses of the reconstructed images, in stage 1 and in the training of its decoder."""

    TABLE: ClassVar[str]
    perceptual: float = 1.0
    """Weight of the LPIPS distance; 0 trains without it (and needs no weights)."""
    perceptual_net: Literal["vgg16", "alexnet"] = "vgg16"
    """The network whose features LPIPS compares."""
    perceptual_weights: str = ""
    """A file with the LPIPS weights; empty takes the one `maskmend weights fetch` stored."""
    perceptual_share: float = 1.0
    """Share of each batch whose perceptual distance is computed: it costs more than a small tokenizer."""
    adversarial: float = 0.8
    """Weight of the adversarial loss, on top of the adaptive weight; 0 trains without this discriminator."""
    feature_adversarial: float = 0.0
    """The same of a second discriminator, whose inputs are the features of the perceptual network of those
    images whose perceptual distance is computed."""
    classifier: float = 0.0
    """Weight of the distance in the features of a classifier of photographs (EfficientNet-Lite0); 0 trains
    without it."""
    classifier_adversarial: float = 0.0
    """Weight of the adversarial loss of a discriminator of that classifier's features."""
    classifier_weights: str = ""
    """A file with the classifier's weights; empty takes the one `maskmend weights fetch` stored."""
    adversarial_start: int = 2000
    """First step with the discriminators."""
    adversarial_ramp: int = 200
    """Steps over which the adversarial weight rises."""
    discriminator_channels: int = 64
    """Filters of the first one's first layer, a multiple of 4; each layer doubles them, up to eight times as
    many."""
    discriminator_layers: int = 2
    """Layers between the first one's first and last; more see larger patches."""

    def __post_init__(self) -> None:
        weights = ("perceptual", "adversarial", "feature_adversarial", "classifier")
        weights += ("classifier_adversarial", "adversarial_start", "adversarial_ramp")
        _check(self.TABLE, self, dict.fromkeys(weights, (0, math.inf)))
        if self.feature_adversarial > 0 and self.perceptual == 0:
            raise ConfigError(
                f"{self.TABLE}.feature_adversarial = {self.feature_adversarial} needs the perceptual "
                f"network: give {self.TABLE}.perceptual a weight above 0"
            )
        _check(self.TABLE, self, {"perceptual_share": (0, 1), "discriminator_layers": (1, 8)})
        if self.discriminator_channels < 4 or self.discriminator_channels % 4:
            raise ConfigError(
                f"{self.TABLE}.discriminator_channels = {self.discriminator_channels}: choose a multiple of 4"
            )


@dataclass(frozen=True, kw_only=True)
class TokenizerTraining(ImageLossConfig):
    TABLE: ClassVar[str] = "tokenizer"
    start: str = ""
    """A trained tokenizer, its run folder or that of a model, from whose weights the run starts; empty: fresh
    weights."""
    holes: float = 0.0
    """Share of the pictures that a decoder with `known_channels` reconstructs as in inference, conditioned on
    the known pixels around a hole (a box, strokes or a random walk); the others from their tokens alone."""
    quantize_from: int = 0
    """First step with quantization. Before it the autoencoder trains on continuous latents, so that the
    codebook is initialised with vectors of a partly trained encoder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("tokenizer", self, {"quantize_from": (0, math.inf), "holes": (0, 1)})


@dataclass(frozen=True, kw_only=True)
class DecoderTraining(ImageLossConfig):
    TABLE: ClassVar[str] = "decoder"
    tokenizer: str
    """The trained tokenizer whose decoder is fine-tuned: its run folder or that of a model."""
    transformer: str = ""
    """A trained transformer over its tokens, from which those of the hole are sampled; empty: true tokens
    only."""
    temperature: float = 1.0
    """Temperature at which tokens are sampled."""
    steps: int = 0
    """Number of steps in which the transformer fills the whole hole, as in inference with the other settings
    at their defaults. 0: it samples a part of the hole in one step, given the true tokens of the rest."""
    discriminators: str = ""
    """A run folder whose discriminators the run starts from; empty: new ones, whose first gradients mislead
    the decoder."""
    whole: float = 0.1
    """Weight of pictures that are all hole, decoded from their true tokens alone."""
    boxes: float = 0.25
    """Weight of box-shaped holes."""
    strokes: float = 0.25
    """Weight of stroke-shaped holes."""
    random_walk: float = 0.4
    """Weight of random-walk holes."""
    scratches: float = 0.0
    """Weight of scratch-shaped holes."""
    text: float = 0.0
    """Weight of holes in the shape of text."""
    blobs: float = 0.0
    """Weight of object-like holes."""
    guesses: float = 0.0
    """Share of pictures whose hole is wide and filled with a guess of its content, as in coarse-to-fine
    fills; the model needs `known_guesses`."""
    hole_weight: float = 4.0
    """Weight of an error in the hole, relative to one at a known pixel, which the composite replaces."""
    infill: str = "diffusion"
    """What is put into the hole before encoding (grey, mean, nearest, diffusion)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        families = ("whole", "boxes", "strokes", "random_walk", "scratches", "text", "blobs")
        _check("decoder", self, {"guesses": (0, 1)})
        _check("decoder", self, dict.fromkeys((*families, "temperature", "hole_weight"), (0, math.inf)))
        _check("decoder", self, {"steps": (0, 64)})
        if self.steps and not self.transformer:
            raise ConfigError(
                f"decoder.steps = {self.steps} without a transformer: name one that fills the holes"
            )
        _check_some("decoder", self, families)
        _check_choices("decoder", self, {"infill": STRATEGIES})


@dataclass(frozen=True, kw_only=True)
class TransformerTraining:
    tokenizer: str
    """The trained tokenizer: its run folder or the `tokenizer` folder of a model."""
    start: str = ""
    """A trained transformer of the same [model] whose weights the run starts from; empty: fresh weights."""
    bernoulli: float = 0.0
    """Weight of masks that hide each token with probability `bernoulli_p`."""
    bernoulli_p: float = 0.5
    """The probability; 0.5 in the published experiment."""
    scheduled: float = 0.25
    """Weight of masks with a ratio gamma(u), u uniform, positions uniform."""
    schedule: str = "cosine"
    """gamma of the scheduled masks and of how much of a hole is already filled."""
    boxes: float = 0.25
    """Weight of box-shaped holes."""
    strokes: float = 0.25
    """Weight of stroke-shaped holes."""
    random_walk: float = 0.25
    """Weight of random-walk holes."""
    scratches: float = 0.0
    """Weight of scratch-shaped holes."""
    text: float = 0.0
    """Weight of holes in the shape of text."""
    blobs: float = 0.0
    """Weight of object-like holes."""
    guesses: float = 0.0
    """Share of pictures whose hole is wide and filled with a guess of its content, as in coarse-to-fine
    fills; the model needs `guesses`."""
    loss_on: Literal["masked", "all"] = "masked"
    """Tokens whose cross-entropy is the loss: the masked ones, or all."""
    label_smoothing: float = 0.1
    """Share of the probability that goes to all codes alike."""
    infill: str = "diffusion"
    """What is put into the hole before encoding (grey, mean, nearest, diffusion)."""
    codebook_start: bool = False
    """Initialise the token embedding from the tokenizer's codebook, so that similar codes start similar."""
    replace: float = 0.0
    """Share of the visible tokens that are replaced by random ones, so that wrong tokens do less harm."""

    def __post_init__(self) -> None:
        families = ("bernoulli", "scheduled", "boxes", "strokes", "random_walk", "scratches", "text", "blobs")
        _check("transformer", self, dict.fromkeys(families, (0, math.inf)))
        _check_some("transformer", self, families)
        _check(
            "transformer",
            self,
            dict.fromkeys(("bernoulli_p", "label_smoothing", "replace", "guesses"), (0, 1)),
        )
        _check_choices("transformer", self, {"schedule": SCHEDULES, "infill": STRATEGIES})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    stage: Literal["tokenizer", "transformer", "decoder"]
    """What is trained: stage 1, stage 2, or stage 1's decoder, conditioned on the known pixels."""
    data: DataConfig
    """A table, below."""
    training: TrainingConfig
    """A table, below."""
    preset: str = "small"
    """Preset of the model; the [model] table changes single settings of it."""
    model: dict[str, Any] = field(default_factory=dict)
    """A table, below; what it leaves out is the preset's, or with stage "decoder" the trained tokenizer's;
    but without `known_channels` in either the decoder gets them, as wide as itself; [] for none."""
    tokenizer: TokenizerTraining = field(default_factory=TokenizerTraining)
    """A table, below; of stage 1."""
    transformer: TransformerTraining | None = None
    """A table, below; of stage 2, which needs it."""
    decoder: DecoderTraining | None = None
    """A table, below; of stage "decoder", which needs it."""

    def __post_init__(self) -> None:
        if self.stage == "transformer" and self.transformer is None:
            raise ConfigError('stage = "transformer" needs a [transformer] table with tokenizer = "path"')
        for name, default in (("parallel", "ddp"), ("recompute", False)):
            value = getattr(self.training, name)
            if self.stage != "transformer" and value != default:
                raise ConfigError(
                    f"training.{name} = {value!r} with stage = {self.stage!r}: it is for transformers, "
                    "leave it out"
                )
        if self.stage == "decoder" and self.decoder is None:
            raise ConfigError('stage = "decoder" needs a [decoder] table with tokenizer = "path"')


def recipe_from_dict(tables: Mapping[str, Any]) -> Recipe:
    """The recipe in `tables`, which may use the names of older versions (`migrations.migrate_recipe`)."""
    return from_dict(Recipe, migrate_recipe(tables))


def read_recipe(stage: str, path: Path, assignments: tuple[str, ...] = ()) -> Recipe:
    """The recipe of a file, with settings changed ("training.steps=10").

    Raises ConfigError, also where it is one for another stage.
    """
    recipe = recipe_from_dict(override({"stage": stage, **read_toml(path)}, assignments))
    if recipe.stage != stage:
        raise ConfigError(f"{path} is a recipe for stage {recipe.stage!r}, asked for {stage!r}")
    return recipe
