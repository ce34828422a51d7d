"""Halton-MaskGIT checkpoints that cannot be kept as they are."""

import pytest

import restated_halton
from maskmend.errors import ModelError
from maskmend.importers.halton import convert_halton
from maskmend.importers.writing import write_conversion


@pytest.fixture(scope="module")
def state():
    return restated_halton.random_checkpoint(layers=2)


@pytest.fixture(scope="module")
def words():
    return restated_halton.random_tokenizer()


def test_an_untied_head_is_told(state, words, tmp_path):
    """One table is kept for both: another head would be dropped in silence."""
    other = state | {"head.weight": state["head.weight"] + 1}
    made = convert_halton(*restated_halton.save(other, words, tmp_path))
    with pytest.raises(ModelError, match=r"head\.weight is not tok_emb\.weight"):
        write_conversion(made, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
