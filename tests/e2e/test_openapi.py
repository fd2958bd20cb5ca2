"""The served document holds: whatever is sent to a route, the answer is one that it promises.

Sent by schemathesis, from the document alone, through the real host to an app that has a rollout
that is over and one that waits.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from deploy_logic.api.openapi import make_document
from deploy_logic.api.table import ROUTES
from local.stack import Stack
from tests.e2e.scene import AT_ONCE, Scene, write_policies

pytestmark = pytest.mark.e2e

ANN = "11111111-2222-3333-4444-555555555555"
APPROVED = "approval: {promote: {approvers: [group:ml-leads]}}"
PROMISES = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 4  # of each way to fill in each operation
DOCUMENT = make_document(ROUTES)
OPERATIONS = sorted(
    (path, method) for path, methods in DOCUMENT["paths"].items() for method in methods
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("openapi")
    policies = {"over": (AT_ONCE, ""), "asks": (AT_ONCE, APPROVED)}
    stack = Stack(
        policies=write_policies(folder / "policies", policies),
        data=folder / "data",
        pace="instant",
        settings={
            "ROLLOUT_SWEEP_SCHEDULE": "0 0 5 1 1 *",  # never while the tests run
            "ROLLOUT_TRUST_PLATFORM_IDENTITY": "true",
        },
    )
    try:
        stack.start()
        yield Scene(stack, folder)
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def parts(scene: Scene) -> dict[str, str]:
    """Return what can be put into a path so that there is such a thing."""
    scene.register_and_end("over")
    asking = scene.asked("asks", scene.register("asks"))
    return {
        "rollout_id": asking["rollout_id"],
        "operation": "pause",
        "endpoint": "over",
        "act": "hold",
        "policy": "over",
        "control": "suspend",
        "file": "index.html",
    }


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """Ask as somebody with every right, as the platform would say it."""
    roles = [{"typ": "roles", "val": "Rollouts.PromoteNow"}]
    claims = json.dumps({"claims": [{"typ": "oid", "val": ANN}, *roles]})
    with requests.Session() as found:
        found.headers["X-MS-CLIENT-PRINCIPAL"] = base64.b64encode(claims.encode()).decode()
        yield found


def test_the_document_is_openapi_and_the_one_that_is_served(
    scene: Scene, session: requests.Session
) -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []
    served = session.get(f"{scene.stack.host.ready['url']}/api/openapi.json", timeout=60)
    assert served.json() == DOCUMENT


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_answers_are_those_that_the_document_promises(
    scene: Scene, session: requests.Session, parts: Mapping[str, str], path: str, method: str
) -> None:
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path][method]
    described = DOCUMENT["paths"][path][method]
    base = scene.stack.host.ready["url"]
    real = {name: value for name, value in parts.items() if f"{{{name}}}" in path}
    ways: list[Any] = [operation.as_strategy(path_parameters=real or None)]
    if real:  # whatever else could stand there
        ways.append(operation.as_strategy())
    if method == "post" or any(one["in"] == "query" for one in described["parameters"]):
        negative = GenerationMode.NEGATIVE
        ways.append(operation.as_strategy(negative, path_parameters=real or None))
    seen: set[int] = set()

    def send(case: Case[Any]) -> None:
        response = case.call(base_url=base, session=session, timeout=60)
        seen.add(response.status_code)
        case.validate_response(response, checks=PROMISES)

    for way in ways:
        calm = settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        calm(given(case=way)(send))()
    assert method == "post" or 200 in seen  # what was put in did lead somewhere
