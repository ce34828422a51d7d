"""Stage 1 once more: the decoder learns to draw holes with the known pixels before its eyes.

    hole, tokens as inference has them ─┐
    known pixels, hole filled smoothly ─┴─► decoder ─► x^      L of the critic, on x^ and on its composite

Encoder and codebook stay as they are, so a transformer trained over them stays valid. The tokens are known
ones of the holed picture, and in the hole true ones or, where a transformer is given, what it draws
(`drawn_tokens`). The decoder starts from the trained one, as far as names and shapes agree.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from maskmend.config import from_dict, merge, to_dict
from maskmend.errors import ConfigError
from maskmend.images.infill import infill
from maskmend.models.blocks import AttentionBlock, ResidualBlock, Upsample
from maskmend.models.known_encoder import Known
from maskmend.models.transformer import Hints
from maskmend.models.vqgan import VQGAN, TokenizerConfig
from maskmend.pretrained.folder import (
    check_tokens,
    component_folder,
    load_tokenizer,
    load_transformer,
    save_tokenizer,
    tokens_hash,
)
from maskmend.settings import Settings
from maskmend.training.ema import MovingAverage
from maskmend.training.guesses import make_guesses
from maskmend.training.losses import Critic, Perceptual
from maskmend.training.masking import Masks, draw_holes
from maskmend.training.recipe import Recipe
from maskmend.training.stages.drawn_tokens import HiddenDrawn, HoleFilled, HoleTokens
from maskmend.training.stages.stage import adamw, descend, picture_grid, sent


class Examples(NamedTuple):
    """What the decoder is given for a batch of pictures."""

    tokens: Int[Tensor, "B h w"]
    known: Known


class DecoderStage:
    """Decoder and its critic, over a frozen encoder, codebook and transformer."""

    component = "tokenizer"

    def __init__(
        self,
        recipe: Recipe,
        device: torch.device,
        perceptual: Perceptual | None,
        classifier: Perceptual | None = None,
    ) -> None:
        assert recipe.decoder is not None  # the recipe has seen to it
        self.options = recipe.decoder
        self.clip = recipe.training.clip
        self.device = device
        precision = recipe.training.precision
        self.autocast = precision == "bf16" or (precision == "auto" and device.type == "cuda")
        trained = load_tokenizer(component_folder(Path(self.options.tokenizer), "tokenizer"))
        self.config = redrawn_config(trained.config, recipe.model)
        self.resolution, self.factor = self.config.resolution, self.config.factor
        self.model = VQGAN(self.config).to(device)
        start_from(self.model, trained)
        self.model.encoder.requires_grad_(False)
        self.model.quantizer.requires_grad_(False)
        self.draws: HoleTokens | None = None
        if self.options.transformer:
            folder = component_folder(Path(self.options.transformer), "transformer")
            transformer = load_transformer(folder).to(device)
            check_tokens(trained, folder, (Path(self.options.tokenizer), Path(self.options.transformer)))
            temperature, steps = self.options.temperature, self.options.steps
            if steps:
                settings = Settings(steps=steps, temperature=temperature)
                self.draws = HoleFilled(transformer, settings, bf16=self.autocast)
            else:
                self.draws = HiddenDrawn(transformer, temperature, bf16=self.autocast)
        self.average = MovingAverage(self.model, recipe.training.ema)
        self.critic = Critic(self.options, perceptual, classifier, self.resolution, recipe.training, device)
        if self.options.judges:
            self.critic.go_on_from(Path(self.options.judges))
        self.optimizers = [adamw([self.model.decoder], recipe.training), *self.critic.optimizers]

    @torch.no_grad()
    def examples(self, images: Float[Tensor, "B 3 H W"], masks: Masks, seed: int) -> Examples:
        """Tokens and known pixels of `images` with these holes; `seed` is of the transformer's draws.

        Masks on the CPU tell how many tokens there are to draw before they are sent to the device.
        """
        chosen = torch.zeros_like(masks.hole) if self.draws is None else self.draws.chosen(masks)
        rows = sent(chosen.flatten().nonzero()[:, 0], self.device)
        guessed = sent(masks.guessed.nonzero()[:, 0], self.device)
        masks = masks.sent(self.device)
        filled = infill(images, masks.pixels, self.options.infill)
        if len(guessed):
            rng = np.random.default_rng(seed)
            some = make_guesses(images[guessed], masks.pixels[guessed], self.average.shadow, rng)
            filled = filled.index_copy(0, guessed, some)
        true = self.model.encode(images).flatten(1)
        seen = self.model.encode(filled).flatten(1)
        tokens = torch.where(masks.hole, true, seen)
        if self.draws is not None and len(rows):
            missing = F.avg_pool2d(masks.pixels.float(), self.factor).flatten(1)
            hints = Hints(seen, missing, (masks.guessed[:, None] & masks.hole).to(missing.dtype))
            tokens = self.draws.draw(tokens, masks, rows, hints, seed)
        side = self.config.grid
        return Examples(
            tokens.view(-1, side, side),
            Known(filled, masks.pixels, masks.pixels & masks.guessed[:, None, None, None]),
        )

    def train_step(
        self, parts: list[Float[Tensor, "_ 3 H W"]], step: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        figures: dict[str, Tensor] = {}
        self.model.decoder.train()
        for images in parts:
            images = sent(images, self.device).contiguous(memory_format=torch.channels_last)
            masks = self._masks(rng, len(images))
            tokens, known = self.examples(images, masks, int(rng.integers(2**62)))
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                fake = self.model.decoder(self.model.quantizer.lookup(tokens), known)
            last, weight = self.model.decoder.leave.weight, self.options.hole_weight
            gradient, part = self.critic.gradient(images, fake, last, step, known.mask, weight)
            fake.backward((gradient / len(parts)).to(fake.dtype))
            part["loss"] = part["reconstruction"]
            figures = {k: figures.get(k, 0) + v.detach() / len(parts) for k, v in part.items()}
        figures["gradient"] = descend(self.model.decoder, self.optimizers[0], self.clip)
        self.average.update(self.model, step)
        return figures | self.critic.learn(step)

    def _masks(self, rng: np.random.Generator, count: int) -> Masks:
        return draw_holes(rng, count, self.resolution, self.factor, self.options)

    @torch.no_grad()
    def validate(self, batches: list[Float[Tensor, "_ 3 H W"]]) -> dict[str, float]:
        sums = {"l1": 0.0, "lpips": 0.0}
        count = 0
        for number, images in enumerate(batches):
            masks = self._masks(np.random.default_rng([7, number]), len(images))
            tokens, known = self.examples(images, masks, number << 32)
            fake = torch.where(known.mask, self.average.shadow.decode(tokens, known), images)
            sums["l1"] += float((fake - images).abs().mean()) * len(images)
            sums["lpips"] += self.critic.apart(fake, images)
            count += len(images)
        l1, lpips = (sums[name] / count for name in ("l1", "lpips"))
        figures = {"loss": l1 + self.options.perceptual * lpips, "l1": l1}
        return figures if self.critic.perceptual is None else figures | {"lpips": lpips}

    @torch.no_grad()
    def pictures(self, images: Float[Tensor, "B 3 H W"]) -> Image.Image:
        masks = self._masks(np.random.default_rng(11), len(images))
        tokens, known = self.examples(images, masks, 0)
        drawn = self.average.shadow.decode(tokens, known)
        holed = torch.where(known.mask, 0.0, images)
        return picture_grid(
            {
                "original": images,
                "hole": holed,
                "decoded": drawn,
                "filled": torch.where(known.mask, drawn, images),
            }
        )

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": self.average.shadow.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        } | self.critic.state()

    def load_state(self, state: dict[str, Any]) -> None:
        tokens = tokens_hash(self.model)
        self.model.load_state_dict(state["model"])
        # The encoder is frozen: that of the run is the one it began with.
        if tokens_hash(self.model) != tokens:
            raise ConfigError(f"it draws the tokens of another tokenizer than {self.options.tokenizer}")
        self.average.shadow.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.critic.load_state(state)

    def export(self, folder: Path) -> None:
        save_tokenizer(self.average.shadow, folder)


REDRAWN = ("decoder_channels", "decoder_blocks", "upsample_after", "decoder_activation", "known_channels")
REDRAWN += ("known_guesses", "colour_blur")
"""What a decoder's recipe may change of the tokenizer; the rest decides the tokens."""


def redrawn_config(trained: TokenizerConfig, changes: dict[str, Any]) -> TokenizerConfig:
    """The trained tokenizer's configuration with another decoder.

    It sees the known pixels, unless `changes` has known_channels = []: a branch that nobody described is as
    wide as the decoder is where it is added.

    Raises ConfigError for a change of what decides the tokens.
    """
    for name in changes:
        if name not in REDRAWN:
            raise ConfigError(
                f"model.{name} decides the tokens, which a new decoder must not change: leave it out "
                f"(possible: {', '.join(REDRAWN)})"
            )
    config = cast("TokenizerConfig", from_dict(TokenizerConfig, merge(to_dict(trained), changes), "model"))
    if config.known_channels or "known_channels" in changes:
        return config
    return replace(config, known_channels=entered_channels(config)[::-1])


def entered_channels(config: TokenizerConfig) -> tuple[int, ...]:
    """Channels of the decoder at the places that a branch is added to, from the latent resolution up: where
    it begins and after each doubling."""
    widths, lab = config.decoder_channels, config.design == "lab"
    after = [min(stage - lab, len(widths) - 1) for stage in sorted(config.upsample_after)]
    return (widths[0], *(widths[place] for place in after))


@torch.no_grad()
def start_from(model: VQGAN, trained: VQGAN) -> None:
    """Takes over every weight of `trained` whose name and shape `model` has too.

    Blocks that the stages of `model`'s decoder have beyond those of `trained` add nothing at first: a decoder
    that is only deeper starts as the trained one.
    """
    places, new = _paired_blocks(model, trained)
    there = {}
    for name, value in trained.state_dict().items():
        block = next((place for place in places if name.startswith(place)), None)
        there[name if block is None else places[block] + name.removeprefix(block)] = value
    own = model.state_dict()
    enter = "decoder.known.enter.weight"
    if model.config.known_guesses and not trained.config.known_guesses and enter in there:
        # A branch that knew no guesses starts by treating them as smooth infills.
        there[enter] = F.pad(there[enter], (0, 0, 0, 0, 0, 1))
    taken = {name: value for name, value in there.items() if name in own and own[name].shape == value.shape}
    model.load_state_dict(own | taken)
    for block in new:
        last = block.conv2 if isinstance(block, ResidualBlock) else block.attention.out
        for weight in last.parameters():
            weight.zero_()


def _paired_blocks(
    model: VQGAN, trained: VQGAN
) -> tuple[dict[str, str], list[ResidualBlock | AttentionBlock]]:
    """Where blocks of `trained`'s decoder stages stand in `model`'s, by how their weights' names begin: the
    n-th of a kind is the n-th of that kind. And the blocks of `model` that are more of their kind."""
    places: dict[str, str] = {}
    new: list[ResidualBlock | AttentionBlock] = []
    stages = zip(model.decoder.stages, trained.decoder.stages, strict=False)
    for number, (own, there) in enumerate(cast("Iterable[tuple[nn.Sequential, nn.Sequential]]", stages)):
        for kind in (ResidualBlock, AttentionBlock, Upsample):
            ours, theirs = (
                [i for i, block in enumerate(stage) if isinstance(block, kind)] for stage in (own, there)
            )
            start = f"decoder.stages.{number}."
            places |= {f"{start}{a}.": f"{start}{b}." for a, b in zip(theirs, ours, strict=False)}
            more = [own[i] for i in ours[len(theirs) :]]
            new += [block for block in more if isinstance(block, ResidualBlock | AttentionBlock)]
    return places, new
