"""Azure Monitor's routes: the metrics of one resource, of many at once, and what there is to ask.

Refusals come as Azure Monitor words them: code and message without an envelope.
"""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import web

from local.azure_ml.deployments import Deployments
from local.azure_ml.endpoints import Endpoints
from local.azure_ml.errors import ArmError
from local.azure_ml.metrics import query as queries
from local.azure_ml.metrics import series
from local.azure_ml.metrics.definitions import (
    DEPLOYMENT_NAMESPACE,
    ENDPOINT_NAMESPACE,
    GRAIN,
    of_namespace,
)
from local.azure_ml.metrics.query import Query, bad_request
from local.azure_ml.metrics.record import Record
from local.azure_ml.store import Json
from local.azure_ml.web import Call, Router, answer
from local.azure_ml.workspace import Workspace

_ENDPOINT = "{workspace}/onlineEndpoints/{endpoint}"
_DEPLOYMENT = _ENDPOINT + "/deployments/{deployment}"
_INSIGHTS = "/providers/Microsoft.Insights"
_MOST_RESOURCES = 50
_RESOURCE = re.compile(
    r"/?(?P<workspace>.+)/onlineEndpoints/(?P<endpoint>[^/]+)(/deployments/(?P<deployment>[^/]+))?",
    re.IGNORECASE,
)

type _Handler = Callable[[Call], Awaitable[web.Response]]


class Metrics:
    """Answers what Azure Monitor answers of online endpoints and deployments."""

    def __init__(
        self, workspace: Workspace, record: Record, endpoints: Endpoints, deployments: Deployments
    ) -> None:
        self._workspace = workspace
        self._clock = workspace.clock
        self._record = record
        self._endpoints = endpoints
        self._deployments = deployments

    def add_to(self, router: Router) -> None:
        """Add the routes."""
        for resource in (_ENDPOINT, _DEPLOYMENT):
            base = resource + _INSIGHTS
            router.add("GET", f"{base}/metrics", _plain(self._list))
            router.add("GET", f"{base}/metricDefinitions", _plain(self._definitions))
            router.add("GET", f"{base}/metricNamespaces", _plain(self._namespaces))
        router.add("POST", "/subscriptions/{subscription}/metrics:getBatch", _plain(self._batch))

    async def _list(self, call: Call) -> web.Response:
        endpoint, deployment, resource_id = self._resource(
            call.names["endpoint"], call.names.get("deployment")
        )
        namespace = _namespace(deployment)
        asked = queries.read(call.query, namespace, self._clock.time())
        head = {"cost": _cost(asked), "timespan": f"{_iso(asked.start)}/{_iso(asked.end)}"}
        return answer(head | self._body(asked, endpoint, deployment, resource_id))

    async def _batch(self, call: Call) -> web.Response:
        ids = call.body.get("resourceids")
        if not isinstance(ids, list) or not 0 < len(ids) <= _MOST_RESOURCES:
            raise bad_request(f"resourceids must be a list of 1 to {_MOST_RESOURCES} resource ids")
        if "metricnamespace" not in call.query or "metricnames" not in call.query:
            raise bad_request("metricnamespace and metricnames are required")
        found = [self._of_id(str(given)) for given in ids]
        namespaces = {_namespace(deployment) for _, deployment, _ in found}
        if len(namespaces) > 1:
            raise bad_request("All resources of a batch must be of one type")
        asked = queries.read(call.query, namespaces.pop(), self._clock.time())
        span = {"starttime": _iso(asked.start), "endtime": _iso(asked.end)}
        values = [
            {
                **span,
                "resourceid": resource_id,
                **self._body(asked, endpoint, deployment, resource_id),
            }
            for endpoint, deployment, resource_id in found
        ]
        return answer({"values": values})

    def _body(self, asked: Query, endpoint: str, deployment: str | None, resource_id: str) -> Json:
        start = asked.start.timestamp() // 60 * 60
        minutes = self._record.minutes(endpoint, start, asked.end.timestamp())
        if deployment is not None:
            name = deployment.lower()
            minutes = (item for item in minutes if item[1].deployment.lower() == name)
        return {
            "interval": GRAIN,
            "namespace": _namespace(deployment),
            "resourceregion": self._workspace.location,
            "value": series.answer(asked, minutes, resource_id),
        }

    def values(self, resource_id: str, metric: str, aggregation: str, window: float) -> list[float]:
        """Give the numbers of the last minutes of one metric, undivided."""
        endpoint, deployment, own_id = self._of_id(resource_id)
        parameters = {"metricnames": metric, "aggregation": aggregation, "timespan": f"PT{window}S"}
        asked = queries.read(parameters, _namespace(deployment), self._clock.time())
        body = self._body(asked, endpoint, deployment, own_id)
        return [
            point[aggregation]
            for one in body["value"][0]["timeseries"]
            for point in one["data"]
            if aggregation in point
        ]

    async def _definitions(self, call: Call) -> web.Response:
        _, deployment, resource_id = self._resource(
            call.names["endpoint"], call.names.get("deployment")
        )
        found = of_namespace(_namespace(deployment))
        return answer({"value": [item.describe(resource_id) for item in found]})

    async def _namespaces(self, call: Call) -> web.Response:
        _, deployment, resource_id = self._resource(
            call.names["endpoint"], call.names.get("deployment")
        )
        namespace = _namespace(deployment)
        entry = {
            "id": f"{resource_id}{_INSIGHTS}/metricNamespaces/{namespace}",
            "type": "Microsoft.Insights/metricNamespaces",
            "name": namespace,
            "classification": "Platform",
            "properties": {"metricNamespaceName": namespace},
        }
        return answer({"value": [entry]})

    def _resource(self, endpoint: str, deployment: str | None) -> tuple[str, str | None, str]:
        """Give names and ARM id of what exists, or answer 404."""
        owner = self._endpoints.existing(endpoint)["name"]
        resource_id = self._endpoints.arm_id(owner)
        if deployment is None:
            return owner, None, resource_id
        found = self._deployments.find(owner, deployment)
        if found is None:
            message = f"Online deployment '{deployment}' was not found under endpoint '{owner}'"
            raise ArmError(404, "ResourceNotFound", message)
        return owner, found["name"], f"{resource_id}/deployments/{found['name']}"

    def _of_id(self, resource_id: str) -> tuple[str, str | None, str]:
        found = _RESOURCE.fullmatch(resource_id)
        ours = self._workspace.id.strip("/").lower()
        if found is None or found["workspace"].strip("/").lower() != ours:
            raise bad_request(f"{resource_id} is no online endpoint or deployment of {ours}")
        return self._resource(found["endpoint"], found["deployment"])


def _plain(handler: _Handler) -> _Handler:
    async def handle(call: Call) -> web.Response:
        try:
            return await handler(call)
        except ArmError as error:
            return answer({"code": error.code, "message": error.message}, status=error.status)

    return handle


def _namespace(deployment: str | None) -> str:
    return ENDPOINT_NAMESPACE if deployment is None else DEPLOYMENT_NAMESPACE


def _cost(asked: Query) -> int:
    """Count the minutes asked for, as the service does."""
    minutes = int((asked.end - asked.start).total_seconds() // 60)
    return max(minutes - 1, 0) * len(asked.definitions)


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
