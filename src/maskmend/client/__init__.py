"""A client of `maskmend serve`, without PyTorch and without the server's packages (extra `client`).

    picture, mask, parameters ─► calls (a request, and how its answer is read) ─► Client, AsyncClient
                                              └─ answers, events ─┘   └─ retries ─┘

It covers every route and parameter of the server's OpenAPI description, which a test verifies. Requests and
responses are defined once, in `calls`; the two clients only send and wait.
"""

from maskmend.client.answers import Conditions, Converted, Fill, Fills, Mask, Model, Models, Picture, Summary
from maskmend.client.asynchronous import AsyncClient
from maskmend.client.errors import (
    BadRequest,
    Busy,
    Forbidden,
    NeedsConversion,
    NoAnswer,
    NotAcceptable,
    NotFound,
    ServerError,
    TokenNeeded,
    TooLarge,
    TooSlow,
    Unavailable,
    UnexpectedAnswer,
    Unusable,
    UploadTooSlow,
)
from maskmend.client.events import Box, Done, Event, FillMade, Level, Queued, Started, Step
from maskmend.client.parameters import FillParameters, MaskParameters
from maskmend.client.retries import Retries
from maskmend.client.synchronous import Client

__all__ = [
    "AsyncClient",
    "BadRequest",
    "Box",
    "Busy",
    "Client",
    "Conditions",
    "Converted",
    "Done",
    "Event",
    "Fill",
    "FillMade",
    "FillParameters",
    "Fills",
    "Forbidden",
    "Level",
    "Mask",
    "MaskParameters",
    "Model",
    "Models",
    "NeedsConversion",
    "NoAnswer",
    "NotAcceptable",
    "NotFound",
    "Picture",
    "Queued",
    "Retries",
    "ServerError",
    "Started",
    "Step",
    "Summary",
    "TokenNeeded",
    "TooLarge",
    "TooSlow",
    "Unavailable",
    "UnexpectedAnswer",
    "Unusable",
    "UploadTooSlow",
]
