"""Batch endpoints and their deployments: created, changed, deleted; what is invoked is recorded.

No batch job is ever run: a job that was asked for stays as it was asked for, and says so.
"""

import uuid
from dataclasses import replace
from http import HTTPStatus

from aiohttp import web

from local.azure_ml.control import Control
from local.azure_ml.endpoints import OWNED
from local.azure_ml.errors import ArmError, not_found, user_error
from local.azure_ml.identity import require_bearer
from local.azure_ml.operations import Operation, Status, Verb, Work
from local.azure_ml.store import Json
from local.azure_ml.web import Call, Router, answer, nothing, page, read, section
from local.azure_ml.workspace import TYPE, added, check_name, identity, system_data

_ENDPOINTS = "batch-endpoint"
_DEPLOYMENTS = "batch-deployment"  # kept under endpoint/name
_JOBS = "batch-job"  # kept under endpoint/name
_ENDPOINT = "{workspace}/batchEndpoints/{endpoint}"
_DEPLOYMENT = _ENDPOINT + "/deployments/{deployment}"
_SHOWN_JOB = ("description", "experimentName", "properties", "tags", "inputData", "outputData")
# What a deployment shows when it was not given.
_DEFAULTS: Json = {
    "errorThreshold": -1,
    "retrySettings": {"maxRetries": 3, "timeout": "PT30S"},
    "miniBatchSize": 10,
    "loggingLevel": "Info",
    "outputAction": "AppendRow",
    "outputFileName": "predictions.csv",
    "maxConcurrencyPerInstance": 1,
}
_DEPLOYMENT_HEADER = "azureml-model-deployment"


class Batch:
    """The batch endpoints of the workspace."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._store = control.store
        self._workspace = control.workspace
        operations = control.operations
        operations.register(Verb.PUT_BATCH, Work(do=_no_work, finish=self._finish_put))
        operations.register(Verb.DELETE_BATCH, Work(do=_no_work, finish=self._finish_delete))

    def add_to(self, router: Router) -> None:
        """Add the routes."""
        router.add("GET", "{workspace}/batchEndpoints", self._list)
        router.add("GET", _ENDPOINT, self._get)
        router.add("PUT", _ENDPOINT, self._put)
        router.add("PATCH", _ENDPOINT, self._patch)
        router.add("DELETE", _ENDPOINT, self._delete)
        router.add("POST", f"{_ENDPOINT}/listkeys", self._keys)
        router.add("GET", f"{_ENDPOINT}/jobs", self._list_jobs)
        router.add("GET", f"{_ENDPOINT}/deployments", self._list_deployments)
        router.add("GET", _DEPLOYMENT, self._get_deployment)
        router.add("PUT", _DEPLOYMENT, self._put_deployment)
        router.add("DELETE", _DEPLOYMENT, self._delete_deployment)
        router.add("GET", f"{_DEPLOYMENT}/jobs", self._list_jobs)

    # --- endpoints

    async def _list(self, call: Call) -> web.Response:
        found = self._store.all(_ENDPOINTS)
        return page(call, self._workspace.base_url, found, self._describe)

    async def _get(self, call: Call) -> web.Response:
        return answer(self._describe(self._existing(call.names["endpoint"])))

    async def _put(self, call: Call) -> web.Response:
        name = call.names["endpoint"]
        old = self._store.get(_ENDPOINTS, name)
        if old is None:
            check_name("Batch endpoint", name)
        given = section(call.body, "properties")
        mode = str(given.get("authMode"))
        if mode.lower() != "aadtoken":
            raise user_error(f"authMode {mode!r} is not AADToken, the only one of batch endpoints")
        kept = {} if old is None else old["properties"]["properties"]
        wanted = {
            "tags": section(call.body, "tags"),
            "identity": call.body.get("identity"),
            "properties": {
                "authMode": "AADToken",
                "description": given.get("description"),
                "defaults": self._defaults(name, given),
                "properties": added(kept, section(given, "properties"), OWNED),
            },
        }
        document = old or self._new(name, wanted)
        return self._begin_put(call, document, wanted, is_new=old is None)

    def _defaults(self, endpoint: str, given: Json) -> Json | None:
        """Check the default deployment: an endpoint being created has none to name."""
        name = section(given, "defaults").get("deploymentName")
        if name is None:
            return None
        found = self._store.get(_DEPLOYMENTS, f"{endpoint}/{name}")
        if found is None:
            raise user_error(
                f"defaults.deploymentName names deployment '{name}', which does not exist",
                "DeploymentNotFound",
            )
        return {"deploymentName": found["name"]}

    async def _patch(self, call: Call) -> web.Response:
        document = self._existing(call.names["endpoint"])
        given = section(call.body, "properties")
        changed = {**document, "modified": self._workspace.now()}
        if "tags" in call.body:
            changed["tags"] = section(call.body, "tags")
        if "defaults" in given:
            defaults = self._defaults(document["name"], given)
            changed["properties"] = {**document["properties"], "defaults": defaults}
        self._store.put(_ENDPOINTS, document["name"], changed)
        return answer(self._describe(changed))

    async def _delete(self, call: Call) -> web.Response:
        document = self._store.get(_ENDPOINTS, call.names["endpoint"])
        return nothing() if document is None else self._begin_delete(call, document)

    async def _keys(self, call: Call) -> web.Response:
        self._existing(call.names["endpoint"])
        raise user_error("Batch endpoints have no keys: they take AAD tokens only")

    def _existing(self, name: str) -> Json:
        found = self._store.get(_ENDPOINTS, name)
        if found is None:
            raise not_found(f"Batch endpoint '{name}' was not found")
        return found

    # --- deployments

    async def _list_deployments(self, call: Call) -> web.Response:
        endpoint = self._existing(call.names["endpoint"])["name"]
        found = self._store.all(_DEPLOYMENTS, endpoint)
        return page(call, self._workspace.base_url, found, self._describe)

    async def _get_deployment(self, call: Call) -> web.Response:
        return answer(self._describe(self._existing_deployment(call)))

    async def _put_deployment(self, call: Call) -> web.Response:
        endpoint = self._existing(call.names["endpoint"])["name"]
        name = call.names["deployment"]
        old = self._store.get(_DEPLOYMENTS, f"{endpoint}/{name}")
        if old is None:
            check_name("Batch deployment", name)
        given = section(call.body, "properties")
        kept = {} if old is None else old["properties"]["properties"]
        chosen = {key: value for key, value in given.items() if value is not None}
        chosen.pop("provisioningState", None)
        own = added(kept, section(given, "properties"), OWNED)
        wanted = {
            "tags": section(call.body, "tags"),
            "identity": call.body.get("identity"),
            "properties": {**_DEFAULTS, **chosen, "properties": own},
        }
        document = old or {**self._new(name, wanted), "endpoint": endpoint}
        return self._begin_put(call, document, wanted, is_new=old is None)

    async def _delete_deployment(self, call: Call) -> web.Response:
        endpoint = self._store.get(_ENDPOINTS, call.names["endpoint"])
        if endpoint is None:
            return nothing()
        name = call.names["deployment"]
        document = self._store.get(_DEPLOYMENTS, f"{endpoint['name']}/{name}")
        if document is None:
            return nothing()
        if (endpoint["properties"]["defaults"] or {}).get("deploymentName") == document["name"]:
            raise user_error(f"Can't delete deployment [{name}]: it is the endpoint's default one")
        return self._begin_delete(call, document)

    def _existing_deployment(self, call: Call) -> Json:
        endpoint = self._existing(call.names["endpoint"])["name"]
        name = call.names["deployment"]
        found = self._store.get(_DEPLOYMENTS, f"{endpoint}/{name}")
        if found is None:
            raise not_found(f"Batch deployment '{name}' was not found under '{endpoint}'")
        return found

    # --- what both have in common

    def _new(self, name: str, wanted: Json) -> Json:
        moment = self._workspace.now()
        return {
            **wanted,
            "name": name,
            "created": moment,
            "modified": moment,
            "principal": str(uuid.uuid4()),
        }

    def _begin_put(self, call: Call, document: Json, wanted: Json, *, is_new: bool) -> web.Response:
        state = "Creating" if is_new else "Updating"
        headers = self._control.begin(
            replace(self._operation(Verb.PUT_BATCH, document), wanted=wanted),
            lambda url: self._save({**document, "operation": url, "state": state}),
            call=call,
            location=self._arm_id(document),
        )
        shown = {**document, "operation": headers["Azure-AsyncOperation"], "state": state}
        return answer(self._describe(shown), status=HTTPStatus.CREATED, headers=headers)

    def _begin_delete(self, call: Call, document: Json) -> web.Response:
        operation = self._operation(Verb.DELETE_BATCH, document)
        return self._control.begin_end(
            operation,
            lambda url: self._save({**document, "operation": url, "state": "Deleting"}),
            call=call,
        )

    def _operation(self, verb: Verb, document: Json) -> Operation:
        # One at a time for an endpoint and its deployments; an online endpoint of that name is
        # another one.
        owner = document.get("endpoint")
        pace = self._control.pace.now
        seconds = pace.delete if verb is Verb.DELETE_BATCH else pace.endpoint
        return self._control.operations.new(
            verb,
            f"batch/{owner or document['name']}",
            None if owner is None else document["name"],
            seconds=seconds,
        )

    def _of(self, operation: Operation) -> Json | None:
        endpoint = operation.endpoint.removeprefix("batch/")
        if operation.deployment is None:
            return self._store.get(_ENDPOINTS, endpoint)
        return self._store.get(_DEPLOYMENTS, f"{endpoint}/{operation.deployment}")

    def _finish_put(self, operation: Operation) -> None:
        document = self._of(operation)
        if document is None:
            return
        if operation.status is Status.SUCCEEDED:
            wanted = operation.wanted or {}
            document = {**document, **wanted, "modified": self._workspace.now()}
        self._save({**document, "state": operation.status})

    def _finish_delete(self, operation: Operation) -> None:
        document = self._of(operation)
        if document is None:
            return
        if operation.status is not Status.SUCCEEDED:
            self._save({**document, "state": "Failed"})
            return
        if operation.deployment is not None:
            self._store.delete(_DEPLOYMENTS, f"{document['endpoint']}/{document['name']}")
            return
        for kind in (_DEPLOYMENTS, _JOBS):
            for item in self._store.all(kind, document["name"]):
                self._store.delete(kind, f"{document['name']}/{item['name']}")
        self._store.delete(_ENDPOINTS, document["name"])

    def _save(self, document: Json) -> None:
        if "endpoint" in document:
            self._store.put(_DEPLOYMENTS, f"{document['endpoint']}/{document['name']}", document)
        else:
            self._store.put(_ENDPOINTS, document["name"], document)

    def _arm_id(self, document: Json) -> str:
        base = f"{self._workspace.id}/batchEndpoints"
        if "endpoint" in document:
            return f"{base}/{document['endpoint']}/deployments/{document['name']}"
        return f"{base}/{document['name']}"

    def _describe(self, document: Json) -> Json:
        properties = {**document["properties"], "provisioningState": document["state"]}
        own = {"AzureAsyncOperationUri": document["operation"]}
        properties["properties"] = {**document["properties"]["properties"], **own}
        kind = f"{TYPE}/batchEndpoints"
        if "endpoint" in document:
            kind += "/deployments"
        else:
            uri = f"{self._workspace.base_url}/batch/{document['name']}/jobs"
            properties |= {"scoringUri": uri, "swaggerUri": None}
        return {
            "id": self._arm_id(document),
            "name": document["name"],
            "type": kind,
            "location": self._workspace.location,
            "tags": document["tags"],
            "identity": identity(document["identity"], document["principal"]),
            "systemData": system_data(document),
            "properties": properties,
        }

    # --- invoking

    async def invoke(self, request: web.Request) -> web.Response:
        """`POST /batch/{endpoint}/jobs`: record a job and answer it, as it will stay."""
        require_bearer(request)
        endpoint = self._existing(request.match_info["endpoint"])
        asked = (await read(request, {})).body
        named = request.headers.get(_DEPLOYMENT_HEADER)
        name = named or (endpoint["properties"]["defaults"] or {}).get("deploymentName")
        if name is None:
            message = f"Batch endpoint '{endpoint['name']}' has no default deployment"
            raise ArmError(404, "UserError", message, "DeploymentNotFound")
        if self._store.get(_DEPLOYMENTS, f"{endpoint['name']}/{name}") is None:
            raise not_found(f"Batch deployment '{name}' was not found under '{endpoint['name']}'")
        job = {
            "name": f"batchjob-{uuid.uuid4()}",
            "endpoint": endpoint["name"],
            "deployment": name,
            "created": self._workspace.now(),
            "asked": section(asked, "properties"),
        }
        self._store.put(_JOBS, f"{endpoint['name']}/{job['name']}", job)
        return answer(self._describe_job(job), status=HTTPStatus.CREATED)

    async def _list_jobs(self, call: Call) -> web.Response:
        endpoint = self._existing(call.names["endpoint"])["name"]
        wanted = call.names.get("deployment")
        found = [
            item
            for item in self._store.all(_JOBS, endpoint)
            if wanted is None or item["deployment"].lower() == wanted.lower()
        ]
        return page(call, self._workspace.base_url, found, self._describe_job)

    def _describe_job(self, job: Json) -> Json:
        shown = {key: job["asked"][key] for key in _SHOWN_JOB if key in job["asked"]}
        return {
            "id": f"{self._workspace.id}/batchEndpoints/{job['endpoint']}/jobs/{job['name']}",
            "name": job["name"],
            "type": f"{TYPE}/batchEndpoints/jobs",
            "systemData": {"createdAt": job["created"], "createdBy": "local"},
            "properties": {**shown, "status": "NotStarted", "deployment": job["deployment"]},
        }


async def _no_work(_operation: Operation) -> None:
    """Do nothing: batch deployments have no servers."""
