"""A label over HTTP is refused, in one line, where the model has no classes."""

import pytest

from server_parts import form


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"label": "7"}, "label = '7': this model has no classes, leave it out"),
        ({"guidance": "3"}, "guidance = 3.0: this model was not trained for it, leave it out"),
    ],
)
def test_a_label_for_a_model_without_classes_is_refused(client, sent, told):
    """Dropped in silence, it would pass for heeded; raised in the worker, it would be the server's fault."""
    answer = client.post("/v1/inpaint", files=form(), data=sent)
    assert answer.status_code == 422
    assert told in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("count", "told"), [(8, "has no classes"), (9, "at most 8 classes"), (100, "at most 8")]
)
def test_a_list_of_classes_has_an_end(client, monkeypatch, count, told):
    """Catches a request of one fill that is filled a hundred times, past the bound on samples."""
    label = "/".join(str(n % 10) for n in range(count))
    if count > 8:  # as of a model that has such classes
        monkeypatch.setattr("maskmend.pipeline.InpaintPipeline.labels_for", lambda *_: (1,))
    answer = client.post("/v1/inpaint", files=form(), data={"label": label})
    assert answer.status_code == 422
    assert told in answer.json()["error"]["message"]
