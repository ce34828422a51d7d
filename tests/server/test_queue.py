"""The queue on its own: who is filled with whom, who waits, who is sent away."""

import threading

import numpy as np
import pytest

from maskmend.images.picture import Picture
from maskmend.server.errors import ApiError
from maskmend.server.queue import Job, JobQueue
from server_parts import PATIENCE, until


def job(seed: int = 0, *, samples: int = 1, model: str = "tiny", **settings) -> Job:
    picture = Picture(pixels=np.zeros((2, 2, 3), np.uint8))
    return Job(
        picture=picture,
        mask=np.ones((2, 2), bool),
        model=model,
        samples=samples,
        seed=seed,
        settings=settings,
        notify=lambda what, detail: None,
    )


def waits(queue: JobQueue, worker: threading.Thread) -> bool:
    """Whether a worker that has heard of all that happened to the queue waits for more, and has not ended."""
    until(lambda: queue._change._waiters or not worker.is_alive())  # type: ignore[attr-defined]
    return worker.is_alive()


def a_queue(**changes) -> JobQueue:
    return JobQueue(**({"places": 3, "pixels": 1000, "batch": 8} | changes))


def test_those_of_the_same_terms_go_together_and_the_oldest_goes_first():
    """Catches a batch that mixes settings, and a rare request that is overtaken for ever."""
    queue = a_queue()
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
    queue = a_queue(batch=5)
    jobs = [job(n, samples=2) for n in range(5)]
    for one in jobs:
        queue.add(one)
    assert [len(queue.next_batch() or []) for _ in range(3)] == [2, 2, 1]
    queue.add(large := job(samples=99))
    assert queue.next_batch() == [large]  # what is larger alone is still filled


def test_whoever_is_gone_is_passed_over():
    queue = a_queue()
    jobs = [job(n) for n in range(3)]
    for one in jobs:
        queue.add(one)
    jobs[0].gone.set()
    jobs[2].gone.set()
    assert queue.next_batch() == [jobs[1]]


def test_more_than_there_are_places_for_are_told_when_to_come_back():
    """Catches a queue that grows without end."""
    queue = a_queue(places=2)
    first, _ = queue.acquire(), queue.acquire()
    with pytest.raises(ApiError) as caught:
        queue.acquire()
    assert caught.value.status == 429
    assert int(caught.value.headers["Retry-After"]) >= 1
    first.release()
    first.release()  # twice is once
    queue.acquire()
    with pytest.raises(ApiError):
        queue.acquire()


def test_large_pictures_count_by_their_size():
    """Catches thirty pictures of the largest size in memory at once."""
    queue = a_queue(pixels=100)
    with queue.acquire() as one:
        one.reserve_pixels(90)
        with queue.acquire() as two, pytest.raises(ApiError) as caught:
            two.reserve_pixels(20)
        assert caught.value.status == 429
        with queue.acquire() as three:
            three.reserve_pixels(10)
    with queue.acquire() as alone:
        alone.reserve_pixels(100)


def test_a_request_that_is_too_large_alone_is_told_the_limit():
    """Catches one request that takes several times the memory that is promised, because nobody else is there;
    and one that is told to come back, for ever.
    """
    queue = a_queue(pixels=100)
    with queue.acquire() as alone:
        alone.reserve_pixels(60)
        with pytest.raises(ApiError) as caught:
            alone.reserve_pixels(41_000_000)
        assert caught.value.status == 413
        assert "41.0 Mpx in all" in caught.value.message
        assert "0.0001 Mpx" in caught.value.message
        alone.reserve_pixels(40)
    queue.acquire().reserve_pixels(100)  # all of it was given back


def test_closing_lets_what_waits_be_finished_and_then_ends_the_workers():
    queue = a_queue()
    queue.add(last := job())
    queue.close()
    with pytest.raises(ApiError) as caught:
        queue.acquire()
    assert caught.value.status == 503
    assert queue.next_batch() == [last]
    assert queue.next_batch() is None


def test_workers_stay_for_whoever_has_a_place():
    """Catches a request that is never filled because its picture was still on its way when the server was
    told to stop; and workers that stay for ever.
    """
    queue = a_queue()
    found = []

    def work():
        while (batch := queue.next_batch()) is not None:
            found.append(batch)

    worker = threading.Thread(target=work)
    first, second = queue.acquire(), queue.acquire()
    worker.start()
    queue.close()
    first.release()
    assert waits(queue, worker)
    queue.add(late := job())
    second.release()
    worker.join(PATIENCE)
    assert not worker.is_alive()
    assert found == [[late]]


def test_an_upload_under_way_holds_no_place_and_is_still_waited_for():
    """Catches clients that hold places by announcing a body, and uploads cut short when the server stops."""
    queue = a_queue(places=1)
    for _ in range(5):
        queue.announce()
    slot = queue.acquire(announced=True)
    with pytest.raises(ApiError) as caught:  # who would be refused after its upload is refused before it
        queue.announce()
    assert caught.value.status == 429
    slot.release()
    queue.close()
    with pytest.raises(ApiError) as caught:
        queue.announce()
    assert caught.value.status == 503
    worker = threading.Thread(target=queue.next_batch, daemon=True)
    worker.start()
    late = queue.acquire(announced=True)
    for _ in range(5):
        queue.withdraw()
    assert waits(queue, worker)
    late.release()
    worker.join(PATIENCE)
    assert not worker.is_alive()


def test_a_worker_that_waits_is_woken():
    queue = a_queue()
    found = []
    thread = threading.Thread(target=lambda: found.append(queue.next_batch()))
    thread.start()
    queue.add(one := job())
    thread.join(PATIENCE)
    assert found == [[one]]


def test_advice_on_when_to_come_back_follows_what_was_measured():
    queue = a_queue(places=1)
    queue.acquire()
    for _ in range(50):
        queue.measured(40.0, 2)
    with pytest.raises(ApiError) as caught:
        queue.acquire()
    assert caught.value.headers["Retry-After"] == "20"
