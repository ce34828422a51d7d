"""The editor without a mouse: everything by keys, the focus never lost, a name for every control."""


def test_everything_by_keyboard(editor):
    """Catches an editor that only a mouse can use."""
    page = editor.page
    page.locator("#sample-list button").first.focus()
    page.keyboard.press("Enter")
    page.locator("#file").wait_for()
    page.keyboard.press("]")
    page.keyboard.press("[")
    page.keyboard.press("Space")
    for _ in range(6):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert "% of the picture" in editor.status()
    mask = editor.mask()
    assert mask[32, 33:60].all()
    page.locator("#canvas").focus()
    page.keyboard.press("f")
    editor.until_filled()
    page.keyboard.press("Alt+2")
    assert page.locator(".pick input").nth(1).is_checked()
    page.keyboard.press("u")
    assert editor.shown("#scale")
    page.keyboard.press("c")
    assert editor.shown("#divider-label")
    with page.expect_download() as waiting:
        page.keyboard.press("Control+s")
    assert waiting.value.suggested_filename == "00245-mended.png"
    page.keyboard.press("a")
    assert "Accepted" in editor.status()
    page.keyboard.press("Control+z")
    assert page.locator(".pick input").nth(1).is_checked()
    page.keyboard.press("?")
    assert editor.shown("#keys-dialog")
    page.keyboard.press("Escape")
    page.keyboard.press("Delete")
    assert page.locator("#fill").is_disabled()


def test_the_focus_is_never_lost(editor):
    """Catches a keyboard, or a screen reader, that is back at the top of the page after a press."""
    page = editor.page

    def focused():
        return page.evaluate(
            """() => {
                const { id, name, checked, value, tagName } = document.activeElement;
                return checked ? `checked ${name} ${value}` : id || name || tagName;
            }"""
        )

    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    page.locator("#fill").focus()
    page.keyboard.press("Enter")
    editor.until_filled()
    assert focused() == "fill"
    page.locator(".pick input:checked").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("n")
    editor.until_filled()
    assert focused().startswith("checked pick")
    page.locator("#again").focus()
    page.keyboard.press("Enter")
    editor.until_filled()
    assert focused().startswith("checked pick")
    page.keyboard.press("Control+z")
    assert focused().startswith("checked pick")  # the roll before
    page.locator("#accept").focus()
    page.keyboard.press("Enter")
    assert "Accepted" in editor.status()
    assert focused() == "canvas"
    page.keyboard.press("Control+z")
    page.locator(".pick input:checked").focus()
    page.keyboard.press("a")
    assert focused() == "canvas"
    editor.drag((20, 20), (40, 30))
    page.locator("#clear").focus()
    page.keyboard.press("Enter")
    assert focused() == "canvas"


def test_every_control_has_a_name(editor):
    """Catches a button that a screen reader can only call "button"."""
    editor.take_sample()
    editor.drag((20, 20), (30, 30))
    editor.fill()
    editor.page.click("#settings summary")
    names = [line.strip() for line in editor.page.locator("body").aria_snapshot().splitlines()]
    kinds = ("button", "slider", "checkbox", "radio", "combobox", "spinbutton", "link")
    controls = [line.removeprefix("- ") for line in names if line.removeprefix("- ").startswith(kinds)]
    assert len(controls) > 30
    assert [line for line in controls if '"' not in line] == []
