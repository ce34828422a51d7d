"""Equal weights make equal files."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load as load_numpy
from safetensors.numpy import save as save_numpy
from safetensors.torch import load, save

from fakes import tiny_models
from maskmend.pretrained.component import save_tokenizer, save_transformer
from maskmend.storage.header_order import ordered

SAVE_PUBLISHED = """
import hashlib, os, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
import pytest
from maskmend.perceptual import weights
source = replace(weights.SOURCES["lpips-vgg16"], member_sha256=hashlib.sha256(b"x").hexdigest(),
                 convert=lambda data: {"b": np.ones(3, np.float32), "a": np.zeros((2, 2), np.float32)})
for number in range(10):
    os.environ["MASKMEND_CACHE"] = os.path.join(sys.argv[1], str(number))
    weights._store("lpips-vgg16", source, b"x")
"""


@pytest.mark.slow
def test_equal_weights_make_equal_files_in_fresh_processes(tmp_path: Path) -> None:
    """Catches metadata in the order of a hash table, which is another in each process and at each call."""
    for folder in (tmp_path / "one", tmp_path / "other"):
        subprocess.run([sys.executable, "-c", SAVE_PUBLISHED, str(folder)], check=True, timeout=600)
    files = list(tmp_path.rglob("*.safetensors"))
    assert len(files) == 20
    assert len({hashlib.sha256(file.read_bytes()).hexdigest() for file in files}) == 1


def test_equal_models_make_equal_files(tmp_path: Path) -> None:
    """Catches the same for models; the order of the hash table is another at each call, too."""
    tokenizer, transformer = tiny_models()
    hashes = set()
    for number in range(20):
        folders = tmp_path / f"a{number}", tmp_path / f"b{number}"
        save_tokenizer(tokenizer, folders[0])
        save_transformer(transformer, folders[1])
        files = [(folder / "weights.safetensors").read_bytes() for folder in folders]
        hashes.add(tuple(hashlib.sha256(file).hexdigest() for file in files))
    assert len(hashes) == 1


@given(
    metadata=st.none() | st.dictionaries(st.text(max_size=20), st.text(max_size=20), min_size=1, max_size=5),
    names=st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9), max_size=5),
)
def test_nothing_but_the_order_changes(metadata, names) -> None:
    """Catches offsets that no longer point at their tensors, and names that are written otherwise."""
    names.discard("__metadata__")
    arrays = {name: np.arange(number + 1, dtype=np.float32) for number, name in enumerate(sorted(names))}
    content = save_numpy(arrays, metadata=metadata)
    again = ordered(content)
    loaded = load_numpy(again)
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
    assert ordered(again) == again
    assert int.from_bytes(again[:8], "little") % 8 == 0


def test_what_is_not_float32_stays_as_it_is(tmp_path: Path) -> None:
    tensors = {
        "half": torch.arange(3).half(),
        "whole": torch.arange(5),
        "empty": torch.zeros(0),
        "yes": torch.ones(3, dtype=torch.bool),
    }
    again = ordered(save(tensors, metadata={"b": "2", "a": "1"}))
    for name, tensor in load(again).items():
        assert tensor.dtype == tensors[name].dtype
        assert torch.equal(tensor, tensors[name])
    (tmp_path / "w.safetensors").write_bytes(again)
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert file.metadata() == {"b": "2", "a": "1"}
