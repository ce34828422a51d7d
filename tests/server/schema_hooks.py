"""For schemathesis: requests with a real picture, mask and guide, so that what it varies is everything
else."""

import numpy as np
import schemathesis

from server_parts import HEIGHT, IMAGE_FILE, MASK_FILE, WIDTH, file_of, in_base64

MARGIN = 5
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
        for name, content in (("image", IMAGE_FILE), ("mask", MASK_FILE), ("guide", guide)):
            if case.body.get(name) is not None and name in case.body:
                case.body[name] = content if form else in_base64(content)
        # Nor which models there are, which classes they have, and that the steps are not exceeded.
        for name in ("model", "sweet_spot", "label", "guidance"):
            case.body.pop(name, None)
        # Nor that the seeds of all samples are whole numbers to JavaScript.
        if isinstance(seed := case.body.get("seed"), (int, float)):
            case.body["seed"] = min(seed, 2**53 - 128)
        # A whole number is one to JSON Schema even as 3.0; the API wants 3.
        for name, value in case.body.items():
            if isinstance(value, float) and value.is_integer():
                case.body[name] = int(value)
    return case
