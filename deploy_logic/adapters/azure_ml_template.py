"""Creates endpoints and deployments from `az ml` YAML through azure-ai-ml.

Imported only by the activities that create: azure-ai-ml costs over a second and 70 MB.
"""

import functools
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from azure.ai.ml import MLClient, load_online_deployment, load_online_endpoint
from azure.ai.ml.exceptions import MlException
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, DeserializationError, HttpResponseError
from marshmallow.exceptions import ValidationError

from deploy_logic.adapters.arm import AGAIN, read_retry_after
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.plan import Plan
from deploy_logic.settings import PUBLIC_CLOUD, WORKSPACE_ID

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_PLACEHOLDER = re.compile(r"\{\{\s*([A-Z_]+)\s*\}\}")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def create_endpoint(cloud: Mapping[str, str], credential: TokenCredential, plan: Plan) -> None:
    """Send the endpoint of the plan's template; returns when Azure has accepted it."""
    what = f"creating endpoint {plan.endpoint!r}"

    def create() -> None:
        text = fill(plan.creation.endpoint_template, plan)
        endpoint = load_online_endpoint(
            io.StringIO(text),
            relative_origin=str(Path(plan.creation.folder) / "endpoint.yml"),
            params_override=[{"name": plan.endpoint}],
        )
        endpoint.traffic = {}  # cannot be set before there are deployments
        client = _client(cloud, credential, plan.workspace)
        operations = client.online_endpoints
        _do_not_poll(operations._online_operation)  # noqa: SLF001 - see _do_not_poll
        operations.begin_create_or_update(endpoint)

    _translate(what, create)


def create_deployment(
    cloud: Mapping[str, str], credential: TokenCredential, plan: Plan, receipt: Mapping[str, str]
) -> None:
    """Send the candidate of the plan's template; returns when Azure has accepted it.

    Local code is uploaded and assets are resolved before that. receipt goes to its tags.
    """
    what = f"creating deployment {plan.candidate!r}"

    def create() -> None:
        text = fill(plan.creation.template, plan)
        deployment = load_online_deployment(
            io.StringIO(text),
            relative_origin=str(Path(plan.creation.folder) / "deployment.yml"),
            params_override=[
                {"name": plan.candidate},
                {"endpoint_name": plan.endpoint},
                {"model": f"azureml:{plan.model}:{plan.version}"},
            ],
        )
        deployment.tags = {**(deployment.tags or {}), **receipt}
        client = _client(cloud, credential, plan.workspace)
        operations = client.online_deployments
        _do_not_poll(operations._online_deployment)  # noqa: SLF001 - see _do_not_poll
        operations.begin_create_or_update(deployment)

    _translate(what, create)


def fill(template: str, plan: Plan) -> str:
    """Return the template with its {{PLACEHOLDERS}} replaced; WorkspaceError names a wrong one."""
    values = {
        "MODEL_NAME": plan.model,
        "MODEL_VERSION": plan.version,
        "ENDPOINT_NAME": plan.endpoint,
        "DEPLOYMENT_NAME": plan.candidate,
    }

    def replace(found: re.Match[str]) -> str:
        value = values.get(found[1])
        if value is None:
            known = ", ".join(values)
            raise WorkspaceError(f"filling the template: {found[0]} is not one of {known}")
        if _PLAIN_VALUE.fullmatch(value) is None:
            # it could end the YAML value and begin another
            raise WorkspaceError(f"filling the template: {value!r} cannot stand for {found[0]}")
        return value

    return _PLACEHOLDER.sub(replace, template)


def _client(cloud: Mapping[str, str], credential: TokenCredential, workspace: str) -> MLClient:
    found = WORKSPACE_ID.fullmatch(workspace)
    if found is None:
        raise WorkspaceError(f"{workspace!r} is not the id of a workspace")
    # The SDK remembers a name's first cloud for the whole process, and drops another one silently.
    name = f"Configured {cloud['resource_manager']}"
    is_public = dict(cloud) == PUBLIC_CLOUD
    elsewhere = {} if is_public else {"cloud": name, "cloud_metadata": dict(cloud)}
    return MLClient(
        credential,
        *found.groups(),
        show_progress=False,
        enable_telemetry=False,
        retry_total=0,  # we decide when to ask again
        **elsewhere,
    )


def _do_not_poll(generated: Any) -> None:  # noqa: ANN401 - a private client of the SDK
    """Have the SDK send one PUT and return.

    Its public methods always start a thread that asks every five seconds until the end. The
    generated client below takes polling=False; the SDK is pinned, and a contract test counts the
    requests. Until begin_create_or_update takes polling itself.
    """
    send: Callable[..., Any] = generated.begin_create_or_update

    @functools.wraps(send)
    def send_once(**arguments: Any) -> Any:  # noqa: ANN401
        return send(**{**arguments, "polling": False})

    generated.begin_create_or_update = send_once


def _translate(what: str, create: Callable[[], None]) -> None:
    try:
        create()
    except HttpResponseError as error:
        raise _refusal(what, error) from error
    except DeserializationError as error:  # a ValueError, but of Azure's answer
        raise TransientError(f"{what}: {_clean(str(error))}") from error
    except (MlException, ValidationError, ValueError, OSError) as error:
        raise WorkspaceError(f"{what}: {_clean(str(error))}", code="BadTemplate") from error
    except AzureError as error:  # no connection, no token
        raise TransientError(f"{what}: {_clean(error.message)}") from error


def _refusal(what: str, error: HttpResponseError) -> WorkspaceError:
    if error.response is None:  # the SDK's own name for no token, or for half an answer
        return TransientError(f"{what}: {_clean(error.message)}", code=type(error).__name__)
    code = getattr(error.error, "code", "") or ""
    message = f"{what}: {error.status_code} {code}: {_clean(error.message)}"
    if error.status_code in AGAIN:
        after = read_retry_after(getattr(error.response, "headers", {}))  # untyped in the SDK
        return TransientError(message, code=code, retry_after=after)
    return WorkspaceError(message, code=code, status=error.status_code)


def _clean(text: str) -> str:
    """Return the SDK's reason without its colours, on one line."""
    return " ".join(_COLOURS.sub("", text).split())
