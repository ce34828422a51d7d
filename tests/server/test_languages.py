"""The editor's texts: the same ones in every language, and none outside the language files."""

import re

import pytest

from browser_parts import Editor
from page_looks import settle
from page_texts import BARE, MARKED, WORD, html_texts, language_file, languages, script_texts, scripts

OTHERS = [code for code in languages() if code != "en"]


@pytest.mark.parametrize("code", OTHERS)
def test_every_language_has_the_texts_of_the_page_and_no_others(code):
    """Catches a text that is added in one language only, and one that is left when its button is gone."""
    used, texts = html_texts() | script_texts(), language_file(code)
    assert used - set(language_file("en")) == set()
    assert set(language_file("en")) - used == set()
    assert set(texts) == used
    for english, other in texts.items():
        assert sorted(re.findall(r"\{\d\}", other)) == sorted(re.findall(r"\{\d\}", english)), english
        assert other.strip(), english


@pytest.mark.parametrize("code", OTHERS)
def test_a_language_is_not_english(code):
    """Catches texts that were copied to be translated later; short ones may well be the same."""
    same = [key for key, text in language_file(code).items() if text == key and len(key.split()) > 2]
    assert [key for key in same if WORD.search(re.sub(r"\{\d\}", "", key))] in ([], ["Alternative {0}, {1}"])


@pytest.mark.parametrize("name", sorted(scripts()))
def test_what_goes_wrong_is_told_in_a_text_of_the_page(name):
    """Catches a failure with a sentence in English, of the editor or of the worker of its static site."""
    failures = re.findall(r"new (?:Failure|Told)\((?:[^,()]*),\s*([\"'`][^;]*)", scripts()[name])
    assert failures == []


def test_the_language_chosen_last_is_the_one_that_counts(browser, recorded):
    """Catches a language file that comes late and turns the page back to a language that was left."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, locale="en-GB")
    held = []
    context.route("**/words-de.js", lambda route: held.append(route))
    editor = Editor(context, recorded[1])
    page = editor.page
    page.select_option("#language", "de")
    page.select_option("#language", "zh")
    page.locator("#choose", has_text="选择").wait_for()
    with page.expect_response("**/words-de.js") as late:
        held.pop().continue_()
    late.value.finished()
    page.evaluate("import('./words-de.js')")  # it has been run by now
    assert page.locator("html").get_attribute("lang") == "zh"
    assert page.locator("#choose").inner_text().startswith("选择")
    assert editor.complaints == []
    context.close()


def test_no_text_of_the_page_is_outside_the_language_files(browser, recorded):
    """Catches English in the middle of a page in another language."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, locale="zh-CN")
    context.route("**/words-zh.js", lambda route: route.fulfill(body=MARKED, content_type="text/javascript"))
    editor = Editor(context, recorded[1])
    page = editor.page
    assert page.locator("#choose").inner_text() == "⟦Choose a picture⟧"
    assert page.evaluate(BARE) == []
    editor.take_sample()
    assert "⟦" in editor.status()
    for key in "brlgsphxket":
        page.keyboard.press(key)
        page.evaluate("document.querySelector('#canvas').focus()")
    assert page.evaluate(BARE) == []
    page.click("#drawer-close")
    page.keyboard.press("b")
    settle(page)
    editor.drag((20, 20), (40, 30))
    page.keyboard.press("i")
    page.keyboard.press("Control+z")
    editor.fill()
    page.keyboard.press("u")
    page.keyboard.press("w")
    assert page.evaluate(BARE) == []
    page.keyboard.press("1")
    page.keyboard.press("a")
    page.keyboard.press("t")
    assert page.evaluate(BARE) == []
    assert editor.complaints == []
    context.close()


def test_the_browsers_language_is_taken_and_another_can_be_chosen(browser, recorded):
    """Catches a choice that loses the picture, or is forgotten."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, locale="de-AT")
    editor = Editor(context, recorded[1])
    page = editor.page
    assert page.locator("html").get_attribute("lang") == "de"
    assert page.locator("#fill").inner_text() == "Füllen"
    editor.take_sample()
    editor.drag((20, 20), (40, 30))
    assert re.search(r"^\d+,\d % des Bildes", page.locator("#hint").inner_text())
    page.select_option("#language", "zh")
    page.locator("#fill", has_text="填充").wait_for()
    assert "将填充图片的" in page.locator("#hint").inner_text()
    assert page.locator("button[data-tool=brush]").get_attribute("title").startswith("画笔（B）")
    editor.fill()
    assert page.locator(".facts").filter(has_text="最佳").count() == 1
    page.close(run_before_unload=False)
    again = Editor(context, recorded[1])
    assert again.page.locator("html").get_attribute("lang") == "zh"
    again.page.select_option("#language", "en")
    again.page.locator("#fill", has_text="Fill").wait_for()
    assert again.complaints == editor.complaints == []
    context.close()
