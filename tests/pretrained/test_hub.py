"""Models sent to a hub and fetched from it: the card's front matter, and huggingface_hub itself against a
hub of our own on this machine."""

import socket
import sys
import types
from fnmatch import fnmatch

import numpy as np
import pytest
from PIL import Image

from fakes import box_mask, smooth_pixels
from hub_server import hub_for_client
from maskmend.errors import ConfigError, ModelError
from maskmend.importers.amused.prompts import OPTIONAL, TOKENIZER
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.hub import PATTERNS, hub_card
from maskmend.pretrained.prompts import PROMPTS

PIXELS, MASK = smooth_pixels(20, 34), box_mask(20, 34, 5, 6, 14, 19)
CARD = """---
library_name: maskmend
pipeline_tag: image-to-image
license: "cc-by-4.0"
tags:
- "inpainting"
- "image-inpainting"
- "maskgit"
- "masked-token-modelling"
- "cats: grey"
widget:
- src: "widget/1-before.png"
  output:
    url: "widget/1-after.png"
---

# Cats
"""


def test_the_card_says_what_the_hub_sorts_models_by():
    """Catches a key that the hub does not know, and a tag that is no YAML."""
    pictures = [("widget/1-before.png", "widget/1-after.png")]
    assert hub_card("# Cats\n", license="cc-by-4.0", tags=["cats: grey", "maskgit"], widget=pictures) == CARD
    bare = hub_card(None)
    assert "license" not in bare
    assert bare.endswith("---\n\n# A maskmend model\n")
    assert hub_card(CARD, license="mit") == CARD


def test_the_front_matter_is_yaml():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    head = yaml.safe_load(CARD.split("---")[1])
    assert head["tags"][-1] == "cats: grey"
    assert head["widget"] == [{"src": "widget/1-before.png", "output": {"url": "widget/1-after.png"}}]


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", *TOKENIZER, *OPTIONAL])
def test_what_prompts_need_is_fetched(name):
    """Catches a file left on the hub, without which the fetched model fails at its first prompt."""
    assert any(fnmatch(f"{PROMPTS}/{name}", pattern) for pattern in PATTERNS)


def test_a_model_is_sent_whole(monkeypatch, tiny_pipeline):
    """Catches a file, the card or a picture that stays behind; without huggingface_hub, by a fake of its
    calls."""
    calls = []

    class HfApi:
        def __init__(self, token=None):
            calls.append(("token", token))

        def create_repo(self, name, *, private, exist_ok):
            calls.append(("create", name, private, exist_ok))

        def create_branch(self, name, *, branch, exist_ok):
            calls.append(("branch", name, branch, exist_ok))

        def upload_folder(self, *, repo_id, folder_path, commit_message, revision):
            from pathlib import Path

            files = {
                str(path.relative_to(folder_path)) for path in Path(folder_path).rglob("*") if path.is_file()
            }
            calls.append(("upload", repo_id, files, commit_message, revision))
            return types.SimpleNamespace(commit_url="there")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(HfApi=HfApi))
    picture = Image.fromarray(PIXELS)
    where = tiny_pipeline.push_to_hub(
        "owner/cats", examples=[(picture, picture)], token="t", private=True, revision="v2"
    )
    assert where == "there"
    wanted = {
        "README.md", "model_index.json", "tokenizer/config.json", "tokenizer/weights.safetensors",
        "transformer/config.json", "transformer/weights.safetensors", "widget/1-before.png",
        "widget/1-after.png",
    }  # fmt: skip
    assert calls == [
        ("token", "t"),
        ("create", "owner/cats", True, True),
        ("branch", "owner/cats", "v2", True),
        ("upload", "owner/cats", wanted, "A maskmend model", "v2"),
    ]


def test_what_is_no_hub_repository_is_told(monkeypatch, tiny_pipeline, tiny_model):
    """Catches a model that is sent to a place nobody named, and a revision that is passed over."""
    with pytest.raises(ConfigError, match="hub repository 'cats': give owner/name"):
        tiny_pipeline.push_to_hub("cats")
    for name in ("default", tiny_model):
        with pytest.raises(ModelError, match="no hub repository: leave out revision = 'v2'"):
            InpaintPipeline.from_pretrained(name, revision="v2")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match=r"pip install '\.\[hub\]'"):
        tiny_pipeline.push_to_hub("owner/cats")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    with hub_for_client(monkeypatch, tmp_path / "home") as hub:
        yield hub


@pytest.mark.filterwarnings("ignore")  # those of the client's own libraries are not ours to mend
def test_a_model_goes_to_the_hub_and_comes_back(hub, tiny_pipeline):
    """Catches what only the real client minds: names of arguments, routes, revisions, its cache."""
    picture = Image.fromarray(PIXELS)
    first = tiny_pipeline.push_to_hub(
        "owner/cats", license="mit", examples=[(picture, picture)], private=True
    )
    files = hub.repositories["owner/cats"]["main"]
    assert first == f"{hub.url}/owner/cats/commit/{hub.commit(files)}"
    assert b"library_name: maskmend" in files["README.md"]
    assert (hub.private, hub.messages) == ({"owner/cats": True}, ["A maskmend model"])
    assert hub.tokens == {"Bearer of-the-test"}
    wanted = tiny_pipeline(PIXELS, MASK, steps=2).pictures[0].pixels

    def filled(**at):
        return InpaintPipeline.from_pretrained("owner/cats", **at)

    np.testing.assert_array_equal(filled()(PIXELS, MASK, steps=2).pictures[0].pixels, wanted)
    other = InpaintPipeline(
        tiny_pipeline.tokenizer, tiny_pipeline.transformer, tiny_pipeline.defaults.changed(steps=3)
    )
    other.push_to_hub("owner/cats", revision="quick", message="Three steps")
    assert hub.messages[-1] == "Three steps"
    assert filled(revision="quick").defaults.steps == 3
    assert filled(revision=hub.commit(files)).defaults.steps == filled().defaults.steps != 3
    with pytest.raises(ModelError, match="cannot fetch model owner/cats at v9 from the hub"):
        filled(revision="v9")
    with pytest.raises(ModelError, match="cannot fetch model owner/dogs from the hub"):
        InpaintPipeline.from_pretrained("owner/dogs")


@pytest.mark.filterwarnings("ignore")
def test_no_hub_in_reach_is_told_in_a_line(hub, monkeypatch, tiny_pipeline):
    """Catches the traceback of a library for the network, which is no error of the hub's own."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ModelError, match="cannot send the model to owner/cats on the hub"):
            tiny_pipeline.push_to_hub("owner/cats")
        with pytest.raises(ModelError, match="cannot fetch model owner/cats from the hub"):
            InpaintPipeline.from_pretrained("owner/cats")
