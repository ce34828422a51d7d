"""From a recipe to a finished run: data, stage, loop."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from maskmend.config import from_dict, merge, nearest, to_dict
from maskmend.errors import ConfigError
from maskmend.inference.devices import pick_device
from maskmend.inference.kernel_caches import bound_kernel_caches
from maskmend.models import tokenizer_config
from maskmend.perceptual.efficientnet import EfficientNet
from maskmend.perceptual.lpips import Lpips
from maskmend.pretrained.component import load_tokenizer
from maskmend.pretrained.hashes import tokens_hash
from maskmend.pretrained.lookup import component_folder
from maskmend.progress import Log
from maskmend.training.batches import Pictures
from maskmend.training.distributed import process_group
from maskmend.training.loop import MetricsCallback, TrainingOutcome, train
from maskmend.training.metrics_log import board_class
from maskmend.training.recipe import Recipe
from maskmend.training.sharded_checkpoint import safetensors_storage
from maskmend.training.shards.index import check_tokens_of
from maskmend.training.shards.sources import open_pictures, shared_count
from maskmend.training.shards.tokens import TokenSet
from maskmend.training.stage_config import ImageLossConfig
from maskmend.training.stages.stage import Stage
from maskmend.training.stages.token_cache import TokenCache

TOKENIZERS: dict[str, Callable[..., tokenizer_config.TokenizerConfig]] = {
    "coursework": tokenizer_config.coursework_config,
    "small": tokenizer_config.small_config,
}


def configured(presets: dict[str, Callable[..., Any]], recipe: Recipe) -> Any:
    """The preset's configuration with the recipe's [model] table laid over it."""
    if recipe.preset not in presets:
        raise ConfigError(f"unknown preset {recipe.preset!r}{nearest(recipe.preset, presets)}")
    base = presets[recipe.preset]()
    return from_dict(type(base), merge(to_dict(base), recipe.model), "model")


def build_stage(recipe: Recipe, device: torch.device) -> Stage:
    """The stage a recipe describes, freshly initialised from the recipe's seed."""
    # The constructors of torch.nn draw from the global generators: these are put back afterwards.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.training.seed)
        if recipe.stage == "tokenizer":
            from maskmend.training.stages.tokenizer import TokenizerStage

            networks = _feature_networks(recipe.tokenizer, device)
            return TokenizerStage(recipe, configured(TOKENIZERS, recipe), device, *networks)
        if recipe.stage == "decoder":
            from maskmend.training.stages.decoder import DecoderStage

            assert recipe.decoder is not None  # checked by the recipe
            return DecoderStage(recipe, device, *_feature_networks(recipe.decoder, device))
        from maskmend.training.stages.transformer import TRANSFORMERS, TransformerStage

        return TransformerStage(recipe, configured(TRANSFORMERS, after_tokenizer(recipe)), device)


def after_tokenizer(recipe: Recipe) -> Recipe:
    """The recipe of a transformer with codes and grid of its tokenizer, where [model] does not give them."""
    assert recipe.transformer is not None  # checked by the recipe
    if {"codes", "grid"} <= set(recipe.model):
        return recipe
    config = load_tokenizer(component_folder(Path(recipe.transformer.tokenizer), "tokenizer")).config
    return replace(recipe, model={"codes": config.quantizer.codes, "grid": config.grid} | recipe.model)


def _feature_networks(
    options: ImageLossConfig, device: torch.device
) -> tuple[Lpips | None, EfficientNet | None]:
    """The pretrained networks of the losses in `options`: LPIPS and the classifier, None where not used."""
    perceptual = classifier = None
    if options.perceptual > 0:
        perceptual = Lpips.load(options.perceptual_net, options.perceptual_weights or None).to(device)
        # Twice as fast in bf16 on CPUs that have it, half as fast there in the other layout.
        perceptual = perceptual.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.classifier > 0 or options.classifier_adversarial > 0:
        classifier = EfficientNet.load(options.classifier_weights or None).to(device)
    return perceptual, classifier


def data_warnings(training: Pictures, validation: Pictures) -> list[str]:
    """Warnings about the data sets, in sentences."""
    lines = []
    if len(training) == 1:
        lines.append("1 training image will be memorised: give some hundreds, better thousands")
    if shared := shared_count(training, validation):
        which = "all" if shared == len(validation) else f"{shared} of the {len(validation)}"
        lines.append(
            f"{which} validation images are training images too: the validation loss shows how well they are "
            "memorised, not how the model generalises; hold others out"
        )
    elif len(validation) == 1:
        lines.append("1 validation image says little about others: hold out a hundred if there are enough")
    return lines


def unused_data_settings(recipe: Recipe, training: Pictures) -> list[str]:
    """A line where the recipe varies pictures whose tokens were made before."""
    data = recipe.data
    given = {"crop_scale": data.crop_scale < 1, "colour": data.colour > 0, "side": data.side > training.size}
    names = [f"data.{name} = {getattr(data, name)}" for name, changes in given.items() if changes]
    if not isinstance(training, TokenSet) or not names:
        return []
    return [
        f"{data.train} holds tokens, of squares that are cut out already: {', '.join(names)} changes no "
        "training picture"
    ]


def run(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = True,
    on_metrics: MetricsCallback | None = None,
    log: Log | None = None,
) -> TrainingOutcome:
    """Trains what `recipe` describes into folder `out`; joins torchrun's processes when started by it."""
    from maskmend.training.stages import transformer as transformer_stage

    if recipe.stage != "tokenizer":
        # Every step has another number of masked tokens: a run on the CPU grew by 18 MB a step, to 10 GB.
        bound_kernel_caches()
    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)
    if recipe.training.tensorboard:
        board_class()  # an error now rather than after hours of decoding images
    if recipe.training.parallel == "fsdp":
        safetensors_storage()
    device = pick_device(recipe.training.device)
    with process_group(device) as (rank, world):
        if device.type == "cuda" and world > 1:
            device = torch.device("cuda", rank % torch.cuda.device_count())
            torch.cuda.set_device(device)
        if recipe.training.batch % (world * recipe.training.accumulate):
            raise ConfigError(
                f"training.batch = {recipe.training.batch} does not split over {world} processes times "
                f"accumulate = {recipe.training.accumulate}"
            )
        stage = build_stage(recipe, device)
        cache = int(recipe.data.cache_gib * 2**30)
        training, validation = (
            open_pictures(
                source,
                max(stage.resolution, recipe.data.side),
                cache_bytes=cache,
                workers=recipe.data.workers,
                with_tokens=recipe.stage == "transformer",
                log=log,
            )
            for source in (recipe.data.train, recipe.data.validation)
        )
        if isinstance(training, TokenSet) and isinstance(stage, transformer_stage.TransformerStage):
            check_tokens_of(training.index, tokens_hash(stage.tokenizer), stage.options.tokenizer)
        recur = training.square and recipe.data.colour == 0 and recipe.data.crop_scale == 1
        if isinstance(stage, transformer_stage.TransformerStage) and recur:
            stage.use_cache(TokenCache())  # of random crops it would only fill memory
        if log and rank == 0:
            skipped = len(training.skipped) + len(validation.skipped)
            unreadable = f", {skipped} unreadable file{'s' if skipped > 1 else ''} skipped" if skipped else ""
            counts = f"{len(training)} training and {len(validation)} validation images{unreadable}"
            log(f"{counts}; {device}, {world} process{'es' if world > 1 else ''}")
            for line in (*data_warnings(training, validation), *unused_data_settings(recipe, training)):
                log(line)
        return train(
            recipe,
            stage,
            out,
            train_images=training,
            validation_images=validation,
            device=device,
            rank=rank,
            world=world,
            resume=resume,
            on_metrics=on_metrics,
            log=log,
        )
