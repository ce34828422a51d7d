"""Benchmarks of other projects' models, which run in a separate environment and process.

`bench/peers/build.py` builds the folder; its `serve.py` communicates in JSON lines. Only one process computes
at a time, so that our cases and theirs can alternate.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from maskmend.benchmark.timing import Case
from maskmend.errors import ConfigError
from maskmend.inference.kernel_caches import LIMITS
from maskmend.inference.threads import WAITING
from maskmend.models.transformer import TransformerConfig


@contextmanager
def peer_cases(folder: Path, config: TransformerConfig, resolution: int) -> Iterator[list[Case]]:
    """Cases that run in the peers' process: decoding a 20 % hole in 8 steps. Raises ConfigError."""
    python, script = folder / "venv" / "bin" / "python", folder / "serve.py"
    if not python.exists() or not script.is_file():
        raise ConfigError(f"no peers in {folder}: build them with python bench/peers/build.py {folder}")
    sizes = {name: getattr(config, name) for name in ("dim", "heads", "layers", "mlp", "codes", "grid")}
    sizes |= {"steps": 8, "share": 20, "resolution": resolution, "threads": torch.get_num_threads()}
    command = [python.absolute(), script.absolute()]
    # Kernel cache limits and the thread wait policy are ours; peers run with their default settings.
    ours = LIMITS | WAITING
    outside = {name: value for name, value in os.environ.items() if ours.get(name) != value}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, cwd=folder, env=outside
    ) as process:

        def ask(question: Any) -> Any:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            if not answer:
                raise ConfigError(f"the peers in {folder} stopped: build them again, or leave --peers out")
            return json.loads(answer)

        try:
            answer = ask(sizes)
            if answer["failed"]:
                reasons = "; ".join(f"{name}: {reason}" for name, reason in answer["failed"].items())
                raise ConfigError(f"peers in {folder} do not run ({reasons}): build them again")
            yield [
                Case(group="peers", name=name, run=lambda name=name: ask(name), every=2, warm=True)
                for name in answer["ready"]
            ]
        finally:
            process.kill()
