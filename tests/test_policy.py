"""Policies: what loads, and that every mistake of every file is pointed at, all at once."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy_logic.errors import Complaint, PolicyError
from deploy_logic.policy.files import load_policies, read_policies
from deploy_logic.policy.gate import Probe
from deploy_logic.policy.policy import Policy, total_bake
from deploy_logic.policy.strategy import BlueGreen, Canary
from deploy_logic.version.rule import parse_version_rule
from tests.builders import a_policy

REPOSITORY = Path(__file__).parents[1]

GOOD = """\
policy: churn-prod
select: {model: churn}
deploy: {endpoint: churn, template: templates/churn.yml}
strategy: {kind: all-at-once}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path = tmp_path / "policies"
    (tmp_path / "templates").mkdir(parents=True)
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
    "not UTF-8": (b"policy: \xff\n", "policy", (1, 9), "byte 0xff (text in UTF-8)"),
    "UTF-16": ("policy: x\n".encode("utf-16"), "policy", (1, 1), "text in UTF-8"),
    "control character": ("policy: \x01\n", "policy", (1, 9), "character U+0001"),
    "indented with tabs": ("policy:\n\tx: y\n", "policy", (2, 1), "not indent with tabs"),
    "nested too deep": ("[" * 5000, "policy", (1, 51), "at most 50 levels"),
    "longer than anybody writes": (b"#" * 1_000_001, "policy", (1, 1), "at most 1000000"),
    "unknown tag": ("policy: !secret x\n", "policy", (1, 9), "'!secret'"),
    "python object": ("policy: !!python/object:os.system x\n", "policy", (1, 9), "os.system"),
    "tag that does not fit": ("policy: !!int x\n", "policy", (1, 9), "what its tag"),
    "set": ("policy: !!set {a}\n", "policy", (1, 9), "a plain value"),
    "list as key": ("? [a]\n: b\n", "policy", (1, 3), "a word as key"),
    "alias of nothing": ("policy: *a\n", "policy", (1, 9), "undefined alias"),
    "alias in itself": ("policy: &a [*a]\n", "policy[0]", (1, 9), "an alias of something else"),
    "half a character": ('policy: "\\ud800"\n', "policy", (1, 9), "whole characters"),
    "half a character as key": ('"\\ud800": 1\n', "policy", (1, 1), "whole characters"),
    "merge of a word": ("<<: x\n", "policy", (1, 5), "a mapping to merge"),
    "a list": ("- policy: x\n", "policy", (1, 1), "a mapping with policy, select"),
    "a word": ("hello\n", "policy", (1, 1), "hello (a mapping with"),
    "another document": ("name: x\n", "policy", (1, 1), "keys name (a policy; templates"),
    "nothing written": ("policy:\n", "policy", (1, 8), "nothing (the policy's name"),
    "date as a name": ("policy: 2026-13-45\n", "policy", (1, 9), "2026-13-45 (the policy's name"),
    "key twice": (
        another("deadline: 1h\ndeadline: 2h\n"),
        "deadline",
        (6, 1),
        "stands twice (each key once; the first is in line 5)",
    ),
    "key twice inside": (
        another("gates: [{kind: probe, request: requests/churn.json, kind: probe}]\n"),
        "gates[0].kind",
        (5, 53),
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
        "with / between folders",
    ),
    "template anywhere on the machine": (
        swapped(TEMPLATE, "/etc/hosts"),
        "deploy.template",
        (3, 37),
        "with / between folders and none in front",
    ),
    "template outside": (
        swapped(TEMPLATE, "../outside.yml"),
        "deploy.template",
        (3, 37),
        "to one inside of the app",
    ),
    "template linked from outside": (
        swapped(TEMPLATE, "templates/link.yml"),
        "deploy.template",
        (3, 37),
        "to one inside of the app",
    ),
    "template with backslashes": (
        swapped(TEMPLATE, r"templates\churn.yml"),
        "deploy.template",
        (3, 37),
        "with / between folders",
    ),
    "endpoint template missing": (
        swapped("{endpoint:", "{endpoint_template: no.yml, endpoint:"),
        "deploy.endpoint_template",
        (3, 29),
        "No such file",
    ),
    "request missing": (probing("requests/none.json"), "gates[0].request", (5, 32), "No such file"),
    "request not UTF-8": (probing("requests/binary"), "gates[0].request", (5, 32), "not UTF-8"),
    "request too long": (
        probing("requests/long"),
        "gates[0].request",
        (5, 32),
        "100001 characters (at most 100000)",
    ),
    "weights that do not rise": (
        swapped(ONCE, "{kind: canary, steps: [{weight: 5}, {weight: 5}]}"),
        "strategy.steps[1].weight",
        (4, 56),
        "5 (more than the 5 above)",
    ),
    "no steps in any way": (
        swapped(ONCE, "{kind: canary}"),
        "strategy.steps",
        (4, 11),
        "(one or more steps",
    ),
    "steps in both ways": (
        swapped(ONCE, "{kind: canary, steps: [{weight: 5}], equal_steps: {rise: 20}}"),
        "strategy.equal_steps",
        (4, 61),
        "(either steps or equal_steps)",
    ),
    "equal steps that rise too far": (
        swapped(ONCE, "{kind: canary, equal_steps: {rise: 51}}"),
        "strategy.equal_steps.rise",
        (4, 46),
        "51 (how much each weight",
    ),
    "no steps": (
        swapped(ONCE, "{kind: canary, steps: []}"),
        "strategy.steps",
        (4, 33),
        "[] (one or more steps",
    ),
    "unknown strategy": (
        swapped("all-at-once", "yolo"),
        "strategy.kind",
        (4, 18),
        "yolo (canary, blue-green or all-at-once)",
    ),
    "strategy without a kind": (
        swapped(ONCE, "{steps: []}"),
        "strategy.kind",
        (4, 11),
        "missing key 'kind'",
    ),
    "bakes longer than the deadline": (
        swapped(ONCE, "{kind: blue-green, final_bake: 10m}\ndeadline: 10m"),
        "deadline",
        (5, 11),
        "10m (longer than 10m: the bakes take 10m)",
    ),
    "duration that is a number": (another("deadline: 90\n"), "deadline", (5, 11), "90 (a length"),
    "rule that is a fraction": (
        swapped("{model: churn}", "{model: churn, version: 1.50}"),
        "select.version",
        (2, 33),
        "1.50 (a version rule",
    ),
    "rule that is a flag": (
        swapped("{model: churn}", "{model: churn, version: true}"),
        "select.version",
        (2, 33),
        "true (a version rule",
    ),
    "name taken": (
        swapped("other-prod", "churn-prod"),
        "policy",
        (1, 9),
        "another name: a policy in churn.yaml has it",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_points_at(folder: Path, what: str) -> None:
    (folder / "requests" / "binary").write_bytes(b"\xff")
    (folder / "requests" / "long").write_text("x" * 100_001)
    (folder.parent / "outside.yml").write_text("instance_count: 1\n")
    (folder / "templates" / "link.yml").symlink_to(folder.parent / "outside.yml")
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
    assert [(one.file, one.path, one.line) for one in loaded.complaints] == [
        ("churn.yaml", "select.model", 2),
        ("twin.yaml", "select.model", 2),
    ]
    assert "'churn-twin' in twin.yaml could take the same version" in str(loaded.complaints[0])


def test_folder_that_is_none_is_a_complaint(tmp_path: Path) -> None:
    loaded = read_policies(tmp_path / "none")
    assert loaded.policies == ()
    (complaint,) = loaded.complaints
    said = "none:1:1: policies: is not a folder (a folder of *.yaml policies)"
    assert str(complaint) == said


def test_empty_file_is_no_policy_and_no_mistake(folder: Path) -> None:
    (folder / "empty.yaml").write_text("# nothing yet\n---\n---\nnull\n")
    (folder / "nothing.yaml").write_text("")
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


def test_documents_before_a_broken_one_are_used(folder: Path) -> None:
    (folder / "more.yaml").write_text(another() + "---\npolicy: [\n")
    loaded = read_policies(folder)
    assert [one.policy.policy for one in loaded.policies] == ["churn-prod", "other-prod"]
    assert [(one.file, one.line) for one in loaded.complaints] == [("more.yaml", 7)]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        f"---\n{GOOD}...\n".encode(),
    ],
    ids=["with a byte order mark", "with carriage returns", "with both ends marked"],
)
def test_file_of_any_editor_is_read(folder: Path, content: bytes) -> None:
    (folder / "churn.yaml").write_bytes(content)
    assert [one.policy.policy for one in load_policies(folder)] == ["churn-prod"]


def test_aliases_that_blow_up_are_refused(folder: Path) -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 9))
    (one,) = complaints_about(folder, f"policy: bomb-prod\nl0: &l0 [x, x]\n{levels}\n")
    assert "at most 20000 values, aliases written out" in one.expected


def test_values_are_read_as_editors_read_them(folder: Path) -> None:
    """YAML 1.1 would make a number of 010 and 1:30, and a flag of no."""
    probe = "{kind: probe, request: requests/churn.json, expect: {equals: [010, 1:30, no, 1_0, 7]}}"
    (folder / "churn.yaml").write_text(another(f"gates: [{probe}]\n"))
    (gate,) = load_policies(folder)[0].policy.gates
    assert isinstance(gate, Probe)
    assert gate.expect.equals == ["010", "1:30", "no", "1_0", 7]


def test_policy_in_a_file_that_is_not_read_is_complained_about(folder: Path) -> None:
    (folder / "late.yml").write_text(another())
    (folder / "template.yml").write_text("instance_count: 1\n")
    (folder / ".hidden.yaml").write_text("policy: [\n")
    (folder / "LOUD.YAML").write_text(another(name="loud"))
    loaded = read_policies(folder)
    assert [one.policy.policy for one in loaded.policies] == ["loud-prod", "churn-prod"]
    (complaint,) = loaded.complaints
    assert str(complaint) == (
        "late.yml:1:1: policies: a policy in a file that is not read (the ending .yaml: late.yaml)"
    )


def test_file_that_is_a_folder_is_a_complaint(folder: Path) -> None:
    (folder / "odd.yaml").mkdir()
    (complaint,) = read_policies(folder).complaints
    assert str(complaint) == "odd.yaml:1:1: policies: Is a directory (a file that can be read)"


def test_paths_may_lead_out_of_the_folder_but_not_out_of_the_app(folder: Path) -> None:
    app = folder.parent
    (app / "shared").mkdir()
    (app / "shared" / "t.yml").write_text("instance_count: 2\n")
    text = GOOD.replace("templates/churn.yml", "../shared/t.yml")
    (folder / "churn.yaml").write_text(text)
    assert "inside of the app" in str(read_policies(folder).complaints[0])
    (app / "host.json").write_text("{}")
    (loaded,) = load_policies(folder)
    assert loaded.template == "instance_count: 2\n"


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
        text.write(" \n" if file.endswith("json") else "\ndeadline: 3h\n")
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
