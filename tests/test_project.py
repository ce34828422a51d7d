"""The project's own files: what they promise and name must be there."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from maskmend import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TOOLS = ("dev", "docs", "lint")
"""Extras that only work on the project needs: their newest versions will do."""


def lowest(requirement: Requirement) -> Version:
    (bound,) = [part.version for part in requirement.specifier if part.operator == ">="]
    return Version(bound)


def requirements(*extras: str) -> list[Requirement]:
    lines = [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    return [Requirement(line) for line in lines]


def test_the_lowest_versions_are_those_that_are_declared():
    """Catches a bound that is raised or lowered, or a dependency added, without the tests running on it."""
    extras = [extra for extra in PROJECT["optional-dependencies"] if extra not in TOOLS]
    declared = [Requirement(line) for line in PROJECT["dependencies"]] + requirements(*extras)
    pinned = {}
    for line in (ROOT / "constraints-lowest.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, version = line.split("==")
            pinned[name] = Version(version)
    assert {requirement.name for requirement in declared} == set(pinned)
    for requirement in declared:
        # OpenCV numbers its wheels with a fourth place.
        assert pinned[requirement.name].release[:3] == (*lowest(requirement).release, 0, 0)[:3], requirement


def test_dev_asks_for_what_the_extras_ask_for():
    """Catches tests that run with another bound than users install by."""
    extras = [extra for extra in PROJECT["optional-dependencies"] if extra not in TOOLS]
    declared = {requirement.name: requirement for requirement in requirements(*extras)}
    for requirement in requirements("dev"):
        if requirement.name in declared:
            assert requirement.specifier == declared[requirement.name].specifier


TEXTS = [
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "src/**/*.md",
        "src/**/*.py",
        "examples/*",
        "recipes/**/*",
        "Makefile",
    )
    for path in ROOT.glob(pattern)
    if path.is_file()
]


def test_every_extra_that_is_named_can_be_installed():
    """Catches advice to install a name that no index knows, or an extra that there is not."""
    named, asked = [], []
    for path in TEXTS:
        text = path.read_text()
        if path.name != "CHANGELOG.md":  # it tells what was
            assert "maskmend[" not in text, path
        named += re.findall(r"'\.\[(\w+)\]'", text)
        if path.suffix == ".py":
            asked += re.findall(r"pip_install\([\"'](\w+)[\"']\)", text)
    assert {"evaluate", "hub", "onnx", "reproduce", "server", "tensorboard"} <= set(asked)
    assert {"server", "onnx"} <= set(named)
    assert set(named) | set(asked) <= set(PROJECT["optional-dependencies"])


def test_notices_of_what_is_under_other_terms_travel_with_the_package():
    """Catches class names that are WordNet's and lose its notice, which has to be on every copy."""
    names = (ROOT / "src/maskmend/importers/imagenet_classes.txt").read_text().splitlines()
    notice = [line.removeprefix("#").strip() for line in names if line.startswith("#")]
    notice = notice[notice.index("WordNet Release 3.0") :]
    shipped = [
        line.strip() for name in PROJECT["license-files"] for line in (ROOT / name).read_text().splitlines()
    ]
    start = shipped.index(notice[0])
    assert shipped[start : start + len(notice)] == notice
    text = " ".join(notice)
    for words in ("Permission to use, copy, modify and distribute", "appear on ALL copies",
                  "WordNet 3.0 Copyright 2006 by Princeton University", "NO REPRESENTATIONS OR WARRANTIES",
                  "shall at all times remain with Princeton University"):  # fmt: skip
        assert words in text
    # Everything in this folder that Git knows is in the wheel: its rules are hatchling's, too.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert project["wheel"] == {"packages": ["src/maskmend"]}
    assert "NOTICE" in (ROOT / "README.md").read_text()


def test_guards_of_many_cases_run_at_night_and_not_by_day():
    """Catches a guard that nobody runs, and one of hours in everybody's suite."""
    workflow = (ROOT / ".github/workflows/nightly.yml").read_text()
    guards = [
        path for path in (ROOT / "tests").rglob("*.py") if "\n@pytest.mark.nightly\n" in path.read_text()
    ]
    harnesses = [*(ROOT / "tests/guards").glob("*_run.py"), *(ROOT / "tests/server").glob("*_run.py")]
    assert (len(guards), len(harnesses)) == (2, 3)
    for path in (*guards, *harnesses):
        assert path.relative_to(ROOT).as_posix() in workflow
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert "-m 'not nightly'" in options["addopts"]


def test_the_hooks_are_the_linters():
    """Catches a linter of `make lint` that fails only after the push."""
    recipe = (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
    linters = set(re.findall(r"^\t\$\(BIN\)/([\w-]+)", recipe, re.MULTILINE))
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert linters == set(re.findall(r"entry: \.venv/bin/([\w-]+)", hooks))
    assert "lint-imports" in linters


def test_workers_are_killed_at_night_on_disk_and_in_a_bucket():
    """Catches the twenty kills of a cluster that are promised and that nobody runs."""
    workflow = (ROOT / ".github/workflows/nightly.yml").read_text()
    job = re.search(r"^  ray-kills:\n(?:(?:    .*)?\n)+", workflow, re.MULTILINE)[0]
    assert "bench/kill_workers.py --kills 20 " in job
    assert "option: --s3" in job
    assert "'.[ray,cloud]' 'moto[server]'" in job


def test_the_version_is_written_once():
    """Catches a release whose files disagree."""
    assert "version" not in PROJECT
    assert PROJECT["dynamic"] == ["version"]
    assert not re.search(r"^version:", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    section = "Unreleased" if Version(__version__).is_devrelease else __version__
    assert f"## [{section}]" in (ROOT / "CHANGELOG.md").read_text()


def test_changes_that_are_not_released_come_first():
    """Catches a changelog whose newest section is not the one to write in."""
    sections = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[0] == "Unreleased"
    released = [Version(section) for section in sections[1:]]
    assert released == sorted(released, reverse=True)


def test_every_promise_of_security_has_its_tests():
    """Catches a promise whose test was renamed or removed."""
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "SECURITY.md").read_text()))
    defined = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        defined |= {
            node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)
        }
    assert len(named) > 20
    assert named <= defined


PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.md")]
)


@pytest.mark.parametrize("page", PAGES)
def test_links_between_the_pages_lead_somewhere(page):
    """Catches a page that moved, or a heading that was renamed, from under a link to it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, target


def test_every_page_is_in_the_sites_navigation():
    """Catches a page that was written and that nobody finds."""
    named = set(re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages <= named
