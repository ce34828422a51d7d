"""Hashes of networks: which two give the same tokens, or the same pictures."""

import hashlib
import json

from torch import nn

from maskmend.config import to_dict
from maskmend.models.token_model import TokenModel
from maskmend.models.vqgan import VQGAN
from maskmend.pretrained.migrations import config_in_format_1, name_in_format_1


def tokens_hash(model: VQGAN) -> str:
    """SHA-256 over what decides a picture's tokens, in half precision, so that packing does not change it."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        if not name.startswith("decoder"):
            digest.update(name.encode() + value.detach().cpu().half().numpy().tobytes())
    return digest.hexdigest()


def model_hash(*parts: VQGAN | TokenModel) -> str:
    """SHA-256 over configurations and weights, which together decide the pictures.

    The same for a model whichever format it was loaded from: hashed are the names of format 1.
    """
    settings = json.dumps([config_in_format_1(to_dict(part.config)) for part in parts], sort_keys=True)
    return hashlib.sha256(f"{settings} {weights_hash(*parts)}".encode()).hexdigest()


def weights_hash(*modules: nn.Module) -> str:
    """SHA-256 over the names (those of format 1) and values of all weights."""
    digest = hashlib.sha256()
    for module in modules:
        for name, value in module.state_dict().items():
            digest.update(name_in_format_1(name).encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
