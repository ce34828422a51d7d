"""The experiment as one self-contained HTML page and as Markdown: sections of text, tables and pictures.

The page asks nothing of anywhere: pictures are embedded, style is its own, there is no script.
"""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Mark = Literal["", "best", "tie"]

STYLE = """
:root { color-scheme: light dark; --ink: #202024; --faint: #6d6b66; --paper: #faf9f6; --line: #dcd9d2;
  --best: #dcefe0; --tie: #f4efd9; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e4df; --faint: #9b988f; --paper: #1b1b1e;
  --line: #3a3a3f; --best: #24402c; --tie: #3d3822; } figure img { background: #faf9f6; } }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.8rem 0 .4rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p { max-width: 46rem; margin: .5rem 0; }
.lead { color: var(--faint); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; margin: .8rem 0; }
th, td { text-align: right; padding: .3rem .8rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--faint); font-weight: 500; }
th.label, td.label { text-align: left; }
tr.best td { background: var(--best); font-weight: 600; }
tr.tie td { background: var(--tie); }
figure { margin: 1.2rem 0; } figure img { max-width: 100%; height: auto; border-radius: 4px; }
figcaption { color: var(--faint); font-size: .9rem; }
code { font-size: .85em; overflow-wrap: anywhere; }
"""


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
class Drawing:
    """A picture with its words."""

    file: str
    """Name of its PNG beside the page."""
    png: bytes
    caption: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page."""

    title: str
    text: Sequence[str] = ()
    verdict: str = ""
    """What the section's table says, in a sentence."""
    tables: Sequence[Shown] = ()
    drawings: Sequence[Drawing] = ()


def html_page(title: str, lead: Sequence[str], sections: Sequence[Section]) -> str:
    """The whole page as one string."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{html.escape(title)}</title><style>{STYLE}</style></head>'
    )
    body = [f"<h1>{html.escape(title)}</h1>", *(f'<p class="lead">{html.escape(line)}</p>' for line in lead)]
    for section in sections:
        body.append(f"<h2>{html.escape(section.title)}</h2>")
        body += [f"<p>{html.escape(line)}</p>" for line in section.text]
        if section.verdict:
            body.append(f'<p class="verdict">{html.escape(section.verdict)}</p>')
        body += [_html_table(table) for table in section.tables]
        body += [_html_figure(drawing) for drawing in section.drawings]
    return f"{head}<body>\n{chr(10).join(body)}\n</body></html>\n"


def markdown(title: str, lead: Sequence[str], sections: Sequence[Section]) -> str:
    """The same as Markdown, with pictures as files beside it."""
    lines = [f"# {title}", ""]
    for line in lead:
        lines += [line, ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for line in section.text:
            lines += [line, ""]
        if section.verdict:
            lines += [f"**{section.verdict}**", ""]
        for table in section.tables:
            lines += [*_markdown_table(table), ""]
        for drawing in section.drawings:
            lines += [f"![{drawing.caption}]({drawing.file})", ""]
    return "\n".join(lines)


def _html_table(table: Shown) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=label' if n < table.labels else ''}>{html.escape(cell)}</{tag}>"
            for n, cell in enumerate(cells)
        )

    rows = [f"<tr>{row(table.header, 'th')}</tr>"]
    for number, cells in enumerate(table.rows):
        mark = table.marks[number] if table.marks else ""
        rows.append(f"<tr{f' class={mark}' if mark else ''}>{row(cells, 'td')}</tr>")
    return f'<div class="scroll"><table>{"".join(rows)}</table></div>'


def _html_figure(drawing: Drawing) -> str:
    data = base64.b64encode(drawing.png).decode()
    caption = html.escape(drawing.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
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
