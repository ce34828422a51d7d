"""`maskmend convert` of a hub id, with huggingface_hub itself against a hub of our own on this machine."""

import os
import shutil
import socket
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import restated_halton
from hub_server import hub_for_client
from maskmend.cli import main
from maskmend.importers.amused.component import DOWNLOADED
from maskmend.importers.sources import find_folder
from restated_amused import Sizes, write_folder

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the client's own libraries are not ours to mend
NAME = "owner/amused"
CHUNK = 1024
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


def files_of(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> dict[str, bytes]:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("published")
    write_folder(folder, Sizes())
    return files_of(folder)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        with hub_for_client(patch, home) as hub:
            yield hub, home


@pytest.fixture
def hub(client, published, monkeypatch):
    """The hub with a repository of two commits, and nothing of it in the cache."""
    hub, home = client
    shutil.rmtree(home / "hub", ignore_errors=True)
    hub.asked.clear()
    hub.cut.clear()
    hub.altered.clear()
    hub.repositories.clear()
    spare = {"text_encoder/pytorch_model.bin": bytes(5000), "README.md": b"# aMUSEd"}
    hub.repositories[NAME] = {"main": published | {"README.md": b"newer"}, "v1": published | spare}
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the client's, before it tries again
    # Of what comes in before the connection breaks the client drops less than this: 10 MB.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", CHUNK)
    monkeypatch.setattr("huggingface_hub.file_download.DOWNLOAD_CHUNK_SIZE", CHUNK, raising=False)
    return hub


def convert(folder: Path, name: str = NAME, *options: object, kind: str = "amused"):
    command = ["convert", kind, name, "-o", folder / "model", *options]
    return CliRunner().invoke(main, [str(part) for part in command], prog_name="maskmend")


def refused(result, folder: Path, *told: str):
    """One line, status 2, nothing written."""
    assert result.exit_code == 2, result.output
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for words in told:
        assert words in result.stderr
    assert list(folder.iterdir()) == []


def test_a_hub_id_is_converted_at_its_revision(hub, tmp_path):
    """Catches a branch that is passed over, a card that names one (it moves), and files that nobody needs."""
    result = convert(tmp_path, NAME, "--revision", "v1")
    assert result.exit_code == 0, result.output
    commit = hub.commit(hub.repositories[NAME]["v1"])
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"- Downloaded: {NAME} at {commit}." in card
    names = {name for name, _ in hub.asked}
    assert WEIGHTS in names
    assert hub.tokens_of_storage == {None}  # the user's token is for the hub alone
    assert not names & {"text_encoder/pytorch_model.bin", "README.md"}
    assert convert(tmp_path / "again", NAME, "--revision", commit).exit_code == 0
    assert len(names) == len(hub.asked)  # the second time all of it was there


def test_a_download_that_broke_off_goes_on_where_it_stopped(hub, client, published, tmp_path):
    """Catches a file of gigabytes that begins anew: huggingface_hub drops what it has of one; and those of
    files that nobody goes on with, which stay for ever.
    """
    cut = len(published[WEIGHTS]) * 2 // 3
    hub.cut[WEIGHTS] = cut
    refused(convert(tmp_path), tmp_path, f"cannot fetch {WEIGHTS} of {NAME} at", "run the same again")
    before = {name for name, _ in hub.asked} - {WEIGHTS}
    hub.asked.clear()
    hub.cut.clear()
    (part,) = client[1].rglob("*.maskmend.incomplete")
    others = {days: part.with_name(f"{days}.maskmend.incomplete") for days in (6, 8)}
    for days, other in others.items():
        other.touch()
        os.utime(other, (time.time() - days * 24 * 3600,) * 2)
    result = convert(tmp_path)
    assert result.exit_code == 0, result.output
    assert [other.exists() for other in others.values()] == [True, False]
    asked = dict(hub.asked)
    assert cut - CHUNK < int(asked[WEIGHTS].removeprefix("bytes=").removesuffix("-")) <= cut
    assert not before & set(asked)  # whole files are not fetched twice


@pytest.mark.parametrize("wrong", ["shorter", "longer", "altered"])
def test_what_is_not_as_listed_is_refused(hub, published, tmp_path, wrong):
    """Catches a truncated answer, or another file's, that is taken for the checkpoint; and one that stays in
    the cache, so that each further try ends the same way."""
    content = published[WEIGHTS]
    hub.altered[WEIGHTS] = {
        "shorter": content[:-100], "longer": content + bytes(8), "altered": content[:-1] + b"\xff",
    }[wrong]  # fmt: skip
    told = "another hash" if wrong == "altered" else f"bytes instead of {len(content)}"
    refused(convert(tmp_path), tmp_path, f"{WEIGHTS} of {NAME} at", told, "run the same again")
    hub.altered.clear()
    assert convert(tmp_path).exit_code == 0


def test_a_part_that_is_longer_than_the_file_is_found_out(hub, published, tmp_path):
    """Catches a hub that asked for more than there is refuses for ever."""
    hub.cut[WEIGHTS] = len(published[WEIGHTS]) - 10
    assert convert(tmp_path).exit_code == 2
    hub.cut.clear()
    hub.altered[WEIGHTS] = published[WEIGHTS][:-5000]
    refused(convert(tmp_path), tmp_path, "416")
    hub.altered.clear()
    assert convert(tmp_path).exit_code == 0


def test_progress_is_of_the_bytes(hub, published):
    """Catches a bar that counts files, of which one is all of the download."""
    told: list[tuple[int, int]] = []
    found = find_folder(NAME, DOWNLOADED, "aMUSEd", progress=lambda done, total: told.append((done, total)))
    assert found.files[0].joinpath(WEIGHTS).read_bytes() == published[WEIGHTS]
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] == sum(path.stat().st_size for path in found.files[0].rglob("*.*"))


def test_what_the_hub_does_not_have_is_told_before_a_download(hub, published, tmp_path):
    """Catches gigabytes of another model that are fetched to be refused."""
    refused(convert(tmp_path, NAME, "--revision", "v9"), tmp_path, f"cannot fetch {NAME} at v9 from the hub")
    refused(convert(tmp_path, "owner/nothing"), tmp_path, "cannot fetch owner/nothing from the hub")
    unlike = {name: content for name, content in published.items() if not name.startswith("vqvae/")}
    hub.repositories["owner/other"] = {"main": unlike}
    refused(convert(tmp_path, "owner/other"), tmp_path, "has no vqvae/config.json: give the hub id of amused")
    two = {"a/ImageNet_384_large.pth": b"1", "ImageNet_256_base.pth": b"2", "vq_ds16_c2i.pt": b"3"}
    hub.repositories["owner/halton"] = {"main": two}
    told = "holds several files for halton: ImageNet_256_base.pth, ImageNet_384_large.pth: give the one"
    refused(convert(tmp_path, "owner/halton", kind="halton"), tmp_path, told)
    assert hub.asked == []


def test_files_of_a_hub_id_are_found_by_name(hub, tmp_path):
    """Catches a kind of two files for which only folders of one name each would do."""
    state = restated_halton.random_checkpoint(96, 4, grid=4)
    restated_halton.save(state, restated_halton.random_tokenizer(), tmp_path)
    hub.repositories["owner/halton"] = {"main": {f"weights/{n}": c for n, c in files_of(tmp_path).items()}}
    result = convert(tmp_path, "owner/halton", "--heads", 4, kind="halton")
    assert result.exit_code == 0, result.output
    assert "owner/halton at " in (tmp_path / "model" / "README.md").read_text()


def test_a_revision_of_files_that_are_here_is_told(tmp_path):
    """Catches a revision that is passed over."""
    (tmp_path / "amused").mkdir()
    result = convert(tmp_path, str(tmp_path / "amused"), "--revision", "v1")
    assert result.exit_code == 2
    assert "revision = 'v1' is of a hub id" in result.stderr


def test_no_hub_in_reach_is_told_in_a_line(hub, monkeypatch, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        monkeypatch.setattr("huggingface_hub.hf_api.HfApi.model_info", _elsewhere(taken.getsockname()[1]))
        refused(convert(tmp_path), tmp_path, f"cannot fetch {NAME} from the hub")


def _elsewhere(port: int):
    from huggingface_hub import HfApi

    asked = HfApi.model_info
    return lambda self, *args, **named: asked(HfApi(endpoint=f"http://127.0.0.1:{port}"), *args, **named)
