"""The OpenAPI 3.1 document, made from the table of routes."""

from collections.abc import Iterable, Mapping

from deploy_logic.api.route import PARTS, PREFIX, Route
from deploy_logic.api.schema import TEXT, make_schemas, point
from deploy_logic.codec import Json
from deploy_logic.settings import VERSION

STATUSES: Mapping[int, str] = {
    200: "answered; or asked, and what was asked for happens soon",
    400: "something that was written is not right; the title says what would be",
    401: "nobody is known: no sign-in, or none that counts",
    403: "the person has no such right, or the question is put to others",
    404: "there is no such thing",
    409: "it is not allowed now; the title says why",
    415: "the body is not application/json",
    500: "the app is broken; the log has more under the id",
    503: "what is needed for the answer does not answer; try again",
}
_ABOUT = (
    "Rollouts of Azure ML models: what was, is and waits, and what people may ask. "
    "Every refusal is a problem (RFC 9457); its title says what was found and what would be right."
)


def make_document(routes: Iterable[Route]) -> Json:
    """Return the document; routes keep their order."""
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(f"{PREFIX}{route.path}", {})[route.method.lower()] = _describe(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Rollouts of Azure ML models", "version": VERSION, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": make_schemas(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "platform": {"type": "apiKey", "in": "header", "name": "X-MS-CLIENT-PRINCIPAL"},
            },
        },
    }


def _describe(route: Route) -> Json:
    described: Json = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_describe_parts(route), *_describe_query(route)],
        "responses": {"200": _describe_answer(route), **_describe_refusals(route)},
        "security": [] if route.is_open else [{"token": []}, {"platform": []}],
        "x-right": _name_right(route),
    }
    if route.body:
        content = {"application/json": {"schema": point(route.body)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _name_right(route: Route) -> str:
    if route.is_open:
        return "nobody"
    return "signed_in" if route.right is None else route.right.value


def _describe_parts(route: Route) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "description": PARTS[name], "schema": TEXT}
        for name in route.parts
    ]


def _describe_query(route: Route) -> list[Json]:
    return [
        {
            "name": one.name,
            "in": "query",
            "required": False,
            "description": one.text,
            "schema": one.schema,
        }
        for one in route.query
    ]


def _describe_answer(route: Route) -> Json:
    # of lines, each is as the schema says; the whole of them is a text
    is_whole = route.answer and route.kind == "application/json"
    schema = point(route.answer) if is_whole else TEXT
    lines = {"x-line": point(route.answer)} if route.answer and not is_whole else {}
    content = {route.kind: {"schema": schema, **lines}}
    return {"description": STATUSES[200], "content": content}


def _describe_refusals(route: Route) -> Json:
    content = {"application/problem+json": {"schema": point("Problem")}}
    statuses = [status for status in (*route.statuses, 500) if status != 200]  # noqa: PLR2004 - HTTP
    return {
        str(status): {"description": STATUSES[status], "content": content}
        for status in sorted(statuses)
    }
