"""A field that cannot be used is told as a setting is: by name, value and what to give instead."""

import json

import pytest
from click.testing import CliRunner

from maskmend.cli import main
from maskmend.errors import ConfigError
from maskmend.settings import Settings
from server_parts import IMAGE_FILE, MASK_FILE, form


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("mask_channel", "alpah", "choose one of 'auto', 'luma', 'alpha' (did you mean 'alpha'?)"),
        ("order", "halten", "choose one of 'confidence', 'random', 'halton' (did you mean 'halton'?)"),
        ("format", "tiff", "choose one of 'png', 'jpeg', 'jpg', 'webp'"),
        ("detail", "ful", "choose one of 'auto', 'full' (did you mean 'full'?), or give a whole number"),
        ("steps", "many", "give a whole number"),
        ("steps", "0", "give 1 or more"),
        ("temperature", "hot", "give a number"),
        ("mask_threshold", "0", "give a number above 0"),
        ("top_p", "1.5", "give 1 or less"),
        ("share", "1", "give a number below 1"),
        ("fit_mask", "perhaps", "give true or false"),
        ("model", "m" * 201, "give a text of 200 characters or less"),
        ("extend", "lift=3", "write SIDE=LENGTH in pixels or percent, such as left=200,right=10%"),
    ],
)
def test_a_field_is_told_by_name_value_and_remedy(client, field, value, told):
    """Catches "Input should be 'auto', 'luma' or 'alpha'", which names neither the value nor the nearest."""
    answer = client.post("/v1/inpaint", files=form(), data={field: value})
    assert answer.status_code == 422
    value = f"'{value}'" if len(value) < 50 else f"'{value[:59]}..."
    assert answer.json()["error"]["message"] == f"{field} = {value}: {told}"


def test_json_has_the_same_words(client):
    """Catches words that depend on how a request is written."""
    kind = {"Content-Type": "application/json"}
    content = {"image": "AAAA", "mask": "AAAA", "steps": "8", "order": "halten", "plain": True}
    answer = client.post("/v1/inpaint", content=json.dumps(content), headers=kind)
    assert answer.json()["error"]["message"].split("; ") == [
        "steps = '8': give a whole number",
        "order = 'halten': choose one of 'confidence', 'random', 'halton' (did you mean 'halton'?)",
        "plain = True: give a number",
    ]
    answer = client.post("/v1/inpaint", content="{}", headers=kind)
    assert answer.json()["error"]["message"] == "image is missing: send it"


def test_command_line_settings_and_api_say_the_same(client, tmp_path):
    """Catches a wording that is changed in one of the three places."""
    with pytest.raises(ConfigError) as caught:
        Settings(schedule="cosin")
    line = str(caught.value)
    assert "schedule = 'cosin': choose one of 'cosine', " in line
    assert line.endswith("(did you mean 'cosine'?)")
    answer = client.post("/v1/inpaint", files=form(), data={"schedule": "cosin"})
    assert answer.json()["error"]["message"] == line
    image, mask, output = (tmp_path / name for name in ("image.png", "mask.png", "filled.png"))
    image.write_bytes(IMAGE_FILE)
    mask.write_bytes(MASK_FILE)
    command = ["inpaint", str(image), "--mask", str(mask), "-o", str(output), "--schedule", "cosin"]
    ran = CliRunner().invoke(main, command)
    assert ran.stderr == f"maskmend: {line}\n"
