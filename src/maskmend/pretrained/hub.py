"""Models on the Hugging Face Hub: downloaded by "owner/name", and uploaded with a model card.

The work is done by huggingface_hub (extra `hub`), whose errors are converted to ours here. The Hub uses the
card's front matter to sort and show models: https://huggingface.co/docs/hub/model-cards.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from maskmend.errors import ConfigError, ModelError, pip_install
from maskmend.images.picture import picture_from
from maskmend.images.writing import encode_picture
from maskmend.storage.files import write_files

CARD = "README.md"
PATTERNS = (CARD, "*.json", "*/*.json", "*/*.safetensors", "prompts/merges.txt")
"""What a model folder holds."""
TAGS = ("inpainting", "image-inpainting", "maskgit", "masked-token-modelling")
FENCE = "---"


def is_hub_id(name: str) -> bool:
    """Whether `name` has the form owner/name."""
    parts = name.split("/")
    return len(parts) == 2 and all(parts) and parts[0] not in (".", "..")


def fetch_model(name: str, revision: str | None = None) -> Path:
    """The folder of a hub repository at a branch, tag or commit, from the cache where it is there already.

    Raises ModelError.
    """
    hub = hub_client(name)
    at = {} if revision is None else {"revision": revision}
    try:
        return Path(hub.snapshot_download(name, allow_patterns=list(PATTERNS), **at))
    except hub_errors() as error:
        where = name if revision is None else f"{name} at {revision}"
        raise ModelError(f"cannot fetch model {where} from the hub: {one_line(error)}") from None


def push_model(
    folder: Path,
    name: str,
    *,
    revision: str | None = None,
    private: bool | None = None,
    token: str | None = None,
    message: str = "A maskmend model",
) -> str:
    """Uploads a model folder to the hub repository `name`, which is created if it does not exist; returns the
    commit's address.

    Args:
        revision: branch to commit to, created if it does not exist; the main one when None.
        private: whether a new repository is private.
        token: one that may write; the stored one (`hf auth login`) when None.

    Raises ConfigError for a name that is no hub id, ModelError when the hub refuses.
    """
    if not is_hub_id(name):
        raise ConfigError(f"hub repository {name!r}: give owner/name")
    api = hub_client(name).HfApi(token=token)
    at = {} if revision is None else {"revision": revision}
    try:
        api.create_repo(name, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(name, branch=revision, exist_ok=True)
        commit = api.upload_folder(repo_id=name, folder_path=str(folder), commit_message=message, **at)
    except (*hub_errors(), ValueError) as error:
        raise ModelError(f"cannot send the model to {name} on the hub: {one_line(error)}") from None
    return str(commit.commit_url)


def hub_card(
    card: str | None,
    *,
    license: str | None = None,
    tags: Sequence[str] = (),
    widget: Sequence[tuple[str, str]] = (),
) -> str:
    """A model card with front matter for the hub; one that has front matter already stays as it is.

    Args:
        license: as the hub names it, such as "apache-2.0"; none is claimed when None.
        tags: beside those that every model here has.
        widget: pictures for the model's page, (before, after), as paths within the repository.
    """
    text = card or "# A maskmend model\n"
    if text.startswith(FENCE):
        return text
    # Strings are written as JSON writes them, which YAML reads alike.
    lines = [FENCE, "library_name: maskmend", "pipeline_tag: image-to-image"]
    if license is not None:
        lines.append(f"license: {json.dumps(license)}")
    lines += ["tags:", *(f"- {json.dumps(tag)}" for tag in dict.fromkeys((*TAGS, *tags)))]
    if widget:
        lines.append("widget:")
        for before, after in widget:
            lines += [f"- src: {json.dumps(before)}", "  output:", f"    url: {json.dumps(after)}"]
    return "\n".join([*lines, FENCE, "", text])


def write_hub_card(
    folder: Path,
    card: str | None,
    *,
    license: str | None = None,
    tags: Sequence[str] = (),
    examples: Sequence[tuple[Image.Image, Image.Image]] = (),
) -> None:
    """Writes the card of `hub_card` into a model folder, and the pictures it names. Raises OutputError."""
    files, widget = {}, []
    for number, pair in enumerate(examples, 1):
        names = tuple(f"widget/{number}-{what}.png" for what in ("before", "after"))
        widget.append(names)
        for path, image in zip(names, pair, strict=True):
            files[folder / path] = encode_picture(picture_from(image), "PNG")
    content = hub_card(card, license=license, tags=tags, widget=widget)
    write_files(files | {folder / CARD: content.encode()})


def hub_client(name: str) -> Any:
    """huggingface_hub, which is asked for `name`. Raises ModelError where it is not installed."""
    try:
        # An extra: where it is not installed, pyright cannot see it either.
        import huggingface_hub  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ModelError(
            f"{name} looks like a hub id: {pip_install('hub')}, or give a model folder"
        ) from None
    return huggingface_hub


def hub_errors() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises if the hub refuses or cannot be reached."""
    # Not from `errors`, which lacks some of them in older releases.
    from huggingface_hub.utils import (  # pyright: ignore[reportMissingImports]
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    # If the hub cannot be reached, its HTTP library raises an error of its own: the first base here.
    sending = HfHubHTTPError.__bases__[0]
    return sending, HFValidationError, LocalEntryNotFoundError, OSError


def one_line(error: Exception) -> str:
    """The text of an error as one line."""
    return " ".join(str(error).split())
