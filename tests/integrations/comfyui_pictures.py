"""The example workflows' pictures: each opened and run in ComfyUI's own page, in Chromium.

PYTHONPATH=src:tests/server python tests/integrations/comfyui_pictures.py COMFYUI integrations/comfyui SCRATCH
"""

import io
import json
import sys
from pathlib import Path

from comfyui_run import asked, prepare, serving
from PIL import Image

from browser_parts import launched


def main(comfyui: str, nodes: str, scratch: str) -> None:
    base = Path(scratch) / "base"
    prepare(Path(nodes), base)
    with serving(Path(comfyui), base) as url, launched() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(300_000)
        page.goto(url)
        page.wait_for_function("window.app?.graph && window.app.canvas")
        page.wait_for_timeout(5000)
        page.evaluate("() => window.app.extensionManager.setting.set('Comfy.Minimap.Visible', false)")
        for path in sorted((Path(nodes) / "example_workflows").glob("*.json")):
            done = len(asked(url, "/history"))
            page.keyboard.press("Escape")  # the list of templates, shown to who is new
            page.evaluate("workflow => window.app.loadGraphData(workflow)", json.loads(path.read_text()))
            page.wait_for_timeout(2000)
            page.evaluate("() => window.app.queuePrompt(0)")
            while len(asked(url, "/history")) == done:
                page.wait_for_timeout(500)
            page.wait_for_timeout(3000)  # the pictures arrive in the nodes
            page.evaluate("""() => {
                const nodes = window.app.graph._nodes, canvas = window.app.canvas;
                const left = Math.min(...nodes.map(n => n.pos[0]));
                const top = Math.min(...nodes.map(n => n.pos[1])) - 30;
                const right = Math.max(...nodes.map(n => n.pos[0] + n.size[0]));
                const bottom = Math.max(...nodes.map(n => n.pos[1] + n.size[1]));
                const scale = Math.min(1180 / (right - left), 740 / (bottom - top));
                canvas.ds.scale = scale;
                canvas.ds.offset = [70 / scale - left, 70 / scale - top];
                canvas.setDirty(true, true);
            }""")
            page.wait_for_timeout(1500)
            shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            shot.save(path.with_suffix(".jpg"), quality=85, optimize=True)
            print(path.with_suffix(".jpg"))


if __name__ == "__main__":
    main(*sys.argv[1:])
