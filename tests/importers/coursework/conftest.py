"""Checkpoints of the coursework, as files and converted."""

import pytest
from changed_files import TRANSFORMER, VQGAN, saved


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The two checkpoints as bare state dicts."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return (
        saved(VQGAN.state_dict(), folder / "VQGAN.pt"),
        saved(TRANSFORMER.state_dict(), folder / "transformer.pt"),
    )
