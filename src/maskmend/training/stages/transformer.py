"""Stage 2: training the transformer by masked visual token modelling.

    targets = tokens of the whole picture
    inputs  = tokens of the picture with its hole infilled   where known
              targets                                        where the hole is filled already
              the mask token                                 where masked
    L = cross-entropy at the masked tokens, with label smoothing

The tokenizer is frozen. Validation uses fixed masks and no smoothing: its loss is in nats per masked token.
"""

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
from maskmend.pretrained.component import load_tokenizer, load_transformer, save_transformer
from maskmend.pretrained.hashes import tokens_hash
from maskmend.pretrained.lookup import component_folder
from maskmend.training import checkpoint
from maskmend.training.distributed import data_parallel, fully_sharded, gradients_meet, rank_and_world
from maskmend.training.ema import MovingAverage
from maskmend.training.guesses import make_guesses, pass_over
from maskmend.training.masking import FAMILIES, WHOLE, Masks, draw_masks
from maskmend.training.precision import uses_bf16
from maskmend.training.recipe import Recipe
from maskmend.training.shards.tokens import TokenBatch
from maskmend.training.stages.stage import adamw, optimizer_step, picture_grid, to_device
from maskmend.training.stages.token_cache import TokenCache

TRANSFORMERS: dict[str, Callable[..., TransformerConfig]] = {
    "coursework": transformer.coursework_config,
    "small": transformer.small_config,
    "large": transformer.large_config,
    "huge": transformer.huge_config,
}


class TransformerStage:
    """Transformer, optimizer and moving average, over a frozen tokenizer."""

    component = "transformer"

    def __init__(self, recipe: Recipe, config: TransformerConfig, device: torch.device) -> None:
        if recipe.transformer is None:
            raise ConfigError('stage = "transformer" needs a [transformer] table with tokenizer = "path"')
        self.options = recipe.transformer
        self.training = recipe.training
        self.device = device
        self.autocast = uses_bf16(recipe.training, device)
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
        self.model.recompute = recipe.training.recompute
        self.ema = MovingAverage(self.model, recipe.training.ema)
        self.parallel: torch.nn.Module = self.model
        if recipe.training.parallel == "fsdp":
            fully_sharded(self.model, self.model.blocks, trained=True)
            fully_sharded(self.ema.module, self.ema.module.blocks, trained=False)
        else:
            self.parallel = data_parallel(self.model)
        self._cache: TokenCache | None = None
        self.optimizers: list[torch.optim.Optimizer] = [adamw([self.model], recipe.training)]

    def use_cache(self, cache: TokenCache) -> None:
        """Takes tokens from `cache`: for pictures that recur unchanged but for the flip."""
        self._cache = cache

    def _init_from(self, folder: Path) -> None:
        trained = load_transformer(component_folder(folder, "transformer"))
        try:
            self.model.init_from(trained)
        except RuntimeError as error:
            raise ConfigError(
                f"transformer.start = {str(folder)!r} holds another transformer than [model] describes "
                f"({checkpoint.one_line(error)}): give [model] its settings"
            ) from None

    @property
    def needs_pictures(self) -> bool:
        """Whether their tokens are not enough: known tokens and hints are those of infilled pictures."""
        holes = any(getattr(self.options, family) > 0 for family in FAMILIES if family not in WHOLE)
        return holes or self.config.hints or self.options.guesses > 0

    @torch.no_grad()
    def examples(
        self, images: Float[Tensor, "B 3 H W"] | TokenBatch, masks: Masks, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Hints]:
        """Input tokens (B, N) with `mask_id` where masked, target tokens (B, N), and the masked tokens'
        hints, all on the device. Conditions are evaluated before the copy to the device; `rng` is that of
        the guesses."""
        guessed = masks.guessed.nonzero()[:, 0]  # on the CPU: on a device it would synchronise
        if isinstance(images, TokenBatch):
            targets, pictures = to_device(images.tokens, self.device), images.images
        else:
            targets, pictures = self._tokens(images, cached=True), images
        all_hole = bool(masks.hole.all()) and not self.config.hints
        masks = masks.to(self.device)
        if all_hole:
            infilled_tokens = targets
        else:
            assert pictures is not None  # `needs_pictures`
            pictures = to_device(pictures, self.device)
            infilled = infill(pictures, masks.pixels, self.options.infill)
            if len(guessed):
                rows = to_device(guessed, self.device)
                guesses = make_guesses(pictures[rows], masks.pixels[rows], self.tokenizer, rng)
                infilled = infilled.index_copy(0, rows, guesses)
            cached = self._cache is not None and self._cache.infilled
            infilled_tokens = self._tokens(infilled, cached=cached)
        # A number in torch.where would be copied to the device, which synchronises.
        inputs = torch.where(masks.hole, targets, infilled_tokens).masked_fill(
            masks.masked, self.config.mask_id
        )
        missing = missing_share(masks.pixels, self.tokenizer.config.factor)
        guess = (masks.guessed[:, None] & masks.hole).to(missing.dtype)
        return inputs, targets, Hints(infilled_tokens, missing, guess)

    def _tokens(self, images: Float[Tensor, "B 3 H W"], *, cached: bool) -> Int[Tensor, "B N"]:
        """Tokens of images, from the cache where `cached` and there is one."""

        def encode(some: Float[Tensor, "_ 3 H W"]) -> Int[Tensor, "_ N"]:
            return self.tokenizer.encode(to_device(some, self.device)).flatten(1)

        return self._cache.encode(images, encode) if self._cache is not None and cached else encode(images)

    def train_step(self, micro_batches: list[Any], step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """`micro_batches` of pictures (B, 3, H, W), or of tokens (`TokenBatch`)."""
        self.model.train()
        metrics: dict[str, Tensor] = {}
        # Dropout draws from the global generators; seeding them by step is what makes a resumed run exact.
        torch.manual_seed(int(rng.integers(2**62)) + rank_and_world()[0])
        for number, images in enumerate(micro_batches, 1):
            with gradients_meet(self.parallel, number == len(micro_batches)):
                loss, accuracy = self.loss(images, rng)
                (loss / len(micro_batches)).backward()
            for name, value in (("loss", loss.detach()), ("accuracy", accuracy)):
                metrics[name] = metrics.get(name, 0) + value / len(micro_batches)
        metrics["gradient"] = optimizer_step(self.model, self.optimizers[0], self.training.clip)
        self.ema.update(self.model, step)
        return metrics

    def loss(self, images: Tensor | TokenBatch, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Loss of a micro-batch and the share of its masked tokens that are predicted right, of this process;
        weighted so that the means over all processes are those of all pictures."""
        rank, world = rank_and_world()
        count = len(images.tokens) if isinstance(images, TokenBatch) else len(images)
        every = self._masks(rng, count * world)
        masks = every.share(rank, world)
        inputs, targets, hints = self.examples(images, masks, rng)
        if every.guessed.any() and not masks.guessed.any():
            pass_over(rng)
        if self.options.replace > 0:
            inputs = self._replace(inputs, masks, rng)
        hole, goal, wanted, weight = to_device(masks.hole, self.device), targets.flatten(), None, 1.0
        if self.options.loss_on == "masked":
            # Processes mask different numbers of tokens; the mean is to be that over all of them.
            weight = int(masks.masked.sum()) * world / int(every.masked.sum())
            wanted = to_device(masks.masked.flatten().nonzero()[:, 0], self.device)
            goal = goal.index_select(0, wanted)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            logits = self.parallel(inputs, hole, wanted, hints)
        loss = F.cross_entropy(logits.float(), goal, label_smoothing=self.options.label_smoothing)
        accuracy = (logits.detach().argmax(-1) == goal).float().mean()
        return loss * weight, accuracy * weight

    def _masks(self, rng: np.random.Generator, count: int) -> Masks:
        return draw_masks(rng, count, self.resolution, self.tokenizer.config.factor, self.options)

    def _replace(self, inputs: Tensor, masks: Masks, rng: np.random.Generator) -> Tensor:
        rank, world = rank_and_world()
        every = len(inputs) * world, inputs.shape[1]
        chosen = torch.from_numpy(rng.random(every)[rank::world] < self.options.replace) & ~masks.masked
        others = torch.from_numpy(rng.integers(0, self.config.codes, every)[rank::world])
        return torch.where(to_device(chosen, self.device), to_device(others, self.device), inputs)

    @torch.no_grad()
    def validate(self, batches: list[Float[Tensor, "_ 3 H W"]]) -> dict[str, float]:
        loss, right, count = 0.0, 0, 0
        rank, world = rank_and_world()
        for number, images in enumerate(batches):
            rng = np.random.default_rng([7, number])
            every = self._masks(rng, len(images) * world)
            masks = every.share(rank, world)
            inputs, targets, hints = self.examples(images, masks, rng)
            count += int(every.masked.sum())
            masks = masks.to(self.device)
            logits = self.ema.module(inputs, masks.hole, masks.masked, hints)
            goal = targets[masks.masked]
            loss += float(F.cross_entropy(logits, goal, reduction="sum"))
            right += int((logits.argmax(-1) == goal).sum())
        # The mean over the processes is that over the masked tokens of all.
        return {"loss": loss * world / count, "accuracy": right * world / count}

    def averaged(self) -> MaskedTransformer:
        """The averaged weights in one piece; where they are sharded all processes have to ask for them, and
        process 0 alone gets them."""
        if not hasattr(next(self.ema.module.parameters()), "to_local"):
            return self.ema.module
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        weights = get_model_state_dict(self.ema.module, options=options)
        with torch.device("meta"):
            model = MaskedTransformer(self.config)
        if weights:
            model.load_state_dict(weights, assign=True)
            model.to(self.device)
        return model.eval()

    @torch.no_grad()
    def pictures(self, images: Float[Tensor, "B 3 H W"]) -> Image.Image:
        averaged = self.averaged()
        if averaged.device.type == "meta":  # another process has them, and draws
            return Image.new("RGB", (1, 1))
        rng = np.random.default_rng(11)
        masks = self._masks(rng, len(images))
        (known, _, hints), hole = self.examples(images, masks, rng), masks.to(self.device).hole
        known = torch.where(hole, self.config.mask_id, known)
        predict = InferenceTransformer(averaged).predictor(known, hole, hints)
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

    def tensors(self) -> dict[str, Tensor]:
        """The same state as one table of tensors, sharded as the weights are, to save and to load in place.
        The averages of an optimizer that has made no step are made first."""
        found: dict[str, Tensor] = {}
        optimizer = self.optimizers[0]
        for name, weight in self.model.named_parameters():
            state = optimizer.state[weight]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=weight.device)
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
            found |= {f"optimizer.{name}.{key}": value for key, value in state.items()}
            found[f"model.{name}"] = weight.detach()
        for name, weight in self.ema.module.named_parameters():
            found[f"ema.{name}"] = weight.detach()
        return found

    def check_tokenizer(self, expected: str) -> None:
        """Raises ConfigError where the tokenizer is another than that of this hash."""
        if expected != tokens_hash(self.tokenizer):
            raise ConfigError(
                f"it was trained on the tokens of another tokenizer than {self.options.tokenizer}"
            )

    def load_state(self, state: dict[str, Any]) -> None:
        self.check_tokenizer(state["tokenizer"])
        self.model.load_state_dict(state["model"])
        self.ema.module.load_state_dict(state["ema"])
        self.optimizers[0].load_state_dict(state["optimizers"][0])

    def export(self, folder: Path) -> None:
        averaged = self.averaged()
        if rank_and_world()[0] == 0:
            save_transformer(averaged, folder, tokens=tokens_hash(self.tokenizer))
