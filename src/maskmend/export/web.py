"""A model as a static site: the editor, with the model run by onnxruntime-web in a worker (docs/web.md).

    site/  index.html and the editor's modules      model/  weights, graphs, onnxruntime-web
           api.js: who fills                         browser/  the worker: windows, decoding, compositing
           service-worker.js, icons                  samples/

Any static file server will do. The site asks no other host for anything, and its security policy forbids it.
"""

import gzip
import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import maskmend
from maskmend.assets import PHOTOGRAPHS
from maskmend.assets.samples import sample_pairs
from maskmend.choices import choice_error
from maskmend.config import to_dict
from maskmend.errors import ConfigError, DataError
from maskmend.export.icons import icon_png
from maskmend.export.onnx import onnx_graphs
from maskmend.export.web_runtime import BUILDS, runtime_files
from maskmend.export.web_weights import pack_weights
from maskmend.pipeline import InpaintPipeline
from maskmend.settings import SCHEDULES, Settings
from maskmend.storage.files import json_bytes, write_files

SITE = Path(__file__).parent / "site"
PAGE = Path(maskmend.__file__).parent / "server" / "page"
"""The served editor's files, read as data."""
NOT_IN_SITE = {"server.js", "docs.html", "docs.js", "docs.css", "words-en.js"}
"""What only a server needs, and the list of texts that translations are checked against."""
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'"
)
WEIGHTS = ("auto", "float16", "int8")
ORDERS, SEAMS = ("confidence", "random"), ("poisson", "hard")
"""The values of these settings that the worker supports."""
LIMITS = {"upload_bytes": 200 * 2**20, "pixels": 40_000_000, "samples": 4, "steps": 32, "grow": 32}
HTML = (
    (
        '<link rel="icon"',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<link rel="manifest" href="manifest.webmanifest">\n'
        '<link rel="apple-touch-icon" href="icon-maskable.png">\n<link rel="icon"',
    ),
    ('  <a class="quiet button wide" href="docs" target="_blank" rel="noopener">API</a>\n', ""),
    (
        '    <p id="hint"',
        '    <div id="loading" class="progress" hidden><progress aria-label="Loading the model"></progress>'
        '<span></span></div>\n    <p id="hint"',
    ),
    (
        "<p>Drop one here, paste it, or choose a file. Then paint over what should go.</p>",
        "<p>Drop one here, paste it, or choose a file. Then paint over what should go. "
        "It stays on this device: the model runs in your browser.</p>",
    ),
    (
        '<button type="button" id="reset" class="quiet">Reset</button>\n    </form>',
        '<button type="button" id="reset" class="quiet">Reset</button>\n    </form>\n'
        '    <p id="runs" class="soft note" hidden></p>',
    ),
)
"""What is replaced in the editor's page, each once."""
ICONS = {
    "icon-192.png": (192, False),
    "icon-512.png": (512, False),
    "icon-maskable.png": (512, True),
}
"""Those of manifest.webmanifest: pixels a side, and whether launchers may cut them (`icon_png`)."""


def export_web(
    pipe: InpaintPipeline,
    folder: Path,
    *,
    name: str,
    weights: str = "auto",
    runtime: Path | None = None,
    webgpu: bool | None = None,
) -> dict[str, int]:
    """Writes the site into `folder`; returns the bytes of its parts: page, weights, builds of
    onnxruntime-web.

    Args:
        pipe: the model; it stays as it is.
        folder: where the site goes; files of the same names are replaced.
        name: what the page calls the model.
        weights: "float16" keeps shipped weights unchanged; "int8" rounds the decoder's kernels to 8 bits,
            which changes no token; "auto": int8 unless finer levels encode the decoder's pictures (guesses).
        runtime: folder with onnxruntime-web's files; None: see `web_runtime`.
        webgpu: whether onnxruntime-web's build with WebGPU comes with the site, beside the plain one; a
            browser downloads one of the two. None: for models with finer levels (guesses), which decode
            dozens of windows for one wide hole.

    Raises ConfigError for settings that the worker does not support, and as `onnx_graphs` and
    `runtime_files`.
    """
    guesses = bool(getattr(pipe.transformer.config, "guesses", False))
    if weights not in WEIGHTS:
        raise ConfigError(choice_error("weights", weights, WEIGHTS))
    _check_settings(pipe.defaults)
    builds = ["wasm", "webgpu"] if (guesses if webgpu is None else webgpu) else ["wasm"]
    ort = runtime_files(runtime, builds)
    graphs, about = onnx_graphs(pipe, guesses=True, distances=True)
    rounded = ("decoder",) if weights == "int8" or (weights == "auto" and not guesses) else ()
    packed = pack_weights(graphs, eight_bit=rounded)
    model = {"model/weights.bin": packed.weights, "model/graphs.bin": packed.graphs}
    for build in builds:
        script, wasm = BUILDS[build]
        model[f"model/onnxruntime-{build}.js"] = ort[script]
        model[f"model/onnxruntime-{build}.bin"] = gzip.compress(ort[wasm], 9, mtime=0)
    defaults = {n: v for n, v in asdict(pipe.defaults).items() if v is not None}
    model["model/model.json"] = json_bytes(
        {k: v for k, v in about.items() if k != "defaults"}
        | {
            "settings": defaults,
            "guesses": guesses,
            "domain": None if pipe.domain is None else to_dict(pipe.domain),
            "tensors": packed.tensors,
            "graphs": packed.places,
            "files": {part: _file(model, f"{part}.bin") for part in ("weights", "graphs")},
            "runtimes": {
                build: {"script": f"onnxruntime-{build}.js"} | _file(model, f"onnxruntime-{build}.bin")
                for build in builds
            },
        }
    )
    pages = site_pages(name, about, defaults)
    pages["service-worker.js"] = _service_worker(pages, model)
    write_files({folder / path: content for path, content in (pages | model).items()})
    sizes = {"page": sum(map(len, pages.values())), "weights": sum(map(len, model.values()))}
    for build in builds:
        own = sum(len(model[f"model/onnxruntime-{build}.{ending}"]) for ending in ("js", "bin"))
        sizes["weights"] -= own
        sizes[f"onnxruntime-web ({build})"] = own
    return sizes


def _file(model: dict[str, bytes], name: str) -> dict[str, Any]:
    return {"path": name, "bytes": len(model[f"model/{name}"])}


def _check_settings(defaults: Settings) -> None:
    for name, known in (
        ("order", ORDERS),
        ("seam", SEAMS),
        ("infill", ("diffusion",)),
        ("ring", (0,)),
        ("share", (0,)),
    ):
        value = getattr(defaults, name)
        if value not in known:
            raise ConfigError(
                f"the model's {name} is {value!r}, the browser supports {', '.join(map(str, known))}: "
                "change the defaults in its model_index.json"
            )


def site_pages(name: str, about: dict[str, Any], settings: dict[str, Any]) -> dict[str, bytes]:
    """The editor and the worker's modules, by path, but for what `export_web` writes into service-worker.js.

    Args:
        name: what the page calls the model.
        about: its resolution, grid and codes, as `onnx_graphs` returns them.
        settings: its defaults.
    """
    pages = {p.name: p.read_bytes() for p in PAGE.iterdir() if p.is_file() and p.name not in NOT_IN_SITE}
    pages |= {p.relative_to(SITE).as_posix(): p.read_bytes() for p in SITE.rglob("*") if p.is_file()}
    pages |= {path: slim(content) for path, content in pages.items() if path.endswith(".js")}
    pages["index.html"] = site_html().encode()
    svg = pages["icon.svg"]
    pages |= {icon: icon_png(svg, side, maskable=cut) for icon, (side, cut) in ICONS.items()}
    samples = _samples(name)
    pages |= {f"samples/{path.name}": path.read_bytes() for path in samples}
    entry = {"name": name, "loaded": True, "resolution": about["resolution"], "grid": about["grid"]}
    pages["site.json"] = json_bytes(
        {
            "version": maskmend.__version__,
            "models": [entry | {"codes": about["codes"], "settings": settings}],
            "limits": LIMITS,
            "choices": {"schedule": list(SCHEDULES), "order": list(ORDERS), "seam": list(SEAMS)},
            "samples": [path.name for path in samples],
        }
    )
    return pages


def slim(script: bytes) -> bytes:
    """A module without its lines of comments and its indentation, which are a sixth of it. No template of the
    modules goes over several lines, so that no text changes."""
    return re.sub(rb"(?m)^[ \t]+", b"", re.sub(rb"(?m)^[ \t]*//.*\n", b"", script))


def site_html() -> str:
    """The editor's page, as the site has it."""
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    for old, new in HTML:
        assert html.count(old) == 1, old
        html = html.replace(old, new)
    return html


def _samples(name: str) -> list[Path]:
    """Sample pictures for the model; none if they were left out of the installation."""
    try:
        pairs = sample_pairs(PHOTOGRAPHS) if name == "photo" else sample_pairs()
    except DataError:
        return []
    return [image for _, image, _ in pairs]


def _service_worker(pages: dict[str, bytes], model: dict[str, bytes]) -> bytes:
    """With the files it keeps, and a version that changes with any of them."""
    version = hashlib.sha256()
    for path, content in sorted((pages | model).items()):
        version.update(path.encode() + hashlib.sha256(content).digest())
    kept = [path for path in pages if path != "service-worker.js"]
    site = {"version": version.hexdigest()[:16], "policy": POLICY, "pages": kept, "files": [*kept, *model]}
    return f"const SITE = {json.dumps(site)};\n".encode() + pages["service-worker.js"]
