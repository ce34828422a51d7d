"""Converts an aMUSEd model in diffusers' format.

    transformer/  UVit2DModel         ─► UViT, what depends on the prompt folded into constants
    vqvae/        VQModel             ─► VQGAN
    text_encoder/, tokenizer/  CLIP   ─► the empty prompt, once; neither is needed afterwards
    scheduler/    AmusedScheduler     ─► which row of the vocabulary is the mask token

All sizes, keys and formats are checked before the first weight is read.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import Tensor

from maskmend.errors import ModelError
from maskmend.importers.amused.card import draft_card
from maskmend.importers.amused.component import WHOLE, Component, open_component, read_object
from maskmend.importers.amused.prompts import prompt_writer
from maskmend.importers.amused.text import empty_words, open_text_encoder
from maskmend.importers.amused.tokenizer import convert_tokenizer
from maskmend.importers.amused.transformer import TensorOrigin, read_layout
from maskmend.importers.writing import Conversion, built_empty
from maskmend.models.clip_text import encode_text
from maskmend.models.uvit import UViT
from maskmend.models.uvit_conditioning import condition, micro_conditions

DEFAULTS = {"steps": 12, "schedule": "linear", "noise": 2.0, "ring": 1}
"""Steps, schedule and noise are those of its own pipeline for inpainting."""


def convert_amused(folder: Path | str, *, prompts: bool = False) -> Conversion:
    """Reads an aMUSEd model, such as amused-256, from its folder.

    `prompts` also keeps what prompts other than the empty one need, nearly as much again. Raises ModelError
    where a part is missing, damaged or another model's.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(
            f"no folder {folder}: give the folder of an aMUSEd model as diffusers stores it; {WHOLE}"
        )
    encoder, text = open_text_encoder(folder / "text_encoder")
    transformer = open_component(folder / "transformer", "UVit2DModel", "embed.embeddings.weight")
    layout = read_layout(transformer, _mask_token(folder), text.length)
    vqvae = open_component(folder / "vqvae", "VQModel", "quantize.embedding.weight")
    for name, ours, theirs in (
        ("encoder_hidden_size", layout.text_width, text.dim),
        ("cond_embed_dim", layout.pooled_width, text.pooled),
    ):
        if ours != theirs:
            raise ModelError(
                f"{transformer.path}: {name} is {ours}, the text encoder's is {theirs}: take both from the "
                "same model"
            )
    codes = vqvae.size("num_vq_embeddings", 256)
    if codes != layout.config.codes:
        raise ModelError(
            f"{transformer.path}: codebook_size is {layout.config.codes}, the tokenizer has {codes} codes: "
            "take both from the same model"
        )
    tokenizer = convert_tokenizer(vqvae, layout.config.grid)
    words, end = empty_words(folder / "tokenizer", text)
    prompt = encode_text(encoder.source.take, text, words, end)
    side = tokenizer.config.resolution

    def weight(name: str) -> Tensor:
        return transformer.source.take(layout.conditioning[name].key)

    constants = dict(condition(weight, layout.config, prompt, micro_conditions(side)))
    model = built_empty(UViT, layout.config)
    weights: dict[str, Callable[[], Tensor]] = {}
    for name, empty in model.state_dict().items():
        if name in constants:
            weights[name] = partial(constants.__getitem__, name)
        else:
            weights[name] = partial(_placed, transformer, layout.body[name], tuple(empty.shape))
    return Conversion(
        tokenizer=tokenizer,
        model=model,
        weights=weights,
        defaults=DEFAULTS,
        card=draft_card(folder.resolve().name, layout.config, side, prompts),
        extra=prompt_writer(encoder, text, end, folder / "tokenizer", transformer, layout.conditioning)
        if prompts
        else None,
    )


def _placed(component: Component, place: TensorOrigin, shape: tuple[int, ...]) -> Tensor:
    value = component.source.take(place.key)
    return (value if place.change is None else place.change(value)).reshape(shape)


def _mask_token(folder: Path) -> int | None:
    """Number of the mask token, from the scheduler's configuration if given."""
    path = folder / "scheduler" / "scheduler_config.json"
    if not path.parent.is_dir():
        return None
    config = read_object(path)
    if config.get("_class_name") != "AmusedScheduler":
        raise ModelError(
            f"{path} describes {config.get('_class_name')!r}, expected 'AmusedScheduler': give the folder of "
            "an aMUSEd model"
        )
    found = config.get("mask_token_id")
    if type(found) is not int:
        raise ModelError(f"{path}: mask_token_id is {found!r}, expected a whole number: download it again")
    return found
