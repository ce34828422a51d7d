"""Stage 1: training the VQGAN.

    L = |x - x^| + w_p LPIPS(x, x^) + quantizer loss + sum over judges of lambda w_a L_G  (Esser et al. 2021)

What a reconstruction is measured by, and lambda, are the critic's (critic.py); here they meet the quantizer.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from maskmend.images.infill import infill
from maskmend.models.known_encoder import Known, nothing_known
from maskmend.models.quantizer import codebook_statistics
from maskmend.models.vqgan import VQGAN, TokenizerConfig
from maskmend.pretrained.folder import component_folder, load_tokenizer, save_tokenizer
from maskmend.training.ema import MovingAverage
from maskmend.training.losses import Critic, Perceptual
from maskmend.training.masking import draw_weighted
from maskmend.training.recipe import Recipe
from maskmend.training.stages.decoder import start_from
from maskmend.training.stages.stage import adamw, descend, picture_grid, sent


class TokenizerStage:
    """VQGAN, its critic, their optimizers and the moving average."""

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
        precision = recipe.training.precision
        self.autocast = precision == "bf16" or (precision == "auto" and device.type == "cuda")
        self.resolution = config.resolution
        self.model = VQGAN(config).to(device)
        if self.options.start:
            start_from(self.model, load_tokenizer(component_folder(Path(self.options.start), "tokenizer")))
            self.model.quantizer.go_on()
        self.average = MovingAverage(self.model, recipe.training.ema)
        self.critic = Critic(self.options, perceptual, classifier, config.resolution, recipe.training, device)
        self.optimizers = [adamw([self.model], recipe.training), *self.critic.optimizers]

    def train_step(
        self, parts: list[Float[Tensor, "_ 3 H W"]], step: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        figures: dict[str, Tensor] = {}
        parts = [sent(images, self.device) for images in parts]
        self.model.train()
        for images in parts:
            images = images.contiguous(memory_format=torch.channels_last)
            known = self._known(images, rng)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                quantize = step >= self.options.quantize_from
                fake, quantized = self.model(images, generator, quantize, known)
            last = self.model.decoder.leave.weight
            mask = None if known is None else known.mask
            gradient, part = self.critic.gradient(images, fake, last, step, mask)
            extra = quantized.loss.detach()
            part |= {"quantizer": extra, "loss": part["reconstruction"] + extra}
            share = torch.ones((), device=self.device) / len(parts)
            torch.autograd.backward([fake, quantized.loss], [(gradient * share).to(fake.dtype), share])
            figures = {k: figures.get(k, 0) + v.detach() / len(parts) for k, v in part.items()}
        figures["gradient"] = descend(self.model, self.optimizers[0], self.clip)
        self.average.update(self.model, step)
        return figures | self.critic.learn(step)

    def _known(self, images: Float[Tensor, "B 3 H W"], rng: np.random.Generator) -> Known | None:
        """What a decoder with a branch is shown of `images`: `options.holes` of them have known pixels."""
        if not self.config.known_channels:
            return None
        count, holes = len(images), self.options.holes
        if holes == 0:
            return nothing_known(count, self.resolution, self.resolution, self.device)
        weights = {"whole": 1 - holes, "boxes": holes / 3, "strokes": holes / 3, "random_walk": holes / 3}
        masks = draw_weighted(rng, count, self.resolution, self.config.factor, weights)
        pixels = sent(masks.pixels, self.device)
        return Known(infill(images, pixels, "diffusion"), pixels)

    @torch.no_grad()
    def validate(self, batches: list[Float[Tensor, "_ 3 H W"]]) -> dict[str, float]:
        model = self.average.shadow
        sums = {"l1": 0.0, "psnr": 0.0, "lpips": 0.0}
        count, tokens = 0, []
        for images in batches:
            codes = model.encode(images)
            fake = model.decode(codes)
            tokens.append(codes.flatten())
            sums["l1"] += float((fake - images).abs().mean()) * len(images)
            sums["psnr"] += float((10 * torch.log10(4 / (fake - images).square().mean((1, 2, 3)))).sum())
            sums["lpips"] += self.critic.apart(fake, images)
            count += len(images)
        l1, psnr, lpips = (sums[k] / count for k in ("l1", "psnr", "lpips"))
        figures = {"loss": l1 + self.options.perceptual * lpips, "l1": l1, "psnr": psnr}
        if self.critic.perceptual is not None:
            figures["lpips"] = lpips
        return figures | codebook_statistics(torch.cat(tokens), self.config.quantizer.codes)

    @torch.no_grad()
    def pictures(self, images: Float[Tensor, "B 3 H W"]) -> Image.Image:
        decoded = self.average.shadow.decode(self.average.shadow.encode(images))
        return picture_grid({"original": images, "decoded": decoded})

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": self.average.shadow.state_dict(),
            "quantizer": self.model.quantizer.training_state(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        } | self.critic.state()

    def load_state(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average.shadow.load_state_dict(state["average"])
        self.model.quantizer.load_training_state(state["quantizer"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.critic.load_state(state)

    def export(self, folder: Path) -> None:
        save_tokenizer(self.average.shadow, folder)
