"""Stage 2: training the transformer by masked visual token modelling.

    targets = tokens of the whole picture
    inputs  = tokens of the picture with its hole filled in   where known
              targets                                         where the hole is filled already
              the mask token                                  where hidden
    L = cross-entropy at the hidden tokens, with label smoothing

The tokenizer is frozen. Validation uses fixed masks and no smoothing: its loss is nats for one hidden token.
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
from maskmend.inference.cached_transformer import ReadyTransformer
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
from maskmend.training.stages.stage import adamw, descend, picture_grid, sent

TRANSFORMERS: dict[str, Callable[..., TransformerConfig]] = {
    "report": transformer.report_config,
    "small": transformer.small_config,
}


REMEMBERED = 2**18
"""Pictures whose tokens are kept on the device, about a KiB each."""


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
            self.model.start_from_codebook(self.tokenizer.quantizer.codebook)
        if self.options.start:
            self._start_from(Path(self.options.start))
        self.average = MovingAverage(self.model, recipe.training.ema)
        unchanged = recipe.data.colour == 0 and recipe.data.crop_scale == 1  # `run` looks at their shape too
        self.remembered: dict[bytes, Tensor] | None = {} if unchanged else None
        """Tokens by pixels: pictures that come back unchanged (but for the flip) are encoded once."""
        self.remembers_holes = False
        """Likewise those with a hole: for trainings that share pictures, tokenizer and holes (a study)."""
        self.optimizers: list[torch.optim.Optimizer] = [adamw([self.model], recipe.training)]

    def _start_from(self, folder: Path) -> None:
        trained = load_transformer(component_folder(folder, "transformer"))
        try:
            self.model.start_from(trained)
        except RuntimeError as error:
            raise ConfigError(
                f"transformer.start = {str(folder)!r} holds another transformer than [model] describes "
                f"({checkpoint.one_line(error)}): give [model] its settings"
            ) from None

    @torch.no_grad()
    def examples(
        self, images: Float[Tensor, "B 3 H W"], masks: Masks, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Hints]:
        """Input tokens (B, N) with `mask_id` where hidden, target tokens (B, N), and the hidden tokens'
        hints, all on the device. What is asked of pictures and masks is asked where they lie; `rng` is of
        the guesses."""
        guessed = masks.guessed.nonzero()[:, 0]  # before they are sent: asking a device would make it wait
        targets = self._tokens(images, self.remembered is not None)
        unseen = bool(masks.hole.all()) and not self.config.hints
        images, masks = sent(images, self.device), masks.sent(self.device)
        if unseen:
            seen = targets
        else:
            filled = infill(images, masks.pixels, self.options.infill)
            if len(guessed):
                rows = sent(guessed, self.device)
                some = make_guesses(images[rows], masks.pixels[rows], self.tokenizer, rng)
                filled = filled.index_copy(0, rows, some)
            seen = self._tokens(filled, self.remembers_holes)
        # A number in torch.where would be copied to the device, which waits.
        inputs = torch.where(masks.hole, targets, seen).masked_fill(masks.hidden, self.config.mask_id)
        missing = F.avg_pool2d(masks.pixels.float(), self.tokenizer.config.factor).flatten(1)
        guess = (masks.guessed[:, None] & masks.hole).to(missing.dtype)
        return inputs, targets, Hints(seen, missing, guess)

    def _tokens(self, images: Float[Tensor, "B 3 H W"], remember: bool) -> Int[Tensor, "B N"]:
        """Tokens of pictures, from `remembered` where it holds them."""
        if self.remembered is None or not remember:
            return self.tokenizer.encode(sent(images, self.device)).flatten(1)
        keys = [hashlib.sha256(image.cpu().numpy().tobytes()).digest() for image in images]
        found = {key: self.remembered[key] for key in keys if key in self.remembered}
        fresh = [n for n, key in enumerate(keys) if key not in found]
        if fresh:
            # One by one: a convolution's last bits depend on how many pictures go along, and how many are new
            # here depends on where the run was resumed.
            encode = self.tokenizer.encode
            new = {keys[n]: encode(sent(images[n : n + 1], self.device)).flatten().int() for n in fresh}
            found |= new
            if len(self.remembered) < REMEMBERED:
                self.remembered |= new
        return torch.stack([found[key] for key in keys]).long()

    def train_step(
        self, parts: list[Float[Tensor, "_ 3 H W"]], step: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        self.model.train()
        figures: dict[str, Tensor] = {}
        # Dropout draws from the global generators; seeding them by step is what makes a resumed run exact.
        torch.manual_seed(int(rng.integers(2**62)))
        for images in parts:
            masks = self._masks(rng, len(images))
            inputs, targets, hints = self.examples(images, masks, rng)
            if self.options.replace > 0:
                inputs = self._replace(inputs, masks, rng)
            hole, goal, wanted = sent(masks.hole, self.device), targets.flatten(), None
            if self.options.loss_on == "masked":
                wanted = sent(masks.hidden.flatten().nonzero()[:, 0], self.device)
                goal = goal.index_select(0, wanted)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                logits = self.model(inputs, hole, wanted, hints)
            loss = F.cross_entropy(logits.float(), goal, label_smoothing=self.options.label_smoothing)
            (loss / len(parts)).backward()
            accuracy = (logits.detach().argmax(-1) == goal).float().mean()
            for name, value in (("loss", loss.detach()), ("accuracy", accuracy)):
                figures[name] = figures.get(name, 0) + value / len(parts)
        figures["gradient"] = descend(self.model, self.optimizers[0], self.training.clip)
        self.average.update(self.model, step)
        return figures

    def _masks(self, rng: np.random.Generator, count: int) -> Masks:
        return draw_masks(rng, count, self.resolution, self.tokenizer.config.factor, self.options)

    def _replace(self, inputs: Tensor, masks: Masks, rng: np.random.Generator) -> Tensor:
        chosen = torch.from_numpy(rng.random(inputs.shape) < self.options.replace) & ~masks.hidden
        others = torch.from_numpy(rng.integers(0, self.config.codes, inputs.shape))
        return torch.where(sent(chosen, self.device), sent(others, self.device), inputs)

    @torch.no_grad()
    def validate(self, batches: list[Float[Tensor, "_ 3 H W"]]) -> dict[str, float]:
        loss, right, count = 0.0, 0, 0
        for number, images in enumerate(batches):
            rng = np.random.default_rng([7, number])
            masks = self._masks(rng, len(images))
            inputs, targets, hints = self.examples(images, masks, rng)
            masks = masks.sent(self.device)
            logits = self.average.shadow(inputs, masks.hole, masks.hidden, hints)
            goal = targets[masks.hidden]
            loss += float(F.cross_entropy(logits, goal, reduction="sum"))
            right += int((logits.argmax(-1) == goal).sum())
            count += len(goal)
        return {"loss": loss / count, "accuracy": right / count}

    @torch.no_grad()
    def pictures(self, images: Float[Tensor, "B 3 H W"]) -> Image.Image:
        rng = np.random.default_rng(11)
        masks = self._masks(rng, len(images))
        (known, _, hints), hole = self.examples(images, masks, rng), masks.sent(self.device).hole
        known = torch.where(hole, self.config.mask_id, known)
        predict = ReadyTransformer(self.average.shadow).predictor(known, hole, hints)
        tokens = decode(predict, known, hole, mask_id=self.config.mask_id).tokens
        side = self.config.grid
        shown = hole.view(-1, 1, side, side).repeat_interleave(self.tokenizer.config.factor, 2)
        shown = shown.repeat_interleave(self.tokenizer.config.factor, 3)
        filled = self.tokenizer.decode(tokens.view(-1, side, side))
        holed = torch.where(shown, 0.0, images)
        return picture_grid({"original": images, "hole": holed, "filled": filled})

    def state(self) -> dict[str, Any]:
        return {
            "tokenizer": tokens_hash(self.tokenizer),
            "model": self.model.state_dict(),
            "average": self.average.shadow.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        if state["tokenizer"] != tokens_hash(self.tokenizer):
            raise ConfigError(f"it learnt the tokens of another tokenizer than {self.options.tokenizer}")
        self.model.load_state_dict(state["model"])
        self.average.shadow.load_state_dict(state["average"])
        self.optimizers[0].load_state_dict(state["optimizers"][0])

    def export(self, folder: Path) -> None:
        save_transformer(self.average.shadow, folder, tokens=tokens_hash(self.tokenizer))
