"""A Space on the Hugging Face hub, or a page on this machine: open a picture, paint over it, Fill.

    python app.py        # with gradio installed; MASKMEND_MODEL names another model than "default"

Nothing comes from elsewhere but the model, where it is a hub id: fonts are the system's, and gradio's
statistics are off. Pictures travel as PNG in both directions, so that pixels outside the paint stay as they
are.
"""

import functools
import os
from typing import Any

import numpy as np
from PIL import Image

from maskmend import InpaintPipeline
from maskmend.errors import MaskmendError

MODEL = "MASKMEND_MODEL"
PAINT = "#ff3366"
MOST = 4
"""Fills at a time."""


@functools.cache
def pipeline() -> InpaintPipeline:
    return InpaintPipeline.from_pretrained(os.environ.get(MODEL, "default"))


def painted(editor: dict[str, Any] | None) -> tuple[Image.Image, np.ndarray]:
    """The picture of gradio's ImageEditor, and True where any of its layers has paint. Raises
    MaskmendError."""
    picture = (editor or {}).get("background")
    layers = (
        []
        if editor is None
        else [np.asarray(layer.convert("RGBA"))[:, :, 3] > 0 for layer in editor["layers"]]
    )
    if picture is None or not any(layer.any() for layer in layers):
        raise MaskmendError("Open a picture and paint over what should go.")
    if picture.mode == "RGBA" and picture.getextrema()[3] == (255, 255):
        picture = picture.convert("RGB")
    return picture, np.logical_or.reduce(layers)


def fill(editor: dict[str, Any] | None, samples: float = 1, seed: float = 0) -> list[Image.Image]:
    """The fills, the best first. Raises MaskmendError."""
    picture, mask = painted(editor)
    samples = min(int(samples), MOST)  # requests that bypass the page are not held to its limit
    result = pipeline()(picture, mask, samples=samples, seed=int(seed), mask_photo_check="off")
    order = sorted(range(len(result.images)), key=lambda number: (number != result.best, number))
    return [result.images[number] for number in order]


def build():
    """The page."""
    import gradio as gr

    def on_fill(editor, samples, seed):
        try:
            return fill(editor, samples, seed)
        except MaskmendError as error:
            raise gr.Error(str(error), print_exception=False) from None

    with gr.Blocks(title="maskmend", analytics_enabled=False) as page:
        gr.Markdown(
            "# maskmend\nOpen a picture, paint over what should go, **Fill**. All else stays as it is."
        )
        with gr.Row():
            editor = gr.ImageEditor(
                type="pil",
                image_mode="RGBA",  # of layers, any other drops the transparency
                format="png",
                label="Picture",
                sources=("upload", "clipboard"),
                transforms=(),
                layers=False,
                brush=gr.Brush(colors=[PAINT], color_mode="fixed"),
            )
            fills = gr.Gallery(
                label="Fills, the best first", format="png", type="pil", object_fit="contain", elem_id="fills"
            )
        with gr.Row():
            samples = gr.Slider(1, MOST, value=1, step=1, label="Fills")
            seed = gr.Number(0, precision=0, minimum=0, label="Seed")
            gr.Button("Fill", variant="primary", elem_id="fill").click(
                on_fill, [editor, samples, seed], fills
            )
    return page


def main() -> None:
    import gradio as gr

    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    build().queue(default_concurrency_limit=1).launch(theme=gr.themes.Default(**fonts))


if __name__ == "__main__":
    main()
