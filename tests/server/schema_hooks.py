"""For schemathesis: requests with a real picture, mask and guide, so that what it varies is everything
else."""

import numpy as np
import schemathesis

from server_parts import HEIGHT, IMAGE_FILE, MASK, WIDTH, file_of, in_base64

MARGIN = 5
HOLE = MASK.astype(np.uint8) * 255
EITHER = file_of(np.dstack([HOLE, HOLE, HOLE, 255 - HOLE]))
"""The mask in its brightness and in its transparency: `mask_channel` may name either."""
GUIDES = {width: file_of(np.full((HEIGHT, width, 4), 200, np.uint8)) for width in (WIDTH, WIDTH + MARGIN)}


@schemathesis.hook
def map_case(context, case):
    form = case.media_type == "multipart/form-data"
    if isinstance(case.body, dict):
        # What the description cannot say: that some pixel is added, how large the canvas is then, and that a
        # guide is as large.
        extended = case.body.get("extend") is not None
        if extended:
            case.body["extend"] = f"left={MARGIN}"
        guide = GUIDES[WIDTH + MARGIN * extended]
        for name, content in (("image", IMAGE_FILE), ("mask", EITHER), ("guide", guide)):
            if case.body.get(name) is not None and name in case.body:
                case.body[name] = content if form else in_base64(content)
        # Nor how large the picture is that a mask alone is for.
        if "width" in case.body:
            case.body.update(width=WIDTH, height=HEIGHT)
        # Nor which models there are, which classes they have, and that the steps are not exceeded.
        for name in ("model", "sweet_spot", "label", "prompt", "guidance"):
            case.body.pop(name, None)
        # Nor that the seeds of all samples are whole numbers to JavaScript.
        if isinstance(seed := case.body.get("seed"), (int, float)):
            case.body["seed"] = min(seed, 2**53 - 128)
        # A whole number is one to JSON Schema even as 3.0; the API wants 3.
        for name, value in case.body.items():
            if isinstance(value, float) and value.is_integer():
                case.body[name] = int(value)
    return case
