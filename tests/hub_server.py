"""A hub of our own in memory: the few routes that huggingface_hub asks for to fetch and to send a
repository."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class Hub:
    """Repositories by name: their branches, each the files of its last commit."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {}
        self.private: dict[str, bool] = {}
        self.messages: list[str] = []
        self.tokens: set[str | None] = set()
        self.url = ""

    def commit(self, files: dict[str, bytes]) -> str:
        """The name of a commit with these files."""
        return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()

    def files(self, name: str, revision: str) -> dict[str, bytes] | None:
        branches = self.repositories.get(name, {})
        if revision in branches:
            return branches[revision]
        return next((files for files in branches.values() if self.commit(files) == revision), None)


def oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


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
        if about := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            name, revision = about[1], about[2] or "main"
            files = self.hub.files(name, revision)
            if files is None:
                code = "RevisionNotFound" if name in self.hub.repositories else "RepoNotFound"
                self.answer(404, {"error": "not found"}, X_Error_Code=code)
                return
            siblings = [{"rfilename": file} for file in sorted(files)]
            self.answer(
                200, {"id": name, "modelId": name, "sha": self.hub.commit(files), "siblings": siblings}
            )
        elif listed := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/(.+)", path):
            files = self.hub.files(listed[1], listed[2]) or {}
            self.answer(
                200,
                [
                    {"type": "file", "path": p, "size": len(c), "oid": oid(c)}
                    for p, c in sorted(files.items())
                ],
            )
        elif wanted := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            files = self.hub.files(wanted[1], wanted[2]) or {}
            content = files.get(wanted[3])
            if content is None:
                self.answer(404, {"error": "no such file"}, X_Error_Code="EntryNotFound")
                return
            self.answer(
                200,
                content,
                ETag=f'"{oid(content)}"',
                X_Repo_Commit=self.hub.commit(files),
            )
        else:
            self.answer(404, {"error": f"no route {path}"})

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
        elif made := re.fullmatch(r"/api/models/([^/]+/[^/]+)/branch/(.+)", path):
            branches = self.hub.repositories[made[1]]
            branches.setdefault(made[2], dict(branches["main"]))
            self.answer(200, {})
        elif asked := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/(.+)", path):
            files = [file["path"] for file in json.loads(body)["files"]]
            plain = [{"path": file, "uploadMode": "regular", "shouldIgnore": False} for file in files]
            self.answer(200, {"files": plain})
        elif sent := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/(.+)", path):
            files = dict(self.hub.repositories[sent[1]][sent[2]])
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "header":
                    self.hub.messages.append(line["value"]["summary"])
                elif line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.hub.repositories[sent[1]][sent[2]] = files
            number = self.hub.commit(files)
            url = f"{self.hub.url}/{sent[1]}/commit/{number}"
            self.answer(200, {"success": True, "commitOid": number, "commitUrl": url})
        else:
            self.answer(404, {"error": f"no route {path}"})


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A hub on this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OurHandler", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
