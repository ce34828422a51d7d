"""Estimates memory and time of a transformer's training (`maskmend train transformer --plan`).

    memory a device = weights + moving average + optimizer + gradients + what the backward pass keeps
                      + on a CPU, freed blocks that the C library does not give back
    step            = micro-batches x (examples, forward, backward) + optimizer

Weights are counted. Activations and time are measured here on the same model with one and with two blocks and
on one and two micro-batches of a few pictures, and extrapolated linearly. If the speed of other hardware is
given, the time is computed from the floating-point operations alone; it is not measured, and does not include
communication between processes.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from maskmend.errors import ConfigError
from maskmend.inference.devices import pick_device
from maskmend.models.transformer import MaskedTransformer, TransformerConfig
from maskmend.pretrained.component import load_tokenizer
from maskmend.pretrained.lookup import component_folder
from maskmend.progress import Log
from maskmend.training.recipe import Recipe, read_recipe
from maskmend.training.run import after_tokenizer, build_stage, configured
from maskmend.training.stages.transformer import TRANSFORMERS, TransformerStage
from maskmend.training.throughput import Operations

PROBE_IMAGES = {"cuda": 8}
"""Maximum number of pictures in a trial micro-batch, by the type of the device; 2 elsewhere."""
TURNS = 3
"""Steps that are timed, after one that is not."""
FREED = 0.41
"""What glibc keeps of the memory that a step frees, as a share of gradients and of what the backward pass
needs: the gaps between blocks that are still used. Measured by `bench/plan_check.py --as-usual`."""


class Probe(NamedTuple):
    """The cost of a step of a model."""

    seconds: float
    operations: float
    kept: float
    """Bytes that the backward pass of one micro-batch needs, weights apart."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A training's needs; memory in bytes a device, times in seconds."""

    parameters: int
    devices: int
    parallel: str
    weights: int
    average: int
    optimizer: int
    gradients: int
    tokenizer: int
    activations: int
    """What the backward pass needs, for a device's micro-batch."""
    gathered: int
    """Weights of two blocks in one piece, with fsdp."""
    operations: float
    """Floating-point operations a step, over all devices."""
    seconds: float
    """A step."""
    measured_here: bool
    """Whether the time was measured on this machine, or computed from a stated speed."""
    sent: int
    """Bytes that a device sends a step."""
    keeps_gradients: bool
    """Whether gradients are held in addition to the activations; otherwise they replace them one by one."""
    on_cpu: bool
    """Whether the memory is that of a process on a CPU, with glibc."""

    @property
    def memory(self) -> int:
        """At most, a device; what libraries hold is not in it."""
        return self.allocated + self.freed

    @property
    def allocated(self) -> int:
        """The tensors of it."""
        fixed = self.weights + self.average + self.optimizer + self.tokenizer + self.gathered
        both = self.gradients, self.activations
        return fixed + (sum(both) if self.keeps_gradients else max(both))

    @property
    def freed(self) -> int:
        """Freed blocks that the C library keeps."""
        return round(FREED * (self.gradients + self.activations)) if self.on_cpu else 0

    @property
    def steps_a_day(self) -> float:
        return 86400 / self.seconds


def make_plan(
    recipe: Recipe,
    *,
    devices: int = 1,
    tflops: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Plan:
    """Plans the training of `recipe`, of a transformer, over this many devices of the kind of
    `training.device`, or of `tflops` sustained (10^12 operations a second, each). Measures with `clock`.

    Raises ConfigError for another stage, and for a batch that does not split over the devices.
    """
    training = recipe.training
    if recipe.stage != "transformer" or recipe.transformer is None:
        raise ConfigError(f"--plan is for transformers, this is a recipe for stage {recipe.stage!r}")
    if training.batch % (devices * training.accumulate):
        raise ConfigError(
            f"training.batch = {training.batch} does not split over {devices} devices times "
            f"accumulate = {training.accumulate}"
        )
    device = pick_device(training.device)
    config: TransformerConfig = configured(TRANSFORMERS, after_tokenizer(recipe))
    with torch.device("meta"):
        model = MaskedTransformer(config)
    count = sum(p.numel() for p in model.parameters())
    block = sum(p.numel() for p in model.blocks[0].parameters())
    tokenizer = load_tokenizer(component_folder(Path(recipe.transformer.tokenizer), "tokenizer"))
    micro = training.batch // devices // training.accumulate
    shares = devices if training.parallel == "fsdp" else 1
    images = min(micro, PROBE_IMAGES.get(device.type, 2))
    one, two, more = (
        probe(recipe, layers, parts, images, device, clock) for layers, parts in ((1, 1), (2, 1), (2, 2))
    )
    layers = config.layers - 1
    scale = micro / images
    # A second micro-batch takes what a micro-batch takes; what the first took beyond that is the optimizer.
    part = more.seconds - two.seconds
    ends = probe(recipe, 1, 2, images, device, clock).seconds - one.seconds
    a_part = ends + layers * (part - ends)
    update = one.seconds - ends + layers * (two.seconds - one.seconds - (part - ends))
    operations = (one.operations + layers * (two.operations - one.operations)) * scale
    operations *= training.accumulate * devices
    if tflops is None:
        seconds = training.accumulate * scale * a_part + max(update, 0.0) / shares
    else:
        seconds = operations / devices / (tflops * 1e12)
    kept = (one.kept + layers * (two.kept - one.kept)) * scale
    if training.recompute:
        kept = (one.kept + layers * _boundary(config, images)) * scale
    four = 4 * count // shares
    # Gradients go out and come back; sharded ones only go out, but weights are gathered for each forward and
    # each backward pass.
    times = 2 * training.accumulate + 1 if shares > 1 else 2
    return Plan(
        parameters=count,
        devices=devices,
        parallel=training.parallel if devices > 1 else "one process",
        weights=four,
        average=four,
        optimizer=2 * four,
        # Gradients that wait for the last micro-batch to be sent are not sharded yet.
        gradients=4 * count if shares > 1 and training.accumulate > 1 else four,
        tokenizer=4 * sum(p.numel() for p in tokenizer.parameters()),
        activations=round(kept),
        gathered=2 * 4 * block if shares > 1 else 0,
        operations=operations,
        seconds=seconds,
        measured_here=tflops is None,
        sent=0 if devices == 1 else round(times * 4 * count * (devices - 1) / devices),
        keeps_gradients=devices > 1 or training.accumulate > 1,
        on_cpu=device.type == "cpu" and tflops is None and sys.platform == "linux",
    )


def probe(
    recipe: Recipe, layers: int, parts: int, images: int, device: torch.device, clock: Callable[[], float]
) -> Probe:
    """Steps of the recipe's model with this number of `layers`, over `parts` micro-batches of `images`
    pictures."""
    assert recipe.transformer is not None  # `make_plan`
    small = replace(
        recipe,
        model=recipe.model | {"layers": layers},
        training=replace(recipe.training, parallel="ddp"),
        transformer=replace(recipe.transformer, start=""),
    )
    stage = build_stage(small, device)
    assert isinstance(stage, TransformerStage)
    generator = torch.Generator().manual_seed(0)
    shape = images, 3, stage.resolution, stage.resolution
    pictures = torch.rand(shape, generator=generator) * 2 - 1

    def step(number: int) -> None:
        figures = stage.train_step([pictures] * parts, number, np.random.default_rng(number))
        float(figures["loss"])  # waits for the device

    with Operations() as operations:
        step(0)
    start = clock()
    for number in range(1, TURNS + 1):
        step(number)
    seconds = (clock() - start) / TURNS
    kept = np.mean([_kept(stage, pictures, number) for number in range(1, TURNS + 1)])
    return Probe(seconds, operations.total / parts, float(kept))


def _kept(stage: TransformerStage, pictures: Tensor, number: int) -> int:
    """Bytes of the tensors kept for the backward pass besides the weights, plus the gradient of the logits,
    which exists while all of them do."""
    weights = {p.untyped_storage().data_ptr() for p in stage.model.parameters()}
    found: dict[int, int] = {}
    largest = 0

    def note(tensor: Tensor) -> Tensor:
        nonlocal largest
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes()
            if tensor.ndim == 2 and tensor.shape[-1] == stage.config.codes:
                largest = max(largest, tensor.numel() * 4)
        return tensor

    alive: list[Any] = []
    stage.model.train()
    stage.model.recompute = False  # what it keeps does not pass the hooks; `_boundary`
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        alive.append(stage.loss(pictures, np.random.default_rng(number)))
    return sum(found.values()) + largest


def _boundary(config: TransformerConfig, images: int) -> int:
    """What activation checkpointing keeps of a block: its input."""
    return images * config.tokens * config.dim * 4


def report(plan: Plan, recipe: Recipe) -> list[str]:
    """The plan in lines for a person."""

    def gib(size: int) -> str:
        return f"{size / 2**30:.2f} GiB"

    training = recipe.training
    micro = training.batch // plan.devices // training.accumulate
    beside = "" if plan.keeps_gradients else " (gradients replace activations)"
    lines = [
        f"{plan.parameters / 1e6:.1f} million weights; {plan.devices} device{'s' * (plan.devices > 1)}, "
        f"{plan.parallel}; {training.batch} pictures a step, {micro} at once on a device",
        f"memory a device: {gib(plan.memory)} and what the libraries hold",
        f"  weights {gib(plan.weights)}, moving average {gib(plan.average)}, "
        f"optimizer {gib(plan.optimizer)}, tokenizer {gib(plan.tokenizer)}"
        + (f", gathered blocks {gib(plan.gathered)}" if plan.gathered else ""),
        f"  gradients {gib(plan.gradients)}, for the backward pass {gib(plan.activations)}{beside}",
        *(
            [f"  freed blocks that the C library keeps {gib(plan.freed)}, by a measured share"]
            if plan.freed
            else []
        ),
        f"{plan.operations / 1e12:.3g} TFLOP a step",
        f"{plan.seconds:.3g} s a step, {plan.steps_a_day:,.0f} steps a day: "
        + (
            "measured on this device with one and two blocks, and extrapolated"
            if plan.measured_here
            else "computed from the stated speed, not measured"
        ),
        f"{training.steps} steps take {training.steps * plan.seconds / 86400:.2f} days",
    ]
    if plan.sent:
        lines.append(f"each device sends {gib(plan.sent)} a step; waiting for that is not in the time")
    return lines


def print_plan(
    stage: str,
    config_path: Path,
    assignments: tuple[str, ...],
    *,
    devices: int,
    tflops: float | None,
    log: Log,
) -> None:
    """Prints what the training of a recipe's file will take. Raises ConfigError."""
    recipe = read_recipe(stage, config_path, assignments)
    for line in report(make_plan(recipe, devices=devices, tflops=tflops), recipe):
        log(line)
