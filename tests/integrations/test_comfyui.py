"""The ComfyUI nodes, loaded and called as ComfyUI does: a package from its folder, tensors and widgets'
values in, a tuple out.

With a copy of ComfyUI (MASKMEND_COMFYUI names its folder, with what it needs installed) `comfyui_run.py`
lets its own loader and executor run the example workflows.
"""

import importlib.util
import json
import os
import subprocess
import sys
import types
import uuid
from pathlib import Path

import numpy as np
import pytest
import torch

from fakes import box_mask, smooth_pixels
from maskmend.errors import ImageError, MaskError

FOLDER = Path(__file__).parents[2] / "integrations" / "comfyui"
HEIGHT, WIDTH = 20, 34
IMAGE = torch.rand(2, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(1))
"""Floats of which hardly one is a multiple of 1/255."""
MASK = torch.from_numpy(
    np.stack([box_mask(HEIGHT, WIDTH, 5, 6, 14, 19), box_mask(HEIGHT, WIDTH, 2, 20, 9, 30)])
).float()
SETTINGS = {"seed": 3, "steps": 2, "temperature": -1.0}


def load(name):
    """The package, by the lines of ComfyUI's `load_custom_node`."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def nodes():
    return load("maskmend_comfyui").NODE_CLASS_MAPPINGS


def run(nodes, name, /, **inputs):
    """One node as ComfyUI's executor calls it: by its FUNCTION, with its declared inputs only."""
    node = nodes[name]
    declared = node.INPUT_TYPES()
    assert (
        set(declared["required"])
        <= set(inputs)
        <= set(declared["required"]) | set(declared.get("optional", {}))
    )
    with torch.inference_mode():
        outputs = getattr(node(), node.FUNCTION)(**inputs)
    assert len(outputs) == len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
    return outputs


def test_known_pixels_are_the_same_floats(nodes, tiny_pipeline):
    """Catches a way through 8 bits, which changes every float that is no multiple of 1/255."""
    image, uncertainty = run(
        nodes, "MaskmendInpaint", model=tiny_pipeline, image=IMAGE, mask=MASK, **SETTINGS
    )
    hole = MASK > 0
    assert (image.shape, image.dtype, uncertainty.shape) == (IMAGE.shape, torch.float32, MASK.shape)
    assert torch.equal(image[~hole], IMAGE[~hole])
    assert (image[hole] != IMAGE[hole]).any()
    assert image.min() >= 0
    assert image.max() <= 1
    assert not uncertainty[~hole].any()
    assert 0 < uncertainty[hole].max() <= 1


def test_the_fill_is_the_pipelines(nodes, tiny_pipeline):
    """Catches a node that reads masks upside down, drops settings or mixes up the pictures of a batch."""
    pixels = np.stack([smooth_pixels(HEIGHT, WIDTH, seed) for seed in (1, 2)])
    image, _ = run(
        nodes, "MaskmendInpaint", model=tiny_pipeline, image=torch.from_numpy(pixels).float() / 255,
        mask=MASK, seed=7, steps=3, temperature=0.5,
    )  # fmt: skip
    for number, got in enumerate(image):
        mask = MASK[number].numpy() > 0
        wanted = (
            tiny_pipeline(pixels[number], mask, seed=7 + number, steps=3, temperature=0.5).pictures[0].pixels
        )
        np.testing.assert_array_equal((got * 255).round().numpy(), wanted)


@pytest.mark.parametrize(("images", "masks"), [(1, 2), (2, 1), (2, 2)])
def test_one_image_or_one_mask_serves_all_of_the_other(nodes, tiny_pipeline, images, masks):
    """Catches what ComfyUI's own nodes stumble over (its issue 6711): one of the two in a larger batch."""
    inputs = {"image": IMAGE[:images], "mask": MASK[:masks]}
    image, uncertainty = run(nodes, "MaskmendInpaint", model=tiny_pipeline, **inputs, **SETTINGS)
    assert (len(image), len(uncertainty)) == (2, 2)
    for number in range(2):
        hole = MASK[number % masks] > 0
        assert torch.equal(image[number][~hole], IMAGE[number % images][~hole])
        assert (image[number][hole] != IMAGE[number % images][hole]).any()


def test_batches_that_do_not_fit_are_told(nodes, tiny_pipeline):
    with pytest.raises(ImageError, match="2 in mask against 3"):
        run(nodes, "MaskmendInpaint", model=tiny_pipeline, image=IMAGE[[0, 1, 0]], mask=MASK, **SETTINGS)
    with pytest.raises(ImageError, match="give an IMAGE"):
        run(nodes, "MaskmendInpaint", model=tiny_pipeline, image=IMAGE[0], mask=MASK, **SETTINGS)
    with pytest.raises(MaskError):
        run(nodes, "MaskmendInpaint", model=tiny_pipeline, image=IMAGE, mask=MASK[:, 1:], **SETTINGS)


def test_the_empty_mask_of_load_image_changes_nothing(nodes, tiny_pipeline):
    """Catches a refusal of the 64 x 64 zeros that "Load Image" gives for a picture without transparency."""
    image, _ = run(
        nodes, "MaskmendInpaint", model=tiny_pipeline, image=IMAGE, mask=torch.zeros(1, 64, 64), **SETTINGS
    )
    assert torch.equal(image, IMAGE)


def test_a_mask_without_batch_and_an_image_with_alpha_are_taken(nodes, tiny_pipeline):
    """Catches alpha that is lost, or a fill that stays transparent."""
    image = torch.cat([IMAGE, torch.full((2, HEIGHT, WIDTH, 1), 0.25)], dim=3)
    filled, _ = run(nodes, "MaskmendInpaint", model=tiny_pipeline, image=image, mask=MASK[0], **SETTINGS)
    hole = MASK[0] > 0
    assert torch.equal(filled[:, ~hole], image[:, ~hole])
    assert bool((filled[:, hole][..., 3] == 1).all())


def test_outpainting_keeps_the_picture_on_its_larger_canvas(nodes, tiny_pipeline):
    """Catches margins that change places."""
    margins = {"left": 8, "right": 0, "top": 4, "bottom": 6}
    image, uncertainty = run(
        nodes, "MaskmendOutpaint", model=tiny_pipeline, image=IMAGE, **margins, **SETTINGS
    )
    assert image.shape == (2, HEIGHT + 10, WIDTH + 8, 3)
    assert torch.equal(image[:, 4 : 4 + HEIGHT, 8:], IMAGE)
    assert not uncertainty[:, 4 : 4 + HEIGHT, 8:].any()
    assert (image[:, :4] > 0).any()
    same, _ = run(
        nodes, "MaskmendOutpaint", model=tiny_pipeline, image=IMAGE, **dict.fromkeys(margins, 0), **SETTINGS
    )
    assert torch.equal(same, IMAGE)


def test_a_guide_counts_where_its_mask_is_white(nodes, tiny_pipeline):
    """Catches a guide that is passed over, or that counts where nothing was painted."""
    inputs = {"model": tiny_pipeline, "image": IMAGE, "mask": MASK[:1], "strength": 1.0, **SETTINGS}
    red = torch.zeros(1, HEIGHT, WIDTH, 3)
    red[..., 0] = 1
    nothing = torch.zeros(1, HEIGHT, WIDTH)
    plain, _ = run(nodes, "MaskmendInpaint", **{name: inputs[name] for name in inputs if name != "strength"})
    unpainted, _ = run(nodes, "MaskmendGuidedFill", guide=red, guide_mask=nothing, **inputs)
    painted, _ = run(nodes, "MaskmendGuidedFill", guide=red, **inputs)
    assert torch.equal(unpainted, plain)
    assert not torch.equal(painted, plain)
    hole = MASK[0] > 0
    assert torch.equal(painted[:, ~hole], IMAGE[:, ~hole])
    with pytest.raises(MaskError, match="guide_mask is 5 x 4, the guide 34 x 20"):
        run(nodes, "MaskmendGuidedFill", guide=red, guide_mask=torch.ones(1, 4, 5), **inputs)


class Interrupted(Exception):
    pass


def test_comfyuis_bar_and_cancel_are_heeded(monkeypatch, tiny_pipeline):
    """Catches a fill that runs on after Cancel, and a bar that never reaches its end."""
    told, cancel_after = [], [99]

    class ProgressBar:
        def __init__(self, total):
            self.total = total

        def update_absolute(self, value, total=None, preview=None):
            told.append((value, total))

    def throw_exception_if_processing_interrupted():
        if len(told) >= cancel_after[0]:
            raise Interrupted

    management = types.SimpleNamespace(
        get_torch_device=lambda: torch.device("cpu"),
        throw_exception_if_processing_interrupted=throw_exception_if_processing_interrupted,
    )
    monkeypatch.setitem(sys.modules, "comfy", types.ModuleType("comfy"))
    monkeypatch.setitem(sys.modules, "comfy.utils", types.SimpleNamespace(ProgressBar=ProgressBar))
    monkeypatch.setitem(sys.modules, "comfy.model_management", management)
    nodes = load("maskmend_in_comfyui").NODE_CLASS_MAPPINGS
    inputs = {"model": tiny_pipeline, "image": IMAGE, "mask": MASK, **SETTINGS | {"steps": 4}}
    run(nodes, "MaskmendInpaint", **inputs)
    assert [value for value, _ in told[:4]] == [1, 2, 3, 4]
    assert told[-1][0] == told[-1][1]
    told.clear()
    cancel_after[0] = 2
    with pytest.raises(Interrupted):
        run(nodes, "MaskmendInpaint", **inputs)
    assert len(told) == 2


def test_a_model_is_loaded_by_name(nodes, tiny_model):
    (pipe,) = run(nodes, "MaskmendLoadModel", name=f" {tiny_model} ", device="auto")
    assert (pipe.resolution, str(pipe.device)) == (16, "cpu")


@pytest.mark.parametrize(
    "path", sorted((FOLDER / "example_workflows").glob("*.json")), ids=lambda path: path.stem
)
def test_the_example_workflows_name_nodes_and_inputs_that_there_are(nodes, path):
    """Catches an example that was left behind when a node changed: widgets' values are told by place
    alone."""
    assert path.with_suffix(".jpg").is_file(), "each has a picture"
    workflow = json.loads(path.read_text())
    assert str(uuid.UUID(workflow["id"])) == workflow["id"]  # ComfyUI's page wants one
    ours = 0
    for node in workflow["nodes"]:
        if not node["type"].startswith("Maskmend"):
            continue
        ours += 1
        declared = nodes[node["type"]].INPUT_TYPES()
        inputs = declared["required"] | declared.get("optional", {})
        assert {slot["name"] for slot in node["inputs"]} <= set(inputs)
        assert [slot["type"] for slot in node["outputs"]] == list(nodes[node["type"]].RETURN_TYPES)
        # A seed has a second value, what is done to it after a run.
        widgets = []
        for name, (kind, *_) in inputs.items():
            if isinstance(kind, list) or kind in ("INT", "FLOAT", "STRING"):
                widgets += [name, "control_after_generate"] if name == "seed" else [name]
        assert len(node["widgets_values"]) == len(widgets), node["type"]
    assert ours >= 2


@pytest.mark.slow
def test_comfyui_itself_loads_the_nodes_and_runs_the_examples(tmp_path):
    """Catches what only ComfyUI's own loader, validation and executor mind."""
    comfyui = os.environ.get("MASKMEND_COMFYUI")
    if not comfyui:
        pytest.skip("no ComfyUI here: name its folder in MASKMEND_COMFYUI")
    script = Path(__file__).with_name("comfyui_run.py")
    command = [sys.executable, str(script), comfyui, str(FOLDER), str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
