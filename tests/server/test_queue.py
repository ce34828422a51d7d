"""The line on its own: who is filled with whom, who waits, who is sent away."""

import threading

import numpy as np
import pytest

from maskmend.images.picture import Picture
from maskmend.server.errors import Refusal
from maskmend.server.queue import Job, Line


def job(seed: int = 0, *, samples: int = 1, model: str = "tiny", **settings) -> Job:
    picture = Picture(pixels=np.zeros((2, 2, 3), np.uint8))
    return Job(
        picture=picture,
        mask=np.ones((2, 2), bool),
        model=model,
        samples=samples,
        seed=seed,
        settings=settings,
        tell=lambda what, detail: None,
    )


def line(**changes) -> Line:
    return Line(**({"places": 3, "pixels": 1000, "batch": 8} | changes))


def test_those_of_the_same_terms_go_together_and_the_oldest_goes_first():
    """Catches a batch that mixes settings, and a rare request that is overtaken for ever."""
    queue = line()
    jobs = [
        job(0, steps=4),
        job(1, steps=2),
        job(2, steps=4),
        job(3, samples=2, steps=4),
        job(4, model="b", steps=4),
    ]
    for one in jobs:
        queue.add(one)
    assert queue.next_batch() == [jobs[0], jobs[2]]
    assert queue.next_batch() == [jobs[1]]
    assert queue.next_batch() == [jobs[3]]
    assert queue.next_batch() == [jobs[4]]
    assert queue.waiting == 0


def test_a_batch_has_a_largest_size_counted_in_fills():
    queue = line(batch=5)
    jobs = [job(n, samples=2) for n in range(5)]
    for one in jobs:
        queue.add(one)
    assert [len(queue.next_batch() or []) for _ in range(3)] == [2, 2, 1]
    queue.add(large := job(samples=99))
    assert queue.next_batch() == [large]  # what is larger alone is still filled


def test_whoever_is_gone_is_passed_over():
    queue = line()
    jobs = [job(n) for n in range(3)]
    for one in jobs:
        queue.add(one)
    jobs[0].gone.set()
    jobs[2].gone.set()
    assert queue.next_batch() == [jobs[1]]


def test_more_than_there_are_places_for_are_told_when_to_come_back():
    """Catches a line that grows without end."""
    queue = line(places=2)
    first, _ = queue.enter(), queue.enter()
    with pytest.raises(Refusal) as caught:
        queue.enter()
    assert caught.value.status == 429
    assert int(caught.value.headers["Retry-After"]) >= 1
    first.leave()
    first.leave()  # twice is once
    queue.enter()
    with pytest.raises(Refusal):
        queue.enter()


def test_large_pictures_count_by_their_size():
    """Catches thirty pictures of the largest size in memory at once."""
    queue = line(pixels=100)
    with queue.enter() as one:
        one.weigh(90)
        with queue.enter() as two, pytest.raises(Refusal) as caught:
            two.weigh(20)
        assert caught.value.status == 429
        with queue.enter() as three:
            three.weigh(10)
    with queue.enter() as alone:
        alone.weigh(500)  # one alone is always let in: its own limit is another


def test_closing_lets_what_waits_be_finished_and_then_ends_the_workers():
    queue = line()
    queue.add(last := job())
    queue.close()
    with pytest.raises(Refusal) as caught:
        queue.enter()
    assert caught.value.status == 503
    assert queue.next_batch() == [last]
    assert queue.next_batch() is None


def test_workers_stay_for_whoever_has_a_place():
    """Catches a request that is never filled because its picture was still on its way when the server was
    told to stop; and workers that stay for ever.
    """
    queue = line()
    found = []

    def work():
        while (batch := queue.next_batch()) is not None:
            found.append(batch)

    worker = threading.Thread(target=work)
    first, second = queue.enter(), queue.enter()
    worker.start()
    queue.close()
    first.leave()
    worker.join(0.1)
    assert worker.is_alive()
    queue.add(late := job())
    second.leave()
    worker.join(5)
    assert not worker.is_alive()
    assert found == [[late]]


def test_an_upload_under_way_holds_no_place_and_is_still_waited_for():
    """Catches clients that hold places by announcing a body, and uploads cut short when the server stops."""
    queue = line(places=1)
    for _ in range(5):
        queue.announce()
    place = queue.enter(announced=True)
    with pytest.raises(Refusal) as caught:  # who would be refused after its upload is refused before it
        queue.announce()
    assert caught.value.status == 429
    place.leave()
    queue.close()
    with pytest.raises(Refusal) as caught:
        queue.announce()
    assert caught.value.status == 503
    worker = threading.Thread(target=queue.next_batch, daemon=True)
    worker.start()
    late = queue.enter(announced=True)
    for _ in range(5):
        queue.withdraw()
    worker.join(0.1)
    assert worker.is_alive()
    late.leave()
    worker.join(5)
    assert not worker.is_alive()


def test_a_worker_that_waits_is_woken():
    queue = line()
    found = []
    thread = threading.Thread(target=lambda: found.append(queue.next_batch()))
    thread.start()
    queue.add(one := job())
    thread.join(5)
    assert found == [[one]]


def test_advice_on_when_to_come_back_follows_what_was_measured():
    queue = line(places=1)
    queue.enter()
    for _ in range(50):
        queue.measured(40.0, 2)
    with pytest.raises(Refusal) as caught:
        queue.enter()
    assert caught.value.headers["Retry-After"] == "20"
