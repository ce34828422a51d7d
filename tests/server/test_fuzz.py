"""Files broken at random: a word about it, or a fill, and never a crash. The long run is `fuzz_run.py`."""

from itertools import islice

import numpy as np
import pytest

from fuzz_run import corrupted, finding, questions, seeds
from server_parts import IMAGE_FILE, MASK_FILE, form


@pytest.mark.slow
def test_broken_files_are_refused_in_words(client):
    """Catches an exception of the imaging library that nobody thought of."""
    rng = np.random.default_rng(0)
    statuses = set()
    for which, image, mask in islice(questions(rng, (IMAGE_FILE, MASK_FILE)), 120):
        answer = client.post("/v1/inpaint", files=form(image, mask), data={"steps": 1, "fit_mask": "true"})
        found = finding(answer.status_code, answer.headers["content-type"], answer.content)
        assert found is None, (which, found, answer.text[:300])
        statuses.add(answer.status_code)
    assert {200, 422} <= statuses


def test_the_damage_is_real():
    """Catches a fuzzer that sends the same file again and again, or intact ones only."""
    rng = np.random.default_rng(0)
    files = seeds(rng)
    broken = [corrupted(rng, files) for _ in range(100)]
    assert len(set(broken)) > 90
    assert sum(one in files for one in broken) < 5
    assert {file[:2] for file in files} >= {b"\x89P", b"\xff\xd8", b"RI", b"II", b"BM", b"GI"}


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ((200, "image/png", b""), None),
        ((422, "", b'{"error": {"code": "a", "message": "b"}}'), None),
        ((422, "", b"oops"), "status 422 without a JSON error"),
        ((500, "", b'{"error": {"code": "a", "message": "b"}}'), "status 500"),
        ((0, "", b"reset"), "status 0"),
    ],
)
def test_what_counts_as_a_finding(answer, found):
    assert finding(*answer) == found
