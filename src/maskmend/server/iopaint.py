"""What IOPaint's page and plug-ins ask for beside a fill: the server's configuration, its model, its
samplers.

The shapes are those of IOPaint 1.6's API (`iopaint/schema.py`: ServerConfigResponse, ModelInfo). The fill
itself, POST /api/v1/inpaint, is in `routes`. One model is told, the server's first, because a client's fill
does not say which it means: IOPaint keeps the choice in the server, for all clients at once, and we do not.
"""

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from maskmend.server.errors import ApiError
from maskmend.server.requests import read_json_body
from maskmend.server.service import Service

SAMPLERS = ["MaskGIT"]
"""IOPaint's page wants at least one to choose; there is nothing to choose between here."""


class IopaintModel(BaseModel):
    """IOPaint's ModelInfo, of a model that takes no prompt: its kind "inpaint", as LaMa is."""

    name: str
    path: str = Field(description="The name again: folders are not told.")
    model_type: Literal["inpaint"] = "inpaint"
    is_single_file_diffusers: bool = False
    need_prompt: bool = False
    controlnets: list[str] = []
    brushnets: list[str] = []
    support_strength: bool = False
    support_outpainting: bool = False
    support_lcm_lora: bool = False
    support_controlnet: bool = False
    support_brushnet: bool = False
    support_powerpaint_v2: bool = False


class SwitchModel(BaseModel):
    name: str


def build_iopaint(service: Service) -> APIRouter:
    """Routes that IOPaint describes, not we: they are left out of the API's own description."""
    router = APIRouter(prefix="/api/v1", include_in_schema=False)
    name = service.catalogue.default
    model = IopaintModel(name=name, path=name)

    @router.get("/server-config")
    async def server_config() -> dict[str, Any]:
        return {
            "plugins": [],
            "modelInfos": [model.model_dump()],
            "removeBGModel": "",
            "removeBGModels": [],
            "realesrganModel": "",
            "realesrganModels": [],
            "interactiveSegModel": "",
            "interactiveSegModels": [],
            "enableFileManager": False,
            "enableAutoSaving": False,
            "enableControlnet": False,
            "controlnetMethod": None,
            "disableModelSwitch": False,  # with True the page hides all of its settings
            "isDesktop": False,
            "samplers": SAMPLERS,
        }

    @router.get("/model")
    async def current_model() -> IopaintModel:
        return model

    @router.post("/model")
    async def switch_model(request: Request) -> IopaintModel:
        until = service.deadline()
        with service.uploads.begin(request) as upload:
            wanted = await upload.read(read_json_body(upload.request, SwitchModel, strict=False), until)
        if wanted.name != name:
            raise ApiError(
                422,
                "model_unknown",
                f"IOPaint's clients fill with {name!r}, this server's first model, not {wanted.name[:60]!r}: "
                "start the server with that --model first",
            )
        return model

    @router.get("/samplers")
    async def samplers() -> list[str]:
        return SAMPLERS

    return router
