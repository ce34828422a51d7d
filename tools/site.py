"""Pages of the site that are made at its build: the API reference, the notebooks, what lies outside `docs/`.

MkDocs runs this through mkdocs-gen-files. Nothing names a module: the package is walked, so that a module
that moves takes its page along.
"""

import ast
import base64
import json
import posixpath
import re
from pathlib import Path

import mkdocs_gen_files

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
OUTSIDE = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
}
"""Pages of the repository's root, and where they stand on the site; model cards are found by `cards`."""


def cards() -> dict[str, str]:
    """The README of each shipped model: its path in the repository, and on the site."""
    indexes = sorted((SOURCE / "maskmend").rglob("model_index.json"))
    return {
        (index.parent / "README.md").relative_to(ROOT).as_posix(): f"models/{index.parent.name}.md"
        for index in indexes
    }


def write(page: str, text: str, source: Path) -> None:
    with mkdocs_gen_files.open(page, "w") as file:
        file.write(text)
    mkdocs_gen_files.set_edit_path(page, source.relative_to(ROOT).as_posix())


def moved_links(text: str, source: str, page: str, moved: dict[str, str]) -> str:
    """The text of `source` with its relative links as they must be from `page`.

    What is not on the site, such as a recipe, loses its link and keeps its words.
    """

    def link(match: re.Match[str]) -> str:
        bang, words, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match.group()
        path, hash_, anchor = target.partition("#")
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        place = moved.get(wanted, wanted.removeprefix("docs/") if wanted.startswith("docs/") else None)
        if place is None:
            return words
        return f"{bang}[{words}]({posixpath.relpath(place, posixpath.dirname(page) or '.')}{hash_}{anchor})"

    text = re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", link, text)
    # Pictures as HTML are no links to MkDocs: they are resolved from the folder that the page becomes.
    up = "../" * (page.count("/") + (posixpath.basename(page) not in ("index.md", "README.md")))
    return re.sub(r'src="docs/', f'src="{up}', text)


def example_pages() -> dict[str, str]:
    """A page for each notebook, and one for all scripts."""
    pages = {"examples": "examples/index.md"}
    for path in (ROOT / "examples").iterdir():
        source = path.relative_to(ROOT).as_posix()
        pages[source] = f"examples/{path.stem}.md" if path.suffix == ".ipynb" else "examples/index.md"
    return pages


def outside_pages() -> None:
    moved = OUTSIDE | cards() | example_pages() | {"LICENSE": "license.md"}
    for source, page in (OUTSIDE | cards()).items():
        text = (ROOT / source).read_text(encoding="utf-8")
        write(page, moved_links(text, source, page, moved), ROOT / source)
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    write("license.md", f"# Licence\n\n```text\n{licence}\n```\n", ROOT / "LICENSE")
    for path in sorted((ROOT / "docs").rglob("*.md")):
        page = path.relative_to(ROOT / "docs").as_posix()
        text = path.read_text(encoding="utf-8")
        if "](../" in text:  # may lead out of docs/, which works in the repository but not on the site
            write(page, moved_links(text, f"docs/{page}", page, moved), path)


def summary(module: ast.Module) -> str:
    """The first sentence of a module's docstring."""
    text = " ".join((ast.get_docstring(module) or "").split("\n\n")[0].split())
    return text.split(". ")[0].removesuffix(":").rstrip(".")


def reference() -> None:
    nav, rows = mkdocs_gen_files.Nav(), []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        module = ast.parse(path.read_text(encoding="utf-8"))
        if parts[-1] == "__main__" or (parts[-1] == "__init__" and not ast.get_docstring(module)):
            continue
        page = Path("reference", *parts).with_suffix(".md")
        if parts[-1] == "__init__":
            parts, page = parts[:-1], page.with_name("index.md")
        name = ".".join(parts)
        write(page.as_posix(), f"# {name}\n\n::: {name}\n", path)
        nav[parts] = page.relative_to("reference").as_posix()
        rows.append(f"| [{name}]({page.relative_to('reference').as_posix()}) | {summary(module)} |")
    table = "\n".join(rows)
    lead = "# Python API\n\nMade from the docstrings. Most programs need no more than `maskmend` itself.\n\n"
    write("reference/index.md", f"{lead}| module | |\n| --- | --- |\n{table}\n", Path(__file__))
    lines = "".join(nav.build_literate_nav())
    with mkdocs_gen_files.open("reference/SUMMARY.md", "w") as file:
        file.write(f"* [All modules](index.md)\n{lines}")


def notebooks() -> None:
    for path in sorted((ROOT / "examples").glob("*.ipynb")):
        parts, pictures = [], 0
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                parts.append(source)
                continue
            parts.append(f"```python\n{source}\n```")
            for output in cell["outputs"]:
                if "text" in output:
                    parts.append(f"```text\n{''.join(output['text']).rstrip()}\n```")
                elif "image/png" in output["data"]:
                    pictures += 1
                    name = f"{path.stem}-{pictures}.png"
                    with mkdocs_gen_files.open(f"examples/{name}", "wb") as file:
                        file.write(base64.b64decode(output["data"]["image/png"]))
                    parts.append(f"![Output of the cell above]({name})")
        write(f"examples/{path.stem}.md", "\n\n".join(parts) + "\n", path)


def examples() -> None:
    """One page with all scripts, and the notebooks' pages."""
    lines = ["# Examples", "", "Notebooks:", ""]
    for path in sorted((ROOT / "examples").glob("*.ipynb")):
        first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"][0]
        lines.append(f"- [{first.removeprefix('# ').strip()}]({path.stem}.md)")
    lines += ["", "Scripts, each run by the tests:", ""]
    for path in sorted((ROOT / "examples").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        lines += [f"## {path.name}", "", f"```python\n{source.rstrip()}\n```", ""]
    write("examples/index.md", "\n".join(lines) + "\n", ROOT / "examples")


outside_pages()
reference()
notebooks()
examples()
