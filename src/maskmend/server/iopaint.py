"""Further routes of IOPaint's API for its web page and plug-ins: server configuration, model, samplers.

The schemas are those of IOPaint 1.6 (`iopaint/schema.py`: ServerConfigResponse, ModelInfo). The fill itself,
POST /api/v1/inpaint, is in `routes`. Only the server's first model is listed, because an IOPaint request does
not name a model: IOPaint stores the selected model on the server, for all clients, and we keep no state.
"""

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from maskmend.server.errors import ApiError
from maskmend.server.requests import read_json_body
from maskmend.server.service import Service

SAMPLERS = ["MaskGIT"]
"""IOPaint's page requires at least one sampler; there is no choice here."""


class IopaintModel(BaseModel):
    """IOPaint's ModelInfo for a model without prompts, of the type "inpaint" like LaMa."""

    name: str
    path: str = Field(description="The name again: paths are not revealed.")
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
    """Routes specified by IOPaint; they are not part of this API's own description."""
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
