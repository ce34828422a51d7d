"""Class, prompt and guidance: each for the models that have it, in Python and over HTTP, in one table."""

import re
from typing import Any

import pytest
import torch

from fakes import CODES, tiny_models
from maskmend.errors import ConfigError
from maskmend.models.class_token import GoogleConfig, GoogleMaskgit
from maskmend.models.halton import Halton, HaltonConfig
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.prompts import Prompts
from server_parts import app_of, client_of, form

GIVEN: dict[str, dict[str, Any]] = {
    "label": {"label": 1},
    "auto": {"label": "auto"},
    "prompt": {"prompt": "a boat"},
    "guidance": {"guidance": 2.0},
    "guided label": {"label": 1, "guidance": 2.0},
    "guided prompt": {"prompt": "a boat", "guidance": 2.0},
}
MODELS = {
    "neither": (set(), {"classes": 0, "prompts": False, "guided": False}),
    "classes only": ({"label", "auto"}, {"classes": 3, "prompts": False, "guided": False}),
    "classes or none": (
        {"label", "auto", "guided label"}, {"classes": 3, "prompts": False, "guided": True},
    ),
    "prompts": ({"prompt", "guided prompt"}, {"classes": 0, "prompts": True, "guided": True}),
}  # fmt: skip
"""What each kind of model takes of it, and what is told of the model."""
NO_CLASSES = "has no classes, leave it out"
NO_WORDS = "takes no prompts, or its folder has none: leave it out"
UNTRAINED = "guidance = 2.0: this model was not trained for it, leave it out"


def reason(kind: str, what: str) -> str:
    """Why a model of this kind does not take it."""
    if "prompt" in what:
        return NO_WORDS
    if "guid" in what and kind in ("neither", "classes only"):
        return UNTRAINED
    if what == "guidance":
        lacking = "a prompt" if kind == "prompts" else "a label"
        return f"guidance = 2.0: it has no effect without {lacking}: give one, or guidance = 1"
    return NO_CLASSES


def pipeline(kind: str) -> InpaintPipeline:
    tokenizer, transformer = tiny_models()
    sizes = {"codes": CODES, "grid": 4, "dim": 16, "heads": 2, "layers": 1, "mlp": 24, "labels": 3}
    network: Any = transformer
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "classes only":
            network = GoogleMaskgit(GoogleConfig(**sizes))
        elif kind == "classes or none":
            network = Halton(HaltonConfig(**sizes))
    pipe = InpaintPipeline(tokenizer, network)
    if kind == "classes only":
        pipe.defaults = pipe.defaults.changed(label="auto")
    if kind == "prompts":
        pipe.prompts = Prompts.__new__(Prompts)  # one that nobody asks for a condition
    return pipe


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("what", GIVEN)
def test_in_python(kind, what):
    """Catches a class, prompt or scale that is dropped in silence: it would pass for heeded."""
    pipe = pipeline(kind)
    chosen = pipe.defaults.changed(**GIVEN[what])
    if what in MODELS[kind][0]:
        assert pipe.labels_for(chosen)
    else:
        with pytest.raises(ConfigError, match=re.escape(reason(kind, what))):
            pipe.labels_for(chosen)


@pytest.mark.parametrize("kind", MODELS)
def test_over_http(kind):
    """Catches a model of which more, or less, is told than it takes, and a refusal in the worker."""
    takes, told = MODELS[kind]
    with client_of(app_of(pipeline(kind))) as client:
        conditions = client.get("/v1/models").json()["models"][0]["conditions"]
        assert {name: conditions[name] for name in told} == told
        for what, given in GIVEN.items():
            if what in takes and kind == "prompts":  # an encoder of texts is not here
                continue
            sent = {"steps": "1"} | {name: str(value) for name, value in given.items()}
            answer = client.post("/v1/inpaint", files=form(), data=sent)
            if what in takes:
                assert answer.status_code == 200, answer.text
            else:
                assert answer.status_code == 422
                assert reason(kind, what) in answer.json()["error"]["message"]
