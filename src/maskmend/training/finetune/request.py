"""The request for a fine-tuning and its outcome."""

from dataclasses import dataclass
from pathlib import Path

from maskmend.errors import ConfigError
from maskmend.metrics.bootstrap import Interval


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request for a fine-tuning."""

    source: Path
    """Folder or tar file of pictures."""
    output: Path
    """The model folder to write."""
    model: str = "photo"
    """The model to start from."""
    minutes: float | None = None
    """Training time; None: the time needed for `plan.STEPS`."""
    learnt: str | None = None
    """What the pictures show, in the plural."""
    device: str = "auto"
    restart: bool = False

    @property
    def work(self) -> Path:
        """The folder of the runs, beside the model."""
        return self.output.with_name(f"{self.output.name}-training")


@dataclass(frozen=True, kw_only=True)
class Finetuned:
    """The outcome of a fine-tuning."""

    finished: bool
    """Whether the model folder was written; if not, the run was interrupted and can be resumed."""
    before: float | None = None
    """Mean LPIPS of the starting model's held-out fills; None if no model was written."""
    after: float | None = None
    change: Interval | None = None
    """Change relative to `before`."""


def check_folders(request: Request) -> None:
    """Raises ConfigError if input and output overlap, or if the output cannot be a folder."""
    source, output = request.source.resolve(), request.output.resolve()
    if output.is_file():
        raise ConfigError(f"{request.output} is a file: give a folder for the model")
    if not output.name:
        raise ConfigError(f"--output {request.output} has no name: give a folder such as my-model")
    for ours in (output, request.work.resolve()):
        if ours == source or source in ours.parents:
            raise ConfigError(
                f"--output {request.output} lies in {request.source}, whose pictures would then be the run's "
                "own: choose one outside"
            )
        if ours in source.parents:
            raise ConfigError(
                f"{request.source} lies in --output {request.output}: choose one that holds no pictures"
            )
    if Path(request.model).is_dir() and Path(request.model).resolve() == output:
        raise ConfigError(f"--from {request.model} is the --output too: choose another --output")
