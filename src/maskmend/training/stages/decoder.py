"""Fine-tuning of the tokenizer's decoder, conditioned on the known pixels.

    hole, tokens as in inference  ─┐
    known pixels, hole infilled   ─┴─► decoder ─► x^      `ImageLoss` of x^ and of its composite

Encoder and codebook are frozen, so a transformer trained over them stays valid. Known tokens are those of the
infilled image; tokens of the hole are true ones or, where a transformer is given, sampled from it
(`sampled_tokens`). The decoder is initialised from the trained one, where names and shapes agree.
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
from maskmend.masks.morphology import missing_share
from maskmend.models.blocks import AttentionBlock, ResidualBlock, Upsample
from maskmend.models.known_encoder import KnownPixels
from maskmend.models.tokenizer_config import TokenizerConfig
from maskmend.models.transformer import Hints
from maskmend.models.vqgan import VQGAN
from maskmend.pretrained.component import check_tokens, load_tokenizer, load_transformer, save_tokenizer
from maskmend.pretrained.hashes import tokens_hash
from maskmend.pretrained.lookup import component_folder
from maskmend.settings import Settings
from maskmend.training.distributed import data_parallel, gradients_meet, rank_and_world
from maskmend.training.ema import MovingAverage
from maskmend.training.guesses import make_guesses
from maskmend.training.losses import ImageLoss, Perceptual
from maskmend.training.masking import Masks, draw_holes
from maskmend.training.precision import uses_bf16
from maskmend.training.recipe import Recipe
from maskmend.training.stages.sampled_tokens import HoleTokenSampler, IterativeSampler, ParallelSampler
from maskmend.training.stages.stage import adamw, optimizer_step, picture_grid, to_device


class Examples(NamedTuple):
    """The decoder's inputs for a batch of images."""

    tokens: Int[Tensor, "B h w"]
    known: KnownPixels


class DecoderStage:
    """Decoder and discriminators, over a frozen encoder, codebook and transformer."""

    component = "tokenizer"

    def __init__(
        self,
        recipe: Recipe,
        device: torch.device,
        perceptual: Perceptual | None,
        classifier: Perceptual | None = None,
    ) -> None:
        assert recipe.decoder is not None  # checked by the recipe
        self.options = recipe.decoder
        self.clip = recipe.training.clip
        self.device = device
        self.autocast = uses_bf16(recipe.training, device)
        trained = load_tokenizer(component_folder(Path(self.options.tokenizer), "tokenizer"))
        self.config = fine_tuned_config(trained.config, recipe.model)
        self.resolution, self.factor = self.config.resolution, self.config.factor
        self.model = VQGAN(self.config).to(device)
        init_from(self.model, trained)
        self.model.encoder.requires_grad_(False)
        self.model.quantizer.requires_grad_(False)
        self.sampler: HoleTokenSampler | None = None
        if self.options.transformer:
            folder = component_folder(Path(self.options.transformer), "transformer")
            transformer = load_transformer(folder).to(device)
            check_tokens(trained, folder, (Path(self.options.tokenizer), Path(self.options.transformer)))
            temperature, steps = self.options.temperature, self.options.steps
            if steps:
                settings = Settings(steps=steps, temperature=temperature)
                self.sampler = IterativeSampler(transformer, settings, bf16=self.autocast)
            else:
                self.sampler = ParallelSampler(transformer, temperature, bf16=self.autocast)
        self.parallel = data_parallel(self.model.decoder)
        self.ema = MovingAverage(self.model, recipe.training.ema)
        self.image_loss = ImageLoss(
            self.options, perceptual, classifier, self.resolution, recipe.training, device
        )
        if self.options.discriminators:
            self.image_loss.load_discriminators(Path(self.options.discriminators))
        self.optimizers = [adamw([self.model.decoder], recipe.training), *self.image_loss.optimizers]

    @torch.no_grad()
    def examples(self, images: Float[Tensor, "B 3 H W"], masks: Masks, seed: int) -> Examples:
        """Tokens and known pixels of `images` with these holes; `seed` is that of the sampled tokens.

        `masks` are on the CPU, where counting the tokens to sample does not synchronise the device.
        """
        chosen = torch.zeros_like(masks.hole) if self.sampler is None else self.sampler.selected(masks)
        rows = to_device(chosen.flatten().nonzero()[:, 0], self.device)
        guessed = to_device(masks.guessed.nonzero()[:, 0], self.device)
        masks = masks.to(self.device)
        infilled = infill(images, masks.pixels, self.options.infill)
        if len(guessed):
            rng = np.random.default_rng(seed)
            guesses = make_guesses(images[guessed], masks.pixels[guessed], self.ema.module, rng)
            infilled = infilled.index_copy(0, guessed, guesses)
        true = self.model.encode(images).flatten(1)
        infilled_tokens = self.model.encode(infilled).flatten(1)
        tokens = torch.where(masks.hole, true, infilled_tokens)
        if self.sampler is not None and len(rows):
            missing = missing_share(masks.pixels, self.factor)
            hints = Hints(infilled_tokens, missing, (masks.guessed[:, None] & masks.hole).to(missing.dtype))
            tokens = self.sampler.sample(tokens, masks, rows, hints, seed)
        side = self.config.grid
        return Examples(
            tokens.view(-1, side, side),
            KnownPixels(infilled, masks.pixels, masks.pixels & masks.guessed[:, None, None, None]),
        )

    def train_step(
        self, micro_batches: list[Float[Tensor, "_ 3 H W"]], step: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        metrics: dict[str, Tensor] = {}
        self.model.decoder.train()
        decoder_learns = step >= self.options.discriminator_warmup
        rank, world = rank_and_world()
        for number, images in enumerate(micro_batches, 1):
            images = to_device(images, self.device).contiguous(memory_format=torch.channels_last)
            masks = self._masks(rng, len(images) * world).share(rank, world)
            tokens, known = self.examples(images, masks, int(rng.integers(2**62)) + (rank << 32))
            last_part = number == len(micro_batches)
            with gradients_meet(self.parallel, last_part):
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                    fake = self.parallel(self.model.quantizer.lookup(tokens), known)
                last, weight = self.model.decoder.conv_out.weight, self.options.hole_weight
                gradient, part = self.image_loss.gradient(
                    images, fake, last, step, known.mask, weight, last_part
                )
                if decoder_learns:
                    fake.backward((gradient / len(micro_batches)).to(fake.dtype))
            part["loss"] = part["reconstruction"]
            metrics = {k: metrics.get(k, 0) + v.detach() / len(micro_batches) for k, v in part.items()}
        if decoder_learns:
            metrics["gradient"] = optimizer_step(self.model.decoder, self.optimizers[0], self.clip)
            self.ema.update(self.model, step)
        return metrics | self.image_loss.update_discriminators(step)

    def _masks(self, rng: np.random.Generator, count: int) -> Masks:
        return draw_holes(rng, count, self.resolution, self.factor, self.options)

    @torch.no_grad()
    def validate(self, batches: list[Float[Tensor, "_ 3 H W"]]) -> dict[str, float]:
        sums = {"l1": 0.0, "lpips": 0.0}
        count = 0
        rank, world = rank_and_world()
        for number, images in enumerate(batches):
            masks = self._masks(np.random.default_rng([7, number]), len(images) * world).share(rank, world)
            tokens, known = self.examples(images, masks, (number << 32) + rank)
            fake = torch.where(known.mask, self.ema.module.decode(tokens, known), images)
            sums["l1"] += float((fake - images).abs().mean()) * len(images)
            sums["lpips"] += self.image_loss.lpips_sum(fake, images)
            count += len(images)
        l1, lpips = (sums[name] / count for name in ("l1", "lpips"))
        metrics = {"loss": l1 + self.options.perceptual * lpips, "l1": l1}
        return metrics if self.image_loss.perceptual is None else metrics | {"lpips": lpips}

    @torch.no_grad()
    def pictures(self, images: Float[Tensor, "B 3 H W"]) -> Image.Image:
        masks = self._masks(np.random.default_rng(11), len(images))
        tokens, known = self.examples(images, masks, 0)
        drawn = self.ema.module.decode(tokens, known)
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
            "ema": self.ema.module.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        } | self.image_loss.state()

    def load_state(self, state: dict[str, Any]) -> None:
        tokens = tokens_hash(self.model)
        self.model.load_state_dict(state["model"])
        # The encoder is frozen: that of the run must be the one of the recipe.
        if tokens_hash(self.model) != tokens:
            raise ConfigError(f"it has the tokens of another tokenizer than {self.options.tokenizer}")
        self.ema.module.load_state_dict(state["ema"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.image_loss.load_state(state)

    def export(self, folder: Path) -> None:
        save_tokenizer(self.ema.module, folder)


FINE_TUNED = ("decoder_channels", "decoder_blocks", "upsample_after", "decoder_activation", "known_channels")
FINE_TUNED += ("known_guesses", "colour_blur")
"""Settings of the tokenizer that a decoder's recipe may change; the others determine the tokens."""


def fine_tuned_config(trained: TokenizerConfig, changes: dict[str, Any]) -> TokenizerConfig:
    """The trained tokenizer's configuration with the changes of a decoder's recipe.

    The decoder is conditioned on the known pixels unless `changes` has known_channels = []; without
    known_channels the encoder of known pixels is as wide as the decoder where its features are added.

    Raises ConfigError for a change of a setting that determines the tokens.
    """
    for name in changes:
        if name not in FINE_TUNED:
            raise ConfigError(
                f"model.{name} determines the tokens, which a new decoder must not change: leave it out "
                f"(possible: {', '.join(FINE_TUNED)})"
            )
    config = cast("TokenizerConfig", from_dict(TokenizerConfig, merge(to_dict(trained), changes), "model"))
    if config.known_channels or "known_channels" in changes:
        return config
    return replace(config, known_channels=config.condition_channels[::-1])


@torch.no_grad()
def init_from(model: VQGAN, trained: VQGAN) -> None:
    """Copies every weight of `trained` whose name and shape `model` has too.

    Additional blocks in the stages of `model`'s decoder start as identities: a decoder that is only deeper
    starts as the trained one.
    """
    prefixes, new = _paired_blocks(model, trained)
    weights = {}
    for name, value in trained.state_dict().items():
        block = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        weights[name if block is None else prefixes[block] + name.removeprefix(block)] = value
    own = model.state_dict()
    conv_in = "decoder.known_encoder.conv_in.weight"
    if model.config.known_guesses and not trained.config.known_guesses and conv_in in weights:
        # The new input channel starts with zero weights: guesses are treated as smooth infills.
        weights[conv_in] = F.pad(weights[conv_in], (0, 0, 0, 0, 0, 1))
    fitting = {
        name: value for name, value in weights.items() if name in own and own[name].shape == value.shape
    }
    model.load_state_dict(own | fitting)
    for block in new:
        last = block.conv2 if isinstance(block, ResidualBlock) else block.attention.out
        for weight in last.parameters():
            weight.zero_()


def _paired_blocks(
    model: VQGAN, trained: VQGAN
) -> tuple[dict[str, str], list[ResidualBlock | AttentionBlock]]:
    """Prefixes of the weights of `trained`'s decoder blocks with their counterparts in `model`: the n-th
    block of a kind in a stage is the n-th of that kind. And the additional blocks of `model`."""
    prefixes: dict[str, str] = {}
    new: list[ResidualBlock | AttentionBlock] = []
    stages = zip(model.decoder.stages, trained.decoder.stages, strict=False)
    for number, (own, other) in enumerate(cast("Iterable[tuple[nn.Sequential, nn.Sequential]]", stages)):
        for kind in (ResidualBlock, AttentionBlock, Upsample):
            ours, theirs = (
                [i for i, block in enumerate(stage) if isinstance(block, kind)] for stage in (own, other)
            )
            start = f"decoder.stages.{number}."
            prefixes |= {f"{start}{a}.": f"{start}{b}." for a, b in zip(theirs, ours, strict=False)}
            more = [own[i] for i in ours[len(theirs) :]]
            new += [block for block in more if isinstance(block, ResidualBlock | AttentionBlock)]
    return prefixes, new
