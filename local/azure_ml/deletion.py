"""The end of deployments and endpoints. What has weight is never deleted."""

from dataclasses import replace
from http import HTTPStatus

from aiohttp import web

from local.azure_ml.control import Control
from local.azure_ml.deployments import Deployments
from local.azure_ml.endpoints import DEPLOYMENT, Endpoints
from local.azure_ml.errors import user_error
from local.azure_ml.operations import Operation, Status, Verb, Work
from local.azure_ml.serving import Serving
from local.azure_ml.web import Call, answer, nothing


class Deletion:
    """Deletes deployments and endpoints."""

    def __init__(
        self, control: Control, endpoints: Endpoints, deployments: Deployments, serving: Serving
    ) -> None:
        self._store = control.store
        self._operations = control.operations
        self._pace = control.pace
        self._endpoints = endpoints
        self._deployments = deployments
        self._serving = serving
        control.operations.register(
            Verb.DELETE_DEPLOYMENT, Work(do=self._do_delete, finish=self._finish_delete)
        )
        control.operations.register(
            Verb.DELETE_ENDPOINT,
            Work(do=self._do_delete_endpoint, finish=self._finish_delete_endpoint),
        )

    async def delete(self, call: Call) -> web.Response:
        """Delete a deployment: 202; with weight 400; what is not there 204."""
        endpoint = self._endpoints.find(call.names["endpoint"])
        document = None
        if endpoint is not None:
            document = self._deployments.find(endpoint["name"], call.names["deployment"])
        if endpoint is None or document is None:
            return nothing()
        name = document["name"]
        for kind in ("traffic", "mirrorTraffic"):
            if endpoint["properties"][kind].get(name, 0) > 0:
                raise user_error(f"Can't delete deployment [{name}] with non-zero {kind} weight")
        return self._begin_delete(
            call,
            self._operations.new(
                Verb.DELETE_DEPLOYMENT, endpoint["name"], name, seconds=self._pace.now.delete
            ),
        )

    async def delete_endpoint(self, call: Call) -> web.Response:
        """Delete an endpoint with all its deployments."""
        endpoint = self._endpoints.find(call.names["endpoint"])
        if endpoint is None:
            return nothing()
        seconds = self._pace.now.delete
        operation = self._operations.new(Verb.DELETE_ENDPOINT, endpoint["name"], seconds=seconds)
        return self._begin_delete(call, operation)

    def _begin_delete(self, call: Call, operation: Operation) -> web.Response:
        def mark(url: str) -> None:
            state = {"operation": url, "state": "Deleting"}
            if operation.deployment is None:
                self._endpoints.save({**self._endpoints.existing(operation.endpoint), **state})
                return
            document = self._deployments.find(operation.endpoint, operation.deployment)
            if document is not None:
                self._deployments.save({**document, **state})

        headers = self._operations.begin(
            replace(operation, doom=call.doom), mark, api_version=call.api_version
        )
        headers["Location"] = self._operations.results_url(operation, call.api_version)
        # The body really is the literal `null`.
        return answer(None, status=HTTPStatus.ACCEPTED, headers=headers)

    async def _do_delete(self, operation: Operation) -> None:
        await self._serving.stop(operation.endpoint, operation.deployment or "")

    def _finish_delete(self, operation: Operation) -> None:
        endpoint, name = operation.endpoint, operation.deployment or ""
        if operation.status is not Status.SUCCEEDED:
            document = self._deployments.find(endpoint, name)
            if document is not None:
                self._deployments.save({**document, "state": "Failed"})
            return
        self._store.delete(DEPLOYMENT, f"{endpoint}/{name}")
        owner = self._endpoints.existing(endpoint)
        for kind in ("traffic", "mirrorTraffic"):
            owner["properties"][kind].pop(name, None)
        self._endpoints.save(owner)

    async def _do_delete_endpoint(self, operation: Operation) -> None:
        for document in self._store.all(DEPLOYMENT, operation.endpoint):
            await self._serving.stop(operation.endpoint, document["name"])

    def _finish_delete_endpoint(self, operation: Operation) -> None:
        if operation.status is not Status.SUCCEEDED:
            endpoint = self._endpoints.existing(operation.endpoint)
            self._endpoints.save({**endpoint, "state": "Failed"})
            return
        for document in self._store.all(DEPLOYMENT, operation.endpoint):
            self._store.delete(DEPLOYMENT, f"{operation.endpoint}/{document['name']}")
        self._endpoints.forget(operation.endpoint)
