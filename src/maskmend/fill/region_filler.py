"""Tokenizer and transformer combined: fills regions of pictures.

regions ─► tokenizer.encode ─► tokens, hole, hints ─► decode ─► tokenizer.decode ─► fills
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskmend.decoding.interface import decode
from maskmend.decoding.loop import Decoded, Step
from maskmend.fill import rendering
from maskmend.fill.conditions import UNCONDITIONAL, Condition
from maskmend.fill.crops import Region
from maskmend.fill.labels import likeliest
from maskmend.fill.merge import RegionFill
from maskmend.fill.timer import Timer
from maskmend.inference.cached_transformer import InferenceTransformer
from maskmend.inference.full_pass import FullPass
from maskmend.masks.morphology import missing_share, token_hole
from maskmend.models.transformer import Hints
from maskmend.models.vqgan import VQGAN
from maskmend.settings import Settings


class RegionFiller:
    """Fills regions.

    Args:
        tokenizer: VQGAN in eval mode.
        transformer: of the same number of codes and the same grid, ready for decoding.
        seconds: where the seconds spent on each stage are added up.
        conditions: what to fill under: each is tried, and the likeliest fill kept, sample by sample.
    """

    def __init__(
        self,
        tokenizer: VQGAN,
        transformer: InferenceTransformer | FullPass,
        seconds: dict[str, float],
        conditions: Sequence[Condition] = UNCONDITIONAL,
    ) -> None:
        self.tokenizer, self.transformer, self.seconds = tokenizer, transformer, seconds
        self.conditions = conditions
        self.regions = self.fills = self.steps = 0
        """Regions encoded, fills drawn, and decoding steps of all fills, so far."""
        self.mask_id: int = transformer.model.config.mask_id

    @torch.inference_mode()
    def fill(
        self,
        regions: Sequence[Region],
        seeds: Sequence[tuple[int, ...]],
        settings: Settings,
        on_step: Callable[[Step], object] | None = None,
    ) -> list[RegionFill]:
        """The fills of each region; `seeds` are those of its samples, as many for all."""
        samples = len(seeds[0])
        with self._timed("encode"):
            tokens, hole, hints, distances = self._encode(regions, settings)
        with self._timed("predict"):
            decoded = likeliest(
                [
                    self._decode(tokens, hole, hints, seeds, settings, condition, on_step)
                    for condition in self.conditions
                ]
            )
        with self._timed("draw"):
            fills = rendering.decode_pictures(
                self.tokenizer, decoded.tokens, [region for region in regions for _ in range(samples)]
            )
        self.regions += len(regions)
        self.fills += len(regions) * samples
        self.steps += len(decoded.history) * len(regions) * samples
        parts = []
        for n, region in enumerate(regions):
            rows = slice(n * samples, (n + 1) * samples)
            parts.append(
                RegionFill(
                    region=region,
                    given=tokens[n],
                    hole=hole[n],
                    distances=distances[n],
                    tokens=decoded.tokens[rows],
                    entropy=decoded.entropy[rows][0],
                    log_likelihood=decoded.log_likelihood[rows],
                    history=tuple(step.at(rows) for step in decoded.history),
                    fills=fills[rows],
                )
            )
        return parts

    def seconds_each(self, steps: int) -> float:
        """Seconds that one fill of a region takes in so many decoding steps, judged by the fills so far."""
        encoding, predicting, drawing = (
            self.seconds.get(stage, 0.0) / max(1, count)
            for stage, count in (("encode", self.regions), ("predict", self.steps), ("draw", self.fills))
        )
        return encoding + steps * predicting + drawing

    def _encode(
        self, regions: Sequence[Region], settings: Settings
    ) -> tuple[Int[Tensor, "B N"], Bool[Tensor, "B N"], Hints, Float[Tensor, "B N"]]:
        images, masks, guess = rendering.known(regions, self.tokenizer.quantizer.codebook.device)
        factor = self.tokenizer.config.factor
        hole = token_hole(masks, factor, settings.ring, settings.share).flatten(1)
        # One by one: a convolution's last bits depend on how many go through it at once; a fill must not.
        encoded = [self.tokenizer.encode_with_distances(image) for image in images.split(1)]
        tokens, distances = (torch.cat(each).flatten(1) for each in zip(*encoded, strict=True))
        missing = missing_share(masks, factor)
        assert guess is not None  # `known` gives it for each pixel
        guessed = F.max_pool2d(guess.float(), factor).flatten(1)
        hints = Hints(tokens, missing, guessed)
        return torch.where(hole, self.mask_id, tokens), hole, hints, distances

    def _decode(
        self,
        tokens: Int[Tensor, "B N"],
        hole: Bool[Tensor, "B N"],
        hints: Hints,
        seeds: Sequence[tuple[int, ...]],
        settings: Settings,
        condition: Condition,
        on_step: Callable[[Step], object] | None,
    ) -> Decoded:
        samples, grid = len(seeds[0]), self.tokenizer.config.grid
        under = condition.arguments(len(tokens), tokens.device)
        return decode(
            self.transformer.predictor(tokens, hole, hints, samples, **under),
            tokens.repeat_interleave(samples, 0),
            hole.repeat_interleave(samples, 0),
            mask_id=self.mask_id,
            seeds=[seed for group in seeds for seed in group],
            grid=(grid, grid),
            on_step=on_step,
            **settings.decoding(),
        )

    def _timed(self, stage: str) -> Timer:
        return Timer(self.seconds, stage)
