"""The description of a run that is sent to every worker: model, settings, source and target."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from maskmend.bulk.entries import Shard
from maskmend.bulk.manifest import begin
from maskmend.bulk.sources import Source
from maskmend.bulk.targets import Form, check_form
from maskmend.errors import ConfigError
from maskmend.fill.preparation import Preparation
from maskmend.images.opening import MAX_PIXELS
from maskmend.images.writing import WRITABLE
from maskmend.inference.devices import pick_device
from maskmend.masks.box import Box
from maskmend.masks.options import MaskOptions
from maskmend.masks.painted import PaintedMask
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.hashes import model_hash
from maskmend.seeds import seeds_from
from maskmend.storage.stores import Store


@dataclass(frozen=True, kw_only=True)
class Filling:
    """How pictures are filled, independent of their source."""

    model: str = "default"
    device: str = "cpu"
    precision: str = "auto"
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    """Seed of the run; a picture's seed is derived from it and the picture's key."""
    growth: int = 0
    reading: MaskOptions = field(default_factory=MaskOptions)
    quality: int = 95
    suffix: str | None = None
    """Suffix of all results; default: that of each picture."""
    max_pixels: int = MAX_PIXELS
    convert: bool = False
    painted: PaintedMask = field(default_factory=PaintedMask)
    """Areas filled in addition to the masks, or without any mask."""
    extend: str | None = None
    """Such as "left=200,right=10%"."""
    context_box: Box | None = None
    """The part of a picture that the model sees (`fill.context_box`)."""

    def __post_init__(self) -> None:
        seeds_from(self.seed)
        _ = self.preparation  # raises for an invalid extension
        if not 1 <= self.quality <= 100:
            raise ConfigError(f"quality = {self.quality}: give 1 to 100")
        if self.growth < 0:
            raise ConfigError(f"growth = {self.growth}: give 0 or more")
        if self.suffix is not None and self.suffix not in WRITABLE:
            raise ConfigError(
                f"format {self.suffix!r} cannot be written: choose one of {', '.join(WRITABLE)}"
            )

    @property
    def preparation(self) -> Preparation:
        """How pictures, masks and guides are prepared."""
        return Preparation(
            reading=self.reading,
            growth=self.growth,
            painted=self.painted,
            extend=self.extend,
            context_box=self.context_box,
            max_pixels=self.max_pixels,
            convert=self.convert,
        )

    def load(self) -> InpaintPipeline:
        """Loads the model. Raises ModelError; ConfigError for settings that are unknown, or that the model
        does not take."""
        pipe = InpaintPipeline.from_pretrained(self.model, precision=self.precision)
        pipe = pipe.to(pick_device(self.device))
        pipe.labels_for(pipe.defaults.changed(**self.settings))
        return pipe

    def described(self, pipe: InpaintPipeline) -> dict[str, Any]:
        """Everything that determines a result's bytes, except the pictures and masks."""
        return {
            "seed": self.seed,
            "seed_by": "key",
            "quality": self.quality,
            "format": self.suffix,
            "grow": self.growth,
            "precision": pipe.precision,
            **self.reading.described(),
            **self.preparation.described(),
            **asdict(pipe.defaults.changed(**self.settings)),
            "model": model_hash(pipe.tokenizer, pipe.transformer)[:16],
        }


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run. `prepare` must be called before it is sent to workers."""

    source: Source
    target: str
    filling: Filling = field(default_factory=Filling)
    form: Form = "files"
    shard: Shard = field(default_factory=Shard)
    chunk: int = 64
    """Average number of pictures that are committed together."""
    overwrite: bool = False
    retry_failed: bool = False
    """Fill chunks with failed pictures again."""
    digest: str = ""
    """Hash of the settings in `run.json`; workers with different settings refuse to run."""

    def __post_init__(self) -> None:
        check_form(self.form)
        if self.target.startswith("hf://buckets/"):
            raise ConfigError(
                f"--output {self.target}: results cannot be written to the Hub's buckets: give a repository, "
                "such as hf://datasets/OWNER/NAME, or a bucket at s3:// or gs://"
            )
        if self.chunk < 1:
            raise ConfigError(f"chunk = {self.chunk}: give 1 or more pictures")

    @property
    def store(self) -> Store:
        return Store(place=self.target)

    def described(self, pipe: InpaintPipeline) -> dict[str, Any]:
        guided = {"guide": True} if self.source.guided else {}
        return self.filling.described(pipe) | {"form": self.form, "chunk": self.chunk} | guided

    def prepare(self, pipe: InpaintPipeline) -> "Job":
        """Writes `run.json`. Raises ConfigError if the target was begun with other settings."""
        digest = begin(self.store, self.described(pipe), overwrite=self.overwrite)
        return replace(self, digest=digest)
