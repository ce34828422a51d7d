"""A class or prompt is asked for where the model has any, and reaches the fill."""

from typing import Any

import pytest
import torch

from browser_parts import Editor
from fakes import CODES, tiny_models
from maskmend.models.halton import Halton, HaltonConfig
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.prompts import Prompts
from server_parts import Gated, app_of, client_of, on_a_socket

NONE = {"classes": 0, "labels": [], "prompts": False, "guided": False}


class Conditioned(Gated):
    """A model with three classes, which remembers what it was asked for, prompts among it."""

    def __init__(self) -> None:
        tokenizer, _ = tiny_models()
        config = HaltonConfig(codes=CODES, grid=4, dim=16, heads=2, layers=1, mlp=24, labels=3)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            transformer = Halton(config)
        super().__init__(InpaintPipeline(tokenizer, transformer))
        self.labels = ("cat", "dog", "sea lion")
        self.gate.set()

    def __call__(self, image, mask, *, prompt=None, **more):
        result = super().__call__(image, mask, **more)
        self.asked[-1]["prompt"] = prompt
        return result


def test_what_a_model_can_be_told_is_in_the_list_of_models(client):
    """Catches a page, or a client, that can only try."""
    assert client.get("/v1/models").json()["models"][0]["conditions"] == NONE
    pipe: Any = Conditioned()
    with client_of(app_of(pipe)) as other:
        told = other.get("/v1/models").json()["models"][0]["conditions"]
        assert told == {"classes": 3, "labels": list(pipe.labels), "prompts": False, "guided": True}
        pipe.prompts = Prompts.__new__(Prompts)  # one that nobody asks for a condition
        assert other.get("/v1/models").json()["models"][0]["conditions"]["prompts"]


def test_a_model_without_conditions_is_not_asked_for_any(editor):
    editor.take_sample()
    assert not editor.shown("#conditions")


def test_classes_are_suggested_once_the_model_is_loaded(editor):
    """Catches names that are never offered, where the page was opened before the model was there."""
    offered = editor.page.evaluate("""async () => {
        const { Conditions } = await import("./conditions.js");
        const card = new Conditions(document.getElementById("conditions"));
        const model = { name: "m", settings: {}, conditions: null };
        card.learn(model);
        const conditions = { classes: 2, labels: ["cat", "dog"], prompts: false, guided: false };
        card.learn({ ...model, conditions });
        return document.querySelectorAll("#label-names option").length;
    }""")
    assert offered == 2


def test_fields_are_those_that_the_model_has(editor):
    """Catches a prompt asked of a model of classes, guidance that it was not trained for, and a fill without
    a class of one that has no other."""
    found = editor.page.evaluate("""async () => {
        const { Conditions } = await import("./conditions.js");
        const card = new Conditions(document.getElementById("conditions"));
        const told = [[0, false, false], [3, false, false], [3, false, true], [0, true, true]];
        return told.map(([classes, prompts, guided], n) => {
            card.learn({ name: `m${n}`, settings: {}, conditions: { classes, labels: [], prompts, guided } });
            const shown = ["label", "prompt", "guidance"].filter(
                (id) => !document.getElementById(`${id}-field`).hidden);
            return [card.card.hidden, shown.join(" "), card.parameters];
        });
    }""")
    assert found == [
        [True, "", {}],
        [False, "label", {"label": "auto"}],
        [False, "label guidance", {}],
        [False, "prompt guidance", {}],
    ]


@pytest.mark.parametrize("width", [390, 1200])
def test_a_class_and_a_prompt_reach_the_fill(browser, width):
    """Catches fields that are shown and not heeded; and guidance that is sent without either."""
    pipe: Any = Conditioned()
    pipe.prompts = Prompts.__new__(Prompts)  # one that nobody asks for a condition
    with on_a_socket(app_of(pipe)) as port:
        context = browser.new_context(viewport={"width": width, "height": 844})
        editor = Editor(context, f"http://127.0.0.1:{port}/")
        page = editor.page
        editor.take_sample()
        assert page.locator("#label-names option").count() == 3
        page.mouse.click(*editor.middle())
        editor.fill()
        assert {"label", "prompt", "guidance"} & set(pipe.asked[-1]) == {"prompt"}
        assert pipe.asked[-1]["prompt"] is None
        assert page.locator("#guidance").is_disabled()  # the server would refuse it
        page.locator("#accept").click()
        page.mouse.click(*editor.middle())
        page.locator("#label").fill("sea lion")
        page.locator("#prompt").fill("a boat")
        if width == 390:
            page.click("#more")
        page.locator("#guidance").fill("2.5")
        page.locator("#prompt").press("Enter")
        editor.until_filled()
        asked = pipe.asked[-1]
        assert (asked["label"], asked["prompt"], asked["guidance"]) == ("sea lion", "a boat", 2.5)
        assert editor.complaints == []
        context.close()
