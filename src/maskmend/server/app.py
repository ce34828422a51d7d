"""The ASGI application: security middleware, routes and pages for one service."""

from contextlib import asynccontextmanager

from fastapi import FastAPI

from maskmend import __version__
from maskmend.server import errors as api_errors
from maskmend.server.iopaint import build_iopaint
from maskmend.server.registry import Catalogue
from maskmend.server.routes import build_routes
from maskmend.server.security import SecurityMiddleware
from maskmend.server.service import Service
from maskmend.server.settings import ServeConfig
from maskmend.server.static import build_pages
from maskmend.server.workers import Filler


def create_app(config: ServeConfig, catalogue: Catalogue, filler: Filler | None = None) -> FastAPI:
    """The application; its `state.service` is the service. Workers start and stop with its lifespan.

    Args:
        config: the server's configuration.
        catalogue: the models.
        filler: fills the batches; this process if None.
    """
    service = Service(config, catalogue, filler)

    @asynccontextmanager
    async def lifespan(_: FastAPI):
        async with service.running():
            yield

    app = FastAPI(
        title="maskmend",
        version=__version__,
        summary="Fills holes in images with masked token modelling (MaskGIT).",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own pages load scripts from a CDN; ours is page/docs.html
        redoc_url=None,
    )
    app.state.service = service
    api_errors.install(app)
    app.include_router(build_routes(service))
    app.include_router(build_iopaint(service))
    app.include_router(build_pages())
    app.add_middleware(SecurityMiddleware, config=config, metrics=service.metrics)
    return app
