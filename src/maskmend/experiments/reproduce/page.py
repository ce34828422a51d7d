"""The reproduction as a self-contained HTML page and as Markdown: sections of text, tables and pictures.

Pictures and styles are embedded, and there is no script, so the page makes no requests.
"""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Mark = Literal["", "best", "tie"]

STYLE = """
:root { color-scheme: light dark; --ink: #202024; --faint: #6d6b66; --paper: #faf9f6; --card: #fff;
  --line: #dcd9d2; --accent: #2b5fa8; --best: #dcefe0; --best-ink: #22613a; --tie: #f4efd9;
  --tie-ink: #76601a; --bad: #f6dcd6; --bad-ink: #97331c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e4df; --faint: #9b988f; --paper: #1b1b1e;
  --card: #232327; --line: #3a3a3f; --accent: #8fb5ea; --best: #21382a; --best-ink: #93d3a8; --tie: #37321f;
  --tie-ink: #d9c27a; --bad: #452620; --bad-ink: #f0a58f; } }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 66rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -.01em; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .4rem; padding-top: 1.2rem; border-top: 1px solid var(--line);
  scroll-margin-top: .5rem; }
p { max-width: 48rem; margin: .5rem 0; }
.lead { color: var(--faint); }
nav { margin: 1.4rem 0 0; font-size: .9rem; line-height: 2; }
nav a { color: var(--accent); text-decoration: none; margin-right: 1.1rem; }
nav a:hover { text-decoration: underline; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); gap: .8rem;
  margin: 1rem 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; }
.tile .what { color: var(--faint); font-size: .85rem; }
.tile .value { font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile .note { color: var(--faint); font-size: .85rem; font-variant-numeric: tabular-nums; }
.tag { display: inline-block; font-size: .75rem; font-weight: 600; line-height: 1.5; padding: 0 .5em;
  border-radius: 1em; margin-left: .5em; vertical-align: .08em; }
.tag.best, .tag.held { background: var(--best); color: var(--best-ink); }
.tag.tie { background: var(--tie); color: var(--tie-ink); }
.tag.missed { background: var(--bad); color: var(--bad-ink); }
.verdict { border-left: 3px solid var(--accent); padding-left: .8rem; font-weight: 500; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; margin: .8rem 0; }
th, td { text-align: right; padding: .32rem .65rem; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { color: var(--faint); font-weight: 500; vertical-align: bottom; white-space: normal; }
th.label, td.label { text-align: left; }
td.long { white-space: normal; min-width: 14rem; color: var(--faint); }
tr.best td { background: var(--best); }
tr.best td.label:first-child { font-weight: 600; }
tr.tie td { background: var(--tie); }
.ci { color: var(--faint); font-size: .85em; }
figure { margin: 1.4rem 0; }
figure img { display: block; max-width: 100%; height: auto; background: #faf9f6; border-radius: 6px; }
figcaption { color: var(--faint); font-size: .9rem; margin-top: .3rem; max-width: 48rem; }
footer { margin-top: 3.5rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--faint);
  font-size: .85rem; }
@media print { nav { display: none; } h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
"""

LONG = 44
"""A name of more letters than this may run over several lines."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A table ready to print."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    marks: Sequence[Mark] = ()
    """One for each row, or none at all."""
    labels: int = 1
    """How many columns in front are names, not numbers."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A highlighted number."""

    what: str
    value: str
    note: str = ""
    held: bool | None = None
    """Whether its check passed; None without a check."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A picture with its words."""

    file: str
    """Its path from the page's folder."""
    png: bytes
    """Its content; of a page written as Markdown alone it may be a JPEG."""
    caption: str
    credit: str = ""
    """Sources and licences of what it shows, as a visible line below it."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page."""

    title: str
    text: Sequence[str] = ()
    verdict: str = ""
    """What the section's table says, in a sentence."""
    tiles: Sequence[Tile] = ()
    tables: Sequence[Shown] = ()
    drawings: Sequence[Drawing] = ()


def html_page(title: str, lead: Sequence[str], sections: Sequence[Section], foot: str = "") -> str:
    """The whole page as one string, with `foot` at the end."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{html.escape(title)}</title><style>{STYLE}</style></head>'
    )
    body = [f"<h1>{html.escape(title)}</h1>", *(f'<p class="lead">{html.escape(line)}</p>' for line in lead)]
    if len(sections) > 2:
        links = [f'<a href="#s{n}">{html.escape(part.title)}</a>' for n, part in enumerate(sections, 1)]
        body.append(f"<nav>{' '.join(links)}</nav>")
    for number, section in enumerate(sections, 1):
        body.append(f'<h2 id="s{number}">{html.escape(section.title)}</h2>')
        body += [f"<p>{html.escape(line)}</p>" for line in section.text]
        if section.tiles:
            body.append(f'<div class="tiles">{"".join(map(_html_tile, section.tiles))}</div>')
        if section.verdict:
            body.append(f'<p class="verdict">{html.escape(section.verdict)}</p>')
        body += [_html_table(table) for table in section.tables]
        body += [_html_figure(drawing) for drawing in section.drawings]
    if foot:
        body.append(f"<footer>{html.escape(foot)}</footer>")
    return f"{head}<body>\n{chr(10).join(body)}\n</body></html>\n"


def markdown(title: str, lead: Sequence[str], sections: Sequence[Section], foot: str = "") -> str:
    """The same as Markdown, with pictures as files beside it."""
    lines = [f"# {title}", ""]
    for line in lead:
        lines += [line, ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for line in section.text:
            lines += [line, ""]
        if section.tiles:
            lines += [*_markdown_table(_tiles_as_table(section.tiles)), ""]
        if section.verdict:
            lines += [f"**{section.verdict}**", ""]
        for table in section.tables:
            lines += [*_markdown_table(table), ""]
        for drawing in section.drawings:
            lines += [f"![{drawing.caption}]({drawing.file})", ""]
            if drawing.credit:
                lines += [drawing.credit, ""]
    if foot:
        lines += [foot, ""]
    return "\n".join(lines)


def _html_tile(tile: Tile) -> str:
    tag = "" if tile.held is None else _tag("held" if tile.held else "missed")
    note = f'<div class="note">{html.escape(tile.note)}</div>' if tile.note else ""
    return (
        f'<div class="tile"><div class="what">{html.escape(tile.what)}{tag}</div>'
        f'<div class="value">{html.escape(tile.value)}</div>{note}</div>'
    )


def _tag(word: str) -> str:
    return f'<span class="tag {word}">{word}</span>'


def _tiles_as_table(tiles: Sequence[Tile]) -> Shown:
    words = {None: "", True: "held", False: "missed"}
    rows = [[tile.what, f"{tile.value} {tile.note}".strip(), words[tile.held]] for tile in tiles]
    return Shown(header=["what", "figure", "bar"], rows=rows)


def _html_table(table: Shown) -> str:
    rows = ["".join(_html_cell("th", text, n < table.labels) for n, text in enumerate(table.header))]
    marks = list(table.marks) or [""] * len(table.rows)
    for texts, mark in zip(table.rows, marks, strict=True):
        cells = [_html_cell("td", text, n < table.labels) for n, text in enumerate(texts)]
        if mark:
            cells[0] = cells[0].removesuffix("</td>") + f"{_tag(mark)}</td>"
        rows.append("".join(cells))
    classes = ["", *(f" class={mark}" if mark else "" for mark in marks)]
    lines = "".join(f"<tr{name}>{row}</tr>" for name, row in zip(classes, rows, strict=True))
    return f'<div class="scroll"><table>{lines}</table></div>'


def _html_cell(tag: str, text: str, label: bool) -> str:
    """A name, or a figure with its interval set smaller."""
    if label:
        kind = "label long" if tag == "td" and len(text) > LONG else "label"
        return f'<{tag} class="{kind}">{html.escape(text)}</{tag}>'
    value, bracket, rest = text.partition(" [")
    spread = f' <span class="ci">[{html.escape(rest)}</span>' if bracket else ""
    return f"<{tag}>{html.escape(value)}{spread}</{tag}>"


def _html_figure(drawing: Drawing) -> str:
    data = base64.b64encode(drawing.png).decode()
    caption = html.escape(drawing.caption)
    shown = html.escape(f"{drawing.caption} {drawing.credit}".strip())
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
        f"<figcaption>{shown}</figcaption></figure>"
    )


def _markdown_table(table: Shown) -> list[str]:
    lines = [
        "| " + " | ".join(table.header) + " |",
        "| " + " | ".join("---" if n < table.labels else "---:" for n in range(len(table.header))) + " |",
    ]
    for number, cells in enumerate(table.rows):
        mark = table.marks[number] if table.marks else ""
        shown = [cell.replace("|", "\\|") for cell in cells]
        if mark == "best":
            shown = [f"**{cell}**" if cell else cell for cell in shown]
        elif mark == "tie":
            shown[0] += " (tie)"
        lines.append("| " + " | ".join(shown) + " |")
    return lines
