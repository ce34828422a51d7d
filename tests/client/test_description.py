"""The client against the server's own OpenAPI description: what one has and the other does not fails here."""

import ast
import dataclasses
import inspect
import types
import typing
from pathlib import Path

import httpx2
import pytest

import maskmend.server
from maskmend.client import AsyncClient, Client, FillParameters, MaskParameters, answers, calls, errors
from maskmend.client.calls import Answered
from server_parts import IMAGE_FILE, MASK_FILE, app_of


@pytest.fixture(scope="module")
def description(tiny_pipeline):
    return app_of(tiny_pipeline).openapi()


def form_of(description, path):
    body = description["paths"][path]["post"]["requestBody"]["content"]
    return body["multipart/form-data"]["schema"]["properties"]


ARGUMENTS = {
    "inpaint": (IMAGE_FILE, MASK_FILE), "inpaint_all": (IMAGE_FILE, MASK_FILE), "convert": (IMAGE_FILE,),
    "stream": (IMAGE_FILE, MASK_FILE), "iopaint": (IMAGE_FILE, MASK_FILE), "mask": (MASK_FILE,),
}  # fmt: skip


def test_every_route_has_its_method(description):
    """Catches a route that is added, renamed or dropped."""
    asked = set()

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.add((request.method.lower(), request.url.path))
        return httpx2.Response(404)

    client = Client(transport=httpx2.MockTransport(answer))
    for name, method in inspect.getmembers(client, inspect.ismethod):
        if name.startswith("_") or name == "close":
            continue
        sizes = {"width": 3, "height": 3} if name == "mask" else {}
        with pytest.raises(errors.NotFound):
            list(method(*ARGUMENTS.get(name, ()), **sizes))
    described = {(verb, path) for path, verbs in description["paths"].items() for verb in verbs}
    assert asked == described


def kinds(hint) -> set:
    """What a type annotation allows, in the words of JSON Schema; single values as themselves."""
    if typing.get_origin(hint) is typing.Literal:
        return set(typing.get_args(hint))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return set().union(*map(kinds, typing.get_args(hint)))
    return {{bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}[hint]}


def described_kinds(schema) -> set:
    if "anyOf" in schema:
        return set().union(*map(described_kinds, schema["anyOf"]))
    if schema.get("enum") == [True, False, 1, 0]:  # how a form is told to write them
        return {"boolean"}
    return set(schema["enum"]) if "enum" in schema else {schema["type"]}


def assert_parameters(properties, hints, files):
    named = {name for name, schema in properties.items() if schema.get("format") == "binary"}
    assert named == files
    assert properties.keys() - named == hints.keys()
    for name, hint in hints.items():
        assert kinds(hint) == described_kinds(properties[name]), name


def test_every_parameter_of_a_fill_is_known_with_its_values(description):
    """Catches a parameter, or a value, that the client does not offer, and one that there is not."""
    files = {"image", "mask", "guide"}
    assert_parameters(form_of(description, "/v1/inpaint"), typing.get_type_hints(FillParameters), files)
    signature = inspect.signature(Client.inpaint).parameters
    assert files <= signature.keys()


def test_so_are_those_of_the_other_routes(description):
    sizes = {"width": int, "height": int}
    assert_parameters(
        form_of(description, "/v1/mask"), typing.get_type_hints(MaskParameters) | sizes, {"mask"}
    )
    hints = typing.get_type_hints(Client.convert)
    own = {name: hints[name] for name in inspect.signature(Client.convert).parameters if name != "self"}
    own["quality"] = int  # a form cannot say null
    assert own.pop("image")
    assert_parameters(form_of(description, "/v1/convert"), own, {"image"})
    body = description["paths"]["/api/v1/inpaint"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["properties"].keys() == inspect.signature(Client.iopaint).parameters.keys() - {
        "self"
    }


@pytest.mark.parametrize(
    ("kind", "schema", "renamed"),
    [
        (answers.Fills, "Answer", {}),
        (answers.Fill, "Fill", {"content": "image"}),
        (answers.Models, "Models", {}),
        (answers.Model, "Model", {}),
    ],
)
def test_every_field_of_an_answer_is_read(description, kind, schema, renamed):
    """Catches what a server tells and a caller cannot get at."""
    own = {renamed.get(field.name, field.name) for field in dataclasses.fields(kind)}
    assert own == description["components"]["schemas"][schema]["properties"].keys()


def test_every_status_is_an_exception_of_its_own(description):
    told = {
        int(status)
        for verbs in description["paths"].values()
        for operation in verbs.values()
        for status in operation["responses"]
    }
    assert {status for status in told if status >= 400} <= errors.BY_STATUS.keys()
    assert errors.NeedsConversion.__mro__[1] is errors.Unusable


def test_every_code_of_a_stream_is_known():
    """Catches a new way for a fill to fail, which has a code and, once the stream has begun, no status."""
    codes: dict[str, int] = {}
    for path in Path(maskmend.server.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ApiError":
                match node.args[:2]:
                    case [ast.Constant(value=int(status)), ast.Constant(value=str(code))]:
                        codes[code] = status
    assert {"busy", "model_unavailable", "too_slow", "setting_invalid"} <= codes.keys()
    unknown = codes.keys() - errors.BY_CODE.keys()
    # What is refused as a request arrives, before a stream can begin.
    assert all(codes[code] in (400, 401, 403, 404, 405, 406, 408, 413, 415) for code in unknown), unknown
    for code, kind in errors.BY_CODE.items():
        if code in codes:
            assert issubclass(kind, errors.BY_STATUS[codes[code]]), code


def test_both_clients_offer_the_same():
    """Catches a method, an argument or a text that one of the two was forgotten in."""

    def surface(kind):
        return {
            name: (
                inspect.getdoc(method),
                [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()],
            )
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert surface(Client) == surface(AsyncClient)


def test_a_form_leaves_out_what_is_none():
    call = calls.convert(b"x", {"quality": None, "convert": True})
    assert call.data == {"convert": "true"}
    assert (
        call.read(Answered(headers={"Content-Type": "image/png; a=b"}, content=b"y")).media_type
        == "image/png"
    )
