"""Templates as data, each with its answer; and azure-ai-ml, asked without any network."""

import re
import socket
import warnings
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

from deploy_logic.template.place import TemplateComplaint, read
from deploy_logic.template.placeholder import KNOWN, fill_value
from deploy_logic.template.template import (
    OWNED,
    RECEIPTS,
    Kind,
    check_pair,
    check_template,
    read_compute,
    recognise,
)
from tests.template_lab import VALUES, load_complaints, load_entity

FOLDER = Path(__file__).parent / "data" / "templates"
ANSWERS: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "answers.yaml").read_text())
LOADS = {name: answer for name, answer in ANSWERS.items() if "loads" in answer}
REFUSED = {name: answer for name, answer in ANSWERS.items() if "complaints" in answer}
SHIPPED = {
    "policies/templates/fraud-deployment.yml": "deployment",
    "policies/templates/fraud-endpoint.yml": "endpoint",
    "local/demo/policies/templates/churn-deployment.yml": "deployment",
    "local/demo/policies/templates/churn-endpoint.yml": "endpoint",
}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a template asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def complaints_about(path: Path, kind: Kind) -> list[str]:
    text = path.read_text(encoding="utf-8")
    found = check_template(path, text, kind=kind) + load_complaints(path, text, kind=kind)
    return [str(one) for one in found]


def test_every_template_has_its_answer_and_there_are_enough() -> None:
    included = {"environment.yml", "environment-with-placeholder.yml"}
    assert {path.name for path in FOLDER.glob("*.yml")} - included == set(ANSWERS)
    assert len(LOADS) >= 20
    assert len(REFUSED) >= 35


@pytest.mark.parametrize("name", LOADS)
def test_template_loads_as_what_it_is(name: str) -> None:
    path, kind = FOLDER / name, LOADS[name]["kind"]
    assert complaints_about(path, kind) == []
    assert type(load_entity(path, kind)).__name__ == LOADS[name]["loads"]


@pytest.mark.parametrize("name", REFUSED)
def test_template_is_refused_with_every_reason_and_its_place(name: str) -> None:
    assert complaints_about(FOLDER / name, REFUSED[name]["kind"]) == REFUSED[name]["complaints"]


@pytest.mark.parametrize("name", REFUSED)
def test_no_reason_shows_this_machine_or_the_insides_of_the_sdk(name: str) -> None:
    told = "\n".join(complaints_about(FOLDER / name, REFUSED[name]["kind"]))
    for foreign in (str(FOLDER), "\x1b", "http", "Traceback", "object at 0x", "Schema failed"):
        assert foreign not in told


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_template_loads(name: str) -> None:
    kind: Kind = "endpoint" if SHIPPED[name] == "endpoint" else "deployment"
    assert complaints_about(Path(__file__).parents[1] / name, kind) == []


def test_loading_warns_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    path = FOLDER / "managed-data-collector.yml"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        assert load_complaints(path, path.read_text(), kind="deployment") == ()
    assert capfd.readouterr() == ("", "")


def test_what_the_sdk_cannot_even_refuse_is_a_complaint() -> None:
    """azure-ai-ml takes the identity apart before it looks at it, and breaks."""
    text = "auth_mode: key\nidentity: {type: user_assigned, user_assigned_identities: [1]}\n"
    (found,) = load_complaints(FOLDER / "e.yml", text, kind="endpoint")
    assert found.expected
    assert "\n" not in str(found)


KNOWN_BY = {
    "a schema": ("$schema: https://x/latest/kubernetesOnlineDeployment.schema.json", "deployment"),
    "the keys of a deployment": ("instance_type: S", "deployment"),
    "the keys of an endpoint": ("auth_mode: key", "endpoint"),
    "most of its keys": ("path: a\nauth_mode: key\ntraffic: {}", "endpoint"),
    "nothing": ("name: blue", None),
    "a compute's keys": ("type: amlcompute\nsize: S\nidentity: {type: system_assigned}", None),
    "a batch schema": ("$schema: https://x/latest/batchEndpoint.schema.json", None),
}


@pytest.mark.parametrize(("text", "kind"), KNOWN_BY.values(), ids=KNOWN_BY)
def test_a_file_is_known_by_its_schema_or_its_keys(text: str, kind: Kind | None) -> None:
    root = read(text)
    assert not isinstance(root, TemplateComplaint)
    assert recognise(root) == kind


PAGE = (Path(__file__).parents[1] / "docs" / "templates.md").read_text(encoding="utf-8")


def in_first_column(heading: str) -> list[str]:
    part = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE)


def test_the_page_has_every_key_that_the_app_fills_in() -> None:
    owned = {key for keys in OWNED.values() for key in keys} - {"$schema"}
    assert set(in_first_column("What the app fills in")) == owned | {"tags"}
    assert all(f"`{receipt}`" in PAGE for receipt in RECEIPTS)


def test_the_page_has_every_placeholder_and_every_mark_it_shows_is_filled() -> None:
    names = in_first_column("Placeholders")
    marks = names[len(KNOWN) :]
    assert set(names[: len(KNOWN)]) == set(KNOWN)
    assert len(marks) == 9
    assert {fill_value(mark, VALUES) for mark in marks} == {"7"}


def test_the_complaints_shown_are_those_about_the_template_shown() -> None:
    found = re.search(r"^```yaml\n(.*?)^```\n\n```\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    path, text = FOLDER / "shown.yml", found[1]
    told = check_template(path, text, kind="deployment")
    told += load_complaints(path, text, kind="deployment")
    assert "".join(f"{one}\n" for one in told) == found[2]


PAIRS = {
    "both managed": ("instance_count: 1", "auth_mode: key", ""),
    "both Kubernetes": ("type: kubernetes", "compute: azureml:k", ""),
    "Kubernetes on managed": (
        "type: kubernetes",
        "auth_mode: key",
        (
            "1:7: type: a Kubernetes deployment on a managed endpoint "
            "(compute: azureml:NAME in the endpoint template)"
        ),
    ),
    "managed on Kubernetes": (
        "instance_count: 1",
        "compute: azureml:k",
        (
            "1:1: type: a managed deployment on a Kubernetes endpoint "
            "(type: kubernetes, as the endpoint template names a compute)"
        ),
    ),
    "one that cannot be read": ("[", "compute: azureml:k", ""),
}


@pytest.mark.parametrize(("deployment", "endpoint", "told"), PAIRS.values(), ids=PAIRS)
def test_a_pair_must_run_on_the_same(deployment: str, endpoint: str, told: str) -> None:
    assert "\n".join(str(one) for one in check_pair(deployment, endpoint)) == told


def test_compute_of_what_cannot_be_read_is_unknown() -> None:
    assert read_compute("a: [") is None
