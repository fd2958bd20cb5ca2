"""The whole product on this machine: engine, Azure ML, sign-in, and the function app in its host.

Where it is asked for, also what announcements are sent to.
The app knows nothing of that: it is told by its settings, like anywhere.
"""

import base64
import json
import math
import os
import ssl
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local.identity.issuer import LIFE, Issuer
from local.identity.registration import CLIENT, PEOPLE, TENANT, Person
from local.program import REPOSITORY, Program

_REST = 0.5  # seconds between two looks at the children
_REUSE = LIFE / 2  # seconds that a token is used for
SUBSCRIPTION = "rollouts"
ANN = PEOPLE["ann"]  # who asks when nobody else is named; she may everything


class Stack:
    """Child processes on one folder; each can die and come back."""

    def __init__(
        self,
        *,
        policies: Path,
        data: Path | None = None,
        port: int = 0,
        pace: str = "demo",
        settings: Mapping[str, str] | None = None,
        app: Path = REPOSITORY,
    ) -> None:
        """Take the folder of policies; settings are app settings that differ from the usual.

        With ROLLOUT_TRUST_PLATFORM_IDENTITY among them, people come by the platform's header;
        otherwise by tokens of the local identity provider.

        app is the folder of function_app.py; where it brings its packages along, as a deployment
        package does, they go before ours.
        """
        self._temporary = None if data else tempfile.TemporaryDirectory(prefix="rollouts-")
        self.data = (data or Path(str(self._temporary and self._temporary.name))).absolute()
        self._policies, self._port, self._settings = policies.absolute(), port, settings or {}
        self._pace = pace
        logs = self.data / "logs"
        store = str(self.data / "engine.db")
        self.engine = Program("engine", ("local.engine", "--store", store), log=logs / "engine.log")
        emulator = ("local.azure_ml", "--data", str(self.data / "azure_ml"))
        self.emulator_options: tuple[str, ...] = ()  # more of the emulator's own
        self.azure_ml = Program("azure_ml", emulator, log=logs / "azure_ml.log")
        provider = ("local.identity", "--data", str(self.data / "identity"))
        self.identity = Program("identity", provider, log=logs / "identity.log")
        self.channels: Program | None = None
        self._app = app.absolute()
        self._trusts_header = self._settings.get("ROLLOUT_TRUST_PLATFORM_IDENTITY") == "true"
        trust = ("--trust-principal-header",) if self._trusts_header else ()
        host = ("local.functions_host", str(self._app), *trust)
        self.host = Program("host", host, log=logs / "host.log")
        self._tokens: dict[Person, tuple[float, str]] = {}
        self._is_over = threading.Event()
        self._watcher: threading.Thread | None = None

    def add_channels(self) -> None:
        """Have a topic and two chats too, named topic, teams and slack; to be said before start."""
        sink = ("local.channels", "--certificates", str(self.data / "azure_ml" / "certificates"))
        self.channels = Program("channels", sink, log=self.data / "logs" / "channels.log")

    def start(self) -> None:
        """Start all of them and subscribe the app to the workspace's events."""
        self.start_engine()
        self.start_azure_ml()
        self.start_identity()
        self.start_channels()
        self.start_host()
        self.subscribe()

    def start_engine(self) -> None:
        """Start the engine, on the port it had before."""
        self.engine.start(None, "--port", self._recall("engine"))
        self._remember("engine", self.engine.ready["port"])

    def start_azure_ml(self) -> None:
        """Start the emulator, which remembers its own port."""
        self.azure_ml.start(None, "--pace", self._pace, *self.emulator_options)

    def start_identity(self) -> None:
        """Start the identity provider, on the port it had before: tokens name it."""
        self.identity.start(None, "--port", self._recall("identity"))
        self._remember("identity", self.identity.ready["port"])

    def start_channels(self) -> None:
        """Start what is announced to, on the port it had before."""
        if self.channels is not None:
            self.channels.start(None, "--port", self._recall("channels"))
            self._remember("channels", self.channels.ready["port"])

    def start_host(self) -> None:
        """Start the function app in its host, on the port it had before."""
        port = str(self._port) if self._port else self._recall("host")
        options = ("--engine", self.engine.ready["address"], "--port", port)
        self.host.start(self.app_settings(), *options, "--state", str(self.data / "host"))
        self._remember("host", self.host.ready["port"])

    def watch(self) -> None:
        """Start a child again when it dies, as a platform does."""
        self._watcher = threading.Thread(target=self._keep_alive, daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """End all of them; what they stored stays, unless the folder was temporary."""
        self._is_over.set()
        if self._watcher is not None:
            self._watcher.join()
        for program in (self.host, self.channels, self.identity, self.azure_ml, self.engine):
            if program is not None:
                program.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    def app_settings(self) -> dict[str, str]:
        """Return the app settings, as the portal would have them, and the identity's variables."""
        here = self.azure_ml.ready
        url = here["url"]
        cloud = {
            "azure_portal": url,
            "resource_manager": url,
            "active_directory": url,
            "aml_resource_id": url,
            "storage_endpoint": url.removeprefix("https://"),
            "registry_discovery_endpoint": url,
        }
        packages = self._app / ".python_packages" / "lib" / "site-packages"
        return {
            **({"PYTHONPATH": str(packages)} if packages.is_dir() else {}),
            "AZURE_FUNCTIONS_DURABLE_STRICT_TYPING": "1",
            "PYDANTIC_DISABLE_PLUGINS": "__all__",
            "PYTHON_THREADPOOL_THREAD_COUNT": "32",
            "ROLLOUT_WORKSPACES": here["workspace_id"],
            "ROLLOUT_POLICIES": str(self._policies),
            "ROLLOUT_CLOUD_METADATA": json.dumps(cloud),
            "ROLLOUT_POLL_INTERVAL": "PT0.5S" if self._pace != "realistic" else "5s",
            "ROLLOUT_METRIC_LAG": "0s" if self._pace != "realistic" else "3m",
            "ROLLOUT_SWEEP_SCHEDULE": "0 */5 * * * *",
            **self._identity_settings(),
            "ROLLOUT_ARCHIVE": str(self.data / "archive"),
            "IDENTITY_ENDPOINT": here["identity_endpoint"],
            "IDENTITY_HEADER": here["identity_header"],
            "REQUESTS_CA_BUNDLE": here["ca"],
            **self._channel_settings(),
            **self._settings,
        }

    def _identity_settings(self) -> dict[str, str]:
        if self._trusts_header:
            return {}  # who asks says the platform's header; tokens do not count
        return {
            "ROLLOUT_TENANT": TENANT,
            "ROLLOUT_AUDIENCE": f"{CLIENT},api://{CLIENT}",
            "ROLLOUT_AUTHORITY": self.identity.ready["url"],
        }

    def token(self, who: Person = ANN) -> str:
        """Return an access token of that person, as a sign-in would give it."""
        now = time.monotonic()
        made, token = self._tokens.get(who, (-math.inf, ""))
        if now - made > _REUSE:
            made, token = now, self.issuer().access_token(who)
            self._tokens[who] = (made, token)
        return token

    def issuer(self) -> Issuer:
        """Return who signs the tokens, with the provider's own key."""
        return Issuer(self.data / "identity", url=self.identity.ready["url"])

    def _channel_settings(self) -> dict[str, str]:
        if self.channels is None:
            return {}
        here = self.channels.ready
        defined = {
            "topic": {"kind": "topic", "endpoint": f"{here['url']}/api/events"},
            "teams": {"kind": "teams", "url_setting": "TEAMS_URL"},
            "slack": {"kind": "slack", "url_setting": "SLACK_URL"},
        }
        return {
            "ROLLOUT_CHANNELS": json.dumps(defined),
            "ROLLOUT_CHANNEL_HOSTS": here["url"].removeprefix("https://"),
            "TEAMS_URL": f"{here['url']}/chat/teams?sig=a-secret-of-teams",
            "SLACK_URL": f"{here['url']}/chat/slack?sig=a-secret-of-slack",
            "SSL_CERT_FILE": here["ca"],
        }

    def ask_channels(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
        """Ask what was announced to (GET received), or tell a channel what to answer."""
        if self.channels is None:
            raise ValueError("asking the channels: this stack has none (add_channels)")
        here = self.channels.ready
        request = urllib.request.Request(  # noqa: S310 - https on loopback
            f"{here['url']}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        tls = ssl.create_default_context(cafile=here["ca"])
        with urllib.request.urlopen(request, context=tls, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")

    def describe(self) -> dict[str, Any]:
        """Return what a user needs to know: addresses, ids, and the emulator's authority."""
        here = self.azure_ml.ready
        return {
            "app": self.host.ready["url"],
            "azure_ml": here["url"],
            "identity": self.identity.ready["url"],
            "ca": here["ca"],
            "subscription": here["subscription"],
            "resource_group": here["resource_group"],
            "workspace": here["workspace"],
            "pid": os.getpid(),
        }

    def ask_azure_ml(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
        """Call the emulator as Azure Resource Manager; return its JSON, or None."""
        here = self.azure_ml.ready
        joint = "&" if "?" in path else "?"
        request = urllib.request.Request(  # noqa: S310 - https to the emulator on loopback
            f"{here['url']}{path}{joint}api-version=2025-02-15",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Bearer local", "Content-Type": "application/json"},
        )
        tls = ssl.create_default_context(cafile=here["ca"])
        with urllib.request.urlopen(request, context=tls, timeout=60) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None

    def ask_app(self, method: str, path: str, body: object = None, *, who: Person = ANN) -> Any:  # noqa: ANN401
        """Call the app's HTTP API; return its JSON, also of a refusal."""
        return self.ask_host(method, f"/api/{path}", body, who=who)

    def ask_host(self, method: str, path: str, body: object = None, *, who: Person = ANN) -> Any:  # noqa: ANN401
        """Call the host, its own API included; return its JSON, also of a refusal."""
        request = urllib.request.Request(  # noqa: S310 - the host on loopback
            f"{self.host.ready['url']}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **self._signed_in(who)},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refusal:
            return json.loads(refusal.read() or b"null")

    def _signed_in(self, who: Person) -> dict[str, str]:
        if self._trusts_header:
            return {"X-MS-CLIENT-PRINCIPAL": principal_header(who)}
        return {"Authorization": f"Bearer {self.token(who)}"}

    def subscribe(self) -> None:
        """Subscribe the app to the workspace's events."""
        here = self.azure_ml.ready
        url = self.host.ready["url"]
        webhook = f"{url}/runtime/webhooks/EventGrid?functionName=on_model_registered"
        destination = {"endpointType": "WebHook", "properties": {"endpointUrl": webhook}}
        body = {
            "properties": {
                "destination": destination,
                "eventDeliverySchema": "CloudEventSchemaV1_0",
                "filter": {
                    "includedEventTypes": ["Microsoft.MachineLearningServices.ModelRegistered"]
                },
            }
        }
        path = f"{here['workspace_id']}/providers/Microsoft.EventGrid/eventSubscriptions"
        self.ask_azure_ml("PUT", f"{path}/{SUBSCRIPTION}", body)

    def _keep_alive(self) -> None:
        starts = [
            (self.engine, self.start_engine),
            (self.azure_ml, self.start_azure_ml),
            (self.identity, self.start_identity),
            (self.host, self.start_host),
        ]
        if self.channels is not None:
            starts.append((self.channels, self.start_channels))
        while not self._is_over.wait(_REST):
            for program, start in starts:
                if not program.is_alive() and not self._is_over.is_set():
                    start()

    def _recall(self, name: str) -> str:
        path = self.data / "ports.json"
        ports: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        return str(ports.get(name, 0))

    def _remember(self, name: str, port: int) -> None:
        path = self.data / "ports.json"
        ports = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**ports, name: port}))


def principal(
    object_id: str = ANN.id,
    *,
    name: str = "",
    groups: Sequence[str] = (),
    roles: Sequence[str] = (),
    rights: Sequence[str] = ANN.roles,
) -> Person:
    """Return somebody to ask as, in those groups, with those app roles beside those of rights."""
    return Person(id=object_id, name=name, groups=tuple(groups), roles=(*rights, *roles))


def principal_header(who: Person) -> str:
    """Return the principal header of a signed-in person, as the platform would set it."""
    said = [("oid", who.id), *([("name", who.name)] if who.name else [])]
    said += [("groups", group) for group in who.groups] + [("roles", role) for role in who.roles]
    claims = [{"typ": kind, "val": value} for kind, value in said]
    return base64.b64encode(json.dumps({"claims": claims}).encode()).decode()
