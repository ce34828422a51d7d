"""The plan of a fine-tuning: two stages that start from a trained model's weights and use its tokens.

    pictures ─► fine-tune the transformer ─► fine-tune the decoder on its samples ─► pack

Encoder and codebook are frozen: training them would change the meaning of the codes, which the transformer
would have to relearn first. Resolution, grid, codebook size and networks are those of the model. The holes
are those that `photo` was trained on.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskmend.config import from_dict, to_dict
from maskmend.errors import ConfigError, TrainingError
from maskmend.models.tokenizer_config import TokenizerConfig
from maskmend.models.transformer import TransformerConfig
from maskmend.storage.files import json_bytes, write_files
from maskmend.storage.formats import check_format
from maskmend.training.finetune.pictures import SCALES, PictureCounts, training_file, validation_file
from maskmend.training.recipe import Recipe

PLAN = "plan.json"
FORMAT = 1
"""Format of `plan.json`; files without one are read as format 1."""
STEPS = {"transformer": 400, "decoder": 400}
"""Default number of steps of each stage. docs/training.md says which numbers of steps were measured."""
FEWEST_STEPS = 20
"""Minimum steps per stage: with fewer, the learning rate schedule is too short to be useful."""
HOLES: dict[str, float] = {
    "boxes": 0.15, "strokes": 0.3, "random_walk": 0.0, "scratches": 0.2, "text": 0.05, "blobs": 0.25,
}  # fmt: skip
GUESSES = 0.4
MIN_DISCRIMINATOR_SIDE = 32
"""Minimum side of pictures for a discriminator on LPIPS features."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A fine-tuning as stored in `plan.json`, so that the same command resumes it."""

    model: str
    """The model folder it starts from."""
    model_hash: str
    """Hash of that model's weights and settings (`pretrained.folder.model_hash`)."""
    pictures: PictureCounts
    steps: dict[str, int]
    """Steps of each stage."""
    seconds: dict[str, float]
    """Measured time of a step of each stage."""
    precision: str = "auto"
    device: str = "auto"
    before: tuple[float, ...] = ()
    """LPIPS of the starting model's fills of each held-out picture."""
    packed: bool = False
    """Whether the output folder contains the model of this plan."""

    def __post_init__(self) -> None:
        for stage, steps in self.steps.items():
            if steps < FEWEST_STEPS:
                raise ConfigError(f"{steps} steps for the {stage}: a stage needs at least {FEWEST_STEPS}")

    @property
    def minutes(self) -> float:
        return sum(self.steps[stage] * self.seconds[stage] for stage in self.steps) / 60


def shared_out(minutes: float, seconds: dict[str, float]) -> dict[str, int]:
    """Steps of each stage for a total of `minutes`, in the proportion of `STEPS`.

    Raises ConfigError if that leaves a stage fewer than `FEWEST_STEPS`, with the minutes it would need.
    """
    whole = sum(STEPS[stage] * seconds[stage] for stage in STEPS) / 60
    share = minutes / whole
    steps = {stage: round(STEPS[stage] * share) for stage in STEPS}
    if min(steps.values()) < FEWEST_STEPS:
        least = math.ceil(10 * whole * FEWEST_STEPS / min(STEPS.values())) / 10
        raise ConfigError(
            f"--minutes {minutes:g} are {min(steps.values())} steps a stage on this machine: give "
            f"{least:g} or more, for at least {FEWEST_STEPS}"
        )
    return steps


def stage_folders(work: Path) -> dict[str, Path]:
    """The folders of the stages' runs, in order."""
    return {"transformer": work / "transformer", "decoder": work / "decoder"}


def recipes(
    plan: Plan, work: Path, tokenizer: TokenizerConfig, transformer: TransformerConfig
) -> dict[str, Recipe]:
    """The recipes of the stages of `plan`, whose pictures and runs lie in folder `work`.

    Args:
        tokenizer: configuration of the model that the run starts from.
        transformer: likewise.
    """
    data = {
        "train": str(training_file(work / "pictures")),
        "validation": str(validation_file(work / "pictures")),
        "side": plan.pictures.side,
        "crop_scale": max(1 / SCALES, min(1.0, tokenizer.resolution / plan.pictures.side)),
        "colour": 0.05,
    }
    # Without guesses in transformer or decoder, a model fills wide holes at one scale and needs none.
    guesses = GUESSES if transformer.guesses and tokenizer.known_guesses else 0.0
    perceives = {} if tokenizer.resolution >= MIN_DISCRIMINATOR_SIDE else {"feature_adversarial": 0.0}
    ramp = max(1, plan.steps["decoder"] // 10)
    tables: dict[str, dict[str, Any]] = {
        "transformer": {
            "model": {k: v for k, v in to_dict(transformer).items() if k not in ("codes", "grid")},
            "training": {"batch": 32, "lr": 3e-4, "beta2": 0.98, "weight_decay": 0.03, "keep": "best"},
            "transformer": {
                **HOLES,
                "guesses": guesses,
                "tokenizer": plan.model,
                "start": plan.model,
                "scheduled": 0.1,
                "label_smoothing": 0.05,
            },
        },
        "decoder": {
            "training": {"batch": 16, "lr": 2e-4, "beta1": 0.5, "beta2": 0.99, "keep": "last"},
            "decoder": {
                **HOLES,
                "whole": 0.05,
                "guesses": guesses,
                "tokenizer": plan.model,
                "transformer": str(stage_folders(work)["transformer"]),
                "temperature": 0.8,
                "steps": 2,
                "perceptual_share": 0.5,
                "classifier": 1.5,
                "adversarial": 0.0,
                "feature_adversarial": 0.3,
                "adversarial_start": ramp,
                "adversarial_ramp": ramp,
                **perceives,
            },
        },
    }
    made = {}
    for seed, (stage, table) in enumerate(tables.items()):
        training = _training(plan.steps[stage]) | table.pop("training")
        training |= {"seed": seed, "precision": plan.precision, "device": plan.device}
        made[stage] = from_dict(Recipe, {"stage": stage, "data": data, "training": training, **table})
    return made


def _training(steps: int) -> dict[str, Any]:
    """Settings that depend on the length of a stage. The EMA window is a fifth of it."""
    return {
        "steps": steps,
        "final_lr": 0.05,
        "warmup": max(1, min(50, steps // 10)),
        "ema": min(0.998, max(0.9, 1 - 5 / steps)),
        "log_every": 10,
        "validate_every": max(10, steps // 5),
        "checkpoint_every": 50,
        "picture_every": max(20, steps // 4),
        "validation_images": 64,
    }


def write_plan(work: Path, plan: Plan) -> None:
    """Writes `plan.json` into the folder of the runs."""
    write_files({work / PLAN: json_bytes({"format": FORMAT, **asdict(plan)})})


def read_plan(work: Path) -> Plan | None:
    """The plan of the runs in `work`, if there is one. Raises TrainingError if it cannot be read or is of a
    newer format."""
    try:
        content = json.loads((work / PLAN).read_text(encoding="utf-8"))
        found = content.pop("format", 1) if isinstance(content, dict) else 1
        check_format(found, FORMAT, work / PLAN, TrainingError, otherwise="start over with --restart")
        return from_dict(Plan, content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ConfigError) as error:
        raise TrainingError(f"cannot read {work / PLAN} ({error}): start over with --restart") from None
