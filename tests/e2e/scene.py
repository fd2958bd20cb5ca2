"""What the end-to-end tests stand on: a stack, small models, and words for what is done to it."""

import contextlib
import functools
import io
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from local.identity.registration import Person
from local.program import REPOSITORY, Program
from local.stack import ANN, Stack, principal

PATIENCE = 120.0  # seconds until a condition counts as never coming; generous on purpose

_SCORE = """
import json, os, time
from pathlib import Path
_IT = {}
def init():
    found = next(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("answer.json"))
    _IT["answer"] = json.loads(found.read_text())
    if _IT["answer"] == "broken":
        raise RuntimeError("this model cannot be loaded")
    if not isinstance(_IT["answer"], dict):
        _IT["answer"] = {"answer": _IT["answer"]}
    _IT["asked"] = 0
def run(raw):
    _IT["asked"] += 1
    time.sleep(_IT["answer"].get("sleeps", 0))
    if _IT["asked"] % _IT["answer"].get("fails_each", 1_000_000) == 0:
        raise RuntimeError("this model cannot answer")
    return _IT["answer"]["answer"]
"""

_POLICY = """
policy: {name}
select: {{model: {name}}}
deploy:
  endpoint: {name}
  endpoint_template: endpoint.yml
  template: deployment.yml
strategy: {strategy}
gates:
  - {{kind: probe, request: request.json, expect: {{equals: "good"}}}}
{more}
"""

CANARY = "{kind: canary, steps: [{weight: 10, bake: 4s}], final_bake: 1s}"
WATCHED = "{kind: canary, steps: [{weight: 50, bake: 20s}]}"
ERRORS = "  - {kind: metric, metric: error_rate, at_most: 20%, min_samples: 10, every: 2s}"
LATENCY = (
    "  - {kind: metric, metric: latency_p95, worse_than_stable_by_at_most: 200%,"
    " min_samples: 10, every: 2s}"
)
SLOW = "{kind: canary, steps: [{weight: 10, bake: 10m}, {weight: 50, bake: 10m}]}"
BLUE_GREEN = "{kind: blue-green, final_bake: 1s}"
AT_ONCE = "{kind: all-at-once}"


def write_policies(folder: Path, policies: Mapping[str, tuple[str, str]]) -> Path:
    """Write a policy per model, each with an endpoint of the model's name, and what they name."""
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "score.py").write_text(_SCORE)
    (folder / "request.json").write_text("{}")
    (folder / "endpoint.yml").write_text("auth_mode: key\ntags: {owner: tests}\n")
    (folder / "deployment.yml").write_text(
        "code_configuration: {code: code, scoring_script: score.py}\n"
        "environment: {image: mcr.microsoft.com/azureml/minimal:latest}\n"
        "instance_type: Standard_DS3_v2\ninstance_count: 1\n"
        # Azure queues twice as many as are worked on, and answers 429 beyond. Without this line,
        # tests/e2e/test_kill.py lost 10, 4 and 17 of 355, 440 and 343 requests in three of ten
        # plays on a machine with six times its load: all of them 429, of stable and candidate
        # alike, and not one otherwise. That is a machine that is too busy, and no act of ours.
        "request_settings: {max_concurrent_requests_per_instance: 20}\n"
    )
    for name, (strategy, more) in policies.items():
        text = _POLICY.format(name=name, strategy=strategy, more=more)
        (folder / f"{name}.yaml").write_text(text)
    return folder


@contextlib.contextmanager
def open_scene(folder: Path, policies: Mapping[str, tuple[str, str]]) -> "Iterator[Scene]":
    """Run a stack with these policies; with E2E_APP, against the app in that folder."""
    write_policies(folder / "policies", policies)
    with run_scene(folder) as scene:
        yield scene


@contextlib.contextmanager
def run_scene(folder: Path) -> "Iterator[Scene]":
    """Do the same with the policies that are in the folder already."""
    stack = Stack(
        policies=folder / "policies",
        data=folder / "data",
        pace="instant",
        settings={"ROLLOUT_SWEEP_SCHEDULE": "0 0 5 1 1 *"},  # only when a test fires it
        app=Path(os.environ.get("E2E_APP", REPOSITORY)),
    )
    try:
        stack.start()
        yield Scene(stack, folder)
    finally:
        stack.stop()


class Scene:
    """A running stack, with the verbs of the stories."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self._folder = folder

    # Given

    def register(self, model: str, answer: object = "good") -> str:
        """Register the model's next version, which always answers that; return the version.

        A dictionary has the answer, and how the version misbehaves: sleeps, fails_each.
        """
        made = self._folder / "models" / f"{model}-{time.monotonic_ns()}"
        made.mkdir(parents=True)
        (made / "answer.json").write_text(json.dumps(answer))
        from azure.ai.ml.entities import Model  # noqa: PLC0415 - over a second

        with contextlib.redirect_stderr(io.StringIO()):
            registered = self._client.models.create_or_update(
                Model(name=model, path=str(made), type="custom_model")
            )
        return str(registered.version)

    def register_and_end(self, model: str, answer: object = "good") -> dict[str, Any]:
        """Register a version and wait until its rollout is over."""
        return self.ended(model, self.register(model, answer))

    def send(self, *events: Mapping[str, Any], kind: str = "Notification") -> int:
        """Post events to the webhook of the real app, in one body; return the status."""
        url = f"{self.stack.host.ready['url']}/runtime/webhooks/EventGrid"
        request = urllib.request.Request(  # noqa: S310 - the host on loopback
            f"{url}?functionName=on_model_registered",
            data=json.dumps(list(events)).encode(),
            headers={"Content-Type": "application/json", "aeg-event-type": kind},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            return refusal.code

    def event(self, model: str, version: str, **changes: Any) -> dict[str, Any]:
        """Return the event of that version as the workspace would send it."""
        return {
            "id": f"{model}-{version}",
            "topic": self.stack.azure_ml.ready["workspace_id"],
            "subject": f"models/{model}:{version}",
            "eventType": "Microsoft.MachineLearningServices.ModelRegistered",
            "eventTime": "2026-11-23T09:00:00.1234567Z",
            "data": {"ModelName": model, "ModelVersion": version},
            "dataVersion": "",
            "metadataVersion": "1",
            **changes,
        }

    def admin(self, method: str, path: str, body: object = None) -> Any:
        """Call the emulator's own API: pace, faults, events, requests."""
        return self.stack.ask_azure_ml(method, f"/admin/{path}", body)

    # Then

    def rollouts(self, model: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.stack.ask_app("GET", "rollouts")["rollouts"]
        return [one for one in listed if one["model"] == model]

    def find(self, model: str, version: str) -> dict[str, Any] | None:
        """Return the rollout with its timeline, if there is one."""
        for one in self.rollouts(model):
            if one["version"] == version:
                shown: dict[str, Any] = self.stack.ask_app("GET", f"rollouts/{one['rollout_id']}")
                return shown
        return None

    def ended(self, model: str, version: str) -> dict[str, Any]:
        """Wait until the rollout is over, and return it."""

        def look() -> dict[str, Any] | None:
            found = self.find(model, version)
            return found if found is not None and found["ended"] else None

        return self.until(look, f"{model} {version} ends")

    def reached(self, model: str, version: str, text: str) -> dict[str, Any]:
        """Wait until the rollout's timeline says that."""

        def look() -> dict[str, Any] | None:
            found = self.find(model, version)
            told = [entry["text"] for entry in (found or {}).get("timeline", ())]
            return found if any(text in line for line in told) else None

        return self.until(look, f"{model} {version} says {text!r}")

    def asked(self, model: str, version: str) -> dict[str, Any]:
        """Wait until the rollout waits for people, and return it."""

        def look() -> dict[str, Any] | None:
            found = self.find(model, version)
            is_asking = found is not None and found["phase"] == "waiting" and found["awaits"]
            return found if is_asking else None

        return self.until(look, f"{model} {version} asks somebody")

    def ask(
        self, rollout: Mapping[str, Any], operation: str, *, who: Person = ANN, **said: str
    ) -> dict[str, Any]:
        """Ask the rollout for an operation, as that person; return what the app says."""
        path = f"/api/rollouts/{rollout['rollout_id']}/{operation}"
        told: dict[str, Any] = self.stack.ask_host("POST", path, said, who=who)
        return told

    def answered(self, endpoint: str, answer: str) -> dict[str, Any]:
        """Wait until the endpoint's ledger has said that; return the last time it did."""

        def look() -> dict[str, Any] | None:
            said = list(self.ledger(endpoint).get("answers", ()))
            found = [one for one in said if one["answer"] == answer]
            return found[-1] if found else None

        return self.until(look, f"{endpoint} says {answer}")

    def ledger(self, endpoint: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.stack.ask_app("GET", f"endpoints/{endpoint}")
        return shown

    def endpoint(self, name: str) -> dict[str, Any]:
        """Return the endpoint as Azure Resource Manager shows it."""
        path = f"{self.stack.azure_ml.ready['workspace_id']}/onlineEndpoints/{name}"
        shown: dict[str, Any] = self.stack.ask_azure_ml("GET", path)
        return shown

    def weights(self, endpoint: str) -> dict[str, int]:
        traffic = self.endpoint(endpoint)["properties"]["traffic"]
        return {name: weight for name, weight in traffic.items() if weight}

    def deployments(self, endpoint: str) -> set[str]:
        path = f"{self.stack.azure_ml.ready['workspace_id']}/onlineEndpoints/{endpoint}/deployments"
        return {one["name"] for one in self.stack.ask_azure_ml("GET", path)["value"]}

    def until[T](self, look: Callable[[], T | None], what: str) -> T:
        """Return what the look finds, once it finds something; a dead host is looked past."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                found = look()
                if found is not None:
                    return found
            time.sleep(0.1)
        raise AssertionError(f"never seen: {what}; {json.dumps(self._everything(), indent=1)}")

    @contextlib.contextmanager
    def callers(self, endpoint: str) -> Iterator[dict[str, Any]]:
        """Have callers score all the while; afterwards the dictionary holds what they saw."""
        here = self.stack.azure_ml.ready
        path = f"{here['workspace_id']}/onlineEndpoints/{endpoint}"
        key = self.stack.ask_azure_ml("POST", f"{path}/listKeys", {})["primaryKey"]
        uri = self.endpoint(endpoint)["properties"]["scoringUri"]
        body = self._folder / "policies" / "request.json"
        options = ("--url", uri, "--ca", here["ca"], f"--key={key}", "--body", str(body))
        log = self._folder / f"traffic-{time.monotonic_ns()}.log"
        command = ("local.traffic", *options, "--rate", "10", "--seconds", "600")
        traffic = Program("traffic", command, log=log)
        traffic.start()
        seen: dict[str, Any] = {}
        try:
            yield seen
        finally:
            traffic.stop()
            seen.update(json.loads(traffic.last_line))

    def _everything(self) -> Any:
        listed = self.stack.ask_app("GET", "rollouts").get("rollouts", ())
        return [self.stack.ask_app("GET", f"rollouts/{one['rollout_id']}") for one in listed[:3]]

    @functools.cached_property
    def _client(self) -> Any:
        from azure.ai.ml import MLClient  # noqa: PLC0415 - over a second
        from azure.core.credentials import AccessToken  # noqa: PLC0415

        class Anybody:
            def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
                return AccessToken("tests", int(time.time()) + 3600)

        here = self.stack.azure_ml.ready
        os.environ["REQUESTS_CA_BUNDLE"] = here["ca"]
        ids = (here["subscription"], here["resource_group"], here["workspace"])
        cloud = json.loads(self.stack.app_settings()["ROLLOUT_CLOUD_METADATA"])
        # the SDK remembers a cloud's addresses by its name, for the life of the process
        name = f"Local{here['url'].rpartition(':')[2]}"
        return MLClient(Anybody(), *ids, cloud=name, cloud_metadata=cloud, show_progress=False)


def ask_without_identity(scene: Scene, path: str, method: str = "POST") -> int:
    """Call the app's API as nobody; return the status."""
    url = f"{scene.stack.host.ready['url']}/api/{path}"
    data = b'{"reason": "x"}' if method == "POST" else None
    request = urllib.request.Request(url, data=data, method=method)  # noqa: S310 - on loopback
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


__all__ = [
    "AT_ONCE",
    "BLUE_GREEN",
    "CANARY",
    "ERRORS",
    "LATENCY",
    "SLOW",
    "WATCHED",
    "Scene",
    "principal",
    "write_policies",
]
