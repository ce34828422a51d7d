"""For schemathesis: requests with a real picture and mask, so that what it varies is everything else."""

import schemathesis

from server_parts import IMAGE_FILE, MASK_FILE, in_base64


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict):
        for name, content in (("image", IMAGE_FILE), ("mask", MASK_FILE)):
            if name in body:
                body[name] = content if isinstance(body[name], bytes) else in_base64(content)
    return body
