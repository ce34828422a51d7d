"""The inpainting pipeline: image and mask in, filled image out.

    image, mask ─► region ─► tokenizer.encode ─► decode(predict, tokens, hole)
                       │                              └─► tokenizer.decode ─► composite ─► image
                       └──────────── known pixels ────────────────┘

Pixels outside the mask are bit-identical in the result; pixels inside the hole never reach the model. Samples
of one hole differ only by their seed, and a seed gives the same fill in any batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np
import torch
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from maskmend.config import from_dict, nearest, to_dict
from maskmend.errors import ConfigError, ModelError
from maskmend.fill import rendering
from maskmend.fill.argument_names import check_names
from maskmend.fill.arguments import FillArguments
from maskmend.fill.conditions import conditions_for, labels_for
from maskmend.fill.crops import Region
from maskmend.fill.events import FillEvents
from maskmend.fill.familiarity import Domain
from maskmend.fill.image_filler import ImageFiller
from maskmend.fill.region_filler import RegionFiller
from maskmend.fill.requests import read_requests
from maskmend.fill.result import Inpainted
from maskmend.images.canvas import Length
from maskmend.images.picture import ImageLike, Picture
from maskmend.images.tensors import ValueRange
from maskmend.inference.cached_transformer import InferenceTransformer
from maskmend.inference.full_pass import FullPass, ready
from maskmend.inference.kernel_caches import bound_kernel_caches
from maskmend.inference.precision import decoding_dtype
from maskmend.masks.options import Channel, PhotoCheck
from maskmend.masks.reading import READ_AS_IT_IS, MaskLike
from maskmend.models.token_model import TokenModel
from maskmend.models.vqgan import VQGAN
from maskmend.pretrained.folder import load_model, read_card, read_index, save_model
from maskmend.pretrained.hub import push_model, write_hub_card
from maskmend.pretrained.lookup import find_model
from maskmend.pretrained.prompts import Prompts, open_prompts
from maskmend.settings import Settings
from maskmend.storage.temporary import temporary_folder


class InpaintPipeline:
    """Tokenizer and transformer, ready to fill holes.

    Args:
        tokenizer: VQGAN in eval mode.
        transformer: of the same number of codes and the same grid.
        defaults: default settings of a fill.
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
        self._transformer_ready: InferenceTransformer | FullPass | None = None  # made for the first fill
        decoding_dtype(precision, transformer.config, self.device)  # raises for an unknown one
        self.card: str | None = None
        """The model card, Markdown; `save_pretrained` writes it as README.md."""
        self.labels: tuple[str, ...] = ()
        """Names of the model's classes, where it has any and they are known."""
        self.prompts: Prompts | None = None
        """The prompt encoder, if the model folder has one."""
        self.domain: Domain | None = None
        """The model's domain, if known: fills of pictures unlike it get a note."""
        self.seconds: dict[str, float] = {}
        """Seconds the last call spent on each stage."""

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "default",
        *,
        revision: str | None = None,
        precision: str = "auto",
        device: str | torch.device = "cpu",
        **others: Any,
    ) -> "InpaintPipeline":
        """Loads a model: a shipped name ("default"), a model folder, or a hub id ("owner/name").

        A hub id needs the extra `hub`; `revision` is a branch, tag or commit there. Raises ModelError, and
        ConfigError for an unavailable device or an unknown argument (`others`).
        """
        check_names(others)
        for other in others:
            known = ("name", "revision", "precision", "device")
            raise ConfigError(f"unknown argument {other!r}{nearest(other, known)}: give {', '.join(known)}")
        folder = find_model(name, revision)
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
        decoding_dtype(precision, transformer.config, pipe.device)  # raises for an unknown one
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
        domain = None if self.domain is None else to_dict(self.domain)
        defaults = asdict(self.defaults)
        parts = (self.tokenizer, self.transformer, defaults, Path(folder), dtype, self.card, domain)
        save_model(*parts, labels=self.labels)
        if self.prompts is not None:
            self.prompts.copy(Path(folder))

    def push_to_hub(
        self,
        name: str,
        *,
        license: str | None = None,
        tags: Sequence[str] = (),
        examples: Sequence[tuple[Image.Image, Image.Image]] = (),
        half: bool = False,
        **options: Any,
    ) -> str:
        """Saves the model to the hub repository "owner/name" (extra `hub`); returns the commit's address.

        Args:
            license: as the hub names it, such as "apache-2.0"; the card claims none when None.
            tags: for the card, beside "inpainting" and the like.
            examples: pictures for the model's page, (before, after).
            half: store float16 weights.
            options: revision, private, token, message: see `pretrained.hub.push_model`.

        Raises ConfigError, ModelError.
        """
        with temporary_folder() as folder:
            self.save_pretrained(folder, half=half)
            write_hub_card(folder, self.card, license=license, tags=tags, examples=examples)
            return push_model(folder, name, **options)

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
        convert: bool = False,
        samples: int = 1,
        seed: int | Sequence[int] = 0,
        events: FillEvents | None = None,
        fit_mask: bool = False,
        invert_mask: bool = False,
        mask_channel: Channel = "auto",
        mask_threshold: float = READ_AS_IT_IS.threshold,
        mask_photo_check: PhotoCheck = "warn",
        **settings: Any,
    ) -> Any:
        """Fills the hole of one image (returns `Inpainted`) or of each of a batch (returns a list of them).

            image, mask ─► read_requests ─► FillRequest ─► ImageFiller ─► Inpainted
                                                            │      ▲
                                                    windows ▼      │ merge, composite
                                        RegionFiller: encode, decode, draw

        Args:
            image: PIL image, uint8 array (H, W, C), tensor (C, H, W) or `Picture`; or a batch: a list of
                them, or an array or tensor with a leading batch axis.
            mask: white (or True) is filled; see `masks.as_mask`. One for each image.
            guide: colours that the fill follows, RGBA of the image's size; used in the hole where alpha is
                above 0 (see `guide_strength`). For a batch, one for each image, or None.
            extend: fill new canvas beside the image: "left=200,right=10%", or {"left": 200, "right": "10%"};
                see `images.canvas.extend_canvas`. A mask has the size of the original image, a guide that of
                the canvas. Without a mask, only the new area is filled.
            value_range: black and white in float tensors, such as (0, 1) or (-1, 1); see
                `images.picture_from`.
            convert: accept animated, CMYK and 16-bit pictures, converted to 8-bit sRGB (see
                `Inpainted.converted`); otherwise they are refused.
            samples: fills of each hole, with seeds seed, seed + 1, ...
            seed: one for all images, or one for each.
            events: callbacks while the fill runs, see `FillEvents`.
            fit_mask: resize a mask of another size to its image.
            invert_mask: black is filled.
            mask_channel: "luma", "alpha" or "auto"; see `masks.as_mask`.
            mask_threshold: brightness, above 0 and up to 1, from which a mask's grey is filled.
            mask_photo_check: what happens to a mask that looks like a photograph: "warn" (a `MaskWarning`),
                "refuse" or "off".
            settings: changes to the model's default `Settings`: steps, schedule, temperature, seam, ...

        Raises:
            ImageError, MaskError, ConfigError: for unusable arguments, with a remedy.
        """
        check_names(settings)
        chosen = self.defaults.changed(**settings)
        self.labels_for(chosen)  # raises for what the model does not have
        requests, many = read_requests(
            image, mask, guide=guide, extend=extend, value_range=value_range, convert=convert,
            samples=samples, seed=seed, fit_mask=fit_mask, invert_mask=invert_mask,
            mask_channel=mask_channel, mask_threshold=mask_threshold, mask_photo_check=mask_photo_check,
        )  # fmt: skip
        filled = self._image_filler(chosen, events).fill(requests)
        return filled if many else filled[0]

    def draw_step(self, result: Inpainted, step: int, sample: int = 0) -> Image.Image:
        """The picture after decoding step `step` (from 1), with its prediction for all tokens.

        Holes of later regions are grey. Raises ConfigError for a step or sample that does not exist.
        """
        return rendering.step_picture(self.tokenizer, self.transformer.config.mask_id, result, step, sample)

    def draw_candidate(self, result: Inpainted, step: int, sample: int = 0) -> Image.Image:
        """The same at the model's resolution with every pixel from the decoder; several regions are stacked
        vertically."""
        return rendering.step_candidate(self.tokenizer, self.transformer.config.mask_id, result, step, sample)

    def draw_tokens(
        self, tokens: Int[np.ndarray, "S h w"], regions: Region | Sequence[Region] | None = None
    ) -> list[Image.Image]:
        """Decoded token grids, every pixel from the decoder, at the model's resolution.

        Grids stacked vertically, as in `Inpainted.tokens`, give pictures stacked vertically.

        `regions` (`Inpainted.regions`) condition the decoder on the known pixels; without them it uses the
        tokens alone.
        """
        return rendering.pictures(self.tokenizer, tokens, regions)

    def _image_filler(self, settings: Settings, events: FillEvents | None) -> ImageFiller:
        self.seconds = {}
        conditions = conditions_for(settings, self.transformer.config, self.labels, self.prompts)
        return ImageFiller(
            regions=RegionFiller(self.tokenizer, self._ready(), self.seconds, conditions),
            settings=settings,
            guesses=self.transformer.config.guesses,
            domain=self.domain,
            events=events or FillEvents(),
        )

    def _ready(self) -> InferenceTransformer | FullPass:
        if self._transformer_ready is None:
            dtype = decoding_dtype(self.precision, self.transformer.config, self.device)
            self._transformer_ready = ready(self.transformer, dtype)
        return self._transformer_ready

    def labels_for(self, settings: Settings) -> tuple[int | None, ...]:
        """The classes that these settings select; None for unconditional.

        Raises ConfigError for a class, a prompt or guidance that the model does not have, and for guidance
        without either.
        """
        return labels_for(settings, self.transformer.config, self.labels, self.prompts)
