"""`maskmend bench`: builds the cases, times them alternately, writes the results."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from maskmend.benchmark.decoding import decoding_cases, format_cases
from maskmend.benchmark.fills import runtime_cases, start_cases, whole_cases
from maskmend.benchmark.hardware import ceiling_cases, hardware
from maskmend.benchmark.peers import peer_cases
from maskmend.benchmark.report import as_json, as_markdown
from maskmend.benchmark.timing import interleave
from maskmend.benchmark.training import train_once
from maskmend.benchmark.waits import wait_cases
from maskmend.models.architectures import only_ours
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.lookup import find_model
from maskmend.progress import StageProgress
from maskmend.storage.files import json_bytes, write_files
from maskmend.storage.temporary import temporary_folder

WHOLE, QUICK = (25, 360.0), (4, 60.0)
"""Number of rounds, and seconds after which no further round starts."""
BATCHES = {"tokenizer": 16, "transformer": 32}
TRAININGS = 3
"""Runs per stage; the median is reported."""


def bench(
    model: str,
    output: Path,
    *,
    photo_model: str = "photo",
    quick: bool = False,
    peers: Path | None = None,
    command: str = "maskmend bench",
    progress: StageProgress | None = None,
) -> str:
    """Runs all benchmarks, writes bench.json and bench.md into `output`, and returns the Markdown.

    `photo_model` fills the photographs of `waits`.

    `quick` takes about a minute: few rounds, no training, no fresh processes. Raises ConfigError.
    """
    report = progress or (lambda *_: None)
    pipe = InpaintPipeline.from_pretrained(model)
    transformer = only_ours(pipe.transformer, "the benchmark")
    with ExitStack() as stack:
        cases = ceiling_cases() + decoding_cases(transformer, pipe.tokenizer) + whole_cases(pipe)
        if not quick:
            report("exporting", 0, 1)
            place = stack.enter_context(temporary_folder())
            cases += format_cases(transformer) + start_cases(model) + runtime_cases(pipe, place)
            photo = InpaintPipeline.from_pretrained(photo_model)
            cases += wait_cases(photo, photo_model, stack.enter_context(temporary_folder()))
            report("exporting", 1, 1)
        if peers is not None:
            cases += stack.enter_context(peer_cases(peers, transformer.config, pipe.resolution))
        rounds, limit = QUICK if quick else WHOLE
        measured = interleave(cases, rounds, limit=limit, progress=lambda n, of: report("rounds", n, of))
    about = {"command": command, "hardware": hardware(), "threads": torch.get_num_threads()}

    def write(training: dict[str, dict[str, float]]) -> str:
        table = as_markdown(measured, training, about)
        content = json_bytes(as_json(measured, training, about))
        write_files({output / "bench.json": content, output / "bench.md": table.encode()})
        return table

    table = write({})  # saved in case the training runs fail
    return table if quick else write(_trainings(pipe, find_model(model) / "tokenizer", report))


def _trainings(pipe: InpaintPipeline, tokenizer: Path, report: StageProgress) -> dict[str, dict[str, float]]:
    runs: dict[str, list[dict[str, float]]] = {stage: [] for stage in BATCHES}
    with temporary_folder() as work:
        for number in range(TRAININGS):
            for stage, batch in BATCHES.items():
                report("training", number + 1, TRAININGS)
                runs[stage].append(train_once(pipe, stage, work, tokenizer, batch))
    return {
        stage: {name: float(np.median([run[name] for run in measured])) for name in measured[0]}
        for stage, measured in runs.items()
    }
