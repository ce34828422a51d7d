"""Stage 2: training the transformer by masked visual token modelling.

    targets = tokens of the whole picture
    inputs  = tokens of the picture with its hole infilled   where known
              targets                                        where the hole is filled already
              the mask token                                 where masked
    L = cross-entropy at the masked tokens, with label smoothing

The tokenizer is frozen. Validation uses fixed masks and no smoothing: its loss is in nats per masked token.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from maskmend.decoding.interface import decode
from maskmend.errors import ConfigError
from maskmend.images.infill import infill
from maskmend.inference.cached_transformer import InferenceTransformer
from maskmend.masks.morphology import missing_share
from maskmend.models import transformer
from maskmend.models.transformer import Hints, MaskedTransformer, TransformerConfig
from maskmend.pretrained.folder import (
    component_folder,
    load_tokenizer,
    load_transformer,
    save_transformer,
    tokens_hash,
)
from maskmend.training import checkpoint
from maskmend.training.ema import MovingAverage
from maskmend.training.guesses import make_guesses
from maskmend.training.masking import Masks, draw_masks
from maskmend.training.recipe import Recipe
from maskmend.training.stages.stage import adamw, optimizer_step, picture_grid, to_device

TRANSFORMERS: dict[str, Callable[..., TransformerConfig]] = {
    "coursework": transformer.coursework_config,
    "small": transformer.small_config,
}


TOKEN_CACHE_SIZE = 2**18
"""Number of images whose tokens are cached on the device, about a KiB each."""


class TransformerStage:
    """Transformer, optimizer and moving average, over a frozen tokenizer."""

    component = "transformer"

    def __init__(self, recipe: Recipe, config: TransformerConfig, device: torch.device) -> None:
        if recipe.transformer is None:
            raise ConfigError('stage = "transformer" needs a [transformer] table with tokenizer = "path"')
        self.options = recipe.transformer
        self.training = recipe.training
        self.device = device
        self.autocast = recipe.training.precision == "bf16" or (
            recipe.training.precision == "auto" and device.type == "cuda"
        )
        folder = component_folder(Path(self.options.tokenizer), "tokenizer")
        self.tokenizer = load_tokenizer(folder).to(device)
        self.config = config
        found = (self.tokenizer.config.quantizer.codes, self.tokenizer.config.grid)
        if found != (config.codes, config.grid):
            raise ConfigError(
                f"the tokenizer has codes, grid = {found}, the transformer {(config.codes, config.grid)}: "
                "set model.codes and model.grid"
            )
        self.resolution = self.tokenizer.config.resolution
        self.model = MaskedTransformer(config).to(device)
        if self.options.codebook_start:
            self.model.init_from_codebook(self.tokenizer.quantizer.codebook)
        if self.options.start:
            self._init_from(Path(self.options.start))
        self.ema = MovingAverage(self.model, recipe.training.ema)
        unchanged = recipe.data.colour == 0 and recipe.data.crop_scale == 1  # `run` checks their shape too
        self.token_cache: dict[bytes, Tensor] | None = {} if unchanged else None
        """Tokens by hash of the pixels: images that recur unchanged (but for the flip) are encoded once."""
        self.caches_holes = False
        """Infilled images are cached too: for trainings that share images, tokenizer and holes (a study)."""
        self.optimizers: list[torch.optim.Optimizer] = [adamw([self.model], recipe.training)]

    def _init_from(self, folder: Path) -> None:
        trained = load_transformer(component_folder(folder, "transformer"))
        try:
            self.model.init_from(trained)
        except RuntimeError as error:
            raise ConfigError(
                f"transformer.start = {str(folder)!r} holds another transformer than [model] describes "
                f"({checkpoint.one_line(error)}): give [model] its settings"
            ) from None

    @torch.no_grad()
    def examples(
        self, images: Float[Tensor, "B 3 H W"], masks: Masks, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Hints]:
        """Input tokens (B, N) with `mask_id` where masked, target tokens (B, N), and the masked tokens'
        hints, all on the device. Conditions are evaluated before the copy to the device; `rng` is that of
        the guesses."""
        guessed = masks.guessed.nonzero()[:, 0]  # on the CPU: on a device it would synchronise
        targets = self._tokens(images, self.token_cache is not None)
        all_hole = bool(masks.hole.all()) and not self.config.hints
        images, masks = to_device(images, self.device), masks.to(self.device)
        if all_hole:
            infilled_tokens = targets
        else:
            infilled = infill(images, masks.pixels, self.options.infill)
            if len(guessed):
                rows = to_device(guessed, self.device)
                guesses = make_guesses(images[rows], masks.pixels[rows], self.tokenizer, rng)
                infilled = infilled.index_copy(0, rows, guesses)
            infilled_tokens = self._tokens(infilled, self.caches_holes)
        # A number in torch.where would be copied to the device, which synchronises.
        inputs = torch.where(masks.hole, targets, infilled_tokens).masked_fill(
            masks.hidden, self.config.mask_id
        )
        missing = missing_share(masks.pixels, self.tokenizer.config.factor)
        guess = (masks.guessed[:, None] & masks.hole).to(missing.dtype)
        return inputs, targets, Hints(infilled_tokens, missing, guess)

    def _tokens(self, images: Float[Tensor, "B 3 H W"], cached: bool) -> Int[Tensor, "B N"]:
        """Tokens of images; with `cached` from `token_cache` where it holds them."""
        if self.token_cache is None or not cached:
            return self.tokenizer.encode(to_device(images, self.device)).flatten(1)
        keys = [hashlib.sha256(image.cpu().numpy().tobytes()).digest() for image in images]
        found = {key: self.token_cache[key] for key in keys if key in self.token_cache}
        misses = [n for n, key in enumerate(keys) if key not in found]
        if misses:
            # One by one: the last bits of a convolution depend on the batch size, and the number of new
            # images depends on where the run was resumed.
            encode = self.tokenizer.encode
            encoded = {
                keys[n]: encode(to_device(images[n : n + 1], self.device)).flatten().int() for n in misses
            }
            found |= encoded
            if len(self.token_cache) < TOKEN_CACHE_SIZE:
                self.token_cache |= encoded
        return torch.stack([found[key] for key in keys]).long()

    def train_step(
        self, micro_batches: list[Float[Tensor, "_ 3 H W"]], step: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        self.model.train()
        metrics: dict[str, Tensor] = {}
        # Dropout draws from the global generators; seeding them by step is what makes a resumed run exact.
        torch.manual_seed(int(rng.integers(2**62)))
        for images in micro_batches:
            masks = self._masks(rng, len(images))
            inputs, targets, hints = self.examples(images, masks, rng)
            if self.options.replace > 0:
                inputs = self._replace(inputs, masks, rng)
            hole, goal, wanted = to_device(masks.hole, self.device), targets.flatten(), None
            if self.options.loss_on == "masked":
                wanted = to_device(masks.hidden.flatten().nonzero()[:, 0], self.device)
                goal = goal.index_select(0, wanted)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                logits = self.model(inputs, hole, wanted, hints)
            loss = F.cross_entropy(logits.float(), goal, label_smoothing=self.options.label_smoothing)
            (loss / len(micro_batches)).backward()
            accuracy = (logits.detach().argmax(-1) == goal).float().mean()
            for name, value in (("loss", loss.detach()), ("accuracy", accuracy)):
                metrics[name] = metrics.get(name, 0) + value / len(micro_batches)
        metrics["gradient"] = optimizer_step(self.model, self.optimizers[0], self.training.clip)
        self.ema.update(self.model, step)
        return metrics

    def _masks(self, rng: np.random.Generator, count: int) -> Masks:
        return draw_masks(rng, count, self.resolution, self.tokenizer.config.factor, self.options)

    def _replace(self, inputs: Tensor, masks: Masks, rng: np.random.Generator) -> Tensor:
        chosen = torch.from_numpy(rng.random(inputs.shape) < self.options.replace) & ~masks.hidden
        others = torch.from_numpy(rng.integers(0, self.config.codes, inputs.shape))
        return torch.where(to_device(chosen, self.device), to_device(others, self.device), inputs)

    @torch.no_grad()
    def validate(self, batches: list[Float[Tensor, "_ 3 H W"]]) -> dict[str, float]:
        loss, right, count = 0.0, 0, 0
        for number, images in enumerate(batches):
            rng = np.random.default_rng([7, number])
            masks = self._masks(rng, len(images))
            inputs, targets, hints = self.examples(images, masks, rng)
            masks = masks.to(self.device)
            logits = self.ema.module(inputs, masks.hole, masks.hidden, hints)
            goal = targets[masks.hidden]
            loss += float(F.cross_entropy(logits, goal, reduction="sum"))
            right += int((logits.argmax(-1) == goal).sum())
            count += len(goal)
        return {"loss": loss / count, "accuracy": right / count}

    @torch.no_grad()
    def pictures(self, images: Float[Tensor, "B 3 H W"]) -> Image.Image:
        rng = np.random.default_rng(11)
        masks = self._masks(rng, len(images))
        (known, _, hints), hole = self.examples(images, masks, rng), masks.to(self.device).hole
        known = torch.where(hole, self.config.mask_id, known)
        predict = InferenceTransformer(self.ema.module).predictor(known, hole, hints)
        tokens = decode(predict, known, hole, mask_id=self.config.mask_id).tokens
        side = self.config.grid
        hole_pixels = hole.view(-1, 1, side, side).repeat_interleave(self.tokenizer.config.factor, 2)
        hole_pixels = hole_pixels.repeat_interleave(self.tokenizer.config.factor, 3)
        filled = self.tokenizer.decode(tokens.view(-1, side, side))
        holed = torch.where(hole_pixels, 0.0, images)
        return picture_grid({"original": images, "hole": holed, "filled": filled})

    def state(self) -> dict[str, Any]:
        return {
            "tokenizer": tokens_hash(self.tokenizer),
            "model": self.model.state_dict(),
            "ema": self.ema.module.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        if state["tokenizer"] != tokens_hash(self.tokenizer):
            raise ConfigError(
                f"it was trained on the tokens of another tokenizer than {self.options.tokenizer}"
            )
        self.model.load_state_dict(state["model"])
        self.ema.module.load_state_dict(state["ema"])
        self.optimizers[0].load_state_dict(state["optimizers"][0])

    def export(self, folder: Path) -> None:
        save_transformer(self.ema.module, folder, tokens=tokens_hash(self.tokenizer))
