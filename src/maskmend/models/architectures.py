"""The token models that a model folder can hold, by the name in its `config.json`."""

from typing import NamedTuple

from maskmend.errors import ConfigError
from maskmend.models.class_token import GoogleConfig, GoogleMaskgit, ValeoaiConfig, ValeoaiMaskgit
from maskmend.models.halton import Halton, HaltonConfig
from maskmend.models.mage import Mage, MageConfig
from maskmend.models.token_model import TokenModel
from maskmend.models.transformer import MaskedTransformer, TransformerConfig
from maskmend.models.uvit import UViT, UViTConfig


class Architecture(NamedTuple):
    model: type[TokenModel]
    config: type
    """A frozen dataclass with the names of `TokenModelConfig`."""


ARCHITECTURES = {
    one.model.architecture: one
    for one in (
        Architecture(MaskedTransformer, TransformerConfig),
        Architecture(Mage, MageConfig),
        Architecture(UViT, UViTConfig),
        Architecture(Halton, HaltonConfig),
        Architecture(GoogleMaskgit, GoogleConfig),
        Architecture(ValeoaiMaskgit, ValeoaiConfig),
    )
}


def only_ours(model: TokenModel, what: str) -> MaskedTransformer:
    """`model`, if it is a transformer of ours. Raises ConfigError: `what` ("exporting to ONNX") takes no
    other."""
    if isinstance(model, MaskedTransformer):
        return model
    raise ConfigError(
        f"{what} takes maskmend's own transformers only, and this model's is of architecture "
        f"{model.architecture!r}: use it in Python, on the command line or with `maskmend serve`"
    )
