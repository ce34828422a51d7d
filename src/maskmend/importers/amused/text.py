"""The text encoder of a diffusers folder, and the tokens of the empty prompt.

    text_encoder/    CLIPTextModelWithProjection
    tokenizer/       vocab.json, and which of its tokens begin, end and pad a text

The empty prompt needs no tokenizer: it consists of the begin token, the end token and padding.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskmend.errors import ModelError
from maskmend.importers.amused.component import Component, open_component, read_object
from maskmend.models.clip_text import ClipTextConfig, clip_text_shapes

BEGIN, END = "<|startoftext|>", "<|endoftext|>"


def open_text_encoder(folder: Path) -> tuple[Component, ClipTextConfig]:
    """The checked text encoder. Raises ModelError."""
    component = open_component(
        folder, "CLIPTextModelWithProjection", "text_model.embeddings.token_embedding.weight"
    )
    component.expect({"model_type": "clip_text_model", "layer_norm_eps": 1e-5})
    activation = component.config.get("hidden_act", "quick_gelu")
    if activation not in ("quick_gelu", "gelu"):
        raise ModelError(f"{component.path}: hidden_act is {activation!r}, known are 'quick_gelu' and 'gelu'")
    config = ClipTextConfig(
        words=component.size("vocab_size", 49408),
        length=component.size("max_position_embeddings", 77),
        dim=component.size("hidden_size", 512),
        heads=component.size("num_attention_heads", 8),
        layers=component.counted("num_hidden_layers", 12, r"text_model\.encoder\.layers\.(\d+)\."),
        mlp=component.size("intermediate_size", 2048),
        pooled=component.size("projection_dim", 512),
        quick_gelu=activation == "quick_gelu",
    )
    if config.dim % config.heads:
        raise ModelError(f"{component.path}: {config.heads} heads do not divide the width {config.dim}")
    # Older files hold the numbers 0, 1, 2, ... of the positions as well.
    source = component.source.without(r"text_model\.embeddings\.position_ids$")
    source.check(clip_text_shapes(config), "a CLIP text encoder of its config.json")
    return component._replace(source=source), config


def empty_words(tokenizer: Path, config: ClipTextConfig) -> tuple[Tensor, int]:
    """Tokens of the empty prompt, and the end token among them. Raises ModelError."""
    vocabulary = read_object(tokenizer / "vocab.json")
    about = read_object(tokenizer / "tokenizer_config.json")
    special = tokenizer / "special_tokens_map.json"
    about |= read_object(special) if special.is_file() else {}

    def number(role: str, default: str) -> int:
        word: Any = about.get(role, default)
        word = word.get("content") if isinstance(word, dict) else word
        found = vocabulary.get(word)
        if type(found) is not int or not 0 <= found < config.words:
            raise ModelError(
                f"{tokenizer / 'vocab.json'} has no number for the {role} {word!r}: download it again"
            )
        return found

    begin, end, fill = number("bos_token", BEGIN), number("eos_token", END), number("pad_token", END)
    return torch.tensor([begin, end] + [fill] * (config.length - 2)), end
