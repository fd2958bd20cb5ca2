"""One Azure ML workspace: the Workspace port on Azure Resource Manager.

There is no ETag on these resources: read, change only what is ours, write, read back.
"""

import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest

from deploy_logic.adapters.arm import API_VERSION, Arm, Body
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.gate.gate import Answer
from deploy_logic.plan.plan import Deployment, ModelVersion, Plan
from deploy_logic.ports import Capacity, DeploymentState, EndpointState
from deploy_logic.template.template import read_machines

RECEIPT = "rollout_id"  # the tag by which a deployment is known to be ours
_OPERATION = "AzureAsyncOperationUri"  # in which a resource names its last operation
_DATA_PLANE = "https://ml.azure.com/.default"
_SCORE_TIMEOUT = 45  # seconds; an activity must be over within a minute
_KEY_LIFE = 600  # seconds that a scoring key is remembered
_LONGEST_ANSWER = 20_000  # characters of an answer that are kept
_UNAUTHORIZED = 401
# Azure keeps a fifth of a managed deployment's cores for its upgrades:
# https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas
_RESERVE = 1.2


class AzureMl:
    """The Workspace port, for one workspace."""

    def __init__(
        self, workspace: str, *, cloud: Mapping[str, str], credential: TokenCredential
    ) -> None:
        """Take the workspace's ARM id; nothing is asked yet."""
        self._workspace = workspace
        self._cloud = cloud
        self._credential = credential
        self._arm = Arm(
            resource_manager=cloud["resource_manager"], credential=credential, root=workspace
        )
        self._scoring: PipelineClient[Any, Any] = PipelineClient("", policies=[])
        self._access: dict[str, tuple[float, str, str]] = {}  # endpoint: until, uri, authorization
        self._sizes: dict[str, dict[str, Body]] = {}  # machines by region and by name

    def get_model_version(self, model: str, version: str) -> ModelVersion | None:
        """Return the registered version, or None when there is none."""
        found = self._arm.get(f"/models/{quote(model)}/versions/{quote(version)}")
        return None if found is None else _model_version(found)

    def list_models(self) -> tuple[str, ...]:
        """Return the name of every model that is not archived, page after page."""
        found = self._arm.get("/models", listViewType="ActiveOnly") or {}
        names = [one["name"] for one in found.get("value", ())]
        while found.get("nextLink"):
            found = self._arm.get_url(found["nextLink"]) or {}
            names += [one["name"] for one in found.get("value", ())]
        return tuple(names)

    def list_model_versions(self, model: str, *, newest: int) -> tuple[ModelVersion, ...]:
        """Return the versions registered last, newest first, archived ones left out."""
        path = f"/models/{quote(model)}/versions"
        query = {"$orderBy": "createdtime desc", "$top": str(newest), "listViewType": "ActiveOnly"}
        found = self._arm.get(path, **query) or {}
        return tuple(_model_version(one) for one in found.get("value", ())[:newest])

    def get_endpoint(self, endpoint: str) -> EndpointState | None:
        """Return the endpoint, or None when there is none."""
        found = self._arm.get(_endpoint(endpoint))
        if found is None:
            return None
        properties = found["properties"]
        return EndpointState(
            provisioning_state=properties.get("provisioningState", ""),
            traffic=properties.get("traffic") or {},
            mirror=properties.get("mirrorTraffic") or {},
            region=str(found.get("location") or ""),
            operation=_operation((properties.get("properties") or {}).get(_OPERATION)),
            whole=found,
        )

    def list_deployments(self, endpoint: str) -> tuple[Deployment, ...]:
        """Return the endpoint's deployments; Azure allows 20, far below one page."""
        found = self._arm.get(f"{_endpoint(endpoint)}/deployments") or {}
        return tuple(
            Deployment(
                name=one["name"],
                model_id=one["properties"].get("model") or "",
                rollout_id=(one.get("tags") or {}).get(RECEIPT, ""),
            )
            for one in found.get("value", ())
        )

    def get_deployment(self, endpoint: str, deployment: str) -> DeploymentState | None:
        """Return the deployment, or None; a failed one with code and message of the failure."""
        found = self._arm.get(_deployment(endpoint, deployment))
        if found is None:
            return None
        state = found["properties"].get("provisioningState", "")
        code, message = self._why(found) if state in {"Failed", "Canceled"} else ("", "")
        return DeploymentState(
            provisioning_state=state,
            rollout_id=(found.get("tags") or {}).get(RECEIPT, ""),
            code=code,
            message=message,
        )

    def find_capacity(self, plan: Plan) -> Capacity | None:
        """Return what the candidate needs and what is free; None when that does not apply."""
        machines = read_machines(plan.creation.template)
        if machines is None:
            return None
        kind, count = machines
        # an endpoint that is still to be created will be where its workspace is
        region = plan.region or str((self._arm.get("") or {}).get("location", ""))
        size = self._find_size(region, kind.lower())
        if size is None:
            return None
        usages = {one["name"]["value"]: one for one in self._read_region(region, "usages")}
        usage = usages.get(size["family"])
        if usage is None:
            return None
        return Capacity(
            family=size["family"],
            needed=math.ceil(size["vCPUs"] * count * _RESERVE),
            free=usage["limit"] - usage["currentValue"],
        )

    def _find_size(self, region: str, kind: str) -> Body | None:
        """Return what Azure says of machines of this kind; asked again only for one unheard of."""
        if kind not in self._sizes.get(region, {}):
            found = self._read_region(region, "vmSizes")
            self._sizes[region] = {one["name"].lower(): one for one in found}
        return self._sizes[region].get(kind)

    def _read_region(self, region: str, what: str) -> list[Body]:
        subscription = "/".join(self._workspace.split("/")[:3])
        provider = "providers/Microsoft.MachineLearningServices"
        base = self._cloud["resource_manager"].rstrip("/")
        url = f"{base}{subscription}/{provider}/locations/{quote(region)}/{what}"
        found = self._arm.get_url(f"{url}?api-version={API_VERSION}") or {}
        return list(found.get("value", ()))

    def create_endpoint(self, plan: Plan) -> None:
        """Ask for the endpoint of the plan's template; does not wait."""
        # azure-ai-ml takes over a second to import: only the activities that need it pay
        from deploy_logic.adapters import azure_ml_template  # noqa: PLC0415

        azure_ml_template.create_endpoint(self._cloud, self._credential, plan)

    def create_deployment(self, plan: Plan) -> None:
        """Ask for the candidate at weight 0 from the plan's template; does not wait."""
        from deploy_logic.adapters import azure_ml_template  # noqa: PLC0415 - see above

        receipt = {RECEIPT: plan.rollout_id, "rollout_policy": plan.policy}
        azure_ml_template.create_deployment(self._cloud, self._credential, plan, receipt)

    def set_traffic(
        self,
        endpoint: str,
        weights: Mapping[str, int],
        *,
        mirror: Mapping[str, int] | None = None,
        seen: EndpointState | None = None,
    ) -> str:
        """Ask for these weights and change nothing else; deployments not named get none."""
        found = self._arm.get(_endpoint(endpoint)) if seen is None else seen.whole
        if found is None:
            message = f"setting weights: endpoint {endpoint!r} does not exist"
            raise WorkspaceError(message, status=404)
        properties = {**found["properties"], "traffic": dict(weights)}
        if mirror is not None:
            properties["mirrorTraffic"] = dict(mirror)
        for read_only in ("scoringUri", "swaggerUri", "provisioningState"):
            properties.pop(read_only, None)
        body = {key: found[key] for key in ("location", "tags", "kind", "sku") if found.get(key)}
        if found.get("identity"):
            body["identity"] = _identity(found["identity"])
        return _operation(self._arm.put(_endpoint(endpoint), {**body, "properties": properties}))

    def delete_deployment(self, endpoint: str, deployment: str) -> None:
        """Ask for the deployment to be deleted; does not wait."""
        self._arm.delete(_deployment(endpoint, deployment))

    def get_logs(self, endpoint: str, deployment: str, *, lines: int) -> str:
        """Return the end of the inference server's log; empty when there is none."""
        path = f"{_deployment(endpoint, deployment)}/getLogs"
        body = {"containerType": "InferenceServer", "tail": lines}
        found = self._arm.post(path, body)
        return str((found or {}).get("content") or "")

    def score(self, endpoint: str, deployment: str, body: str) -> Answer:
        """Send one request to this very deployment, whatever the weights are."""
        uri, authorization = self._authorise(endpoint)
        headers = {
            "Content-Type": "application/json",
            "azureml-model-deployment": deployment,
            "Authorization": authorization,
        }
        request = HttpRequest("POST", uri, headers=headers, content=body.encode())
        begin = time.monotonic()
        try:
            response = self._scoring.send_request(
                request, connection_timeout=5, read_timeout=_SCORE_TIMEOUT
            )
        except (AzureError, ValueError) as error:
            took = round((time.monotonic() - begin) * 1000)
            return Answer(status=None, milliseconds=took, error=str(error))
        text = response.content.decode(errors="replace")  # a model may answer an image
        if response.status_code == _UNAUTHORIZED:
            self._access.pop(endpoint, None)  # the keys were changed: read them again next time
        took = round((time.monotonic() - begin) * 1000)
        status = response.status_code
        return Answer(
            status=status,
            milliseconds=took,
            body=text[:_LONGEST_ANSWER],
            is_cut=len(text) > _LONGEST_ANSWER,
        )

    def _authorise(self, endpoint: str) -> tuple[str, str]:
        """Return the scoring address and what the Authorization header must say."""
        until, uri, authorization = self._access.get(endpoint, (0.0, "", ""))
        if time.monotonic() < until:
            return uri, authorization
        found = self._arm.get(_endpoint(endpoint))
        if found is None or not found["properties"].get("scoringUri"):
            raise WorkspaceError(f"scoring: endpoint {endpoint!r} has no scoring address")
        uri = found["properties"]["scoringUri"]
        authorization = f"Bearer {self._secret(endpoint, found['properties'].get('authMode', ''))}"
        self._access[endpoint] = (time.monotonic() + _KEY_LIFE, uri, authorization)
        return uri, authorization

    def _secret(self, endpoint: str, mode: str) -> str:
        match mode.lower():
            case "key":
                keys = self._arm.post(f"{_endpoint(endpoint)}/listKeys", {}) or {}
                return str(keys.get("primaryKey", ""))
            case "amltoken":
                token = self._arm.post(f"{_endpoint(endpoint)}/token", {}) or {}
                return str(token.get("accessToken", ""))
            case _:
                return self._token()

    def _token(self) -> str:
        try:
            return self._credential.get_token(_DATA_PLANE).token
        except AzureError as error:  # as for the control plane: worth asking again
            raise TransientError(f"scoring: no token: {error.message}", code="NoToken") from error

    def _why(self, found: Body) -> tuple[str, str]:
        """Return code and message of a failure, from the operation that the resource names."""
        extra = found["properties"].get("properties") or {}
        url = extra.get(_OPERATION, "")
        try:
            operation = self._arm.get_url(url) if url else None
        except WorkspaceError as unread:  # the state is known all the same
            return "", f"the reason could not be read: {unread}"
        error = (operation or {}).get("error") or {}
        return str(error.get("code", "")), str(error.get("message", ""))


def _endpoint(endpoint: str) -> str:
    return f"/onlineEndpoints/{quote(endpoint)}"


def _operation(url: object) -> str:
    """Return the name of an operation from its address."""
    return str(url or "").partition("?")[0].rpartition("/")[2].lower()


def _deployment(endpoint: str, deployment: str) -> str:
    return f"{_endpoint(endpoint)}/deployments/{quote(deployment)}"


def _model_version(found: Body) -> ModelVersion:
    properties = found.get("properties") or {}
    return ModelVersion(
        version=re.split(r"/versions/", found["id"], flags=re.IGNORECASE)[-1],
        id=found["id"],
        tags=_texts(properties.get("tags")),
        properties=_texts(properties.get("properties")),
        is_archived=bool(properties.get("isArchived")),
        created=_time((found.get("systemData") or {}).get("createdAt")),
        created_by=str((found.get("systemData") or {}).get("createdBy") or ""),
    )


def _texts(found: Body | None) -> dict[str, str]:
    return {key: str(value) for key, value in (found or {}).items()}


def _time(text: object) -> datetime | None:
    """Return the time; Azure writes seven digits of a second, and Python reads six."""
    try:
        found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", str(text)))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _identity(found: Body) -> Body:
    """Return the identity as it may be written: Azure refuses the ids that it adds itself."""
    identity: Body = {"type": found.get("type", "None")}
    if found.get("userAssignedIdentities"):
        identity["userAssignedIdentities"] = {key: {} for key in found["userAssignedIdentities"]}
    return identity
