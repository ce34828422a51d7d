"""Both clients against the real server: on a socket, and the asynchronous one within its application."""

import io
import subprocess
import sys

import anyio
import httpx2
import numpy as np
import pytest
from PIL import Image

from maskmend.client import (
    AsyncClient,
    Client,
    Done,
    FillMade,
    NeedsConversion,
    NoAnswer,
    Queued,
    Retries,
    Step,
    TokenNeeded,
    TooLarge,
    UnexpectedAnswer,
    Unusable,
)
from maskmend.errors import ConfigError
from maskmend.server.settings import Limits
from server_parts import (
    HEIGHT,
    IMAGE_FILE,
    MASK,
    MASK_FILE,
    PATIENCE,
    PIXELS,
    WIDTH,
    app_of,
    file_of,
    on_a_socket,
    pixels_of,
)

TOKEN = "a token of length"


@pytest.fixture(scope="module")
def url(tiny_pipeline):
    limits = Limits(drain=5.0, upload_mib=0.5, samples=3)
    with on_a_socket(app_of(tiny_pipeline, limits=limits, token=TOKEN)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def client(url):
    with Client(url, token=TOKEN) as client:
        yield client


def wanted(pipe, **options):
    return pipe(PIXELS, MASK, **options)


def test_the_best_fill_is_that_of_the_pipeline(client, tiny_pipeline, tmp_path):
    """Catches parameters that do not arrive, and a picture that does not come back as it was sent."""
    picture = client.inpaint(IMAGE_FILE, MASK_FILE, samples=3, seed=7, steps=3, temperature=0.9)
    result = wanted(tiny_pipeline, samples=3, seed=7, steps=3, temperature=0.9)
    np.testing.assert_array_equal(pixels_of(picture.content), result.pictures[result.best].pixels)
    assert picture.seed == result.seeds[result.best]
    assert picture.log_likelihood == pytest.approx(result.log_likelihood[result.best], abs=1e-5)
    assert (picture.media_type, picture.converted) == ("image/png", ())
    picture.save(tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes() == picture.content


def test_pictures_may_be_files_and_of_other_formats(client, tmp_path):
    (tmp_path / "photo.png").write_bytes(IMAGE_FILE)
    (tmp_path / "mask.png").write_bytes(MASK_FILE)
    picture = client.inpaint(
        tmp_path / "photo.png", str(tmp_path / "mask.png"), format="webp", invert_mask=False
    )
    assert picture.media_type == "image/webp"
    np.testing.assert_array_equal(pixels_of(picture.content)[~MASK], PIXELS[~MASK])
    with pytest.raises(ConfigError, match=r"the image missing\.png cannot be read"):
        client.inpaint("missing.png", MASK_FILE)


def test_an_extension_needs_no_mask_and_a_guide_goes_along(client):
    guide = file_of(np.full((HEIGHT, WIDTH + 4, 4), 200, np.uint8))
    picture = client.inpaint(IMAGE_FILE, guide=guide, extend="left=4")
    assert pixels_of(picture.content).shape == (HEIGHT, WIDTH + 4, 3)
    assert picture.content != client.inpaint(IMAGE_FILE, extend="left=4").content


def test_all_fills_come_with_what_is_known_of_them(client, tiny_pipeline):
    fills = client.inpaint_all(IMAGE_FILE, MASK_FILE, samples=2, seed=4, steps=2)
    result = wanted(tiny_pipeline, samples=2, seed=4, steps=2)
    assert [fill.seed for fill in fills.fills] == [4, 5]
    for fill, picture in zip(fills.fills, result.pictures, strict=True):
        np.testing.assert_array_equal(pixels_of(fill.content), picture.pixels)
    assert fills.picture is fills.fills[result.best]
    assert (fills.width, fills.height, fills.settings["steps"]) == (WIDTH, HEIGHT, 2)
    assert (pixels_of(fills.uncertainty) > 0).any()


def test_a_stream_tells_every_step(client, tiny_pipeline):
    """Catches events that are dropped, joined or cut where the network cuts them."""
    events = list(client.stream(IMAGE_FILE, MASK_FILE, samples=2, seed=4, steps=3))
    assert isinstance(events[0], Queued)
    assert isinstance(events[-1], Done)
    steps = [event for event in events if isinstance(event, Step)]
    assert steps
    assert {len(step.fills) for step in steps} == {2}
    assert set("".join(steps[0].fills[0].hidden)) <= {"0", "1"}
    assert all(step.seconds_left is not None and step.seconds_left >= 0 for step in steps)
    assert steps[-1].seconds_left == 0
    result = wanted(tiny_pipeline, samples=2, seed=4, steps=3)
    made = {event.index: event.fill for event in events if isinstance(event, FillMade)}
    for index, picture in enumerate(result.pictures):
        np.testing.assert_array_equal(pixels_of(made[index].content), picture.pixels)
    assert events[-1].best == result.best


def test_the_other_routes(client, tiny_pipeline):
    assert client.alive()
    assert client.ready()
    models = client.models()
    assert models.models[0].name == "tiny"
    assert models.limits["samples"] == 3
    assert (models.models[0].conditions.classes, models.models[0].conditions.labels) == (0, ())
    assert "cosine" in models.choices["schedule"]
    assert "maskmend" in client.metrics()
    np.testing.assert_array_equal(pixels_of(client.convert(IMAGE_FILE, format="webp").content), PIXELS)
    small = file_of(MASK[::2, ::2].astype(np.uint8) * 255)
    mask = client.mask(small, width=WIDTH, height=HEIGHT, fit_mask=True)
    assert (mask.channel, mask.resized) == ("luma", (WIDTH // 2, HEIGHT // 2))
    assert pixels_of(mask.content).shape == (HEIGHT, WIDTH)
    picture = client.iopaint(IMAGE_FILE, MASK_FILE, sd_seed=5)
    assert picture.seed == 5
    np.testing.assert_array_equal(
        pixels_of(picture.content), wanted(tiny_pipeline, seed=5).pictures[0].pixels
    )


def deep() -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((HEIGHT, WIDTH), 3000, np.uint16)).save(content, "PNG")
    return content.getvalue()


def test_refusals_are_exceptions_with_the_servers_words(client, url):
    """Catches an error that a program can only tell by its text."""
    with pytest.raises(Unusable, match="the mask cannot be used") as found:
        client.inpaint(IMAGE_FILE, b"no picture")
    assert (found.value.status, found.value.code) == (422, "mask_unusable")
    with pytest.raises(Unusable, match="did you mean 'tiny'") as found:
        client.inpaint_all(IMAGE_FILE, MASK_FILE, model="tinny")
    assert found.value.code == "model_unknown"
    with pytest.raises(NeedsConversion) as found:
        client.inpaint(deep(), MASK_FILE)
    assert found.value.conversions == ("16 bits a channel to 8",)
    assert client.inpaint(deep(), MASK_FILE, convert=True).converted == ("16 bits a channel to 8",)
    with pytest.raises(TooLarge):
        client.inpaint(bytes(600_000), MASK_FILE)
    with pytest.raises(Unusable, match="mask"):
        next(client.stream(IMAGE_FILE, MASK_FILE[:40]))
    with Client(url) as other, pytest.raises(TokenNeeded, match="send the server's token"):
        other.models()


def test_where_nobody_answers_it_is_said():
    with on_a_socket_that_closes() as port, Client(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(NoAnswer, match="is `maskmend serve` running there"):
            client.alive()
        assert not client.ready()
        with pytest.raises(NoAnswer):
            list(client.stream(IMAGE_FILE, MASK_FILE))
    for address in ("127.0.0.1:8765", "ftp://host", ""):
        with pytest.raises(ConfigError, match="the server's address"):
            Client(address)
    for token in ("of a file, with its line end\n", "schlüssel"):
        with pytest.raises(ConfigError, match="the token has"):
            Client(token=token)


def on_a_socket_that_closes():
    """A port of this machine at which nobody listens any more."""
    import socket
    from contextlib import contextmanager

    @contextmanager
    def port():
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound, and not listening
            yield taken.getsockname()[1]

    return port()


def test_the_asynchronous_client_does_the_same(tiny_pipeline):
    """Catches a method that forgets to wait, and answers that are read otherwise."""

    async def asked():
        app = app_of(tiny_pipeline)
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            AsyncClient("http://127.0.0.1:8765", transport=transport) as client,
        ):
            with anyio.fail_after(PATIENCE):
                while not await client.ready():
                    await anyio.sleep(0.01)
            picture = await client.inpaint(IMAGE_FILE, MASK_FILE, seed=3, steps=2)
            fills = await client.inpaint_all(IMAGE_FILE, MASK_FILE, seed=3, steps=2)
            events = [event async for event in client.stream(IMAGE_FILE, MASK_FILE, seed=3, steps=2)]
            mask = await client.mask(MASK_FILE, width=WIDTH, height=HEIGHT)
            again = await client.convert(IMAGE_FILE, format="jpeg", quality=80)
            by_iopaint = await client.iopaint(IMAGE_FILE, MASK_FILE, sd_seed=3)
            assert await client.alive()
            assert "maskmend" in await client.metrics()
            assert (await client.models()).models[0].name == "tiny"
            with pytest.raises(Unusable):
                await client.inpaint(IMAGE_FILE, b"no picture")
        return picture, fills, events, mask, again, by_iopaint

    picture, fills, events, mask, again, by_iopaint = anyio.run(asked)
    result = wanted(tiny_pipeline, seed=3, steps=2).pictures[0].pixels
    np.testing.assert_array_equal(pixels_of(picture.content), result)
    assert fills.picture.content == picture.content
    assert isinstance(events[-1], Done)
    assert [e.fill.content for e in events if isinstance(e, FillMade)] == [picture.content]
    np.testing.assert_array_equal(pixels_of(mask.content) > 0, MASK)
    assert again.media_type == "image/jpeg"
    assert by_iopaint.seed == 3


def test_another_program_is_no_traceback():
    """Catches an address that is somebody else's, told as a missing key."""
    other = httpx2.MockTransport(lambda request: httpx2.Response(200, json={"hello": 1}))
    with Client(transport=other) as client:
        for call in (
            client.models,
            lambda: client.inpaint(b"a", b"b"),
            lambda: client.inpaint_all(b"a", b"b"),
        ):
            with pytest.raises(UnexpectedAnswer, match="has no"):
                call()
        with pytest.raises(NoAnswer, match="ended before the fill was done"):
            list(client.stream(b"a", b"b"))
    page = httpx2.MockTransport(lambda request: httpx2.Response(502, text="<html>Bad gateway"))
    with (
        Client(transport=page, retries=Retries(most=0)) as client,
        pytest.raises(UnexpectedAnswer, match="502"),
    ):
        client.models()


def test_it_needs_neither_pytorch_nor_the_server():
    """Catches an import that would bring gigabytes along."""
    program = (
        "import sys, maskmend.client\n"
        "print([n for n in ('torch', 'numpy', 'PIL', 'scipy', 'fastapi', 'jaxtyping', 'maskmend.server')"
        " if n in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
    hidden = "import sys; sys.modules['httpx2'] = None\nimport maskmend.client"
    missing = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, check=False)
    assert "maskmend.client needs httpx2: pip install '.[client]'" in missing.stderr
