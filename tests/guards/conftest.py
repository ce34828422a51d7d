"""Says at the end how many cases each guard has tried: a guard that tries none must not look like one."""

from typing import Any

from guards.cases import TRIED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for name, count in sorted(TRIED.items()):
        terminalreporter.write_line(f"{name}: {count} cases tried")
