"""What goes wrong is told in words, and costs no work: servers that restart, tokens, failures of the page."""

import threading

import numpy as np
import uvicorn
from PIL import Image

from browser_parts import Editor
from maskmend.server.run import listen
from server_parts import PATIENCE, app_of, on_a_socket, until


def test_failures_are_told_in_words(editor, tmp_path):
    (tmp_path / "notes.png").write_bytes(b"no picture")
    editor.give(tmp_path / "notes.png")
    editor.page.locator("#trouble", has_text="notes.png cannot be opened").wait_for()
    Image.new("RGB", (8600, 6000)).save(tmp_path / "large.png")
    editor.give(tmp_path / "large.png")
    editor.page.locator("#trouble", has_text="51.6 Mpx, the limit is 50.0 Mpx").wait_for()
    assert editor.shown("#welcome")


def test_nothing_is_lost_when_the_server_is_restarted(browser, tiny_pipeline):
    """Catches a page that forgets the picture, or that never notices that the server is back."""

    def start(port):
        app = app_of(tiny_pipeline)
        listening = listen("127.0.0.1", port)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until(lambda: server.started and app.state.service.ready is None)

        def stop():
            server.should_exit = True
            thread.join(PATIENCE)
            listening.close()

        return listening.getsockname()[1], stop

    port, stop = start(0)
    context = browser.new_context()
    editor = Editor(context, f"http://127.0.0.1:{port}/")
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    mask = editor.mask()
    stop()
    editor.page.click("#fill")
    editor.page.locator("#trouble", has_text="Your picture and mask are safe").wait_for()
    _, stop = start(port)
    editor.page.locator("#status", has_text="The server is back").wait_for()
    np.testing.assert_array_equal(editor.mask(), mask)
    editor.fill()
    context.close()
    stop()
    assert editor.complaints == []


def test_a_token_is_asked_for_and_kept(browser, tiny_pipeline):
    token = "a token of the right length"
    with on_a_socket(app_of(tiny_pipeline, token=token)) as port:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.locator("#sample-list img").first.wait_for()
        context.close()
        context = browser.new_context()
        editor = Editor(context, f"http://127.0.0.1:{port}/#token={token.replace(' ', '%20')}")
        assert "token" not in editor.page.url
        context.close()


def test_a_dialog_that_was_closed_is_opened_again_by_what_needs_the_token(browser, tiny_pipeline, other):
    """Catches a Fill that does nothing at all, for ever, once the question for the token was dismissed."""
    token = "a token of the right length"
    with on_a_socket(app_of(tiny_pipeline, token=token)) as port:
        context = browser.new_context(viewport={"width": 1200, "height": 800})
        editor = Editor(context, f"http://127.0.0.1:{port}/", wait=False)
        page = editor.page
        page.locator("#token-dialog").wait_for()
        page.keyboard.press("Escape")
        assert not editor.shown("#token-dialog")
        editor.give(other)
        page.locator("#file-size", has_text="50 × 40").wait_for()
        page.mouse.click(*editor.middle())
        page.click("#settings summary")
        page.locator("[name=temperature]").press("ArrowRight")
        page.click("#reset")
        page.click("#fill")
        page.locator("#token-dialog").wait_for()
        assert editor.shown("#trouble")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.locator("#sample-list button").first.wait_for(state="attached")
        editor.fill()
        context.close()
    assert editor.complaints == []


def test_a_server_that_cannot_say_what_it_can_do_still_fills(browser, url, other):
    """Catches a page that is of no use when its first question went wrong."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    refused = {"status": 503, "json": {"error": {"code": "odd", "message": "not now"}}}
    context.route("**/v1/models", lambda route: route.fulfill(**refused))
    editor = Editor(context, url, wait=False)
    editor.page.locator("#trouble", has_text="Not now.").wait_for()
    editor.give(other)
    editor.page.locator("#file-size", has_text="50 × 40").wait_for()
    editor.page.mouse.click(*editor.middle())
    editor.fill()
    context.close()
    assert editor.complaints == []


def test_what_goes_wrong_in_the_page_is_told_in_words(gated_editor):
    """Catches buttons that do nothing, and a Fill that stays a Stop, when the browser refuses something."""
    editor, *_ = gated_editor
    page = editor.page
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    trouble = page.locator("#trouble", has_text="Something went wrong in the page: no memory.")
    page.evaluate(
        """() => {
            OffscreenCanvas.prototype.convertToBlob = () => Promise.reject(new Error("no memory"));
        }"""
    )
    for button in ("#mask-save", "#fill"):
        page.click(button)
        trouble.wait_for()
        assert page.locator("#fill").inner_text() == "Fill"
        page.evaluate("() => { document.getElementById('trouble').hidden = true; }")
    page.evaluate("() => { Promise.reject(new Error('no memory')); }")
    trouble.wait_for()
    page.evaluate("() => { document.getElementById('trouble').hidden = true; }")
    page.evaluate("() => { setTimeout(() => { throw new Error('no memory'); }); }")
    trouble.wait_for()
    assert all("no memory" in told for told in editor.complaints)
    editor.complaints.clear()


def test_the_description_of_the_api_needs_no_other_server(browser, url):
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}docs")
    page.locator("section", has_text="/v1/inpaint").first.wait_for()
    assert page.locator("section").count() >= 6
    assert all(one.startswith(url) for one in asked)
    context.close()
