"""For schemathesis: requests with a real picture and mask, so that what it varies is everything else."""

import schemathesis

from server_parts import IMAGE_FILE, MASK_FILE, in_base64


@schemathesis.hook
def map_case(context, case):
    form = case.media_type == "multipart/form-data"
    if isinstance(case.body, dict):
        for name, content in (("image", IMAGE_FILE), ("mask", MASK_FILE)):
            if name in case.body:
                case.body[name] = content if form else in_base64(content)
        # What the description cannot say: which models there are, and that the steps are not exceeded.
        for name in ("model", "sweet_spot"):
            case.body.pop(name, None)
        # Nor that the seeds of all samples are whole numbers to JavaScript.
        if isinstance(seed := case.body.get("seed"), (int, float)):
            case.body["seed"] = min(seed, 2**53 - 128)
        # A whole number is one to JSON Schema even as 3.0; the API wants 3.
        for name, value in case.body.items():
            if isinstance(value, float) and value.is_integer():
                case.body[name] = int(value)
    return case
