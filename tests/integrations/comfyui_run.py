"""Runs the example workflows in a copy of ComfyUI, by its own server: loader, validation and executor.

PYTHONPATH=src python tests/integrations/comfyui_run.py COMFYUI integrations/comfyui SCRATCH

COMFYUI is its folder; what it needs is installed. SCRATCH gets input, output and custom_nodes. Prints a line
for each workflow; the last line but one of an error is ComfyUI's own.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from maskmend.assets import PHOTOGRAPHS

GUIDE = Path(__file__).parents[2] / "docs" / "images" / "guide-layer.png"


def prepare(nodes: Path, base: Path) -> None:
    """A base directory of ComfyUI's with the nodes and the pictures that the examples name."""
    (base / "custom_nodes").mkdir(parents=True)
    (base / "input").mkdir()
    (base / "custom_nodes" / "maskmend").symlink_to(nodes.resolve(), target_is_directory=True)
    for path in (*PHOTOGRAPHS.iterdir(), GUIDE):
        if path.suffix in (".jpg", ".png"):
            shutil.copy(path, base / "input")


@contextmanager
def serving(comfyui: Path, base: Path):
    """ComfyUI's server; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "main.py", "--cpu", "--port", str(port), "--base-directory", str(base.resolve()),
        "--disable-api-nodes", "--disable-auto-launch", "--database-url", "sqlite:///:memory:",
    ]  # fmt: skip
    log = (base / "comfyui.log").open("w")
    server = subprocess.Popen(command, cwd=comfyui, stdout=log, stderr=subprocess.STDOUT, env=os.environ)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(1200):
            if server.poll() is not None:
                raise SystemExit((base / "comfyui.log").read_text()[-3000:])
            try:
                asked(url, "/system_stats")
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def asked(url: str, path: str, content: object = None) -> dict:
    """What ComfyUI answers to a GET, or a POST of JSON."""
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def prompt_of(workflow: dict, known: dict) -> dict:
    """A workflow as the page would queue it: widgets' values by name, links as [node, output]."""
    origin = {number: [str(node), slot] for number, node, slot, *_ in workflow["links"]}
    prompt = {}
    for node in workflow["nodes"]:
        about = known[node["type"]]["input"]
        values = list(node["widgets_values"])
        inputs = {}
        for name, (kind, *options) in (about["required"] | about.get("optional", {})).items():
            linked = [slot["link"] for slot in node["inputs"] if slot["name"] == name and slot["link"]]
            if linked:
                inputs[name] = origin[linked[0]]
            elif isinstance(kind, list) or kind in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"):
                inputs[name] = values.pop(0)
                if options and options[0].get("control_after_generate"):
                    values.pop(0)
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return prompt


def done(url: str, number: str) -> dict:
    """What ComfyUI keeps of a prompt in its history, once it is done."""
    while number not in (history := asked(url, f"/history/{number}")):
        time.sleep(0.5)
    return history[number]


def run(url: str, prompt: dict) -> dict:
    """Queues a prompt and waits for what comes out. Raises SystemExit when it failed."""
    kept = done(url, asked(url, "/prompt", {"prompt": prompt})["prompt_id"])
    if kept["status"]["status_str"] != "success":
        raise SystemExit(f"ComfyUI: {json.dumps(kept['status'])[-2000:]}")
    return kept["outputs"]


def check_cancel(url: str, prompt: dict) -> None:
    """Cancel, pressed while a long fill runs, ends it."""
    (fill,) = (node for node in prompt.values() if node["class_type"] == "MaskmendInpaint")
    fill["inputs"] |= {"steps": 64, "seed": 1}
    number = asked(url, "/prompt", {"prompt": prompt})["prompt_id"]
    while not asked(url, "/queue")["queue_running"]:
        time.sleep(0.1)
    time.sleep(1)
    urllib.request.urlopen(urllib.request.Request(url + "/interrupt", b"", method="POST")).close()
    messages = done(url, number)["status"]["messages"]
    assert [data["node_type"] for kind, data in messages if kind == "execution_interrupted"] == [
        "MaskmendInpaint"
    ]


def check(name: str, base: Path, saved: dict) -> None:
    """The picture that came out against the one that went in, bit for bit where it was known."""
    filled = np.asarray(Image.open(base / "output" / saved["subfolder"] / saved["filename"]).convert("RGB"))
    stem = "scratch" if name == "inpaint" else "object"
    pixels = np.asarray(Image.open(base / "input" / f"{stem}.jpg").convert("RGB"))
    if name == "outpaint":
        known = np.zeros(filled.shape[:2], bool)
        known[: pixels.shape[0], 48:-48] = True
        assert (filled[~known] > 0).any()
        np.testing.assert_array_equal(filled[known].reshape(pixels.shape), pixels)
        return
    hole = np.asarray(Image.open(base / "input" / f"{stem}.mask.png").convert("L")) >= 128
    np.testing.assert_array_equal(filled[~hole], pixels[~hole])
    assert (filled[hole] != pixels[hole]).mean() > 0.5


def main(comfyui: str, nodes: str, scratch: str) -> None:
    base = Path(scratch) / "base"
    prepare(Path(nodes), base)
    with serving(Path(comfyui), base) as url:
        known = asked(url, "/object_info")
        for path in sorted((Path(nodes) / "example_workflows").glob("*.json")):
            outputs = run(url, prompt_of(json.loads(path.read_text()), known))
            (saved,) = (one["images"][0] for one in outputs.values() if one["images"][0]["type"] == "output")
            check(path.stem, base, saved)
            print(f"{path.stem}: known pixels as they were, {saved['filename']}", flush=True)
        inpaint = Path(nodes) / "example_workflows" / "inpaint.json"
        check_cancel(url, prompt_of(json.loads(inpaint.read_text()), known))
        print("Cancel ended a fill under way")


if __name__ == "__main__":
    main(*sys.argv[1:])
