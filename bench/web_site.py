"""Fills of an exported site in Chromium beside Python's: tokens, how far the pictures differ, seconds.

    maskmend export web cats64 -o site/
    python bench/web_site.py site/ cats64              the sample pictures, four fills each

It prints the site's size, the seconds until the first fill and of later ones, the share of tokens that are
Python's, and how many grey levels the filled pixels differ by (float16 weights: rounding alone; int8: what
8 bits cost). `--lpips` adds the distance of LPIPS to the true pictures, the site's and Python's. `--webgpu`
draws with WebGPU, in software (SwiftShader): that shows what is drawn, not how fast a GPU is.
"""

import argparse
import base64
import contextlib
import functools
import http.server
import io
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Error, sync_playwright

from maskmend.assets import PHOTOGRAPHS, SAMPLES
from maskmend.assets.samples import sample_pairs
from maskmend.pipeline import InpaintPipeline

ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

SOFTWARE_GPU = (
    "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan",
    "--use-vulkan=swiftshader",
)  # fmt: skip

FILL = """async ({image, mask}) => {
  const { fill } = await import("./api.js");
  const blob = (text) => new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]);
  const { signal } = new AbortController();
  const images = [];
  const begun = performance.now();
  for await (const [name, data] of fill(blob(image), blob(mask), { samples: 4, seed: 7 }, signal)) {
    if (name === "fill") {
      const bytes = new Uint8Array(await data.image.arrayBuffer());
      images.push(btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")));
    }
    if (name === "done") return { images, tokens: data.tokens, seconds: (performance.now() - begun) / 1000 };
  }
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def fills_of(site: Path, pairs: list[tuple[str, Path, Path]], *, webgpu: bool) -> list[dict[str, Any]]:
    """What the site makes of each picture; the first fill waits for the model."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as runner:
        arguments = [*(set(ARGUMENTS) - {"--disable-gpu"}), *SOFTWARE_GPU] if webgpu else list(ARGUMENTS)
        browser = runner.chromium.launch(executable_path=path, args=arguments)
        page = browser.new_page()
        page.set_default_timeout(600_000)
        page.on("console", lambda message: print(f"browser: {message.text}"))
        page.goto(f"http://localhost:{server.server_address[1]}/?run={'webgpu' if webgpu else 'wasm'}")
        until_isolated(page)
        found = []
        for _, image, mask in pairs:
            files = (base64.b64encode(file.read_bytes()).decode() for file in (image, mask))
            found.append(page.evaluate(FILL, dict(zip(("image", "mask"), files, strict=True))))
        print(page.locator("#runs").text_content())
        browser.close()
    server.shutdown()
    return found


def until_isolated(page: Any) -> None:
    """The page is loaded once more as soon as its service worker is there."""
    while True:
        # Its security policy forbids `wait_for_function`; a page that goes has no answer.
        with contextlib.suppress(Error):
            if page.evaluate("globalThis.crossOriginIsolated"):
                return
        page.wait_for_timeout(50)


def opened(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


def lpips_of(pictures: list[np.ndarray], truths: list[np.ndarray]) -> float:
    import torch

    from maskmend.perceptual.lpips import Lpips

    net = Lpips.load("vgg16")
    tensor = [
        torch.from_numpy(np.stack(each)).permute(0, 3, 1, 2).float() / 127.5 - 1
        for each in (pictures, truths)
    ]
    with torch.no_grad():
        return float(net(*tensor).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("site", type=Path)
    parser.add_argument("model")
    parser.add_argument("--lpips", action="store_true")
    parser.add_argument("--webgpu", action="store_true")
    chosen = parser.parse_args()
    pairs = sample_pairs(PHOTOGRAPHS if chosen.model in ("photo", "default") else SAMPLES)
    size = sum(path.stat().st_size for path in chosen.site.rglob("*") if path.is_file())
    found = fills_of(chosen.site, pairs, webgpu=chosen.webgpu)
    pipe = InpaintPipeline.from_pretrained(chosen.model)
    same = tokens = 0
    off, ours, theirs, truths = [], [], [], []
    for (_, image, mask), mine in zip(pairs, found, strict=True):
        result = pipe(Image.open(image), Image.open(mask), samples=4, seed=7)
        for row, other in zip(mine["tokens"], result.tokens, strict=True):
            same += int((np.array(row) == other.ravel()).sum())
            tokens += other.size
        for text, picture in zip(mine["images"], result.pictures, strict=True):
            drawn = opened(text)
            off.append(np.abs(drawn.astype(int) - picture.pixels)[result.mask])
            ours.append(drawn)
            theirs.append(picture.pixels)
            truths.append(result.source.pixels)
    seconds = [fill["seconds"] for fill in found]
    levels = np.concatenate(off)
    print(f"site: {size / 1e6:.2f} MB")
    print(
        f"first four fills, model loaded from this machine: {seconds[0]:.1f} s; later ones: "
        f"{np.mean(seconds[1:]):.1f} s"
    )
    print(f"tokens that are Python's: {same} of {tokens}")
    print(f"filled pixels differ by {levels.mean():.3f} grey levels on average, {levels.max()} at most")
    if chosen.lpips:
        print(
            f"LPIPS to the true pictures: {lpips_of(ours, truths):.4f}, Python {lpips_of(theirs, truths):.4f}"
        )


if __name__ == "__main__":
    main()
