"""Unmodified azure-ai-ml sends what it always sent: its requests per operation, as data.

An SDK that sends something else fails here, loudly; `make golden` writes the data anew, and the
difference is reviewed.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.local.azure_ml_lab import Lab, lab
from tests.local.wire_scenarios import SCENARIOS, World

GOLDEN = Path(__file__).parent / "data" / "wire.json"
WRITE = os.environ.get("GOLDEN") == "write"

pytestmark = [pytest.mark.filterwarnings("ignore")]  # azure-ai-ml warns about its own classes


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    from azure.ai.ml import MLClient  # noqa: PLC0415 - takes 1.5 s, and only these tests need it

    folder = tmp_path_factory.mktemp("files")
    with (
        lab(tmp_path_factory.mktemp("wire")) as aml,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("REQUESTS_CA_BUNDLE", aml.ready["ca"])
        cloud = cloud_of(aml)
        scope = [aml.ready[key] for key in ("subscription", "resource_group", "workspace")]

        def registry_client(name: str) -> Any:
            return MLClient(Token(), registry_name=name, **cloud)

        yield World(aml, MLClient(Token(), *scope, **cloud), folder, registry_client)
        os.environ.pop("AZUREML_CURRENT_CLOUD", None)


class Token:
    def get_token(self, *_: str, **__: Any) -> Any:
        from azure.core.credentials import AccessToken  # noqa: PLC0415 - see above

        return AccessToken("any", 4_000_000_000)


def cloud_of(aml: Lab) -> dict[str, Any]:
    """What points MLClient at the emulator; it knows a cloud by its name from then on."""
    url = aml.ready["url"]
    name = f"LocalAml{url.rpartition(':')[2]}"
    return {"cloud": name, "cloud_metadata": metadata(url), "polling_interval": 1}


def forget_named_deployment() -> None:
    """Let the next `invoke` go where the weights send it.

    azure-ai-ml 1.35 writes the header into a dictionary that all its calls share, so every later
    call of the process would name the deployment too: needed until it copies the dictionary.
    """
    from azure.ai.ml.constants._endpoint import EndpointInvokeFields  # noqa: PLC0415 - see above

    EndpointInvokeFields.DEFAULT_HEADER.pop("azureml-model-deployment", None)


def metadata(url: str) -> dict[str, str]:
    return {
        "azure_portal": url,
        "resource_manager": url,
        "active_directory": url,
        "aml_resource_id": url,
        "storage_endpoint": url.removeprefix("https://"),
        "registry_discovery_endpoint": url,
    }


def record(world: World, name: str) -> list[str]:
    """Do one scenario and give what was sent, one line per request."""
    forget_named_deployment()
    act = SCENARIOS[name](world)
    world.aml.admin("DELETE", "requests")
    act()
    lines: list[str] = []
    for entry in world.aml.admin("GET", "requests?last=2000")["last"]:
        line = show(entry)
        # How often an operation is asked for depends on the machine.
        if not ("mfeOperation" in line and lines and lines[-1] == line):
            lines.append(line)
    return lines


def show(entry: dict[str, Any]) -> str:
    template = entry["template"].replace("{workspace}/", "").replace("{workspace}", "workspace")
    query = dict(parse_qsl(entry["query"], keep_blank_values=True))
    version = query.pop("api-version", None)
    parts = [entry["method"], template]
    parts += [f"@{version}"] if version else []
    parts += ["?" + ",".join(sorted(query))] if query else []
    parts += ["{" + ",".join(entry["body"]) + "}"] if entry["body"] else []
    return f"{' '.join(parts)} -> {entry['status']}"


@pytest.fixture(scope="module")
def golden() -> Iterator[dict[str, list[str]]]:
    kept: dict[str, list[str]] = {}
    if GOLDEN.exists():
        kept = json.loads(GOLDEN.read_text())["operations"]
    yield kept
    if WRITE:
        from azure.ai.ml import __version__  # noqa: PLC0415 - see above

        written = {name: kept[name] for name in SCENARIOS if name in kept}
        body = {"azure-ai-ml": __version__, "operations": written}
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(body, indent=1) + "\n")


@pytest.mark.parametrize("name", SCENARIOS)
def test_operation_sends_what_it_always_sent(
    world: World, golden: dict[str, list[str]], name: str
) -> None:
    sent = record(world, name)
    if WRITE:
        golden[name] = sent
    assert sent == golden.get(name), f"not as in {GOLDEN.name}: `make golden` records it anew"


def test_every_recorded_operation_is_still_asked_for(golden: dict[str, list[str]]) -> None:
    assert WRITE or list(golden) == list(SCENARIOS)
