"""The tokenizer's configuration: it comes back from a file, and what cannot be is named."""

import pytest

from maskmend.config import from_dict, to_dict
from maskmend.errors import ConfigError
from maskmend.models.tokenizer_config import TokenizerConfig, coursework_config, small_config


def test_small_preset_is_local():
    """Catches a shipped preset whose encoder looks at the whole picture."""
    config = small_config()
    assert (config.encoder_norm, config.encoder_attention) == ("position", False)


@pytest.mark.parametrize("config", [coursework_config(), small_config(resolution=128, factor=8)])
def test_configs_go_round(config):
    """Catches a setting that is lost or changes its type on the way to config.json and back."""
    assert from_dict(TokenizerConfig, to_dict(config)) == config
    assert from_dict(TokenizerConfig, config.to_dict()) == config


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"downsample_after": (1,)}, r"downsample_after=\(1,\) and upsample_after=\(2, 4\).*same number"),
        ({"downsample_after": (2, 6)}, r"downsample_after=\(2, 6\).*1 to 5"),
        ({"upsample_after": (0, 2)}, r"upsample_after=\(0, 2\).*1 to 5"),
        ({"upsample_after": (2, 2)}, r"upsample_after=\(2, 2\).*once"),
        ({"resolution": 66}, "resolution=66.*multiple of the factor 4"),
        ({"resolution": 0}, "resolution=0.*multiple"),
        ({"encoder_norm": "batch"}, "encoder_norm = 'batch': choose one of 'group', 'position'"),
        ({"encoder_blocks": 0}, "encoder_blocks=0.*at least 1"),
        ({"attention_heads": 0}, "attention_heads=0.*at least 1"),
        ({"attention_heads": 3}, "attention_heads=3 does not divide 512 of decoder_channels"),
        (
            {"encoder_channels": (128, 128, 128, 256, 256, 320), "attention_heads": 128},
            "320 of encoder_channels",
        ),
        ({"encoder_channels": (128, 128, 128, 256, 256, 144)}, "encoder_channels has 144.*multiples of 32"),
        ({"decoder_channels": (512, 256, 256, 128, 2)}, "decoder_channels has 2.*multiples of"),
        ({"encoder_channels": (128,)}, r"encoder_channels=\(128,\).*at least 2"),
        ({"decoder_channels": ()}, r"decoder_channels=\(\).*at least 1"),
        ({"design": "labs"}, "design = 'labs': choose one of 'plain', 'coursework'"),
        (
            {"design": "coursework", "encoder_norm": "position"},
            "design='coursework' with encoder_norm='position'",
        ),
        (
            {"design": "coursework", "decoder_channels": (512, 256, 256, 128, 36)},
            "has 36.*32 for design='coursework'",
        ),
        (
            {"design": "coursework", "attention_heads": 3},
            "attention_heads=3 does not divide 512 of decoder_channels",
        ),
    ],
)
def test_impossible_settings_are_named(changes, message):
    """Catches a recipe that fails deep in PyTorch, after minutes, with a message about tensors."""
    with pytest.raises(ConfigError, match=message):
        coursework_config(**changes)


def test_factors_of_the_small_preset_are_named():
    """Catches a factor that is no power of two, and would be rounded silently."""
    with pytest.raises(ConfigError, match="factor=6: choose 2, 4, 8, 16 or 32"):
        small_config(factor=6)
