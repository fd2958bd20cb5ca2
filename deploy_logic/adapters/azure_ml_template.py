"""Creates endpoints and deployments from `az ml` YAML through azure-ai-ml, and asks it about them.

Imported only by what creates and by `rolloutctl check`: azure-ai-ml costs over a second and 70 MB.
"""

import functools
import io
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from azure.ai.ml import MLClient, load_online_deployment, load_online_endpoint
from azure.ai.ml._schema._deployment.online.online_deployment import (
    KubernetesOnlineDeploymentSchema,
    ManagedOnlineDeploymentSchema,
)
from azure.ai.ml._schema._endpoint.online.online_endpoint import (
    KubernetesOnlineEndpointSchema,
    ManagedOnlineEndpointSchema,
)
from azure.ai.ml.constants._common import BASE_PATH_CONTEXT_KEY
from azure.ai.ml.exceptions import MlException
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, DeserializationError, HttpResponseError
from marshmallow.exceptions import ValidationError

from deploy_logic.adapters.arm import AGAIN, read_retry_after
from deploy_logic.adapters.azure_ml_reason import clean, complain_of_messages
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.plan.plan import Plan
from deploy_logic.settings import PUBLIC_CLOUD, WORKSPACE_ID
from deploy_logic.template.place import TemplateComplaint, Where, complain, read
from deploy_logic.template.template import Kind, check_template, fill_template, read_compute

_SCHEMAS: Final = {
    ("deployment", "managed"): ManagedOnlineDeploymentSchema,
    ("deployment", "kubernetes"): KubernetesOnlineDeploymentSchema,
    ("endpoint", "managed"): ManagedOnlineEndpointSchema,
    ("endpoint", "kubernetes"): KubernetesOnlineEndpointSchema,
}
_SAMPLE: Final = {
    "MODEL_NAME": "model",
    "MODEL_VERSION": "1",
    "ENDPOINT_NAME": "endpoint",
    "DEPLOYMENT_NAME": "deployment",
    "SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000000",
    "RESOURCE_GROUP": "group",
    "WORKSPACE_NAME": "workspace",
}


def load_complaints(path: Path, text: str, *, kind: Kind) -> tuple[TemplateComplaint, ...]:
    """Return what azure-ai-ml finds wrong, without what check_template says already.

    Loads the template as a rollout would, with sample values; asks nothing of any network.
    """
    root = read(text)
    said = check_template(path, text, kind=kind)
    if isinstance(root, TemplateComplaint) or any(
        one.path in {"template", "$schema"} for one in said
    ):
        return ()

    def known_keys(where: Where) -> Iterable[str]:
        return _known_keys(kind, read_compute(text, kind=kind) or "managed", where[:-1])

    try:
        with _without_warnings():
            _load(fill_template(text, _SAMPLE), path, kind, _SAMPLE)
    except ValidationError as error:
        cause = error.__cause__ if isinstance(error.__cause__, ValidationError) else error
        found = complain_of_messages(
            root, cause.messages, folder=path.parent.absolute(), known_keys=known_keys
        )
    except Exception as error:  # noqa: BLE001 - whatever it stops with, a rollout would stop too
        reason = clean(str(error)).replace(f"{path.parent.absolute()}/", "")
        given = f"azure-ai-ml stops with {type(error).__name__}: {reason}"
        found = (complain(root, (), given, f"an online {kind} that it can load"),)
    else:
        return ()
    paths = {one.path for one in said}
    return tuple(one for one in found if one.path not in paths)


def create_endpoint(cloud: Mapping[str, str], credential: TokenCredential, plan: Plan) -> None:
    """Send the endpoint of the plan's template; returns when Azure has accepted it."""
    what = f"creating endpoint {plan.endpoint!r}"

    def create() -> None:
        endpoint = _load_for(plan, plan.creation.endpoint_template, "endpoint")
        # cannot be set before there are deployments
        endpoint.traffic = {}
        endpoint.mirror_traffic = {}
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
        deployment = _load_for(plan, plan.creation.template, "deployment")
        deployment.tags = {**(deployment.tags or {}), **receipt}
        client = _client(cloud, credential, plan.workspace)
        operations = client.online_deployments
        _do_not_poll(operations._online_deployment)  # noqa: SLF001 - see _do_not_poll
        _do_not_ask(client, plan)
        operations.begin_create_or_update(deployment)

    _translate(what, create)


def _load_for(plan: Plan, text: str, kind: Kind) -> Any:  # noqa: ANN401 - an entity of the SDK
    """Return what the template describes, filled for the plan; WorkspaceError says why not."""
    path = Path(plan.creation.folder) / f"{kind}.yml"
    complaints = check_template(path, text, kind=kind)
    if complaints:
        told = "; ".join(str(one) for one in complaints)
        raise WorkspaceError(f"reading the {kind} template: {told}", code="BadTemplate")
    subscription, group, workspace = _names_of(plan.workspace)
    values = {
        "MODEL_NAME": plan.model,
        "MODEL_VERSION": plan.version,
        "ENDPOINT_NAME": plan.endpoint,
        "DEPLOYMENT_NAME": plan.candidate,
        "SUBSCRIPTION_ID": subscription,
        "RESOURCE_GROUP": group,
        "WORKSPACE_NAME": workspace,
    }
    return _load(fill_template(text, values), path, kind, values)


def _load(text: str, path: Path, kind: Kind, values: Mapping[str, str]) -> Any:  # noqa: ANN401
    origin = str(path.absolute())
    if kind == "endpoint":
        override = [{"name": values["ENDPOINT_NAME"]}]
        return load_online_endpoint(
            io.StringIO(text), relative_origin=origin, params_override=override
        )
    override = [
        {"name": values["DEPLOYMENT_NAME"]},
        {"endpoint_name": values["ENDPOINT_NAME"]},
        {"model": f"azureml:{values['MODEL_NAME']}:{values['MODEL_VERSION']}"},
    ]
    return load_online_deployment(
        io.StringIO(text), relative_origin=origin, params_override=override
    )


def _known_keys(kind: Kind, compute: str, where: Where) -> set[str]:
    """Return the keys that azure-ai-ml knows in the mapping at a place."""
    schemas: list[Any] = [_SCHEMAS[kind, compute](context={BASE_PATH_CONTEXT_KEY: Path()})]
    for part in where:
        fields = [schema.fields[part] for schema in schemas if part in schema.fields]
        forms = [form for field in fields for form in getattr(field, "union_fields", [field])]
        schemas = [form.schema for form in forms if hasattr(form, "schema")]
    return {
        field.data_key or name
        for schema in schemas
        for name, field in schema.fields.items()
        if not field.dump_only
    }


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep azure-ai-ml from warning about its own experimental fields on stderr."""
    logger = logging.getLogger("azure.ai.ml")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _client(cloud: Mapping[str, str], credential: TokenCredential, workspace: str) -> MLClient:
    # The SDK remembers a name's first cloud for the whole process, and drops another one silently.
    name = f"Configured {cloud['resource_manager']}"
    is_public = dict(cloud) == PUBLIC_CLOUD
    elsewhere = {} if is_public else {"cloud": name, "cloud_metadata": dict(cloud)}
    return MLClient(
        credential,
        *_names_of(workspace),
        show_progress=False,
        enable_telemetry=False,
        retry_total=0,  # we decide when to ask again
        **elsewhere,
    )


def _names_of(workspace: str) -> tuple[str, str, str]:
    """Return subscription, resource group and name of a workspace's id."""
    found = WORKSPACE_ID.fullmatch(workspace)
    if found is None:
        raise WorkspaceError(f"{workspace!r} is not the id of a workspace")
    subscription, group, name = found.groups()
    return subscription, group, name


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


def _do_not_ask(client: Any, plan: Plan) -> None:  # noqa: ANN401 - private parts of the SDK
    """Have the SDK leave out what is known, or what the PUT itself would say.

    It asks whether the endpoint exists, where the workspace is, and, of code that it has just found
    by its hash, once more for the id. The SDK is pinned, and a contract test counts the requests.
    """
    operations, code = client.online_deployments, client._code  # noqa: SLF001 - nothing public
    operations._online_endpoint_operations = SimpleNamespace(  # noqa: SLF001 - as above
        get=lambda **_arguments: None
    )
    if plan.region:
        operations._get_workspace_location = lambda: plan.region  # noqa: SLF001 - as above
    code.get = lambda name, version: SimpleNamespace(
        id=f"{plan.workspace}/codes/{name}/versions/{version}"
    )


def _translate(what: str, create: Callable[[], None]) -> None:
    try:
        create()
    except (AzureError, ValidationError, ValueError, OSError) as error:
        raise _explain(what, _unwrap(error)) from error


def _unwrap(error: Exception) -> Exception:
    """Return what the SDK has wrapped into an exception of its own, as a lost connection."""
    cause = error.__cause__
    if isinstance(error, MlException) and isinstance(cause, (AzureError, ValueError)):
        return cause
    return error


def _explain(what: str, error: Exception) -> WorkspaceError:
    if isinstance(error, HttpResponseError):
        return _refusal(what, error)
    if isinstance(error, AzureError) and not isinstance(error, MlException):
        return TransientError(f"{what}: {clean(error.message)}")  # no connection, no token
    if isinstance(error, DeserializationError):  # a ValueError, but of Azure's answer
        return TransientError(f"{what}: {clean(str(error))}")
    return WorkspaceError(f"{what}: {clean(str(error))}", code="BadTemplate")


def _refusal(what: str, error: HttpResponseError) -> WorkspaceError:
    if error.response is None:  # the SDK's own name for no token, or for half an answer
        return TransientError(f"{what}: {clean(error.message)}", code=type(error).__name__)
    code = getattr(error.error, "code", "") or ""
    message = f"{what}: {error.status_code} {code}: {clean(error.message)}"
    if error.status_code in AGAIN:
        after = read_retry_after(getattr(error.response, "headers", {}))  # untyped in the SDK
        return TransientError(message, code=code, retry_after=after)
    return WorkspaceError(message, code=code, status=error.status_code)
