"""Stage 1: training the VQGAN.

    L = |x - x^| + w_p LPIPS(x, x^) + quantizer loss + sum over discriminators of lambda w_a L_G
                                                                                     (Esser et al. 2021)

The losses of the reconstruction, and lambda, are in `training.losses`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from maskmend.images.infill import infill
from maskmend.models.known_encoder import KnownPixels, no_known_pixels
from maskmend.models.quantizer import codebook_statistics
from maskmend.models.tokenizer_config import TokenizerConfig
from maskmend.models.vqgan import VQGAN
from maskmend.pretrained.component import load_tokenizer, save_tokenizer
from maskmend.pretrained.lookup import component_folder
from maskmend.training.distributed import data_parallel, gradients_meet, rank_and_world
from maskmend.training.ema import MovingAverage
from maskmend.training.losses import ImageLoss, Perceptual
from maskmend.training.masking import draw_weighted
from maskmend.training.precision import uses_bf16
from maskmend.training.recipe import Recipe
from maskmend.training.stages.decoder import init_from
from maskmend.training.stages.stage import adamw, optimizer_step, picture_grid, to_device


class TokenizerStage:
    """VQGAN, discriminators, their optimizers and the moving average."""

    component = "tokenizer"

    def __init__(
        self,
        recipe: Recipe,
        config: TokenizerConfig,
        device: torch.device,
        perceptual: Perceptual | None,
        classifier: Perceptual | None = None,
    ) -> None:
        self.config = config
        self.options = recipe.tokenizer
        self.clip = recipe.training.clip
        self.device = device
        self.autocast = uses_bf16(recipe.training, device)
        self.resolution = config.resolution
        self.model = VQGAN(config).to(device)
        if self.options.start:
            init_from(self.model, load_tokenizer(component_folder(Path(self.options.start), "tokenizer")))
            self.model.quantizer.keep_codebook()
        quantizer = config.quantizer
        waits = quantizer.update == "gradient" and self.options.quantize_from > 0
        self.parallel = data_parallel(self.model, unused=waits)  # a codebook that is not yet used
        self.ema = MovingAverage(self.model, recipe.training.ema)
        self.image_loss = ImageLoss(
            self.options, perceptual, classifier, config.resolution, recipe.training, device
        )
        self.optimizers = [adamw([self.model], recipe.training), *self.image_loss.optimizers]

    def train_step(
        self, micro_batches: list[Float[Tensor, "_ 3 H W"]], step: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        metrics: dict[str, Tensor] = {}
        micro_batches = [to_device(images, self.device) for images in micro_batches]
        self.model.train()
        for number, images in enumerate(micro_batches, 1):
            images = images.contiguous(memory_format=torch.channels_last)
            known = self._known(images, rng)
            last_part = number == len(micro_batches)
            with gradients_meet(self.parallel, last_part):
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                    quantize = step >= self.options.quantize_from
                    fake, quantized = self.parallel(images, generator, quantize, known)
                last = self.model.decoder.conv_out.weight
                mask = None if known is None else known.mask
                gradient, part = self.image_loss.gradient(images, fake, last, step, mask, last_part=last_part)
                extra = quantized.loss.detach()
                part |= {"quantizer": extra, "loss": part["reconstruction"] + extra}
                share = torch.ones((), device=self.device) / len(micro_batches)
                torch.autograd.backward([fake, quantized.loss], [(gradient * share).to(fake.dtype), share])
            metrics = {k: metrics.get(k, 0) + v.detach() / len(micro_batches) for k, v in part.items()}
        metrics["gradient"] = optimizer_step(self.model, self.optimizers[0], self.clip)
        self.ema.update(self.model, step)
        return metrics | self.image_loss.update_discriminators(step)

    def _known(self, images: Float[Tensor, "B 3 H W"], rng: np.random.Generator) -> KnownPixels | None:
        """The condition of a decoder with `known_channels`: a share `options.holes` of `images` has known
        pixels, the others are all hole."""
        if not self.config.known_channels:
            return None
        count, holes = len(images), self.options.holes
        if holes == 0:
            return no_known_pixels(count, self.resolution, self.resolution, self.device)
        weights = {"whole": 1 - holes, "boxes": holes / 3, "strokes": holes / 3, "random_walk": holes / 3}
        rank, world = rank_and_world()
        masks = draw_weighted(rng, count * world, self.resolution, self.config.factor, weights)
        masks = masks.share(rank, world)
        pixels = to_device(masks.pixels, self.device)
        return KnownPixels(infill(images, pixels, "diffusion"), pixels)

    @torch.no_grad()
    def validate(self, batches: list[Float[Tensor, "_ 3 H W"]]) -> dict[str, float]:
        model = self.ema.module
        sums = {"l1": 0.0, "psnr": 0.0, "lpips": 0.0}
        count, tokens = 0, []
        for images in batches:
            codes = model.encode(images)
            fake = model.decode(codes)
            tokens.append(codes.flatten())
            sums["l1"] += float((fake - images).abs().mean()) * len(images)
            sums["psnr"] += float((10 * torch.log10(4 / (fake - images).square().mean((1, 2, 3)))).sum())
            sums["lpips"] += self.image_loss.lpips_sum(fake, images)
            count += len(images)
        l1, psnr, lpips = (sums[k] / count for k in ("l1", "psnr", "lpips"))
        metrics = {"loss": l1 + self.options.perceptual * lpips, "l1": l1, "psnr": psnr}
        if self.image_loss.perceptual is not None:
            metrics["lpips"] = lpips
        return metrics | codebook_statistics(torch.cat(tokens), self.config.quantizer.codes)

    @torch.no_grad()
    def pictures(self, images: Float[Tensor, "B 3 H W"]) -> Image.Image:
        decoded = self.ema.module.decode(self.ema.module.encode(images))
        return picture_grid({"original": images, "decoded": decoded})

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "ema": self.ema.module.state_dict(),
            "quantizer": self.model.quantizer.training_state(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        } | self.image_loss.state()

    def load_state(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.ema.module.load_state_dict(state["ema"])
        self.model.quantizer.load_training_state(state["quantizer"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.image_loss.load_state(state)

    def export(self, folder: Path) -> None:
        save_tokenizer(self.ema.module, folder)
