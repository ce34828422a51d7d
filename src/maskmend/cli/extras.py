"""The package's optional dependencies: purpose, modules, and whether they can be imported here."""

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

EXTRAS: dict[str, tuple[str, dict[str, str]]] = {
    "client": ("maskmend.client", {"httpx2": "httpx2"}),
    "cloud": (
        "pictures in object storage",
        {"fsspec": "fsspec", "gcsfs": "gcsfs", "huggingface-hub": "huggingface_hub", "s3fs": "s3fs"},
    ),
    "evaluate": ("maskmend evaluate", {"scikit-learn": "sklearn"}),
    "heif": ("HEIC pictures", {"pillow-heif": "pillow_heif"}),
    "hub": ("models from the Hugging Face Hub", {"huggingface-hub": "huggingface_hub"}),
    "onnx": (
        "maskmend export onnx, fills without PyTorch",
        {"onnx": "onnx", "onnxruntime": "onnxruntime", "onnxscript": "onnxscript"},
    ),
    "parquet": ("Parquet files of pictures", {"pyarrow": "pyarrow"}),
    "ray": ("fills on a Ray cluster", {"ray": "ray.data"}),
    "reproduce": (
        "maskmend reproduce, photographs",
        {
            "matplotlib": "matplotlib",
            "opencv-python-headless": "cv2",
            "scikit-image": "skimage",
            "scikit-learn": "sklearn",
        },
    ),
    "server": (
        "maskmend serve",
        {
            "fastapi": "fastapi",
            "h11": "h11",
            "prometheus-client": "prometheus_client",
            "python-multipart": "python_multipart",
            "starlette": "starlette",
            "uvicorn": "uvicorn",
        },
    ),
    "tensorboard": ("curves of a training run", {"tensorboard": "tensorboard"}),
    "text": ("prompts", {"transformers": "transformers"}),
}
"""The purpose of each extra, and the module of each of its packages; a test compares it with
pyproject.toml."""


@dataclass(frozen=True, kw_only=True)
class Package:
    name: str
    version: str | None
    """None where it is not installed."""
    trouble: str | None = None
    """Why it cannot be imported, although it is installed."""

    @property
    def works(self) -> bool:
        return self.version is not None and self.trouble is None


def packages_of(extra: str) -> list[Package]:
    """The packages of an extra, each imported."""
    return [_package(name, module) for name, module in EXTRAS[extra][1].items()]


def _package(name: str, module: str) -> Package:
    try:
        installed = version(name)
    except PackageNotFoundError:
        return Package(name=name, version=None)
    try:
        import_module(module)
    except Exception as error:  # a broken installation may raise anything
        return Package(
            name=name, version=installed, trouble=" ".join(str(error).split()) or type(error).__name__
        )
    return Package(name=name, version=installed)
