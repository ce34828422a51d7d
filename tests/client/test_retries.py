"""Asking again: as often as was allowed, when the server said, and not where nothing would change."""

from datetime import UTC, datetime

import anyio
import httpx2
import pytest

from maskmend.client import AsyncClient, Busy, Client, Done, Retries, Unavailable, events
from maskmend.client.errors import TooSlow, UnexpectedAnswer
from maskmend.client.retries import seconds_of
from maskmend.errors import ConfigError

BUSY = {"error": {"code": "busy", "message": "32 requests are waiting: try again in 2 s"}}
ALIVE = {"status": "alive"}


def server(*answers):
    """A transport that gives these answers one after the other, and the requests that it saw."""
    seen, left = [], list(answers)

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.read())
        return left.pop(0)

    return httpx2.MockTransport(answer), seen


def busy(after="2", status=429):
    return httpx2.Response(status, json=BUSY, headers={} if after is None else {"Retry-After": after})


def client_of(*answers, retries=None):
    waited: list[float] = []
    transport, seen = server(*answers)
    return Client(transport=transport, retries=retries, sleep=waited.append), waited, seen


def test_a_busy_server_is_asked_again_when_it_said():
    """Catches a client that does not wait, and a body that is not sent again."""
    client, waited, seen = client_of(busy("2"), busy("3", 503), httpx2.Response(200, json=ALIVE))
    assert client.alive()
    assert waited == [2.0, 3.0]
    client, waited, seen = client_of(busy("1"), busy("1"), busy("1"), retries=Retries(most=2))
    with pytest.raises(Busy, match="32 requests are waiting") as found:
        client.inpaint(b"image", b"mask")
    assert (found.value.status, found.value.code, waited) == (429, "busy", [1.0, 1.0])
    assert len(seen) == 3
    assert all(b"image" in body and b"mask" in body for body in seen)


def test_there_is_an_end_to_waiting():
    """Catches hours of sleep that a server, or a proxy, may ask for."""
    client, waited, _ = client_of(busy("61"))
    with pytest.raises(Busy):
        client.alive()
    assert waited == []
    client, waited, _ = client_of(busy("40"), busy("40"), retries=Retries(longest=60.0))
    with pytest.raises(Busy):
        client.alive()
    assert waited == [40.0]


@pytest.mark.parametrize("answer", [busy(None, 503), busy("soon", 503), busy("2", 504), busy("2", 500)])
def test_what_would_fail_again_is_not_asked_again(answer):
    client, waited, seen = client_of(answer)
    with pytest.raises(Exception, match="32 requests"):
        client.alive()
    assert (waited, len(seen)) == ([], 1)


def test_being_ready_is_not_waited_for():
    client, waited, _ = client_of(busy("1", 503))
    assert not client.ready()
    assert waited == []
    with pytest.raises(Unavailable):
        client_of(busy(None, 503))[0].models()


DONE = (
    b'event: done\ndata: {"model":"m","width":1,"height":1,"best":0,"uncertainty":"","most":1,"settings":{},'
    b'"seconds":1,"note":null,"converted":[],"unfamiliar":null}\n\n'
)


def test_streams_are_asked_for_again_as_well():
    client, waited, _ = client_of(busy("2"), httpx2.Response(200, content=DONE))
    assert [type(event) for event in client.stream(b"a", b"b")] == [Done]
    assert waited == [2.0]

    async def asked():
        waited: list[float] = []

        async def sleep(seconds: float) -> None:
            waited.append(seconds)

        transport, _ = server(
            busy("2"), httpx2.Response(200, content=DONE), busy("3"), httpx2.Response(200, json=ALIVE)
        )
        async with AsyncClient(transport=transport, sleep=sleep) as client:
            got = [type(event) async for event in client.stream(b"a", b"b")]
            assert await client.alive()
        return got, waited

    assert anyio.run(asked) == ([Done], [2.0, 3.0])


def test_an_error_in_a_stream_is_that_error():
    """Catches a fill that failed halfway, taken for one that ended."""
    told = (
        b': still here\n\nevent: queued\ndata: {"ahead":0}\n\n'
        b'event: error\ndata: {"error":{"code":"too_slow","message":"over"}}\n\n'
    )
    client, _, _ = client_of(httpx2.Response(200, content=told))
    stream = client.stream(b"a", b"b")
    assert next(stream) == events.Queued(ahead=0)
    with pytest.raises(TooSlow, match="over"):
        next(stream)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_events_are_found_wherever_the_stream_is_cut(size):
    content = b'event: queued\r\ndata: {\r\ndata: "ahead":3}\r\n\r\n: note\n\nevent: new\ndata: {}\n\n' + DONE
    reader, found = events.EventReader(), []
    for start in range(0, len(content), size):
        found += reader.feed(content[start : start + size])
    assert [type(event) for event in found] == [events.Queued, Done]
    assert reader.done


@pytest.mark.parametrize(
    "content",
    [
        b"event: step\ndata: {nonsense\n\n",
        b'event: queued\ndata: {"ahead":null}\n\n',
        b'event: queued\ndata: {"ahead":"many"}\n\n',
        b"event: level\ndata: [3]\n\n",
        b'event: step\ndata: {"step":1,"steps":2,"part":1,"parts":1,'
        b'"box":{"top":0,"left":0,"height":1,"width":1},"fills":3}\n\n',
    ],
)
def test_an_event_that_is_none_is_no_traceback(content):
    """Catches a TypeError where another program, or another version, answers."""
    with pytest.raises(UnexpectedAnswer, match="the server"):
        list(events.EventReader().feed(content))


def test_a_large_event_takes_time_by_its_size():
    """Catches pieces that are joined anew as each of them comes: gigabytes copied for a picture."""
    reader, piece = events.EventReader(), b"A" * 4096
    list(reader.feed(b'event: new\ndata: "'))
    for _ in range(50):
        assert list(reader.feed(piece)) == []
    assert sum(len(held) == len(piece) for held in reader._pieces) == 50
    assert list(reader.feed(b'"\n\n' + DONE[:9])) == []
    assert [type(event) for event in reader.feed(DONE[9:])] == [Done]


def test_a_finer_scale_is_told_with_its_picture():
    """Catches a client that drops what a finished scale looks like."""
    told = b'"sample":0,"samples":1,"level":1,"levels":2,"windows":3,"total":8,"seconds_left":1.5'
    box = b'"box":{"top":1,"left":2,"height":3,"width":4},"image":"AAEC"'
    first, second = events.EventReader().feed(
        b"event: level\ndata: {" + told + b"}\n\nevent: level\ndata: {" + told + b"," + box + b"}\n\n"
    )
    assert (first.box, first.content) == (None, None)
    assert (second.box, second.content) == (events.Box(top=1, left=2, height=3, width=4), bytes([0, 1, 2]))


def test_a_server_that_does_not_tell_the_time_left_is_understood():
    """Catches a client that a server of an earlier version breaks."""
    told = b'"step":1,"steps":2,"part":1,"parts":1,"box":{"top":0,"left":0,"height":1,"width":1},"fills":[]'
    before, now = events.EventReader().feed(
        b"event: step\ndata: {" + told + b"}\n\nevent: step\ndata: {" + told + b',"seconds_left":2.5}\n\n'
    )
    assert (before.seconds_left, now.seconds_left) == (None, 2.5)


def test_a_date_is_a_time_to_come_back_too():
    now = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
    assert seconds_of("Fri, 01 May 2026 12:00:30 GMT", now) == 30
    assert seconds_of("Fri, 01 May 2026 11:00:00 GMT", now) == 0
    assert seconds_of(" 7 ") == 7
    for nothing in (None, "", "-1", "1.5", "soon", "Fri, 01 May 99999999999999999999 12:00:00 GMT"):
        assert seconds_of(nothing) is None
    for wrong in ({"most": -1}, {"longest": float("nan")}, {"longest": -1.0}):
        with pytest.raises(ConfigError, match="give finite numbers"):
            Retries(**wrong)
