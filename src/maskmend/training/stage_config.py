"""The tables of a recipe that one stage has: [tokenizer], [transformer] and [decoder]."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from maskmend.errors import ConfigError
from maskmend.images.infill import STRATEGIES
from maskmend.settings import SCHEDULES
from maskmend.training.recipe_checks import check_bounds, check_choices, check_one_counts


@dataclass(frozen=True, kw_only=True)
class ImageLossConfig:
    """Losses of the reconstructed images, in stage 1 and in the training of its decoder."""

    TABLE: ClassVar[str]
    perceptual: float = 1.0
    """Weight of the LPIPS distance; 0: train without it, and without its weights file."""
    perceptual_net: Literal["vgg16", "alexnet"] = "vgg16"
    """The network whose features LPIPS compares."""
    perceptual_weights: str = ""
    """File with the LPIPS weights; empty: the file stored by `maskmend weights fetch`."""
    perceptual_share: float = 1.0
    """Share of each batch for which the perceptual distance is computed. It takes longer than a small
    tokenizer."""
    adversarial: float = 0.8
    """Weight of the adversarial loss, which multiplies the adaptive weight; 0: train without this
    discriminator."""
    feature_adversarial: float = 0.0
    """The same for a second discriminator. Its inputs are the features of the perceptual network, for the
    images whose perceptual distance is computed."""
    classifier: float = 0.0
    """Weight of the distance between the features of a classifier of photographs (EfficientNet-Lite0); 0:
    train without it."""
    classifier_adversarial: float = 0.0
    """Weight of the adversarial loss of a discriminator on the features of that classifier."""
    classifier_weights: str = ""
    """File with the classifier's weights; empty: the file stored by `maskmend weights fetch`."""
    adversarial_start: int = 2000
    """First step that uses the discriminators."""
    adversarial_ramp: int = 200
    """Steps over which the adversarial weight increases."""
    discriminator_channels: int = 64
    """Filters in the first layer of the first discriminator, a multiple of 4. Each layer doubles them, up to
    a factor of eight."""
    discriminator_layers: int = 2
    """Layers between the first and the last layer of that discriminator; with more layers it sees larger
    patches."""

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
    """A trained tokenizer (the folder of its run or of a model), whose weights initialise the run; empty:
    random weights."""
    holes: float = 0.0
    """Share of the pictures that a decoder with `known_channels` reconstructs as in inference, conditioned on
    the known pixels around a hole (a box, strokes or a random walk). The others are reconstructed from their
    tokens alone."""
    quantize_from: int = 0
    """First step with quantization. Before it, the autoencoder trains on continuous latents, so that the
    codebook is initialised with the latents of a partly trained encoder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bounds("tokenizer", self, {"quantize_from": (0, math.inf), "holes": (0, 1)})


@dataclass(frozen=True, kw_only=True)
class DecoderTraining(ImageLossConfig):
    TABLE: ClassVar[str] = "decoder"
    tokenizer: str
    """The trained tokenizer whose decoder is fine-tuned: the folder of its run or of a model."""
    transformer: str = ""
    """A trained transformer for its tokens, from which the tokens of the hole are sampled; empty: only true
    tokens are used."""
    temperature: float = 1.0
    """Temperature at which tokens are sampled."""
    steps: int = 0
    """Number of steps in which the transformer fills the whole hole, as in inference with the other settings
    at their defaults. 0: it samples a part of the hole in one step, given the true tokens of the rest."""
    discriminators: str = ""
    """A run folder whose discriminators initialise the run; empty: new ones, whose first gradients mislead
    the decoder."""
    discriminator_warmup: int = 0
    """First steps, in which only the discriminators learn: for a trained decoder with new discriminators."""
    whole: float = 0.1
    """Weight of completely masked pictures, decoded from their true tokens alone."""
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
    """Share of pictures with a wide hole that is filled with a guess of its content, as in coarse-to-fine
    fills; the model needs `known_guesses`."""
    window_holes: float = 0.0
    """Share of the scratches, texts, strokes and blobs that are drawn for a picture of four times the side
    and cut out as a window of a fill shows them. The others are drawn for the view itself, in proportion."""
    hole_weight: float = 4.0
    """Weight of an error in the hole, relative to an error at a known pixel, which the composite replaces."""
    infill: str = "diffusion"
    """How the hole is filled before encoding (grey, mean, nearest, diffusion)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        families = ("whole", "boxes", "strokes", "random_walk", "scratches", "text", "blobs")
        check_bounds("decoder", self, {"guesses": (0, 1), "window_holes": (0, 1)})
        check_bounds("decoder", self, dict.fromkeys((*families, "temperature", "hole_weight"), (0, math.inf)))
        check_bounds("decoder", self, {"steps": (0, 64), "discriminator_warmup": (0, math.inf)})
        if self.steps and not self.transformer:
            raise ConfigError(
                f"decoder.steps = {self.steps} without a transformer: name one that fills the holes"
            )
        check_one_counts("decoder", self, families)
        check_choices("decoder", self, {"infill": STRATEGIES})


@dataclass(frozen=True, kw_only=True)
class TransformerTraining:
    tokenizer: str
    """The trained tokenizer: the folder of its run, or the `tokenizer` folder of a model."""
    start: str = ""
    """A trained transformer with the same [model], whose weights initialise the run; empty: random
    weights."""
    bernoulli: float = 0.0
    """Weight of masks that hide each token with probability `bernoulli_p`."""
    bernoulli_p: float = 0.5
    """That probability; 0.5 in the coursework."""
    scheduled: float = 0.25
    """Weight of masks with the ratio gamma(u), u uniform, at uniformly sampled positions."""
    schedule: str = "cosine"
    """The function gamma, of the scheduled masks and of the share of a hole that is already filled."""
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
    """Share of pictures with a wide hole that is filled with a guess of its content, as in coarse-to-fine
    fills; the model needs `guesses`."""
    window_holes: float = 0.0
    """Share of the scratches, texts, strokes and blobs that are drawn for a picture of four times the side
    and cut out as a window of a fill shows them. The others are drawn for the view itself, in proportion."""
    loss_on: Literal["masked", "all"] = "masked"
    """Tokens over which the cross-entropy is averaged: the masked ones, or all."""
    label_smoothing: float = 0.1
    """Share of the target probability that is spread evenly over all codes."""
    infill: str = "diffusion"
    """How the hole is filled before encoding (grey, mean, nearest, diffusion)."""
    codebook_start: bool = False
    """Initialise the token embedding from the tokenizer's codebook, so that similar codes have similar
    embeddings."""
    replace: float = 0.0
    """Share of the visible tokens that are replaced by random ones, which makes the model more robust to
    wrong tokens."""

    def __post_init__(self) -> None:
        families = ("bernoulli", "scheduled", "boxes", "strokes", "random_walk", "scratches", "text", "blobs")
        check_bounds("transformer", self, dict.fromkeys(families, (0, math.inf)))
        check_one_counts("transformer", self, families)
        check_bounds(
            "transformer",
            self,
            dict.fromkeys(("bernoulli_p", "label_smoothing", "replace", "guesses", "window_holes"), (0, 1)),
        )
        check_choices("transformer", self, {"schedule": SCHEDULES, "infill": STRATEGIES})
