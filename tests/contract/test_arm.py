"""Whatever azure-core raises and whatever Azure answers becomes one of our exceptions."""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core import exceptions
from azure.core.credentials import AccessToken

from deploy_logic.adapters.arm import Arm
from deploy_logic.adapters.azure_ml import AzureMl
from deploy_logic.errors import TransientError, WorkspaceError
from tests.builders import WORKSPACE
from tests.contract.https import Canned, Canner, canner
from tests.contract.rooms import AnyToken, FakeRoom, a_plan

CLASSES = {
    name: found
    for name, found in vars(exceptions).items()
    if inspect.isclass(found) and issubclass(found, Exception)
}


class Response:
    """As much of a response as the exceptions look at."""

    reason, status_code, content_type, request = "odd", 503, "text/plain", "GET nowhere"
    headers: Mapping[str, str] = {}

    def text(self) -> str:
        return "{}"


MAKERS: Mapping[str, Callable[[], Exception]] = {
    "TooManyRedirectsError": lambda: exceptions.TooManyRedirectsError([]),
    "ODataV4Error": lambda: exceptions.ODataV4Error(Response()),
    "StreamConsumedError": lambda: exceptions.StreamConsumedError(Response()),
    "StreamClosedError": lambda: exceptions.StreamClosedError(Response()),
    "ResponseNotReadError": lambda: exceptions.ResponseNotReadError(Response()),
}


class Broken:
    """A credential that raises, in the middle of the pipeline."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        raise self.error


def make(name: str) -> Exception:
    made = MAKERS[name]() if name in MAKERS else CLASSES[name]("odd")
    assert isinstance(made, CLASSES[name])
    return made


def test_azure_core_still_has_the_classes_that_are_walked() -> None:
    assert {"AzureError", "ServiceRequestError", "HttpResponseError", "DecodeError"} <= set(CLASSES)
    assert set(MAKERS) <= set(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("method", ["get", "put", "post", "delete"])
def test_every_exception_of_azure_core_becomes_one_of_ours(name: str, method: str) -> None:
    arm = Arm(resource_manager="https://localhost:1", credential=Broken(make(name)), root=WORKSPACE)
    arguments: tuple[Any, ...] = ("/models", {}) if method in {"put", "post"} else ("/models",)
    with pytest.raises(TransientError, match="/models") as caught:
        getattr(arm, method)(*arguments)
    assert caught.value.code


@pytest.mark.parametrize("name", CLASSES)
def test_every_exception_inside_the_sdk_becomes_one_of_ours(fake: FakeRoom, name: str) -> None:
    cloud = dict.fromkeys(
        (
            "azure_portal",
            "resource_manager",
            "active_directory",
            "aml_resource_id",
            "registry_discovery_endpoint",
        ),
        "https://localhost:1",
    )
    cloud["storage_endpoint"] = "localhost:1"
    workspace = AzureMl(WORKSPACE, cloud=cloud, credential=Broken(make(name)))
    plan = a_plan(fake, "fraud", "green")
    with pytest.raises(WorkspaceError, match="creating deployment 'green'") as of_deployment:
        workspace.create_deployment(plan)
    with pytest.raises(WorkspaceError, match="creating endpoint 'fraud'") as of_endpoint:
        workspace.create_endpoint(plan)
    # what cannot be written as JSON was wrong in the template
    passes = name != "SerializationError"
    assert isinstance(of_deployment.value, TransientError) == passes
    assert isinstance(of_endpoint.value, TransientError) == passes


# --- odd answers


@pytest.fixture(scope="module")
def running_server(data: Path) -> Iterator[Canner]:
    with canner(data / "certificates") as running:
        yield running


@pytest.fixture
def server(running_server: Canner) -> Canner:
    running_server.answers.clear()
    running_server.asked.clear()
    return running_server


@pytest.fixture
def arm(server: Canner) -> Arm:
    return Arm(resource_manager=server.url, credential=AnyToken(), root=WORKSPACE)


def workspace(server: Canner, credential: Any) -> AzureMl:
    return AzureMl(WORKSPACE, cloud={"resource_manager": server.url}, credential=credential)


ERROR = b'{"error": {"code": "Odd", "message": "said so"}}'


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_status_that_passes_is_transient(server: Canner, arm: Arm, status: int) -> None:
    server.answers.append(Canned(status=status, body=ERROR, headers={"Retry-After": "7"}))
    with pytest.raises(TransientError, match="Odd: said so") as caught:
        arm.get("/models")
    assert (caught.value.code, caught.value.retry_after) == ("Odd", timedelta(seconds=7))
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [307, 400, 401, 403, 405, 409, 410, 412, 422, 451])
def test_status_that_stays_is_for_good(server: Canner, arm: Arm, status: int) -> None:
    server.answers.append(Canned(status=status, body=ERROR))
    with pytest.raises(WorkspaceError, match="Odd: said so") as caught:
        arm.get("/models")
    assert not isinstance(caught.value, TransientError)
    assert (caught.value.code, caught.value.status) == ("Odd", status)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("", 0),
        ("-1", 0),
        ("1.5", 0),
        ("soon", 0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0),
        ("9" * 12, 0),
        ("9" * 5000, 0),
    ],
    ids=lambda value: str(value)[:16],
)
def test_retry_after_is_read_or_counts_as_not_said(
    server: Canner, arm: Arm, said: str, seconds: int
) -> None:
    server.answers.append(Canned(status=429, body=ERROR, headers={"Retry-After": said}))
    with pytest.raises(TransientError) as caught:
        arm.get("/models")
    assert caught.value.retry_after == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (b"<html>Bad gateway</html>", "", "Bad gateway"),
        (b"", "", "502"),
        (b"[1]", "", "1"),
        (b'{"error": "text"}', "", "text"),
        (b'{"error": {"code": null, "message": null}}', "", "502"),
        (b"\xff\xfe\x00", "", "502"),
    ],
    ids=["html", "nothing", "list", "text", "nulls", "bytes"],
)
def test_error_without_the_usual_body_is_still_told(
    server: Canner, arm: Arm, body: bytes, code: str, text: str
) -> None:
    server.answers.append(Canned(status=502, body=body))
    with pytest.raises(TransientError, match=text) as caught:
        arm.put("/models", {})
    assert caught.value.code == code
    assert "None" not in str(caught.value)


UTF8 = {"Content-Type": "application/json; charset=utf-8"}


@pytest.mark.parametrize(
    "answer",
    [
        Canned(body=b"<html>sign in</html>"),
        Canned(body=b'{"value": ['),
        Canned(body=b'{"a": "\xff"}', headers=UTF8),
        Canned(body=b'{"value": []}', length=50),
        Canned(body=b"", headers={"Content-Encoding": "gzip"}, length=9),
        Canned(body=b"not gzip", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["html", "half", "not-utf8", "cut-off", "empty-gzip", "bad-gzip"],
)
@pytest.mark.parametrize("method", ["get", "put"])
def test_answer_that_cannot_be_read_is_transient(
    server: Canner, arm: Arm, answer: Canned, method: str
) -> None:
    server.answers.append(answer)
    with pytest.raises(TransientError, match="/models"):
        getattr(arm, method)(*(("/models", {}) if method == "put" else ("/models",)))


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"7"], ids=repr)
def test_read_that_answers_no_object_is_not_taken_for_absence(
    server: Canner, arm: Arm, body: bytes
) -> None:
    server.answers.append(Canned(body=body))
    with pytest.raises(TransientError, match="no JSON object"):
        arm.get("/models")


@pytest.mark.parametrize("body", [b"", b"null"], ids=repr)
def test_write_may_answer_nothing(server: Canner, arm: Arm, body: bytes) -> None:
    server.answers += [Canned(status=202, body=body)] * 2
    assert arm.put("/models", {}) == ""
    arm.delete("/models")


@pytest.mark.parametrize("code", ["SubscriptionNotFound", "ResourceGroupNotFound"])
def test_missing_subscription_is_not_a_missing_model(server: Canner, code: str) -> None:
    body = json.dumps({"error": {"code": code, "message": "no such"}}).encode()
    server.answers.append(Canned(status=404, body=body))
    with pytest.raises(WorkspaceError, match=code) as caught:
        workspace(server, AnyToken()).get_model_version("fraud", "1")
    assert not isinstance(caught.value, TransientError)
    assert caught.value.status == 404


def test_address_of_another_cloud_is_never_asked(server: Canner, arm: Arm) -> None:
    for url in ("https://elsewhere.example/x", f"{server.url}.example/x"):
        with pytest.raises(WorkspaceError, match="not an address"):
            arm.get_url(url)
        with pytest.raises(WorkspaceError, match="not an address"):
            arm.post_url(url, {})
    assert server.asked == []


def test_nobody_listening_is_transient() -> None:
    arm = Arm(resource_manager="https://localhost:1", credential=AnyToken(), root=WORKSPACE)
    with pytest.raises(TransientError, match="/models"):
        arm.get("/models")


# --- scoring


def endpoint_body(server: Canner, mode: str) -> Canned:
    properties = {"scoringUri": f"{server.url}/score", "authMode": mode}
    return Canned(body=json.dumps({"properties": properties}).encode())


KEYS = Canned(body=b'{"primaryKey": "k", "secondaryKey": "l"}')


def test_answer_of_a_model_that_is_no_text_is_an_answer(server: Canner) -> None:
    server.answers += [
        endpoint_body(server, "Key"),
        KEYS,
        Canned(body=b"\x89PNG\xff", headers={"Content-Type": "text/plain; charset=utf-8"}),
    ]
    found = workspace(server, AnyToken()).score("fraud", "blue", "{}")
    assert found.status == 200
    assert "PNG" in found.body


def test_answer_that_is_cut_off_is_no_answer(server: Canner) -> None:
    server.answers += [endpoint_body(server, "Key"), KEYS, Canned(body=b"[1", length=50)]
    found = workspace(server, AnyToken()).score("fraud", "blue", "{}")
    assert found.status is None
    assert found.error


@pytest.mark.parametrize("status", [429, 500, 503])
def test_scoring_request_is_sent_once_whatever_it_answers(server: Canner, status: int) -> None:
    answer = Canned(status=status, body=b"busy", headers={"Retry-After": "0"})
    server.answers += [endpoint_body(server, "Key"), KEYS, answer]
    found = workspace(server, AnyToken()).score("fraud", "blue", "{}")
    assert (found.status, found.body) == (status, "busy")
    assert [one.split()[0] for one in server.asked] == ["GET", "POST", "POST"]


class NoDataPlane(AnyToken):
    """A credential that has tokens for Azure Resource Manager alone."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        if "ml.azure.com" in scopes[0]:
            raise exceptions.ClientAuthenticationError("no token for that")
        return super().get_token(*scopes, **options)


def test_token_that_cannot_be_had_for_scoring_is_transient(server: Canner) -> None:
    server.answers.append(endpoint_body(server, "AADToken"))
    with pytest.raises(TransientError, match="no token for that") as caught:
        workspace(server, NoDataPlane()).score("fraud", "blue", "{}")
    assert caught.value.code == "NoToken"
