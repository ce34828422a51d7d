"""Runs notebooks without Jupyter: `python tools/notebooks.py NOTEBOOK ...` runs each and stores its outputs.

A cell's output is what it prints and, as in Jupyter, its last expression where that is a picture. All cells
of a notebook share one namespace.
"""

import ast
import base64
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any


def execute(notebook: dict[str, Any], name: str = "notebook") -> dict[str, Any]:
    """Runs all cells, puts their outputs into `notebook`, and returns the names defined at the end."""
    names: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] != "code":
            continue
        count += 1
        tree = ast.parse("".join(cell["source"]), filename=f"{name}, cell {number}")
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        printed = io.StringIO()
        value = None
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, f"{name}, cell {number}", "exec"), names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), f"{name}, cell {number}", "eval"), names)
        cell["execution_count"] = count
        cell["outputs"] = _outputs(printed.getvalue(), value, count)
    return names


def _outputs(printed: str, value: Any, count: int) -> list[dict[str, Any]]:
    outputs: list[dict[str, Any]] = []
    if printed:
        outputs.append({"name": "stdout", "output_type": "stream", "text": printed.splitlines(keepends=True)})
    if hasattr(value, "_repr_png_"):
        data = {
            "image/png": base64.b64encode(value._repr_png_()).decode(),
            "text/plain": [f"<{type(value).__name__}>"],
        }
        outputs.append(
            {"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"}
        )
    return outputs


def main() -> None:
    for argument in sys.argv[1:]:
        path = Path(argument)
        notebook = json.loads(path.read_text(encoding="utf-8"))
        execute(notebook, path.name)
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
