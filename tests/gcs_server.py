"""Google Cloud Storage of our own in memory: the few routes of its JSON API that gcsfs asks for."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

TIME = "2026-11-29T00:00:00.000000Z"


class Handler(BaseHTTPRequestHandler):
    objects: dict[str, bytes]
    """By bucket and name, as in `bucket/a/b.png`."""
    ranges: list[str]
    """Those that were asked for."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, content: object = b"") -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def about(self, place: str) -> dict[str, str]:
        bucket, name = place.split("/", 1)
        size = str(len(self.objects[place]))
        more = {"timeCreated": TIME, "updated": TIME, "generation": "1", "metageneration": "1"}
        return {"kind": "storage#object", "bucket": bucket, "name": name, "size": size, **more}

    def place(self, start: str) -> str | None:
        """Of the object in the URL."""
        found = re.fullmatch(f"/{start}/v1/b/([^/]+)/o/(.+)", urlsplit(self.path).path)
        return found and f"{unquote(found[1])}/{unquote(found[2])}"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if (place := self.place("download/storage")) or (place := self.place("storage")):
            if place not in self.objects:
                self.answer(404, {"error": {"code": 404, "message": f"No such object: {place}"}})
            elif not url.path.startswith("/download"):
                self.answer(200, self.about(place))
            elif asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
                self.ranges.append(asked[0])
                last = int(asked[2]) + 1 if asked[2] else None
                self.answer(206, self.objects[place][int(asked[1]) : last])
            else:
                self.answer(200, self.objects[place])
        elif listed := re.fullmatch("/storage/v1/b/([^/]+)/o", url.path):
            self.answer(200, self.listing(listed[1], **dict(parse_qsl(url.query))))
        else:
            self.answer(404, {"error": {"code": 404, "message": f"no route {url.path}"}})

    def listing(self, bucket: str, prefix: str = "", delimiter: str = "", **_: str) -> dict[str, object]:
        items, folders = [], set()
        for place in sorted(self.objects):
            name = place.removeprefix(f"{bucket}/")
            if name != place and name.startswith(prefix):
                inner, more, _ = name.removeprefix(prefix).partition(delimiter or "\0")
                if more:
                    folders.add(f"{prefix}{inner}/")
                else:
                    items.append(self.about(place))
        return {"kind": "storage#objects", "items": items, "prefixes": sorted(folders)}

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        sent = re.fullmatch("/upload/storage/v1/b/([^/]+)/o", urlsplit(self.path).path)
        line = re.search('boundary="(.+)"', self.headers.get("Content-Type", ""))
        if sent is None or line is None:
            self.answer(404, {"error": {"code": 404, "message": f"no route {self.path}"}})
            return
        # Two parts: a JSON object with the name, and the content.
        _, told, content = body.removesuffix(f"--{line[1]}--".encode()).split(f"--{line[1]}\n".encode(), 2)
        about = json.loads(told.split(b"\n\n", 1)[1])
        place = f"{sent[1]}/{about['name']}"
        self.objects[place] = content.split(b"\n\n", 1)[1].removesuffix(b"\n")
        self.answer(200, self.about(place))

    def do_DELETE(self) -> None:
        self.answer(204 if self.objects.pop(self.place("storage") or "", None) is not None else 404)


@contextmanager
def gcs_server() -> Iterator[tuple[str, type[Handler]]]:
    """Its address, and what holds the objects."""
    handler = type("OurHandler", (Handler,), {"objects": {}, "ranges": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
