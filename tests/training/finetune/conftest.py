"""Fine-tuning in seconds: a random model of 16 pixels, three steps a stage, a distance instead of LPIPS."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from finetuning import StillPerceptual, write_photos
from maskmend.training import run as training_run
from maskmend.training.finetune import pack, plan, run


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps a stage, and no published network."""
    monkeypatch.setitem(plan.STEPS, "transformer", 3)
    monkeypatch.setitem(plan.STEPS, "decoder", 3)
    monkeypatch.setattr(plan, "FEWEST_STEPS", 2)
    monkeypatch.setattr(training_run, "_feature_networks", lambda options, device: (StillPerceptual(), None))
    monkeypatch.setattr(run, "locate", lambda name: Path(name))
    monkeypatch.setattr(pack, "Lpips", SimpleNamespace(load=lambda net: StillPerceptual()))


@pytest.fixture
def pictures_folder(tmp_path: Path) -> Path:
    """Twelve pictures of 40 pixels; the folder has brackets in its name, as folders may."""
    return write_photos(tmp_path / "photos [2026]", 12)
