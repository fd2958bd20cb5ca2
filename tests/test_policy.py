"""Policies: what loads, and that every mistake of every file is pointed at, all at once."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy_logic.errors import Complaint, PolicyError
from deploy_logic.policy import Policy, total_bake
from deploy_logic.policy_files import load_policies, read_policies
from deploy_logic.policy_gate import Probe
from deploy_logic.policy_strategy import BlueGreen, Canary
from deploy_logic.version_rule import parse_version_rule
from tests.builders import a_policy

REPOSITORY = Path(__file__).parents[1]

GOOD = """\
policy: churn-prod
select: {model: churn}
deploy: {endpoint: churn, template: templates/churn.yml}
strategy: {kind: all-at-once}
"""

TEN_MISTAKES = """\
policy: x
select:
  model: ""
  version: newest
  tags: {stage: [production]}
deploy:
  endpoint: 1-endpoint
strategy:
  kind: canary
  steps:
    - {weight: 0, bake: soon}
    - {weight: "50"}
gates:
  - {kind: metric, request: r.json}
  - {kind: probe, expect: {status: 99}}
on_new_version: maybe
deadline: -1h
owner: nobody
"""

# path and line of every complaint about it
TEN_PLACES = {
    ("policy", 1),
    ("select.model", 3),
    ("select.version", 4),
    ("select.tags.stage", 5),
    ("deploy.endpoint", 7),
    ("deploy.template", 7),  # it is missing: the mapping that lacks it
    ("strategy.steps[0].weight", 11),
    ("strategy.steps[0].bake", 11),
    ("strategy.steps[1].weight", 12),
    ("gates[0].kind", 14),
    ("gates[1].request", 15),
    ("gates[1].expect.status", 15),
    ("on_new_version", 16),
    ("deadline", 17),
    ("owner", 18),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "churn.yml").write_text("instance_count: 1\n")
    (tmp_path / "requests").mkdir()
    (tmp_path / "requests" / "churn.json").write_text('{"data": []}')
    (tmp_path / "churn.yaml").write_text(GOOD)
    return tmp_path


def another(more: str = "", *, name: str = "other") -> str:
    """Return the good policy under other names, so that only what is added can be wrong."""
    text = GOOD.replace("churn-prod", f"{name}-prod")
    return text.replace("endpoint: churn", f"endpoint: {name}") + more


def swapped(old: str, new: str) -> str:
    text = another()
    assert text.count(old) == 1
    return text.replace(old, new)


def probing(request: str) -> str:
    return another(f"gates: [{{kind: probe, request: {request}}}]\n")


def complaints_about(
    folder: Path, text: str | bytes, *, name: str = "bad.yaml"
) -> tuple[Complaint, ...]:
    """Return the complaints about one more file; the good one must still be usable."""
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    loaded = read_policies(folder)
    assert [one.policy.policy for one in loaded.policies] == ["churn-prod"]
    assert {one.file for one in loaded.complaints} == {name}
    check_places(loaded.complaints, folder)
    return loaded.complaints


def check_places(complaints: tuple[Complaint, ...], folder: Path) -> None:
    for one in complaints:
        assert one.path
        assert one.given or one.expected
        assert one.line >= 1
        assert one.column >= 1
        assert str(one).startswith(f"{one.file}:{one.line}:{one.column}: {one.path}: ")
        lines = (folder / one.file).read_bytes().splitlines()
        assert one.line <= len(lines) + 1


def test_ten_mistakes_are_ten_complaints_each_at_its_place(folder: Path) -> None:
    found = complaints_about(folder, TEN_MISTAKES)
    assert {(one.path, one.line) for one in found} == TEN_PLACES
    assert len(found) >= 10


def test_complaints_about_all_files_come_in_one_error(folder: Path) -> None:
    (folder / "a.yaml").write_text("policy: x\n")
    (folder / "b.yaml").write_text("policy: [\n")
    with pytest.raises(PolicyError) as refused:
        load_policies(folder)
    assert {one.file for one in refused.value.complaints} == {"a.yaml", "b.yaml"}
    assert str(refused.value).splitlines() == [str(one) for one in refused.value.complaints]


ONCE = "{kind: all-at-once}"
TEMPLATE = "templates/churn.yml"

# what: text, path, line and column, what is said
WRONG: Mapping[str, tuple[str | bytes, str, tuple[int, int], str]] = {
    "not YAML": ("policy: [\n", "policy", (2, 1), "expected the node content"),
    "not UTF-8": (b"policy: \xff\n", "policies", (1, 1), "utf-8"),
    "control character": ("policy: \x01\n", "policies", (1, 1), "#x0001"),
    "nested too deep": ("[" * 5000, "policies", (1, 1), "recursion"),
    "unknown tag": ("policy: !secret x\n", "policy", (1, 9), "'!secret'"),
    "python object": ("policy: !!python/object:os.system x\n", "policy", (1, 9), "os.system"),
    "impossible date": ("policy: 2026-13-45\n", "policy", (1, 1), "month must be in 1..12"),
    "list as key": ("? [a]\n: b\n", "policy", (1, 3), "unhashable"),
    "alias in itself": ("policy: &a [*a]\n", "policy", (1, 9), "valid string"),
    "a list": ("- policy: x\n", "policy", (1, 1), "valid dictionary"),
    "a word": ("hello\n", "policy", (1, 1), "'hello'"),
    "an empty document": ("---\n", "policy", (2, 1), "None"),
    "key twice": (another("deadline: 1h\ndeadline: 2h\n"), "deadline", (6, 11), "stands twice"),
    "key twice inside": (
        another("gates: [{kind: probe, request: requests/churn.json, kind: probe}]\n"),
        "gates[0].kind",
        (5, 59),
        "'kind' stands twice",
    ),
    "template missing": (swapped(TEMPLATE, "no.yml"), "deploy.template", (3, 37), "No such file"),
    "template is a folder": (
        swapped(TEMPLATE, "templates"),
        "deploy.template",
        (3, 37),
        "Is a directory",
    ),
    "template with a null byte": (
        swapped(TEMPLATE, r'"a\0b"'),
        "deploy.template",
        (3, 37),
        "null byte",
    ),
    "endpoint template missing": (
        swapped("{endpoint:", "{endpoint_template: no.yml, endpoint:"),
        "deploy.endpoint_template",
        (3, 29),
        "No such file",
    ),
    "request missing": (probing("requests/none.json"), "gates[0].request", (5, 32), "No such file"),
    "request not UTF-8": (probing("requests/binary"), "gates[0].request", (5, 32), "utf-8"),
    "request too long": (
        probing("requests/long"),
        "gates[0].request",
        (5, 32),
        "100001 characters (at most 100000)",
    ),
    "answer that JSON cannot say": (
        probing("r, expect: {equals: 2026-01-01}"),
        "gates[0].expect.equals",
        (5, 52),
        "not a valid JSON value",
    ),
    "answer with an inside that JSON cannot say": (
        probing("r, expect: {equals: {a: [1, 2026-01-01]}}"),
        "gates[0].expect.equals.a[1]",
        (5, 60),
        "not a valid JSON value",
    ),
    "weights that do not rise": (
        swapped(ONCE, "{kind: canary, steps: [{weight: 5}, {weight: 5}]}"),
        "strategy",
        (4, 11),
        "[5, 5], which do not rise",
    ),
    "no steps": (
        swapped(ONCE, "{kind: canary, steps: []}"),
        "strategy.steps",
        (4, 33),
        "at least 1 item",
    ),
    "unknown strategy": (swapped("all-at-once", "yolo"), "strategy", (4, 11), "'yolo'"),
    "strategy without a kind": (swapped(ONCE, "{steps: []}"), "strategy", (4, 11), "kind"),
    "bakes longer than the deadline": (
        swapped(ONCE, "{kind: blue-green, final_bake: 10m}\ndeadline: 10m"),
        "policy",
        (1, 1),
        "deadline 10m is not longer than the bakes, which take 10m",
    ),
    "duration that is a number": (another("deadline: 90\n"), "deadline", (5, 11), "90 is not a"),
    "rule that is a fraction": (
        swapped("{model: churn}", "{model: churn, version: 1.5}"),
        "select.version",
        (2, 33),
        "1.5 is not a version rule",
    ),
    "rule that is a flag": (
        swapped("{model: churn}", "{model: churn, version: true}"),
        "select.version",
        (2, 33),
        "True is not a version rule",
    ),
    "name taken": (swapped("other-prod", "churn-prod"), "policy", (1, 9), "churn.yaml has it"),
}


@pytest.mark.parametrize("what", WRONG)
def test_points_at(folder: Path, what: str) -> None:
    (folder / "requests" / "binary").write_bytes(b"\xff")
    (folder / "requests" / "long").write_text("x" * 100_001)
    text, path, place, says = WRONG[what]
    found = complaints_about(folder, text, name="zz.yaml")
    fitting = [one for one in found if one.path == path and says in str(one)]
    assert [(one.line, one.column) for one in fitting] == [place], [str(one) for one in found]


def test_two_policies_for_one_model_on_one_endpoint_are_both_refused(folder: Path) -> None:
    (folder / "twin.yaml").write_text(
        GOOD.replace("churn-prod", "churn-twin").replace("endpoint: churn", "endpoint: CHURN")
    )
    (folder / "other.yaml").write_text(another())
    loaded = read_policies(folder)
    assert [one.policy.policy for one in loaded.policies] == ["other-prod"]
    (complaint,) = loaded.complaints
    assert "'churn-prod' and 'churn-twin' both deploy model 'churn'" in str(complaint)


def test_folder_that_is_none_is_a_complaint(tmp_path: Path) -> None:
    loaded = read_policies(tmp_path / "none")
    assert loaded.policies == ()
    (complaint,) = loaded.complaints
    said = "none:1:1: policies: is not a folder (a folder of *.yaml policies)"
    assert str(complaint) == said


def test_empty_file_is_no_policy_and_no_mistake(folder: Path) -> None:
    (folder / "empty.yaml").write_text("# nothing yet\n")
    assert [one.policy.policy for one in load_policies(folder)] == ["churn-prod"]


def test_one_file_may_hold_several_documents_and_one_bad_one_harms_no_other(folder: Path) -> None:
    (folder / "more.yaml").write_text(another() + "---\npolicy: x\n---\n" + another(name="third"))
    loaded = read_policies(folder)
    assert [one.policy.policy for one in loaded.policies] == [
        "churn-prod",
        "other-prod",
        "third-prod",
    ]
    assert {one.line for one in loaded.complaints} == {6}


def test_what_overrides_a_merged_value_is_pointed_at(folder: Path) -> None:
    text = another("").replace(
        "{kind: all-at-once}",
        "\n  <<: &base {kind: canary, final_bake: 1h}\n  steps: []\n  final_bake: x",
    )
    found = complaints_about(folder, text)
    assert {("strategy.final_bake", 7), ("strategy.steps", 6)} == {
        (one.path, one.line) for one in found
    }


def test_policy_is_read_with_all_it_names(folder: Path) -> None:
    (folder / "churn.yaml").write_text(
        "policy: churn-prod\n"
        "select: {model: churn, version: 7, tags: {stage: production}}\n"
        "deploy:\n"
        "  endpoint: churn\n"
        "  endpoint_template: templates/endpoint.yml\n"
        "  template: templates/churn.yml\n"
        "strategy: {kind: canary, steps: [{weight: 10, bake: 1h30m}], final_bake: PT1H}\n"
        "gates: [{kind: probe, request: requests/churn.json, expect: {within: 2s, equals: [1]}}]\n"
        "on_new_version: queue\n"
        "deadline: 1d\n"
    )
    (folder / "templates" / "endpoint.yml").write_text("auth_mode: key\n")
    (found,) = load_policies(folder)
    policy = found.policy
    assert policy.select.version == parse_version_rule("7")
    assert policy.select.tags == {"stage": "production"}
    assert isinstance(policy.strategy, Canary)
    assert policy.strategy.steps[0].bake == timedelta(minutes=90)
    assert (policy.deadline, total_bake(policy)) == (timedelta(days=1), timedelta(minutes=150))
    (gate,) = policy.gates
    assert isinstance(gate, Probe)
    assert gate.expect.within == timedelta(seconds=2)
    assert (found.template, found.endpoint_template) == ("instance_count: 1\n", "auth_mode: key\n")
    assert found.requests == {"requests/churn.json": '{"data": []}'}
    assert Path(found.folder) == folder / "templates"
    assert type(found).model_validate(found.model_dump(mode="json")) == found


@pytest.mark.parametrize("file", ["churn.yaml", "templates/churn.yml", "requests/churn.json"])
def test_hash_depends_on_everything_that_is_rolled_out_and_not_on_where(
    folder: Path, file: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (folder / "churn.yaml").write_text(
        GOOD + "gates: [{kind: probe, request: requests/churn.json}]\n"
    )
    (before,) = load_policies(folder)
    elsewhere = folder.rename(tmp_path_factory.mktemp("elsewhere") / "policies")
    (moved,) = load_policies(elsewhere)
    assert moved.hash == before.hash
    assert re.fullmatch(r"[0-9a-f]{16}", before.hash)
    with (elsewhere / file).open("a") as text:
        text.write("\ndeadline: 3h\n")
    (changed,) = load_policies(elsewhere)
    assert changed.hash != before.hash


def test_shipped_policies_load() -> None:
    assert [one.policy.policy for one in load_policies(REPOSITORY / "policies")] == ["fraud-prod"]


@pytest.mark.parametrize(
    ("policy", "length"),
    [
        (a_policy(bake="10m", final_bake="5m"), timedelta(minutes=25)),
        (a_policy(strategy={"kind": "blue-green", "final_bake": "20m"}), timedelta(minutes=20)),
        (a_policy(strategy={"kind": "all-at-once"}), timedelta(0)),
    ],
    ids=["canary", "blue-green", "all-at-once"],
)
def test_total_bake(policy: Policy, length: timedelta) -> None:
    assert total_bake(policy) == length


def test_policy_is_frozen() -> None:
    strategy = BlueGreen(kind="blue-green")
    with pytest.raises(ValidationError, match="frozen"):
        setattr(strategy, "final_bake", timedelta(1))  # noqa: B010 - mypy would refuse the statement
