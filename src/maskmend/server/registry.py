"""The server's models: located at startup, loaded on first use, shared by all workers."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from maskmend.config import from_dict, nearest
from maskmend.errors import ConfigError, ModelError
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.json_files import read_json
from maskmend.pretrained.lookup import find_model
from maskmend.server.errors import ApiError
from maskmend.settings import Settings


class ModelEntry:
    """One model; `defaults` are available before the weights are loaded."""

    def __init__(self, name: str, defaults: Settings, load: Callable[[], InpaintPipeline]) -> None:
        self.name, self.defaults = name, defaults
        self.pipe: InpaintPipeline | None = None
        self._load, self._lock = load, threading.Lock()

    def loaded(self) -> InpaintPipeline:
        """The pipeline, loaded on the first call. Raises ModelError."""
        with self._lock:
            if self.pipe is None:
                self.pipe = self._load()
            return self.pipe

    def about(self) -> dict[str, Any]:
        """The model's description for clients; sizes are None until the model is loaded."""
        pipe = self.pipe
        config = None if pipe is None else pipe.transformer.config
        return {
            "name": self.name,
            "loaded": pipe is not None,
            "resolution": None if pipe is None else pipe.resolution,
            "grid": None if config is None else config.grid,
            "codes": None if config is None else config.codes,
            "conditions": None if pipe is None else conditions(pipe),
            "settings": asdict(self.defaults),
        }


def conditions(pipe: InpaintPipeline) -> dict[str, Any]:
    """The conditioning this model takes: classes, prompts, guidance."""
    config = pipe.transformer.config
    prompts = pipe.prompts is not None
    return {
        "classes": config.labels,
        "labels": list(pipe.labels),
        "prompts": prompts,
        "guided": bool((config.labels or prompts) and config.unconditional),
    }


class Catalogue:
    """Models by name; the first is the default."""

    def __init__(self, entries: Iterable[ModelEntry]) -> None:
        self.entries = {entry.name: entry for entry in entries}

    @classmethod
    def open(cls, models: Iterable[str], device: Any) -> "Catalogue":
        """Opens bundled models, model folders and hub ids. A folder is listed by its name, without its path.

        Raises ModelError for anything that is not a model, ConfigError for duplicate names.
        """
        entries: list[ModelEntry] = []
        for model in models:
            folder = find_model(model)
            name = Path(model).resolve().name if Path(model).is_dir() and model != "default" else model
            if name in (entry.name for entry in entries):
                raise ConfigError(f"two models are called {name!r}: rename one's folder")
            content = read_json(folder / "model_index.json")
            try:
                defaults = from_dict(Settings, content.get("defaults", {}), "defaults")
            except ConfigError as error:
                raise ModelError(f"model {folder}: {error}") from None
            entries.append(ModelEntry(name, defaults, _loader(folder, device)))
        return cls(entries)

    @property
    def default(self) -> str:
        return next(iter(self.entries))

    def entry(self, name: str | None) -> ModelEntry:
        """The model called `name`, the default for None. Raises ApiError (422)."""
        found = self.entries.get(self.default if name is None else name)
        if found is None:
            close = nearest(str(name)[:60], self.entries)
            raise ApiError(422, "model_unknown", f"no model {str(name)[:60]!r}{close}; see /v1/models")
        return found


def _loader(folder: Path, device: Any) -> Callable[[], InpaintPipeline]:
    return lambda: InpaintPipeline.from_pretrained(folder).to(device)
