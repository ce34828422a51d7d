"""A hub of our own in memory: the few routes that huggingface_hub asks for to fetch and to send a repository.

Large files lie on another server, as the hub's own do: asked for one, it says where, with size and hash.
"""

import base64
import hashlib
import json
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote

import pytest

KIND = "/api/(models|datasets)/"
LARGE = 1000
"""Bytes from which a file is large."""


class Hub:
    """Repositories by name: their branches, each the files of its last commit."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {}
        self.private: dict[str, bool] = {}
        self.messages: list[str] = []
        self.commits: list[tuple[set[str], set[str]]] = []
        """The files that each commit wrote, and those that it removed."""
        self.refused: list[tuple[int, dict[str, str]]] = []
        """Status and headers of the answers to the next commits, which are not made."""
        self.tokens: set[str | None] = set()
        self.url = ""
        self.storage = ""
        """Address of the server of large files."""
        self.tokens_of_storage: set[str | None] = set()
        self.asked: list[tuple[str, str | None]] = []
        """Files whose content was asked for, and the range of it."""
        self.cut: dict[str, int] = {}
        """The byte of a file before which the connection breaks."""
        self.altered: dict[str, bytes] = {}
        """What is sent instead of a file that is listed as it should be."""

    def commit(self, files: dict[str, bytes]) -> str:
        """The name of a commit with these files."""
        return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()

    def files(self, name: str, revision: str) -> dict[str, bytes] | None:
        branches = self.repositories.get(name, {})
        if revision in branches:
            return branches[revision]
        return next((files for files in branches.values() if self.commit(files) == revision), None)


def oid(content: bytes) -> str:
    """Git's name of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest() if len(content) >= LARGE else oid(content)


def sibling(name: str, content: bytes) -> dict[str, object]:
    """A file in what is told of a model."""
    about: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": oid(content)}
    if len(content) >= LARGE:
        about["lfs"] = {"sha256": etag(content), "size": len(content), "pointerSize": 130}
    return about


def entry(path: str, content: bytes) -> dict[str, object]:
    """A file in a listing of a tree."""
    about: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": oid(content)}
    if len(content) >= LARGE:
        about["lfs"] = {"oid": etag(content), "size": len(content), "pointerSize": 130}
    return about


def repository(match: re.Match[str]) -> str:
    """Its name in `Hub.repositories`: a model's has no kind, as in its URL."""
    return match[2] if match[1] == "models" else f"{match[1]}/{match[2]}"


def directory(path: str) -> dict[str, object]:
    return {"type": "directory", "path": path, "oid": "0" * 40}


def folders_of(files: Iterable[str], wanted: list[str]) -> list[str]:
    return [one for one in wanted if any(name.startswith(f"{one}/") for name in files)]


def tree(files: dict[str, bytes], folder: str, *, recursive: bool) -> list[dict[str, object]]:
    """What a folder holds."""
    below, found = f"{folder}/" if folder else "", {}
    for path, content in sorted(files.items()):
        if path.startswith(below):
            first, more, _ = path.removeprefix(below).partition("/")
            if recursive or not more:
                found[path] = entry(path, content)
            else:
                found[below + first] = directory(below + first)
    return list(found.values())


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, content: object = b"", **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        if about := re.fullmatch(KIND + r"([^/]+/[^/]+)(?:/revision/(.+))?", path):
            name, revision = repository(about), about[3] or "main"
            files = self.hub.files(name, revision)
            if files is None:
                code = "RevisionNotFound" if name in self.hub.repositories else "RepoNotFound"
                self.answer(404, {"error": "not found"}, X_Error_Code=code)
                return
            siblings = [sibling(file, content) for file, content in sorted(files.items())]
            self.answer(
                200, {"id": name, "modelId": name, "sha": self.hub.commit(files), "siblings": siblings}
            )
        elif listed := re.fullmatch(KIND + r"([^/]+/[^/]+)/tree/([^/?]+)/?([^?]*)(\?.*)?", self.path):
            files = self.hub.files(repository(listed), unquote(listed[3])) or {}
            found = tree(files, unquote(listed[4]), recursive="recursive=true" in (listed[5] or "").lower())
            if found or not listed[4]:
                self.answer(200, found)
            else:
                self.answer(404, {"error": "no such folder"}, X_Error_Code="EntryNotFound")
        elif wanted := re.fullmatch(r"/((?:datasets/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            files = self.hub.files(wanted[1], wanted[2]) or {}
            content = files.get(wanted[3])
            if content is None:
                self.answer(404, {"error": "no such file"}, X_Error_Code="EntryNotFound")
                return
            self.file(wanted[3], content, self.hub.commit(files))
        elif stored := re.fullmatch(r"/stored/(.+)", path):
            self.hub.tokens_of_storage.add(self.headers.get("Authorization"))
            self.content(stored[1], self.stored(stored[1]))
        elif path.startswith("/api/"):
            self.answer(404, {"error": f"no repository {path}"}, X_Error_Code="RepoNotFound")
        else:
            self.answer(404, {"error": f"no route {path}"})

    def file(self, path: str, content: bytes, commit: str) -> None:
        """The file, or where it lies."""
        if len(content) < LARGE:
            self.content(path, content, ETag=f'"{etag(content)}"', X_Repo_Commit=commit)
            return
        self.answer(
            302, Location=f"{self.hub.storage}/stored/{path}", X_Repo_Commit=commit,
            X_Linked_ETag=f'"{etag(content)}"', X_Linked_Size=str(len(content)),
        )  # fmt: skip

    def stored(self, path: str) -> bytes:
        repositories = self.hub.repositories.values()
        return next(f[path] for branches in repositories for f in branches.values() if path in f)

    def content(self, path: str, content: bytes, **headers: str) -> None:
        if self.command == "HEAD":
            self.answer(200, content, **headers)
            return
        asked = self.headers.get("Range")
        self.hub.asked.append((path, asked))
        sent = self.hub.altered.get(path, content)
        first, _, last = (asked or "bytes=0").removeprefix("bytes=").partition("-")
        start, whole = int(first), len(sent)
        if start >= whole > 0:
            self.answer(416)
            return
        if last:
            sent = sent[: int(last) + 1]
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(sent) - 1}/{whole}"
        if (cut := self.hub.cut.get(path)) is None:
            self.answer(206 if asked else 200, sent[start:], **headers)
            return
        self.send_response(206 if asked else 200)
        for name, value in (headers | {"Content-Length": str(len(sent) - start)}).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(sent[start:cut])
        self.close_connection = True

    def do_POST(self) -> None:
        path = unquote(self.path.partition("?")[0])
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.hub.tokens.add(self.headers.get("Authorization"))
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if name in self.hub.repositories:
                self.answer(409, {"error": "exists", "url": f"{self.hub.url}/{name}"})
                return
            self.hub.repositories[name] = {"main": {}}
            self.hub.private[name] = asked.get("private") or asked.get("visibility") == "private"
            self.answer(200, {"url": f"{self.hub.url}/{name}"})
        elif path == "/api/validate-yaml":
            self.answer(200, {"errors": [], "warnings": []})
        elif made := re.fullmatch(KIND + r"([^/]+/[^/]+)/branch/(.+)", path):
            branches = self.hub.repositories[repository(made)]
            branches.setdefault(made[3], dict(branches["main"]))
            self.answer(200, {})
        elif named := re.fullmatch(KIND + r"([^/]+/[^/]+)/paths-info/(.+)", path):
            files = self.hub.files(repository(named), named[3]) or {}
            wanted = json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode())["paths"]
            folders = [
                {"type": "directory", "path": one, "oid": "0" * 40} for one in folders_of(files, wanted)
            ]
            self.answer(200, [entry(one, files[one]) for one in wanted if one in files] + folders)
        elif asked := re.fullmatch(KIND + r"([^/]+/[^/]+)/preupload/(.+)", path):
            files = [file["path"] for file in json.loads(body)["files"]]
            plain = [{"path": file, "uploadMode": "regular", "shouldIgnore": False} for file in files]
            self.answer(200, {"files": plain})
        elif sent := re.fullmatch(KIND + r"([^/]+/[^/]+)/commit/(.+)", path):
            if self.hub.refused:
                status, headers = self.hub.refused.pop(0)
                self.answer(status, {"error": "not now" if status != 403 else "no right to write"}, **headers)
                return
            branch = self.hub.repositories[repository(sent)]
            files, written, removed = dict(branch[sent[3]]), set(), set()
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "header":
                    self.hub.messages.append(line["value"]["summary"])
                elif line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                    written.add(line["value"]["path"])
                elif line["key"] == "deletedFile":
                    del files[line["value"]["path"]]
                    removed.add(line["value"]["path"])
            branch[sent[3]] = files
            self.hub.commits.append((written, removed))
            number = self.hub.commit(files)
            url = f"{self.hub.url}/{repository(sent)}/commit/{number}"
            self.answer(200, {"success": True, "commitOid": number, "commitUrl": url})
        else:
            self.answer(404, {"error": f"no route {path}"})


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A hub on this machine."""
    hub = Hub()
    with _serving(hub) as hub.url, _serving(hub) as hub.storage:
        yield hub


@contextmanager
def _serving(hub: Hub) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OurHandler", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextmanager
def hub_for_client(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Hub]:
    """A hub, and huggingface_hub imported anew to go there: it reads its address on import."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
        monkeypatch.delitem(sys.modules, name)
    with hub_server() as hub:
        for name, value in {
            "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "0", "HF_TOKEN": "of-the-test",
            "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        yield hub
        for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
            del sys.modules[name]
