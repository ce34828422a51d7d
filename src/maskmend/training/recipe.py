"""A recipe: everything one training run depends on, as a TOML file (`maskmend train ... --config recipe.toml`).

    stage = "tokenizer"        [data] [model] [training] and [tokenizer] or [transformer]

Each table is a dataclass that checks itself; the docstring under a field is its documentation.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from maskmend.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    train: str
    """Folder of images (searched recursively), tar file, or folder of tar files."""
    validation: str
    """Likewise; never trained on."""
    crop_scale: float = 1.0
    """Smallest side of a random crop, as a share of the shorter side; 1 keeps the whole side."""
    colour: float = 0.0
    """Strength of random brightness, contrast and saturation changes; 0 is none, 0.1 is mild."""
    cache_gib: float = 4.0
    """Memory for decoded pictures, in GiB; what does not fit is decoded again in each epoch."""

    def __post_init__(self) -> None:
        if not 0.1 <= self.crop_scale <= 1:
            raise ConfigError(f"data.crop_scale = {self.crop_scale}: choose a share between 0.1 and 1")
        if not 0 <= self.colour <= 0.5:
            raise ConfigError(f"data.colour = {self.colour}: choose a strength between 0 and 0.5")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    steps: int
    """Optimizer steps in all."""
    batch: int = 32
    """Images a step, over all processes and accumulated parts together."""
    accumulate: int = 1
    """Parts a batch is split into, to fit into memory."""
    lr: float = 1e-4
    """Peak learning rate of AdamW."""
    final_lr: float = 0.05
    """Learning rate at the end, as a share of the peak (cosine decay)."""
    warmup: int = 200
    """Steps over which the learning rate rises linearly."""
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.01
    """Decoupled weight decay, on matrices and filters only."""
    clip: float = 1.0
    """Largest gradient norm."""
    ema: float = 0.999
    """Decay of the moving average of the weights, a step."""
    seed: int = 0
    log_every: int = 20
    validate_every: int = 500
    checkpoint_every: int = 250
    picture_every: int = 500
    validation_images: int = 256
    """How many validation images are looked at, from the first."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 autocast on accelerators, fp32 on the CPU."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    threads: int = 0
    """CPU threads; 0 leaves PyTorch's choice."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "log_every", "validate_every", "checkpoint_every", "picture_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"training.{name} = {getattr(self, name)}: choose at least 1")
        if self.batch % self.accumulate:
            raise ConfigError(f"training.batch = {self.batch} does not split into accumulate = {self.accumulate} parts")
        if not self.lr > 0:
            raise ConfigError(f"training.lr = {self.lr}: choose a positive rate, such as 1e-4")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"training.ema = {self.ema}: choose a value in [0, 1), such as 0.999")


@dataclass(frozen=True, kw_only=True)
class TokenizerTraining:
    perceptual: float = 1.0
    """Weight of the LPIPS distance; 0 trains without it (and needs no weights)."""
    perceptual_net: Literal["vgg16", "alexnet"] = "vgg16"
    perceptual_weights: str = ""
    """A file with the LPIPS weights; empty takes the one `maskmend weights fetch` stored."""
    perceptual_share: float = 1.0
    """Share of each batch that the perceptual distance is computed on: it costs more than a small tokenizer."""
    quantize_from: int = 0
    """First step with quantization. Before it the autoencoder trains on continuous latents, so that the codebook
    starts on vectors of an encoder that has already learnt something."""
    adversarial: float = 0.8
    """Weight of the adversarial loss, on top of the adaptive weight; 0 trains without a discriminator."""
    adversarial_start: int = 2000
    """First step with the discriminator."""
    adversarial_ramp: int = 200
    """Steps over which the adversarial weight rises."""
    discriminator_channels: int = 64
    discriminator_layers: int = 2


@dataclass(frozen=True, kw_only=True)
class TransformerTraining:
    tokenizer: str
    """The trained tokenizer: its run folder or the `tokenizer` folder of a model."""
    bernoulli: float = 0.0
    """Weight of masks that hide each token with probability `bernoulli_p`."""
    bernoulli_p: float = 0.5
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
    loss_on: Literal["masked", "all"] = "masked"
    label_smoothing: float = 0.1
    infill: str = "diffusion"
    """What is put into the hole before encoding (grey, mean, nearest, diffusion)."""
    codebook_start: bool = False
    """Start the token embedding from the tokenizer's codebook, so that codes that look alike are neighbours."""
    replace: float = 0.0
    """Share of the visible tokens that are replaced by random ones, so that wrong neighbours do less harm."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    stage: Literal["tokenizer", "transformer"]
    data: DataConfig
    training: TrainingConfig
    preset: str = "small"
    """Preset of the model; the [model] table changes single settings of it."""
    model: dict[str, Any] = field(default_factory=dict)
    tokenizer: TokenizerTraining = field(default_factory=TokenizerTraining)
    transformer: TransformerTraining | None = None

    def __post_init__(self) -> None:
        if self.stage == "transformer" and self.transformer is None:
            raise ConfigError('stage = "transformer" needs a [transformer] table with tokenizer = "path"')
