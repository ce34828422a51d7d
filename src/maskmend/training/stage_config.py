"""The tables of a recipe that one stage has: [tokenizer], [transformer] and [decoder]."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from maskmend.errors import ConfigError
from maskmend.images.infill import STRATEGIES
from maskmend.settings import SCHEDULES
from maskmend.training.bounds import check_bounds, check_choices, check_some


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
        check_bounds(self.TABLE, self, dict.fromkeys(weights, (0, math.inf)))
        if self.feature_adversarial > 0 and self.perceptual == 0:
            raise ConfigError(
                f"{self.TABLE}.feature_adversarial = {self.feature_adversarial} needs the perceptual "
                f"network: give {self.TABLE}.perceptual a weight above 0"
            )
        check_bounds(self.TABLE, self, {"perceptual_share": (0, 1), "discriminator_layers": (1, 8)})
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
        check_bounds("tokenizer", self, {"quantize_from": (0, math.inf), "holes": (0, 1)})


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
        check_bounds("decoder", self, {"guesses": (0, 1)})
        check_bounds("decoder", self, dict.fromkeys((*families, "temperature", "hole_weight"), (0, math.inf)))
        check_bounds("decoder", self, {"steps": (0, 64)})
        if self.steps and not self.transformer:
            raise ConfigError(
                f"decoder.steps = {self.steps} without a transformer: name one that fills the holes"
            )
        check_some("decoder", self, families)
        check_choices("decoder", self, {"infill": STRATEGIES})


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
        check_bounds("transformer", self, dict.fromkeys(families, (0, math.inf)))
        check_some("transformer", self, families)
        check_bounds(
            "transformer",
            self,
            dict.fromkeys(("bernoulli_p", "label_smoothing", "replace", "guesses"), (0, 1)),
        )
        check_choices("transformer", self, {"schedule": SCHEDULES, "infill": STRATEGIES})
