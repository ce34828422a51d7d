"""Names of arguments in other inpainting libraries and in older versions, and the present ones."""

from collections.abc import Iterable

from maskmend.errors import ConfigError

OTHERS = {
    "mask_image": "give the mask as `mask`",
    "generator": "give the number that a generator would be seeded with as `seed`",
    "num_inference_steps": "give `steps`",
    "num_images_per_prompt": "give `samples`",
    "num_samples": "give `samples`",
    "strength": "holes are always filled from nothing: leave it out",
    "guidance_scale": "give `guidance`, with a model that has classes or prompts",
    "class_labels": "give `label`, with a model that has classes",
    "negative_prompt": "guidance is taken against the empty prompt: leave it out",
    "height": "the result is as large as the image: leave it out",
    "width": "the result is as large as the image: leave it out",
    "output_type": "the result has `images` (PIL) and `pictures` (arrays): leave it out",
    "return_dict": "the result is an `Inpainted`: leave it out",
    "callback_on_step_end": "give `events=FillEvents(on_step=...)`",
    "callback": "give `events=FillEvents(on_step=...)`",
    "preview": "give `events=FillEvents(on_preview=...)`",
    "on_level": "give `events=FillEvents(on_level=...)`",
    "finished": "give `events=FillEvents(on_result=...)`",
    "torch_dtype": "give `precision`, such as precision='bf16'",
    "dtype": "give `precision`, such as precision='bf16'",
    "device_map": "give `device`, such as device='cuda'",
    "pretrained_model_name_or_path": "give it as `name`",
}
"""By the other library's name: what to do here."""


def check_names(names: Iterable[str]) -> None:
    """Raises ConfigError for one of `OTHERS`, with the argument to use here."""
    for name in names:
        if name in OTHERS:
            raise ConfigError(f"{name} is no argument here: {OTHERS[name]}")
