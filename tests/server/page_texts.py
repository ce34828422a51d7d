"""The texts of the editor and of its static site: those that their files ask for, and those that the language
files hold."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

from maskmend.export.web import SITE, site_html
from maskmend.server.static import PAGE

SPOKEN = ("title", "aria-label", "alt", "placeholder")
VOID = {"meta", "link", "input", "img", "br", "hr"}
WORD = re.compile("[a-z]{2}")
"""What has it is a text, and not a key or a sign."""
MARKED = "export default new Proxy({}, { get: (_, key) => `⟦${String(key)}⟧` });"
"""A language file in which each text has brackets around it."""

BARE = r"""() => {
    const found = [];
    const names = /⟦[^]*⟧|halton|poisson|arccos|log|exp|tiny|\d+\.png|#[0-9a-f]{6}|\b(px|Mpx|MiB)\b/g;
    const take = (text, where) => {
        let left = text;
        while (/⟦[^⟦⟧]*⟧/.test(left)) left = left.replace(/⟦[^⟦⟧]*⟧/g, "");
        if (/[a-z]{2}/.test(left.replace(names, ""))) found.push(`${where}: ${text.trim()}`);
    };
    for (const node of document.querySelectorAll("body, body *")) {
        if (node.closest("script, style, kbd, [translate=no]")) continue;
        for (const name of ["title", "aria-label", "alt", "placeholder"]) {
            if (node.getAttribute(name)) take(node.getAttribute(name), `${node.tagName} ${name}`);
        }
        const texts = [...node.childNodes].filter(({ nodeType }) => nodeType === 3);
        for (const { data } of texts) take(data, node.id || node.tagName);
    }
    return found;
}"""
"""Texts that have letters and no brackets around them, but for names, numbers with units and colours."""


class _Texts(HTMLParser):
    """Texts and spoken attributes, but for what says that it is not to be translated."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.silent: list[bool] = [False]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name in SPOKEN:
            self.take(given.get(name) or "")
        if tag not in VOID:
            quiet = tag in ("script", "style", "kbd") or given.get("translate") == "no"
            self.silent.append(self.silent[-1] or quiet)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<path .../>`, which holds nothing."""

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            self.silent.pop()

    def handle_data(self, data: str) -> None:
        if not self.silent[-1]:
            self.take(data)

    def take(self, text: str) -> None:
        text = " ".join(text.split())
        if WORD.search(text):
            self.found.add(text)


def html_texts() -> set[str]:
    found: set[str] = set()
    for html in ((PAGE / "index.html").read_text(encoding="utf-8"), site_html()):
        texts = _Texts()
        texts.feed(html)
        found |= texts.found
    return found


def scripts() -> dict[str, str]:
    """The sources of the page's and the site's modules but the language files, by name."""
    paths = [path for path in PAGE.glob("*.js") if not path.name.startswith("words")]
    return {path.name: path.read_text(encoding="utf-8") for path in (*paths, *SITE.rglob("*.js"))}


def script_texts() -> set[str]:
    """The keys of all t`...`, as `words.js` makes them of it."""
    found: set[str] = set()
    for source in scripts().values():
        for start in re.finditer(r"(?<![\w$])t`", source):
            found.add(_key(source, start.end()))
    return found


def _key(source: str, at: int) -> str:
    """The key of the template that begins at `at`; what is within ${} counts as one value."""
    key, values, depth = "", 0, 0
    while depth or source[at] != "`":
        if source.startswith("${", at):
            if depth == 0:
                key += f"{{{values}}}"
                values += 1
            depth, at = depth + 1, at + 2
        elif depth:
            depth += {"{": 1, "}": -1}.get(source[at], 0)
            at += 1
        else:
            key, at = key + source[at], at + 1
    return key


def language_file(code: str) -> dict[str, str]:
    """A language's texts by the English ones; English is a list."""
    text = (PAGE / f"words-{code}.js").read_text(encoding="utf-8")
    content = json.loads(text.partition("export default")[2].strip().removesuffix(";"))
    return {key: key for key in content} if isinstance(content, list) else content


def languages() -> list[str]:
    return sorted(path.stem.removeprefix("words-") for path in Path(PAGE).glob("words-*.js"))
