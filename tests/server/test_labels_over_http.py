"""A label over HTTP is refused, in one line, where the model has no classes."""

import pytest

from server_parts import form


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"label": "7"}, "label = '7': this model knows no classes, leave it out"),
        ({"guidance": "3"}, "guidance = 3.0: this model was not trained for it, leave it out"),
    ],
)
def test_a_label_for_a_model_without_classes_is_refused(client, sent, told):
    """Dropped in silence, it would pass for heeded; raised in the worker, it would be the server's fault."""
    answer = client.post("/v1/inpaint", files=form(), data=sent)
    assert answer.status_code == 422
    assert told in answer.json()["error"]["message"]
