"""The files that prompts need, stored in a converted model: text encoder, vocabulary and conditioning."""

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from maskmend.errors import ModelError
from maskmend.importers.amused.component import WHOLE, Component
from maskmend.importers.amused.transformer import TensorOrigin
from maskmend.models.clip_text import ClipTextConfig, clip_text_shapes
from maskmend.pretrained.prompts import CONDITION, PROMPTS, PromptConfig, prompt_index
from maskmend.storage.files import json_bytes, write_files
from maskmend.storage.tensor_writing import Planned, write_tensors

TOKENIZER = ("vocab.json", "merges.txt")
OPTIONAL = ("tokenizer_config.json", "special_tokens_map.json")


def prompt_writer(
    encoder: Component,
    text: ClipTextConfig,
    end: int,
    tokenizer: Path,
    transformer: Component,
    places: Mapping[str, TensorOrigin],
) -> Callable[[Path, torch.dtype], None]:
    """What writes the folder `prompts` into a model folder. Raises ModelError where a file of the tokenizer
    is missing.

    Args:
        encoder: the checked text encoder.
        text: its sizes.
        end: its end token.
        tokenizer: the folder of vocabulary and merges.
        transformer: the checked transformer.
        places: where the conditioning's weights are in it.
    """
    for name in TOKENIZER:
        if not (tokenizer / name).is_file():
            raise ModelError(f"no {tokenizer / name}, which prompts need: {WHOLE}, or leave out --prompts")

    def write(folder: Path, dtype: torch.dtype) -> None:
        place = folder / PROMPTS
        place.mkdir()
        planned = {
            name: Planned(shape, dtype, partial(encoder.source.take, name))
            for name, shape in clip_text_shapes(text).items()
        }
        for name, there in places.items():
            planned[CONDITION + name] = Planned(
                there.shape, dtype, partial(transformer.source.take, there.key)
            )
        metadata = {"kind": "prompts", "format": "1"}
        write_tensors(place / "weights.safetensors", dict(sorted(planned.items())), metadata)
        for name in (*TOKENIZER, *OPTIONAL):
            if (tokenizer / name).is_file():
                shutil.copyfile(tokenizer / name, place / name)
        write_files({place / "config.json": json_bytes(prompt_index(PromptConfig(end=end, text=text)))})

    return write
