"""Text prompts, for models whose folder has a text encoder.

    prompt ─ tokenizer ─► words ─ CLIP ─► text ─ conditioning ─► the constants of a pass (models.uvit)

    MODEL/prompts/    config.json, weights.safetensors (CLIP's, and those of the conditioning, "condition.X"),
                      vocab.json, merges.txt and the tokenizer's other files

The weights stay in their file and are read once for each new prompt. Only the tokenizer needs transformers
(extra `text`).
"""

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from maskmend.config import from_dict
from maskmend.errors import ConfigError, ModelError, OutputError, pip_install
from maskmend.models.clip_text import ClipTextConfig, clip_text_shapes, encode_text
from maskmend.models.token_model import TokenModel
from maskmend.models.uvit import UViT
from maskmend.models.uvit_conditioning import condition, micro_conditions
from maskmend.pretrained.json_files import check_index, read_json

PROMPTS = "prompts"
FORMAT = 1
"""Of `config.json` there; it has names of its own, so the format of the model folder does not count."""
CONDITION = "condition."
"""Prefix of the names of the conditioning's weights."""
KEPT = 8
"""Number of prompts whose constants are cached, 20 MB each."""


@dataclass(frozen=True, kw_only=True)
class PromptConfig:
    end: int
    """Number of the token that ends a text."""
    text: ClipTextConfig = field(default_factory=ClipTextConfig)
    """Sizes of the text encoder."""


def prompt_index(config: PromptConfig) -> dict[str, Any]:
    """What `config.json` of the folder says."""
    return {"format": FORMAT, "kind": "prompts", "config": asdict(config)}


class Prompts:
    """What turns prompts into conditions of one model.

    Args:
        folder: `prompts` of the model folder.
        model: the U-ViT.
        side: of its pictures, in pixels.

    Raises ModelError where the folder is damaged.
    """

    def __init__(self, folder: Path, model: UViT, side: int) -> None:
        self.folder, self.model, self.side = folder, model, side
        path = folder / "config.json"
        content = read_json(path)
        check_index(content, "prompts", path, ["config"], newest=FORMAT)
        try:
            self.config = from_dict(PromptConfig, content.get("config"), "config")
        except ConfigError as error:
            raise ModelError(f"{path}: {error}") from None
        try:
            self._file = safe_open(folder / "weights.safetensors", framework="pt")
            found = {name: tuple(self._file.get_slice(name).get_shape()) for name in self._file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ModelError(f"cannot read the weights in {folder}: {error}; copy the model again") from None
        for name, shape in clip_text_shapes(self.config.text).items():
            if found.get(name) != shape:
                raise ModelError(
                    f"{folder}: {name} has shape {found.get(name)}, config.json says {shape}; copy the model "
                    "again"
                )
        self._made: dict[str, Tensor] = {}

    def condition(self, prompt: str) -> Float[Tensor, "M"]:
        """The prompt as `UViT.forward` takes it. Raises ConfigError without transformers, ModelError."""
        if prompt not in self._made:
            while len(self._made) >= KEPT:
                del self._made[next(iter(self._made))]
            self._made[prompt] = self._condition(prompt)
        return self._made[prompt]

    def copy(self, model_folder: Path) -> None:
        """Copies the files into another model folder. Raises OutputError."""
        place = model_folder / PROMPTS
        if place.resolve() == self.folder.resolve():
            return
        try:
            shutil.copytree(self.folder, place, dirs_exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {place} ({error}): check the folder and free space") from None

    def _condition(self, prompt: str) -> Float[Tensor, "M"]:
        text = encode_text(self._weight, self.config.text, self._words(prompt), self.config.end)

        def weight(name: str) -> Tensor:
            return self._weight(CONDITION + name)

        made = condition(weight, self.model.config, text, micro_conditions(self.side))
        return self.model.pack(dict(made))

    def _weight(self, name: str) -> Tensor:
        try:
            return self._file.get_tensor(name).float()
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{self.folder}: cannot read {name} ({error}); copy the model again") from None

    def _words(self, prompt: str) -> Tensor:
        try:
            # An extra: where it is not installed, pyright cannot see it either.
            from transformers import CLIPTokenizer  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise ConfigError(
                f"prompt = {prompt!r} needs transformers: {pip_install('text')}, or leave it out"
            ) from None
        tokenizer = CLIPTokenizer.from_pretrained(str(self.folder))
        length = self.config.text.length
        words = tokenizer(prompt, padding="max_length", truncation=True, max_length=length).input_ids
        return torch.tensor(words)


def open_prompts(folder: Path, model: TokenModel, side: int) -> Prompts | None:
    """The prompts of a model folder; None if it has none. Raises ModelError."""
    if isinstance(model, UViT) and (folder / PROMPTS).is_dir():
        return Prompts(folder / PROMPTS, model, side)
    return None
