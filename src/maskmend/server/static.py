"""Static files of the package: the editor's page, the offline API documentation, the sample pictures.

The set of files is fixed when the server starts; paths from clients are never used to access the disk.
"""

import hashlib
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from maskmend.assets import PHOTOGRAPHS
from maskmend.assets.samples import sample_pairs
from maskmend.errors import DataError

PAGE = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}


def build_pages() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    for path in sorted(PAGE.iterdir()):
        if path.suffix in TYPES:
            add_file(router, f"/{path.name}", path)
    add_file(router, "/", PAGE / "index.html")
    add_file(router, "/docs", PAGE / "docs.html")
    names = []
    for name, image, mask in samples():
        names.append(image.name)
        add_file(router, f"/samples/{image.name}", image)
        add_file(router, f"/samples/{name}.mask.png", mask)

    @router.api_route("/samples", methods=["GET", "HEAD"])
    async def listed() -> Response:
        return JSONResponse({"samples": names})

    return router


def samples() -> list[tuple[str, Path, Path]]:
    """The bundled pictures and photographs, or none if they are not installed."""
    try:
        return [*sample_pairs(), *sample_pairs(PHOTOGRAPHS)]
    except DataError:
        return []


def add_file(router: APIRouter, route: str, path: Path) -> None:
    """Serves `path` at `route` from memory, with an ETag so that an unchanged file is not sent again."""
    content, media = path.read_bytes(), TYPES[path.suffix]
    tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}

    async def serve(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media, headers=headers)

    router.add_api_route(route, serve, methods=["GET", "HEAD"])
