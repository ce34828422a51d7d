"""MAGE checkpoints that are converted only with more said, or not at all."""

import pytest
import torch

import restated_mage
from maskmend.errors import ModelError
from maskmend.importers.mage import convert_mage


@pytest.fixture(scope="module")
def state():
    return restated_mage.random_checkpoint(layers=2, decoder_layers=2)


def test_a_width_that_is_not_published_needs_its_heads(state, tmp_path):
    narrow = restated_mage.random_checkpoint(64)
    path = restated_mage.save(narrow, tmp_path / "narrow.pth")
    with pytest.raises(Exception, match=r"64 wide, no published MAGE: give its number of heads with --heads"):
        convert_mage(path)
    assert convert_mage(path, heads=4).model.config.heads == 4


def test_a_tokenizer_alone_is_told(state, tmp_path):
    """The file with MAGE's tokenizer lies beside the network's, and is easily taken for it."""
    bare = {name.removeprefix("vqgan."): v for name, v in state.items() if name.startswith("vqgan.")}
    torch.save(bare, tmp_path / "vqgan.ckpt")
    with pytest.raises(ModelError, match=r"vqgan\.ckpt is not a MAGE checkpoint .* no token_emb"):
        convert_mage(tmp_path / "vqgan.ckpt")
