"""Azure Resource Manager over azure-core's pipeline: one request, one answer, our own exceptions.

No retries and no polling here: whoever calls decides when to ask again, between durable timers.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.policies import HeadersPolicy, RequestIdPolicy, UserAgentPolicy
from azure.core.rest import HttpRequest, HttpResponse
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

from deploy_logic.duration import parse_retry_after
from deploy_logic.errors import TransientError, WorkspaceError

# The newest stable version that has every resource used here:
# https://learn.microsoft.com/rest/api/azureml/
API_VERSION = "2024-10-01"

_CONNECT, _READ = 5, 25  # seconds; an activity must be over well within a minute
_NOT_FOUND = 404
_FIRST_REFUSAL = 300  # a redirect is one too: nobody here follows it
AGAIN = frozenset({408, 429, 500, 502, 503, 504})
# A 404 about these says nothing about the resource that was asked for.
_NOWHERE = frozenset({"SubscriptionNotFound", "ResourceGroupNotFound"})
_LONGEST_QUOTE = 300

type Body = dict[str, Any]


class Arm:
    """Requests under one resource id."""

    def __init__(self, *, resource_manager: str, credential: TokenCredential, root: str) -> None:
        """Take the cloud's address and the id that every path here starts with."""
        base = resource_manager.rstrip("/")
        policies = [
            RequestIdPolicy(),
            HeadersPolicy(),
            UserAgentPolicy("azure-ml-continuous-deployment"),
            ARMChallengeAuthenticationPolicy(credential, f"{base}/.default"),
        ]
        self._client: PipelineClient[Any, Any] = PipelineClient(base, policies=policies)
        self._base = base
        self._root = root

    def get(self, path: str, **query: str) -> Body | None:
        """Return the resource, or None when there is none."""
        return self._send("GET", path, query=query)

    def get_url(self, url: str) -> Body | None:
        """Return what an absolute address of the same cloud answers, or None when not found."""
        if not url.lower().startswith(f"{self._base.lower()}/"):
            raise WorkspaceError(f"reading {url!r}: it is not an address of {self._base}")
        return self._ask(HttpRequest("GET", url), what=f"reading {url}")

    def post_url(self, url: str, body: Body) -> Body | None:
        """Return what an absolute address answers to the body, or None when not found."""
        if not url.lower().startswith(f"{self._base.lower()}/"):
            raise WorkspaceError(f"asking {url!r}: it is not an address of {self._base}")
        return self._ask(HttpRequest("POST", url, json=body), what=f"asking {url}")

    def put(self, path: str, body: Body) -> str:
        """Create or replace the resource; returns the address of the operation that goes on.

        It is empty where Azure names none.
        """
        url = f"{self._base}{self._root}{path}"
        request = HttpRequest("PUT", url, params={"api-version": API_VERSION}, json=body)
        _, headers = self._exchange(request, what=f"PUT {path or self._root}")
        return headers.get("Azure-AsyncOperation", "")

    def post(self, path: str, body: Body) -> Body | None:
        """Call an action of the resource."""
        return self._send("POST", path, body=body)

    def delete(self, path: str) -> None:
        """Delete the resource; Azure goes on after it has answered."""
        self._send("DELETE", path)

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Body | None:
        parameters = {"api-version": API_VERSION, **(query or {})}
        url = f"{self._base}{self._root}{path}"
        request = HttpRequest(method, url, params=parameters, json=body)
        return self._ask(request, what=f"{method} {path or self._root}")

    def _ask(self, request: HttpRequest, *, what: str) -> Body | None:
        found, _ = self._exchange(request, what=what)
        return found

    def _exchange(
        self, request: HttpRequest, *, what: str
    ) -> tuple[Body | None, Mapping[str, str]]:
        try:
            response: HttpResponse = self._client.send_request(
                request, connection_timeout=_CONNECT, read_timeout=_READ
            )
        except ClientAuthenticationError as error:
            # A new role assignment can take an hour to hold, and the identity endpoint can be
            # down: worth asking again.
            raise TransientError(f"{what}: no token: {error.message}", code="NoToken") from error
        except (AzureError, ValueError) as error:  # its (de)serialization errors are no AzureError
            raise TransientError(f"{what}: {error}", code=type(error).__name__) from error
        if response.status_code >= _FIRST_REFUSAL:
            refusal = _refusal(what, response)
            if response.status_code == _NOT_FOUND and refusal.code not in _NOWHERE:
                return None, response.headers
            raise refusal
        found = _read(what, response.content)
        if found is None and request.method == "GET":
            # None would mean that there is no such resource
            raise TransientError(f"{what}: the answer is no JSON object", code="NoAnswer")
        return found, response.headers


def _read(what: str, content: bytes) -> Body | None:
    try:
        body = json.loads(content) if content.strip() else None
    except ValueError as error:
        quote = content[:_LONGEST_QUOTE].decode(errors="replace")
        raise TransientError(f"{what}: the answer is not JSON: {quote}", code="NoAnswer") from error
    return body if isinstance(body, dict) else None


def _refusal(what: str, response: HttpResponse) -> WorkspaceError:
    status = response.status_code
    code, message = read_error(response.content.decode(errors="replace"))
    sentence = f"{what}: {status} {code}: {message}"
    if status in AGAIN:
        return TransientError(sentence, code=code, retry_after=read_retry_after(response.headers))
    return WorkspaceError(sentence, code=code, status=status)


def read_error(text: str) -> tuple[str, str]:
    """Return code and message of an ARM error body, or what there is."""
    try:
        error = json.loads(text)["error"]
        return str(error.get("code") or ""), str(error.get("message") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", text[:_LONGEST_QUOTE]


def read_retry_after(headers: Mapping[str, str]) -> timedelta:
    """Return the seconds of Retry-After; its date form counts as not said."""
    return parse_retry_after(headers.get("Retry-After"))
