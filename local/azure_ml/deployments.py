"""Online deployments: create, change, logs. Each one that succeeds has real servers."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from aiohttp import web

from local.azure_ml import deployment_body
from local.azure_ml.control import Control
from local.azure_ml.endpoints import DEPLOYMENT, Endpoints
from local.azure_ml.errors import OperationError, not_found, user_error
from local.azure_ml.operations import Operation, Status, Verb, Work
from local.azure_ml.serving import Serving
from local.azure_ml.store import Json
from local.azure_ml.web import Call, answer, page, section
from local.azure_ml.workspace import check_name

_LIMIT = 20  # per endpoint
_CONTAINERS = {"inferenceserver": "inference-server", "storageinitializer": "storage-initializer"}
_LOG_LINES = 5000
_AUTOSCALE_VERSION = "2023-04-01-preview"  # in the URL of an operation nobody asked for


class Deployments:
    """The online deployments of all endpoints."""

    def __init__(
        self,
        control: Control,
        endpoints: Endpoints,
        serving: Serving,
        deployed: Callable[[str, Json], None],
    ) -> None:
        self._deployed = deployed  # told of what has come up
        self._store = control.store
        self._workspace = control.workspace
        self._operations = control.operations
        self._pace = control.pace
        self._quota = control.quotas.deployments
        self._endpoints = endpoints
        self._serving = serving
        self._restoring: dict[tuple[str, str], asyncio.Task[None]] = {}
        work = Work(do=self._do_put, finish=self._finish_put)
        control.operations.register(Verb.PUT_DEPLOYMENT, work)

    # --- state

    def find(self, endpoint: str, name: str) -> Json | None:
        """Give the stored deployment, or None."""
        return self._store.get(DEPLOYMENT, f"{endpoint}/{name}")

    def _existing(self, call: Call) -> Json:
        endpoint = self._endpoints.existing(call.names["endpoint"])["name"]
        found = self.find(endpoint, call.names["deployment"])
        if found is None:
            raise not_found(
                f"Online deployment '{call.names['deployment']}' was not found under endpoint"
                f" '{endpoint}'"
            )
        return found

    def save(self, document: Json) -> None:
        """Store the deployment."""
        self._store.put(DEPLOYMENT, f"{document['endpoint']}/{document['name']}", document)

    def restore(self) -> None:
        """Start the servers again that ran when the process ended."""
        for document in self._store.all(DEPLOYMENT):
            if document["serving"] is not None and document["state"] != "Deleting":
                key = (document["endpoint"], document["name"])
                self._restoring[key] = asyncio.create_task(self._restore(document))

    def restoring(self) -> list[str]:
        """Name the deployments whose servers are still coming up again."""
        return ["/".join(key) for key in self._restoring]

    async def stop(self) -> None:
        """Give up what is still being restored."""
        tasks = list(self._restoring.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _restore(self, document: Json) -> None:
        endpoint, name = document["endpoint"], document["name"]
        try:
            await self._serving.start(endpoint, name, document["serving"])
        except OperationError as error:
            print(
                f"deployment {endpoint}/{name}: its servers did not come up again:"
                f" {error.code}: {error.message}",
                file=sys.stderr,
            )
        finally:
            del self._restoring[endpoint, name]

    # --- read

    async def get(self, call: Call) -> web.Response:
        """`GET deployments/{name}`."""
        return answer(self._describe(self._existing(call)))

    async def list_all(self, call: Call) -> web.Response:
        """`GET deployments`."""
        endpoint = self._endpoints.existing(call.names["endpoint"])["name"]
        found = self._store.all(DEPLOYMENT, endpoint)
        return page(call, self._workspace.base_url, found, self._describe)

    async def logs(self, call: Call) -> web.Response:
        """`POST getLogs` with `{"containerType"?, "tail"?}`."""
        document = self._existing(call)
        container = call.body.get("containerType") or "InferenceServer"
        if container.lower() not in _CONTAINERS:
            raise user_error(
                f"containerType {container!r} is not one of InferenceServer, StorageInitializer"
            )
        tail = call.body.get("tail")
        content = self._serving.logs(
            document["endpoint"],
            document["name"],
            tail=_LOG_LINES if tail is None else tail,
            container=_CONTAINERS[container.lower()],
        )
        return answer({"content": content})

    def _describe(self, document: Json) -> Json:
        return deployment_body.describe(document, self._endpoints.arm_id(document["endpoint"]))

    # --- create and change

    async def put(self, call: Call) -> web.Response:
        """Create or change a deployment by its full body: 201 either way."""
        endpoint = self._endpoints.existing(call.names["endpoint"])
        name = call.names["deployment"]
        old = self.find(endpoint["name"], name)
        if old is None:
            check_name("Deployment", name)
            self._check_quota(endpoint["name"])
        wanted = deployment_body.read(call.body, endpoint, old)
        document = old or deployment_body.new(name, endpoint["name"], wanted, self._workspace.now())
        headers = self._begin_put(call, document, wanted, state="Updating")
        headers["x-ms-ratelimit-remaining-subscription-resource-requests"] = "24"
        return answer(self._describe(self._existing(call)), status=201, headers=headers)

    def _check_quota(self, endpoint: str) -> None:
        if len(self._store.all(DEPLOYMENT, endpoint)) >= _LIMIT:
            message = f"Endpoint '{endpoint}' has {_LIMIT} deployments already"
            raise user_error(message, "OutOfQuota")
        if self._store.count(DEPLOYMENT) >= self._quota:
            message = f"There are {self._quota} deployments in the region already"
            raise user_error(message, "OutOfQuota")

    async def patch(self, call: Call) -> web.Response:
        """Replace the tags at once, or the capacity by an operation (202)."""
        document = self._existing(call)
        wrong = set(call.body) - {"tags", "sku"}
        if wrong:
            names = ", ".join(sorted(wrong))
            raise user_error(f"PATCH of an online deployment takes tags and sku, not {names}")
        self._operations.check_idle(document["endpoint"])
        changed: Json = {"modified": self._workspace.now()}
        if "tags" in call.body:
            changed["tags"] = section(call.body, "tags")
        capacity = section(call.body, "sku").get("capacity", document["sku"]["capacity"])
        if capacity == document["sku"]["capacity"]:
            self.save({**document, **changed})
            return answer(self._describe(self._existing(call)))
        deployment_body.check_capacity(capacity)
        wanted = _with_capacity(document, capacity) | changed
        headers = self._begin_put(call, document, wanted, state="Scaling")
        body = self._describe(self._existing(call))
        return answer(body, status=HTTPStatus.ACCEPTED, headers=headers)

    def scale(self, document: Json, capacity: int) -> None:
        """Change the capacity as autoscale does, or refuse it while another operation runs."""
        deployment_body.check_capacity(capacity)
        endpoint, name = document["endpoint"], document["name"]
        seconds = self._pace.now.deployment
        operation = self._operations.new(Verb.PUT_DEPLOYMENT, endpoint, name, seconds=seconds)
        self._operations.begin(
            replace(operation, wanted=_with_capacity(document, capacity)),
            lambda url: self.save({**document, "operation": url, "state": "Scaling"}),
            api_version=_AUTOSCALE_VERSION,
        )

    def _begin_put(self, call: Call, document: Json, wanted: Json, *, state: str) -> dict[str, str]:
        endpoint, name = document["endpoint"], document["name"]
        seconds = self._pace.now.deployment
        operation = self._operations.new(Verb.PUT_DEPLOYMENT, endpoint, name, seconds=seconds)
        headers = self._operations.begin(
            replace(operation, wanted=wanted, doom=call.doom),
            lambda url: self.save({**document, "operation": url, "state": state}),
            api_version=call.api_version,
        )
        arm_id = deployment_body.arm_id(document, self._endpoints.arm_id(endpoint))
        url = f"{self._workspace.base_url}{arm_id}?api-version={call.api_version}"
        return {**headers, "Location": url}

    async def _do_put(self, operation: Operation) -> None:
        endpoint, name = operation.endpoint, operation.deployment or ""
        earlier = self._restoring.get((endpoint, name))
        if earlier is not None:
            await earlier
        await self._serving.start(endpoint, name, operation.wanted or {})

    def _finish_put(self, operation: Operation) -> None:
        document = self.find(operation.endpoint, operation.deployment or "")
        if document is None or operation.wanted is None:
            return
        served = operation.status is Status.SUCCEEDED
        self.save(
            {
                **document,
                **operation.wanted,
                "new": False,
                "modified": self._workspace.now(),
                "state": operation.status,
                # After a failed change the old servers still serve.
                "serving": operation.wanted if served else document["serving"],
            }
        )
        if served:
            self._deployed(operation.endpoint, operation.wanted)


def _with_capacity(document: Json, capacity: int) -> Json:
    wanted = {key: document[key] for key in deployment_body.WANTED}
    return {**wanted, "sku": {**document["sku"], "capacity": capacity}}
