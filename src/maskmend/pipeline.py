"""The way of the data, joined: image and mask in, filled image out.

    image, mask ─► region ─► tokenizer.encode ─► decode(predict, tokens, hole)
                       │                              └─► tokenizer.decode ─► composite ─► image
                       └──────────── known pixels ────────────────┘

Pixels outside the mask come back bit-identical; pixels inside the hole never reach the model. Several samples
of a hole differ by their seed alone, and a seed gives the same fill in any batch.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor

from maskmend.argument_names import check_names
from maskmend.config import from_dict, nearest
from maskmend.decoding.loop import Decoded, Step, decode
from maskmend.errors import ConfigError, ImageError, MaskError, ModelError
from maskmend.fill import rendering as drawing
from maskmend.fill.arguments import FillArguments
from maskmend.fill.crops import Region, cut_region, filled_picture
from maskmend.fill.familiarity import Domain, quantization_distance, with_familiarity
from maskmend.fill.guide import Guide, guided, guides_from
from maskmend.fill.labels import chosen_labels, likeliest
from maskmend.fill.levels import Level, LevelProgress, plan_levels, refine
from maskmend.fill.merge import Part, together
from maskmend.fill.plain import interpolate_plain
from maskmend.fill.preview import Preview
from maskmend.fill.result import Inpainted, untouched
from maskmend.fill.timer import Timer
from maskmend.fill.windows import Window, bounds, boxes_by_part, lay_windows
from maskmend.images.canvas import Length, extend_canvas
from maskmend.images.picture import ImageLike, Picture, ValueRange, picture_from
from maskmend.inference.cached_transformer import ReadyTransformer
from maskmend.inference.full_pass import FullPass, ready
from maskmend.inference.kernel_caches import bound_kernel_caches
from maskmend.inference.precision import decoding_dtype
from maskmend.masks.reading import Channel, MaskLike, as_mask, token_hole
from maskmend.models.token_model import TokenModel
from maskmend.models.transformer import Hints
from maskmend.models.vqgan import VQGAN
from maskmend.pretrained.folder import find_model, load_model, read_card, read_index, save_model
from maskmend.pretrained.prompts import Prompts, open_prompts
from maskmend.seeds import seeds_from
from maskmend.settings import Settings


class InpaintPipeline:
    """Tokenizer and transformer, ready to fill holes.

    Args:
        tokenizer: VQGAN in eval mode.
        transformer: of the same number of codes and the same grid.
        defaults: settings of a fill unless a call says otherwise.
        precision: number format of decoding, "auto", "fp32" or "bf16": see `precision`.
    """

    def __init__(
        self,
        tokenizer: VQGAN,
        transformer: TokenModel,
        defaults: Settings | None = None,
        precision: str = "auto",
    ) -> None:
        codes, grid = tokenizer.config.quantizer.codes, tokenizer.config.grid
        if (transformer.config.codes, transformer.config.grid) != (codes, grid):
            raise ConfigError(
                f"the tokenizer has {codes} codes on a {grid}x{grid} grid, the transformer "
                f"{transformer.config.codes} on {transformer.config.grid}x{transformer.config.grid}: "
                "take both from the same model"
            )
        bound_kernel_caches()
        self.tokenizer = tokenizer.eval().requires_grad_(False)
        self.transformer = transformer.eval().requires_grad_(False)
        self.defaults = defaults or Settings()
        self.precision = precision
        self._transformer_ready: ReadyTransformer | FullPass | None = None  # made for the first fill
        decoding_dtype(precision, transformer.config, self.device)  # an unknown one is told now
        self.card: str | None = None
        """The model card, Markdown; `save_pretrained` writes it as README.md."""
        self.labels: tuple[str, ...] = ()
        """Names of the model's classes, where it has any and they are known."""
        self.prompts: Prompts | None = None
        """What encodes prompts, for a model whose folder keeps that."""
        self.domain: Domain | None = None
        """What the model learnt, where that is known: pictures unlike it get a note."""
        self.seconds: dict[str, float] = {}
        """Seconds the last call spent on each stage."""

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "default",
        *,
        precision: str = "auto",
        device: str | torch.device = "cpu",
        **others: Any,
    ) -> "InpaintPipeline":
        """Loads a model: a shipped name ("default"), a model folder, or a hub id ("owner/name").

        A hub id needs the extra `hub`. Raises ModelError; ConfigError for a device that cannot be used and
        for `others`, any argument that there is not.
        """
        check_names(others)
        for other in others:
            known = ("name", "precision", "device")
            raise ConfigError(f"unknown argument {other!r}{nearest(other, known)}: give {', '.join(known)}")
        folder = find_model(name)
        tokenizer, transformer, defaults = load_model(folder)
        try:
            pipe = cls(tokenizer, transformer, from_dict(Settings, defaults, "defaults"))
            index = read_index(folder)
            pipe.labels = tuple(index.get("labels", ()))
            pipe.prompts = open_prompts(folder, transformer, pipe.resolution)
            domain = index.get("domain")
            pipe.domain = None if domain is None else from_dict(Domain, domain, "domain")
        except ConfigError as error:
            raise ModelError(f"model {folder}: {error}") from None
        decoding_dtype(precision, transformer.config, pipe.device)  # an unknown one is told now
        pipe.precision = precision
        pipe.card = read_card(folder)
        return pipe if str(device) == "cpu" else pipe.to(device)

    def __repr__(self) -> str:
        config, side = self.transformer.config, self.resolution
        return (
            f"<InpaintPipeline {side} x {side} pixels, {config.grid} x {config.grid} tokens of "
            f"{config.codes} codes, {self.defaults.steps} steps, {self.precision} on {self.device}>"
        )

    def save_pretrained(self, folder: str | Path, *, half: bool = False) -> None:
        """Writes a model folder; `half` stores float16 weights."""
        dtype = torch.float16 if half else None
        domain = None if self.domain is None else asdict(self.domain)
        defaults = asdict(self.defaults)
        parts = (self.tokenizer, self.transformer, defaults, Path(folder), dtype, self.card, domain)
        save_model(*parts, labels=self.labels)
        if self.prompts is not None:
            self.prompts.copy(Path(folder))

    def to(self, device: str | torch.device) -> "InpaintPipeline":
        """Moves both models to `device`. Raises ConfigError where it cannot be used; then they stay."""
        before = self.device
        self._transformer_ready = None
        try:
            self.tokenizer.to(device)
            self.transformer.to(device)
        except (RuntimeError, AssertionError) as error:
            self.tokenizer.to(before)
            self.transformer.to(before)
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ConfigError(
                f"device {str(device)!r} cannot be used ({reason}): stay on {before}"
            ) from error
        return self

    @property
    def device(self) -> torch.device:
        return self.transformer.device

    @property
    def resolution(self) -> int:
        """Side of the square the model sees, in pixels."""
        return self.tokenizer.config.resolution

    @overload
    def __call__(
        self,
        image: Picture | Image.Image,
        mask: MaskLike | None = None,
        **arguments: Unpack[FillArguments],
    ) -> Inpainted: ...
    @overload
    def __call__(
        self,
        image: Sequence[ImageLike],
        mask: Sequence[MaskLike] | np.ndarray | Tensor | None = None,
        **arguments: Unpack[FillArguments],
    ) -> list[Inpainted]: ...
    @overload  # one image or a batch: the number of axes says which, and a type checker does not know it
    def __call__(
        self,
        image: np.ndarray | Tensor,
        mask: MaskLike | Sequence[MaskLike] | None = None,
        **arguments: Unpack[FillArguments],
    ) -> Any: ...
    def __call__(
        self,
        image: ImageLike | Sequence[ImageLike],
        mask: MaskLike | Sequence[MaskLike] | None = None,
        *,
        guide: ImageLike | Sequence[ImageLike | None] | None = None,
        extend: Mapping[str, Length] | str | None = None,
        value_range: ValueRange | None = None,
        samples: int = 1,
        seed: int | Sequence[int] = 0,
        callback: Callable[[Step], object] | None = None,
        preview: Callable[[Preview], object] | None = None,
        finished: Callable[[int, Inpainted], object] | None = None,
        on_level: Callable[[LevelProgress], object] | None = None,
        fit_mask: bool = False,
        invert_mask: bool = False,
        mask_channel: Channel = "auto",
        mask_threshold: float | None = None,
        **settings: Any,
    ) -> Any:
        """Fills the hole of one image (returns `Inpainted`) or of each of a batch (returns a list of them).

        Args:
            image: PIL image, uint8 array (H, W, C), tensor (C, H, W) or `Picture`; or a batch: a list of
                them, or an array or tensor with one axis more in front.
            mask: white (or True) is filled; see `masks.as_mask`. One for each image.
            guide: colours to draw from, RGBA of the image's size: they count in the hole, where alpha is
                above 0 (`guide_strength`). Of a batch one for each image, or None for those without.
            extend: fill new canvas beside the image: "left=200,right=10%", or {"left": 200, "right": "10%"};
                see `images.canvas.extend_canvas`. A mask has the size of the image before, a guide that of
                the canvas. Without a mask only what is new is filled.
            value_range: black and white in float tensors, such as (0, 1) or (-1, 1); see
                `images.picture_from`.
            samples: fills of each hole, with seeds seed, seed + 1, ...
            seed: one for all images, or one for each.
            callback: called with each decoding `Step`, over all images times samples.
            preview: called after each step with a `Preview`, which draws how a fill stands when asked to.
            finished: called with an image's place in the batch and its result as soon as that is there: one
                whose hole takes many windows keeps no other waiting.
            on_level: called with a `LevelProgress` before a wide hole is drawn at finer scales, and after
                each batch of windows.
            fit_mask: resize a mask of another size to its image.
            invert_mask: black is filled.
            mask_channel: "luma", "alpha" or "auto"; see `masks.as_mask`.
            mask_threshold: brightness, above 0 and up to 1, from which a mask's grey is filled; None for 0.5,
                and a mask that looks like a photograph is refused.
            settings: changes to the model's default `Settings`: steps, schedule, temperature, seam, ...

        Raises:
            ImageError, MaskError, ConfigError: what cannot be used, and the remedy.
        """
        check_names(settings)
        if mask is None and extend is None:
            raise MaskError(
                "no mask: give one of the image's size as `mask`, white where it is to be filled."
            )
        chosen = self.defaults.changed(**settings)
        self.labels_for(chosen)  # one that there is not is told now
        images, many = _listed(image)
        stacked = many and isinstance(image, np.ndarray | Tensor)
        masks = [None] * len(images) if mask is None else _listed(mask, axes=3 if stacked else 4)[0]
        if len(images) != len(masks) or not images:
            raise ImageError(f"{len(images)} images and {len(masks)} masks: give one mask for each image")
        # An array or tensor without axes calls itself iterable, and is one number.
        if isinstance(seed, Iterable) and getattr(seed, "ndim", 1) > 0:
            starts = list(seed)
        else:
            starts = [seed] * len(images)
        seeds = [seeds_from(start, samples) for start in starts]
        if len(starts) != len(images):
            raise ConfigError(f"{len(starts)} seeds for {len(images)} images: give one, or one for each")
        pictures = [picture_from(item, value_range) for item in images]
        reading: dict[str, Any] = {
            "fit": fit_mask, "invert": invert_mask, "channel": mask_channel, "threshold": mask_threshold,
        }  # fmt: skip
        holes = [
            np.zeros(p.pixels.shape[:2], dtype=bool)
            if m is None
            else as_mask(m, size=p.pixels.shape[:2], **reading)
            for m, p in zip(masks, pictures, strict=True)
        ]
        if extend is not None:
            extended = [extend_canvas(p, extend, mask=m) for p, m in zip(pictures, holes, strict=True)]
            pictures, holes = [p for p, _ in extended], [m for _, m in extended]
        guides: list[Guide | None] = [None] * len(pictures)
        if guide is not None:
            guides = guides_from(_listed(guide)[0] if many else [guide], holes, value_range)
        filled = self._fill(pictures, holes, guides, seeds, chosen, callback, preview, finished, on_level)
        return filled if many else filled[0]

    @torch.inference_mode()
    def _fill(
        self,
        pictures: list[Picture],
        masks: list[np.ndarray],
        guides: list[Guide | None],
        seeds: list[tuple[int, ...]],
        settings: Settings,
        callback: Callable[[Step], object] | None,
        preview: Callable[[Preview], object] | None,
        finished: Callable[[int, Inpainted], object] | None,
        on_level: Callable[[LevelProgress], object] | None,
    ) -> list[Inpainted]:
        self.seconds = {}
        results: dict[int, Inpainted] = {}

        def finish(i: int, parts: list[Part]) -> None:
            with self._timed("composite"):
                results[i] = self._joined(pictures[i], masks[i], parts, seeds[i], settings)
            levels = self._levels(masks[i], windows[i], settings)
            if levels:
                with self._timed("refine"):
                    results[i] = self._refined(results[i], levels, i, on_level)
            if parts and settings.plain > 0:
                with self._timed("composite"):
                    drawn = guides[i] if settings.guide_strength > 0 else None
                    results[i] = _interpolated(results[i], settings.plain, drawn)
            if finished is not None:
                finished(i, results[i])

        with self._timed("crop"):
            windows = [
                lay_windows(mask, self.resolution, context=settings.context, most=settings.windows)
                for mask in masks
            ]
        parts: list[list[Part]] = [[] for _ in masks]
        for i, those in enumerate(windows):
            if not those:
                finish(i, [])
        # One window of each image at a time: memory does not grow with the number of holes.
        for turn in range(max(map(len, windows))):
            busy = [i for i, those in enumerate(windows) if len(those) > turn]
            with self._timed("crop"):
                regions = [
                    self._cut(pictures[i], masks[i], windows[i][turn], guides[i], settings) for i in busy
                ]
            told = callback
            if preview is not None:
                told = self._previewing(
                    preview,
                    callback,
                    dict(zip(busy, regions, strict=True)),
                    (turn + 1, {i: len(windows[i]) for i in busy}),
                    settings,
                )
            filled = self._fill_regions(regions, [seeds[i] for i in busy], settings, told)
            for i, part in zip(busy, filled, strict=True):
                parts[i].append(part)
                if len(parts[i]) == len(windows[i]):
                    finish(i, parts[i])
        return [results[i] for i in range(len(masks))]

    def _cut(
        self,
        picture: Picture,
        mask: Bool[np.ndarray, "H W"],
        window: Window,
        guide: Guide | None,
        settings: Settings,
    ) -> Region:
        """What the model sees through a window."""
        region = cut_region(picture.pixels, mask, window, self.resolution, strategy=settings.infill)
        if guide is None:
            return region
        return guided(
            region,
            picture.pixels,
            mask,
            guide,
            strategy=settings.infill,
            strength=settings.guide_strength,
        )

    def _joined(
        self,
        picture: Picture,
        mask: Bool[np.ndarray, "H W"],
        parts: list[Part],
        seeds: tuple[int, ...],
        settings: Settings,
    ) -> Inpainted:
        if not parts:
            return untouched(picture, mask, seeds, settings)
        grid, factor = self.tokenizer.config.grid, self.tokenizer.config.factor
        result = together(picture, mask, parts, seeds, settings, grid=grid, factor=factor)
        distance = quantization_distance([part.distances for part in parts], [part.hole for part in parts])
        return with_familiarity(result, distance, self.domain)

    def _levels(
        self, mask: Bool[np.ndarray, "H W"], windows: list[Window], settings: Settings
    ) -> list[Level]:
        """The finer scales at which a hole is drawn anew after its windows are filled."""
        if settings.detail == "auto" and not self.transformer.config.guesses:
            return []
        return plan_levels(mask, windows, self.resolution, settings.detail)

    def _refined(
        self,
        result: Inpainted,
        levels: list[Level],
        image: int,
        on_level: Callable[[LevelProgress], object] | None,
    ) -> Inpainted:
        """`result` with its pictures drawn anew at the finer scales, sample by sample."""
        settings = replace(result.settings, steps=result.settings.detail_steps, sweet_spot=None)
        total = sum(len(level.cells) for level in levels)
        spent = sum(self.seconds.get(stage, 0.0) for stage in ("encode", "predict", "draw"))
        pace = spent / max(1, len(result.regions) * len(result.pictures))

        def redraw(regions: Sequence[Region], seeds: Sequence[int]) -> list[np.ndarray]:
            parts = self._fill_regions(list(regions), [(seed,) for seed in seeds], settings, None)
            return [part.fills[0] for part in parts]

        pictures = []
        for sample, (picture, seed) in enumerate(zip(result.pictures, result.seeds, strict=True)):
            done, begun = 0, time.perf_counter()

            def report(level: int, windows: int, sample: int = sample, begun: float = begun) -> None:
                nonlocal done
                done += windows
                if on_level is None:
                    return
                each = (time.perf_counter() - begun) / done if done else pace
                on_level(
                    LevelProgress(
                        image=image,
                        sample=sample,
                        level=level,
                        levels=len(levels),
                        windows=done,
                        total=total,
                        seconds_left=each * (total - done),
                    )
                )

            report(1, 0)

            pixels = refine(
                picture.pixels,
                result.mask,
                levels,
                redraw,
                resolution=self.resolution,
                seam=settings.seam,
                seed=seed,
                progress=report,
            )
            pictures.append(filled_picture(result.source, result.mask, pixels))
        return replace(result, pictures=tuple(pictures))

    def _fill_regions(
        self, regions: list[Region], seeds: list[tuple[int, ...]], settings: Settings, callback: Any
    ) -> list[Part]:
        """The fills of regions of as many images."""
        samples = len(seeds[0])
        with self._timed("encode"):
            tokens, hole, hints, distances = self._encode(regions, settings)
        with self._timed("predict"):
            tried = [
                self._decode(tokens, hole, hints, seeds, settings, callback, label)
                for label in self.labels_for(settings)
            ]
            decoded = likeliest(tried)
        with self._timed("draw"):
            fills = drawing.draw(
                self.tokenizer, decoded.tokens, [region for region in regions for _ in range(samples)]
            )
        parts = []
        for n, region in enumerate(regions):
            rows = slice(n * samples, (n + 1) * samples)
            parts.append(
                Part(
                    region=region,
                    given=tokens[n],
                    hole=hole[n],
                    distances=distances[n],
                    tokens=decoded.tokens[rows],
                    entropy=decoded.entropy[rows][0],
                    log_likelihood=decoded.log_likelihood[rows],
                    history=tuple(_rows_of(step, rows) for step in decoded.history),
                    fills=fills[rows],
                )
            )
        return parts

    def _previewing(
        self,
        preview: Callable[[Preview], object],
        callback: Callable[[Step], object] | None,
        regions: dict[int, Region],
        turn: tuple[int, dict[int, int]],
        settings: Settings,
    ) -> Callable[[Step], None]:
        """A callback of `decode` that also makes a `Preview` of each step."""
        part, parts = turn

        def told(step: Step) -> None:
            if callback is not None:
                callback(step)
            preview(
                Preview(
                    step=step,
                    regions=regions,
                    part=part,
                    parts=parts,
                    seam=settings.seam,
                    draw=partial(drawing.draw, self.tokenizer),
                )
            )

        return told

    def draw_step(self, result: Inpainted, step: int, sample: int = 0) -> Image.Image:
        """The picture after decoding step number `step` (from 1): what it predicts for all tokens.

        Holes whose turn comes later are grey. Raises ConfigError for a step or sample that there is not.
        """
        return drawing.step_picture(self.tokenizer, self.transformer.config.mask_id, result, step, sample)

    def draw_candidate(self, result: Inpainted, step: int, sample: int = 0) -> Image.Image:
        """The same at the model's resolution with every pixel from the decoder; of several regions one below
        the other."""
        return drawing.step_candidate(self.tokenizer, self.transformer.config.mask_id, result, step, sample)

    def draw_tokens(
        self, tokens: Int[np.ndarray, "S h w"], regions: Region | Sequence[Region] | None = None
    ) -> list[Image.Image]:
        """Whole pictures of token grids, every pixel from the decoder, at the model's resolution; of several
        grids one below the other, as `Inpainted.tokens` has them, as many pictures one below the other.

        `regions` are what the model saw of the picture that the tokens fill (`Inpainted.regions`), for a
        decoder that also looks at the known pixels; without them such a decoder works from the tokens alone.
        """
        return drawing.pictures(self.tokenizer, tokens, regions)

    def _ready(self) -> ReadyTransformer | FullPass:
        if self._transformer_ready is None:
            dtype = decoding_dtype(self.precision, self.transformer.config, self.device)
            self._transformer_ready = ready(self.transformer, dtype)
        return self._transformer_ready

    def _encode(
        self, regions: list[Region], settings: Settings
    ) -> tuple[Int[Tensor, "B N"], Bool[Tensor, "B N"], Hints, Float[Tensor, "B N"]]:
        images, masks, guess = drawing.known(regions, self.device)
        hole = token_hole(masks, self.tokenizer.config.factor, settings.ring, settings.share).flatten(1)
        # One by one: a convolution's last bits depend on how many go through it at once; a fill must not.
        encoded = [self.tokenizer.encode_with_distances(image) for image in images.split(1)]
        tokens, distances = (torch.cat(each).flatten(1) for each in zip(*encoded, strict=True))
        missing = F.avg_pool2d(masks.float(), self.tokenizer.config.factor).flatten(1)
        assert guess is not None  # `known` tells of each pixel
        guessed = F.max_pool2d(guess.float(), self.tokenizer.config.factor).flatten(1)
        hints = Hints(tokens, missing, guessed)
        return torch.where(hole, self.transformer.config.mask_id, tokens), hole, hints, distances

    def labels_for(self, settings: Settings) -> tuple[int | None, ...]:
        """The classes to fill under with these settings; None stands for none.

        Raises ConfigError for a class, or guidance, that the model does not have.
        """
        config = self.transformer.config
        if settings.prompt and self.prompts is None:
            raise ConfigError(
                f"prompt = {settings.prompt!r}: this model knows no words or keeps no prompts, leave it out"
            )
        conditioned = config.labels or self.prompts is not None
        if settings.guidance != 1 and not (conditioned and config.unconditional):
            raise ConfigError(
                f"guidance = {settings.guidance}: this model was not trained for it, leave it out"
            )
        return chosen_labels(settings.label, self.labels, config.labels, unconditional=config.unconditional)

    def _decode(
        self,
        tokens: Tensor,
        hole: Tensor,
        hints: Hints,
        seeds: list[tuple[int, ...]],
        settings: Settings,
        callback: Any,
        label: int | None = None,
    ) -> Decoded:
        under: dict[str, Any] = {}
        if label is not None:
            under["condition"] = torch.full_like(tokens[:, 0], label)
            under["guidance"] = settings.guidance
        elif settings.prompt and self.prompts is not None:
            words = self.prompts.condition(settings.prompt).to(tokens.device)
            under["condition"] = words.expand(len(tokens), -1)
            under["guidance"] = settings.guidance
        samples, grid = len(seeds[0]), self.tokenizer.config.grid
        return decode(
            self._ready().predictor(tokens, hole, hints, samples, **under),
            tokens.repeat_interleave(samples, 0),
            hole.repeat_interleave(samples, 0),
            mask_id=self.transformer.config.mask_id,
            seeds=[seed for group in seeds for seed in group],
            grid=(grid, grid),
            callback=callback,
            **settings.decoding(),
        )

    def _timed(self, stage: str) -> Timer:
        return Timer(self.seconds, stage)


def _interpolated(result: Inpainted, limit: float, guide: Guide | None = None) -> Inpainted:
    """`result` with its fills interpolated where their surroundings are plain and no guide says otherwise."""
    pictures = []
    # What is drawn from a guide stays, and the interpolation beside it starts from there.
    mask = result.mask if guide is None else result.mask & ~guide.painted
    boxes = [bounds(boxes) for _, boxes in boxes_by_part([region.window for region in result.regions])]
    for picture in result.pictures:
        pixels = picture.pixels.copy()
        for box in boxes:
            here = box.slices
            pixels[here] = interpolate_plain(pixels[here], mask[here], limit)
        pictures.append(filled_picture(result.source, result.mask, pixels))
    return replace(result, pictures=tuple(pictures))


def _listed(items: Any, axes: int = 4) -> tuple[list[Any], bool]:
    """The items of a batch (a list, or an array or tensor of `axes` axes) and whether it is one."""
    many = isinstance(items, list | tuple) or (isinstance(items, np.ndarray | Tensor) and items.ndim >= axes)
    return (list(items) if many else [items]), many


def _rows_of(step: Step, rows: slice) -> Step:
    return Step(
        index=step.index, tokens=step.tokens[rows], masked=step.masked[rows], candidate=step.candidate[rows]
    )
