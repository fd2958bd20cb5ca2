"""The policy language: what may be written, and what is said about everything else."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy_logic.announcement.wording import Kind
from deploy_logic.errors import Complaint
from deploy_logic.policy.files import read_policies
from deploy_logic.policy.gate import AnyGate
from deploy_logic.policy.gate_metric import MetricGate
from deploy_logic.policy.policy import Policy
from tests.builders import a_policy

GOOD = """\
policy: churn-prod
select: {model: churn}
deploy: {endpoint: churn, template: templates/churn.yml}
strategy: {kind: all-at-once}
"""

TEN_MISTAKES = """\
policy: fraud prod
select:
  model: fraud*
  version: ">= 3; < 5"
deploy:
  endpoint: fraud
  template: templates/none.yml
strategy:
  kind: canary
  mirror: {percent: 60, bake: 30m}
  steps:
    - {weight: 50, bake: ten minutes}
    - {weight: 20, bake: 10m}
gates:
  - {kind: metric, metric: error_rate, at_most: 1}
approval:
  promote: {approvers: [user:ada, user:bob], quorum: 3}
deadlin: 8h
"""
TEN_COMPLAINTS = """\
bad.yaml:1:9: policy: fraud prod (the policy's name: 3 to 64 letters, digits and dashes, \
a letter first and no dash last)
bad.yaml:3:15: select.model: fraud* (a model's name as it is registered, \
or a pattern: 'glob:fraud*')
bad.yaml:4:17: select.version: ">= 3; < 5" (a comma between comparisons)
bad.yaml:7:13: deploy.template: 'templates/none.yml': No such file or directory \
(a file, as a path from the policy's own folder)
bad.yaml:10:21: strategy.mirror.percent: 60 (a whole percent from 1 to 50: Azure ML mirrors no more)
bad.yaml:12:26: strategy.steps[0].bake: ten minutes \
(a length of time such as 500ms, 90s, 10m, 1h30m, 2d or PT10M)
bad.yaml:13:16: strategy.steps[1].weight: 20 (more than the 50 above)
bad.yaml:15:49: gates[0].at_most: 1 (a share such as 1% or 0.01)
bad.yaml:17:54: approval.promote.quorum: 3 (at most 2: no more users are asked)
bad.yaml:18:1: deadlin: unknown key 'deadlin' (did you mean deadline?)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "templates/churn.yml": "instance_count: 1\n",
        "templates/kubernetes.yml": "type: kubernetes\n",
        "requests/one.json": '{"data": []}',
        "requests/many.jsonl": '{"data": [1]}\n\n{"data": [2]}\n',
        "requests/none.jsonl": "\n\n",
        "requests/broken.jsonl": '{"data": [1]}\n{"data": \n',
        "requests/nan.json": '{"data": NaN}',
        "schemas/answer.json": '{"type": "object"}',
        "schemas/broken.json": '{"type": "objekt"}',
        "schemas/number.json": "7",
        "queries/errors.kql": "Logs | count",
        "queries/empty.kql": "\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def complaints_about(folder: Path, text: str) -> tuple[Complaint, ...]:
    (folder / "bad.yaml").write_text(text)
    loaded = read_policies(folder)
    return tuple(one for one in loaded.complaints if one.kind == "error")


def test_ten_mistakes_get_ten_complaints_each_at_its_place(folder: Path) -> None:
    found = complaints_about(folder, TEN_MISTAKES)
    assert "".join(f"{one}\n" for one in found) == TEN_COMPLAINTS
    assert len(found) == 10


STEPS = "strategy: {kind: canary, steps: [{weight: 10, bake: 10m}]}\n"
METRIC = "{kind: metric, metric: error_rate, at_most: 1%"
PROBE = "{kind: probe, request: requests/one.json"
PROMOTE = "approval: {promote: {approvers: [group:ml-leads]"

# what may follow the first three lines of a policy
ACCEPTED = [
    STEPS,
    "strategy: {kind: blue-green, mirror: {percent: 50, bake: 30m}, final_bake: 2h}\n",
    f"{STEPS}gates: [{{kind: champion, tag: auc, better: lower}}]\n",
    f"{STEPS}gates: [{{kind: champion, tag: auc, better: higher, margin: 1}}]\n",
    f"{STEPS}gates: [{PROBE}, expect: {{schema: schemas/answer.json, within: 500ms}}}}]\n",
    f"{STEPS}gates: [{{kind: probe, requests: requests/many.jsonl}}]\n",
    f"{STEPS}gates: [{PROBE}, expect: {{equals: {{a: [null, 1.5, no]}}}}}}]\n",
    f"{STEPS}gates: [{{kind: agreement, requests: requests/many.jsonl, at_least: 98.5%}}]\n",
    f"{STEPS}gates: [{{kind: agreement, requests: requests/many.jsonl, at_least: 0.985}}]\n",
    f"{STEPS}gates: [{METRIC}, name: few errors, patience: 1h, dry_run: true}}]\n",
    f"{STEPS}gates: [{METRIC}, failure_budget: {{total: 2, consecutive: 1}}}}]\n",
    f"{STEPS}gates: [{{kind: metric, metric: gpu, at_most: 0}}]\n",
    f"{STEPS}gates: [{{kind: metric, metric: requests, at_least: 100}}]\n",
    f"{STEPS}gates: [{{kind: metric, metric: latency_p99, at_most: 800ms}}]\n",
    f"{STEPS}gates: [{{kind: metric, metric: cpu, worse_than_stable_by_at_most: 150%}}]\n",
    f"{STEPS}gates: [{{kind: logs, query: queries/errors.kql, at_least: 1.5}}]\n",
    f"{STEPS}gates: [{{kind: http, url: 'https://gates.contoso.com:8443/a?b=c'}}]\n",
    f"{STEPS}gates: [{{kind: http, url: 'https://20.1.2.3/', when: [event, roll_back]}}]\n",
    f"{STEPS}{PROMOTE}, quorum: 5}}}}\n",
    f"{STEPS}approval: {{before: {{approvers: [user:ada, role:R.A], quorum: 2}}}}\n",
    f"{STEPS}announce: [teams]\nkeep: {{old: 0}}\nkeep_failed: 2h\n",
    f"{STEPS}windows: {{deny: [Sat UTC, 22:00-06:00 America/New_York]}}\n",
    f"{STEPS}announce: [teams, topic]\n",
    f"{STEPS}announce: [topic, {{channel: teams, on: [waiting, failed]}}, {{channel: ops}}]\n",
    f"{STEPS}gates: [{METRIC}}}]\ndeadline: 11m\n",
]


@pytest.mark.parametrize("rest", ACCEPTED)
def test_may_be_written(folder: Path, rest: str) -> None:
    text = "\n".join(GOOD.splitlines()[:3]) + f"\n{rest}"
    assert complaints_about(folder, text) == ()
    loaded = read_policies(folder)
    assert len(loaded.policies) == 1


def written(kind: str, **changes: str) -> str:
    parts = {"metric": "error_rate", **changes} if kind == "metric" else changes
    inner = ", ".join(f"{key}: {value}" for key, value in {"kind": kind, **parts}.items())
    return f"{STEPS}gates: [{{{inner}}}]\n"


# what: rest of the policy, path, what stands at the place, given, expected
REFUSED: Mapping[str, tuple[str, str, str, str, str]] = {
    "mirror that bakes for no time": (
        "strategy: {kind: blue-green, mirror: {percent: 5, bake: 0s}}\n",
        *("strategy.mirror.bake", "0s", "0s", "longer than 0s"),
    ),
    "mirror for all at once": (
        "strategy: {kind: all-at-once, mirror: {percent: 5, bake: 1h}}\n",
        *("strategy.mirror", "mirror:", "unknown key 'mirror'", "only kind"),
    ),
    "mirror on Kubernetes": (
        "strategy: {kind: blue-green, mirror: {percent: 5, bake: 1h}}\n",
        *(
            "strategy.mirror",
            "{percent: 5, bake: 1h}",
            "{percent: 5, bake: 1h}",
            "Kubernetes endpoints have none",
        ),
    ),
    "percent sign in a weight": (
        "strategy: {kind: canary, steps: [{weight: 10%}]}\n",
        *("strategy.steps[0].weight", "10%", "10%", "a whole percent from 1 to 99, without"),
    ),
    "octal weight": (
        "strategy: {kind: canary, steps: [{weight: 010}]}\n",
        *("strategy.steps[0].weight", "010", "010", "a whole percent"),
    ),
    "bake before the metrics are there": (
        f"strategy: {{kind: canary, steps: [{{weight: 5, bake: 2m}}]}}\ngates: [{METRIC}}}]\n",
        *("strategy.steps[0].bake", "2m", "2m", "3m or longer: a metric gate watches it"),
    ),
    "final bake before the metrics are there": (
        f"strategy: {{kind: blue-green, final_bake: 2m59s}}\ngates: [{METRIC}}}]\n",
        *("strategy.final_bake", "2m59s", "2m59s", "3m or longer"),
    ),
    "unknown gate": (
        written("metrik"),
        *("gates[0].kind", "metrik", "metrik", "champion, probe, agreement, metric, logs or http"),
    ),
    "gate without a kind": (
        f"{STEPS}gates: [{{tag: auc}}]\n",
        *("gates[0].kind", "{tag: auc}", "missing key 'kind'", "champion, probe"),
    ),
    "probe of nothing": (
        written("probe"),
        *(
            "gates[0].request",
            "{kind: probe}",
            "neither request nor requests",
            "a file of requests",
        ),
    ),
    "probe of both": (
        written("probe", request="requests/one.json", requests="requests/many.jsonl"),
        *("gates[0].requests", "requests/many.jsonl", "requests/many.jsonl", "not both"),
    ),
    "lines that are not JSON": (
        written("probe", requests="requests/broken.jsonl"),
        *("gates[0].requests", "requests/broken", "line 2, column 10: Expecting value", "JSON"),
    ),
    "no lines": (
        written("probe", requests="requests/none.jsonl"),
        *(
            "gates[0].requests",
            "requests/none",
            "'requests/none.jsonl' has no line",
            "at least one",
        ),
    ),
    "request that JSON does not have": (
        written("probe", request="requests/nan.json"),
        *("gates[0].request", "requests/nan", "NaN is no JSON", "JSON"),
    ),
    "schema that is none": (
        written("probe", request="requests/one.json", expect="{schema: schemas/broken.json}"),
        *("gates[0].expect.schema", "schemas/broken", "'objekt' is not valid", "a JSON Schema"),
    ),
    "schema that is a number": (
        written("probe", request="requests/one.json", expect="{schema: schemas/number.json}"),
        *("gates[0].expect.schema", "schemas/number", "holds another value", "a JSON Schema"),
    ),
    "unknown metric": (
        written("metric", metric="latency", at_most="1s"),
        *("gates[0].metric", "latency", "latency", "latency_p50, latency_p90"),
    ),
    "no threshold": (
        written("metric"),
        *("gates[0]", "{kind: metric", "no threshold", "at_most, at_least or worse_than_stable"),
    ),
    "two thresholds": (
        written("metric", at_most="1%", at_least="0"),
        *("gates[0].at_least", "0", "0", "one threshold, and at_most is given already"),
    ),
    "share that could mean one or all": (
        written("metric", at_most="1"),
        *("gates[0].at_most", "1", "1", "a share such as 1% or 0.01"),
    ),
    "share above all": (
        written("metric", at_most="101%"),
        *("gates[0].at_most", "101%", "101%", "at most 100%"),
    ),
    "latency in percent": (
        written("metric", metric="latency_p95", at_most="5%"),
        *("gates[0].at_most", "5%", "5%", "a length of time such as 500ms"),
    ),
    "latency without a unit": (
        written("metric", metric="latency_p95", at_most="500"),
        *("gates[0].at_most", "500", "500", "a length of time"),
    ),
    "requests in percent": (
        written("metric", metric="requests", at_least="5%"),
        *("gates[0].at_least", "5%", "5%", "a whole number from 0"),
    ),
    "requests against the stable's": (
        written("metric", metric="requests", worse_than_stable_by_at_most="5%"),
        *("gates[0].worse_than_stable_by_at_most", "5%", "5%", "different weights"),
    ),
    "budget of nothing": (
        f"{STEPS}gates: [{METRIC}, failure_budget: {{}}}}]\n",
        *("gates[0].failure_budget", "{}", "{}", "total, consecutive or both"),
    ),
    "measured without a pause": (
        f"{STEPS}gates: [{METRIC}, every: 0s}}]\n",
        *("gates[0].every", "0s", "0s", "1s or longer"),
    ),
    "name twice": (
        f"{STEPS}gates: [{PROBE}, name: a}}, {PROBE}, name: a}}]\n",
        *("gates[1].name", "a", "a", "a name that no other gate has"),
    ),
    "query that is empty": (
        written("logs", query="queries/empty.kql", at_most="0"),
        *("gates[0].query", "queries/empty", "'queries/empty.kql' is empty", "a query"),
    ),
    "moment twice": (
        written("http", url="https://a.example.com", when="[step, step]"),
        *("gates[0].when[1]", "step", "step", "each moment once"),
    ),
    "approver of no kind": (
        f"{STEPS}approval: {{before: {{approvers: [ml-leads]}}}}\n",
        *("approval.before.approvers[0]", "ml-leads", "ml-leads", "user:, group: or role:"),
    ),
    "approver twice": (
        f"{STEPS}approval: {{before: {{approvers: [user:a, USER:A, user:A]}}}}\n",
        *("approval.before.approvers[1]", "USER:A", "USER:A", "user:, group: or role:"),
    ),
    "same approver in another case": (
        f"{STEPS}approval: {{before: {{approvers: [user:a, user:A]}}}}\n",
        *("approval.before.approvers[1]", "user:A", "user:A", "each approver once"),
    ),
    "approval that waits for no time": (
        f"{STEPS}{PROMOTE}, deadline: 0s}}}}\n",
        *("approval.promote.deadline", "0s", "0s", "longer than 0s"),
    ),
    "approval of nobody": (
        f"{STEPS}approval: {{}}\n",
        *("approval", "{}", "{}", "before, promote or both"),
    ),
    "approval longer than the deadline": (
        f"{STEPS}{PROMOTE}, deadline: 8h}}}}\n",
        *("deadline", "policy: churn-prod", "8h, where nothing is written", "longer than 8h10m"),
    ),
    "deadline that the bakes fill": (
        f"{STEPS}deadline: 600s\n",
        *("deadline", "600s", "600s", "longer than 10m: the bakes take 10m"),
    ),
    "zone misspelt": (
        f"{STEPS}windows: {{allow: Mon-Fri 08:00-17:00 Europe/Berln}}\n",
        *(
            "windows.allow",
            "Europe/Berln}",
            "Mon-Fri 08:00-17:00 Europe/Berln",
            "Europe/Berlin",
        ),
    ),
    "windows of nothing": (
        f"{STEPS}windows: {{allow: []}}\n",
        *("windows.allow", "[]", "[]", "at least one window"),
    ),
    "channel twice": (
        f"{STEPS}announce: [teams, teams]\n",
        *("announce", "[teams, teams]", "[teams, teams]", "each channel once"),
    ),
    "channel twice, in both forms": (
        f"{STEPS}announce: [teams, {{channel: teams, on: [failed]}}]\n",
        *("announce", "[teams, {", "[teams, {", "each channel once"),
    ),
    "channel that is no name": (
        f"{STEPS}announce: [Teams]\n",
        *("announce[0]", "Teams]", "Teams", "or {channel: teams, on: [waiting, failed]}"),
    ),
    "channel that is a number": (
        f"{STEPS}announce: [topic, 7]\n",
        *("announce[1]", "7]", "7", "the name of a channel in the settings"),
    ),
    "channel without a name": (
        f"{STEPS}announce: [{{on: [failed]}}]\n",
        *("announce[0].channel", "{on", "missing key 'channel'", "such as teams"),
    ),
    "kind that nobody announces": (
        f"{STEPS}announce: [{{channel: teams, on: [failed, paused]}}]\n",
        *("announce[0].on[1]", "paused", "paused", "a list of started, shifted, waiting"),
    ),
    "kind twice": (
        f"{STEPS}announce: [{{channel: teams, on: [failed, failed]}}]\n",
        *("announce[0].on[1]", "failed]}", "failed", "each kind once"),
    ),
    "no kind at all": (
        f"{STEPS}announce: [{{channel: teams, on: []}}]\n",
        *("announce[0].on", "[]", "[]", "a list of started"),
    ),
    "key that a channel does not have": (
        f"{STEPS}announce: [{{channel: teams, when: [failed]}}]\n",
        *("announce[0].when", "when", "unknown key 'when'", "channel and on"),
    ),
    "nothing behind a key": (
        f"{STEPS}keep:\n",
        *("keep", "\n", "nothing", "a value; without one, leave out the key"),
    ),
    "null as the answer": (
        f"{STEPS}gates: [{PROBE}, expect: {{equals: null}}}}]\n",
        *("gates[0].expect.equals", "null", "null", "a value"),
    ),
    "more old deployments than there is room for": (
        f"{STEPS}keep: {{old: 19}}\n",
        *("keep.old", "19", "19", "from 0 to 18"),
    ),
    "key of another part": (
        f"{STEPS}keep: {{ol: 1}}\n",
        *("keep.ol", "ol: 1", "unknown key 'ol'", "did you mean old?"),
    ),
}


def what_stands_at(complaint: Complaint, text: str) -> str:
    return text.splitlines(keepends=True)[complaint.line - 1][complaint.column - 1 :]


@pytest.mark.parametrize("what", REFUSED)
def test_may_not_be_written(folder: Path, what: str) -> None:
    rest, path, mark, given, expected = REFUSED[what]
    start = "\n".join(GOOD.splitlines()[:3])
    if "Kubernetes" in what:
        start = start.replace("churn.yml", "kubernetes.yml")
    (one,) = complaints_about(folder, f"{start}\n{rest}")
    assert one.path == path
    assert what_stands_at(one, f"{start}\n{rest}").startswith(mark), str(one)
    assert given in one.given
    assert expected in one.expected


SELECTED = {
    "name in another kind of quotes": ('{model: "churn "}', '"churn "', "without spaces around it"),
    "wildcard without glob": ('{model: "churn-?"}', "?", "'glob:churn-?'"),
    "expression that RE2 does not read": ('{model: "regex:^a(?=b)"}', "(?=b", "look-around"),
    "choice without an end": ('{model: "glob:a[b"}', "[b", "a closing ]"),
    "tag that is a number": ("{model: churn, tags: {auc: 0.9}}", "0.9", "a text in quotes"),
    "comparison with a word": ('{model: churn, tags: {auc: ">= x"}}', "x", "a number after"),
}


@pytest.mark.parametrize("what", SELECTED)
def test_selector_is_marked_where_it_does_not_parse(folder: Path, what: str) -> None:
    select, mark, expected = SELECTED[what]
    text = GOOD.replace("{model: churn}", select)
    (one,) = complaints_about(folder, text)
    assert what_stands_at(one, text).startswith(mark), str(one)
    assert expected in one.expected


URLS = [
    "http://gates.contoso.com",
    "https://localhost",
    "https://127.0.0.1/x",
    "https://[::1]/",
    "https://10.1.2.3",
    "https://169.254.169.254/metadata",
    "https://192.168.0.1",
    "https://gates",
    "https://gates.local",
    "https://user:secret@gates.contoso.com",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://[fe80::1%25eth0]/",
    "https://gates.contoso.com:0/",
    "https://gates.contoso.com:99999/",
    "https:///x",
    "https://a.internal.",
    "ftp://a.com",
    "file:///etc/passwd",
    "https://gätes.com",
    "https://[",
    "javascript:alert(1)",
]


@pytest.mark.parametrize("url", URLS)
def test_gate_asks_only_public_hosts_over_https(url: str) -> None:
    with pytest.raises(ValidationError, match="gates"):
        a_policy(gates=[{"kind": "http", "url": url}])


def metric_gate(**changes: object) -> AnyGate:
    (gate,) = a_policy(gates=[{"kind": "metric", "metric": "error_rate", **changes}]).gates
    return gate


@pytest.mark.parametrize(
    ("changes", "threshold"),
    [
        ({"at_most": "1%"}, 0.01),
        ({"at_most": "0.1 %"}, 0.001),
        ({"at_most": 0.01}, 0.01),
        ({"at_most": 0}, 0.0),
        ({"at_most": "100%"}, 1.0),
        ({"metric": "latency_p95", "at_most": "500ms"}, timedelta(milliseconds=500)),
        ({"metric": "requests", "at_most": 5}, 5),
    ],
    ids=str,
)
def test_threshold_is_what_the_metric_is_measured_in(
    changes: dict[str, object], threshold: object
) -> None:
    gate = metric_gate(**changes)
    assert isinstance(gate, MetricGate)
    assert gate.at_most == threshold
    assert type(gate.at_most) is type(threshold)


def everything() -> Policy:
    folder = Path(__file__).parents[1] / "docs" / "examples"
    loaded = read_policies(folder)
    return next(one.policy for one in loaded.policies if one.policy.policy == "every-key")


def test_what_crosses_the_engine_is_the_same_policy_again() -> None:
    policy = everything()
    assert Policy.model_validate(policy.model_dump(mode="json")) == policy
    assert Policy.model_validate_json(policy.model_dump_json()) == policy


def test_a_channel_that_the_settings_do_not_define_is_refused_with_those_that_they_do(
    folder: Path,
) -> None:
    (folder / "churn.yaml").write_text(f"{GOOD}announce: [topic, {{channel: taems}}]\n")
    loaded = read_policies(folder, channels=("topic", "teams"))
    assert not loaded.policies
    assert not loaded.unchecked
    (complaint,) = loaded.complaints
    assert (complaint.kind, complaint.path, complaint.given) == ("error", "announce[1]", "'taems'")
    assert complaint.expected == "a channel of ROLLOUT_CHANNELS: teams, topic"
    (nothing, _) = read_policies(folder, channels=()).complaints
    assert nothing.expected == "a channel of ROLLOUT_CHANNELS: it has none"


def test_a_channel_that_the_settings_define_is_right(folder: Path) -> None:
    (folder / "churn.yaml").write_text(f"{GOOD}announce: [topic]\n")
    loaded = read_policies(folder, channels=("topic", "teams"))
    assert (len(loaded.policies), loaded.complaints, loaded.unchecked) == (1, (), ())


def test_a_channel_that_nobody_could_look_for_is_a_warning_and_the_policy_is_used(
    folder: Path,
) -> None:
    (folder / "churn.yaml").write_text(f"{GOOD}announce: [teams]\n")
    loaded = read_policies(folder)
    assert ([one.policy.policy for one in loaded.policies], loaded.complaints) == (
        ["churn-prod"],
        (),
    )
    (warning,) = loaded.unchecked
    assert (warning.kind, warning.path, warning.line) == ("warning", "announce[0]", 5)


def test_a_channel_is_told_of_every_kind_unless_the_policy_says_of_which() -> None:
    teams, topic = a_policy(
        announce=[{"channel": "teams", "on": ["failed", "waiting"]}, "topic"]
    ).announce
    assert (teams.channel, teams.on) == ("teams", (Kind.FAILED, Kind.WAITING))
    assert (topic.channel, topic.on) == ("topic", ())


def test_both_ways_to_write_a_channel_that_is_told_of_everything_are_one_policy() -> None:
    short, long = a_policy(announce=["teams"]), a_policy(announce=[{"channel": "teams"}])
    assert short.model_dump(mode="json") == long.model_dump(mode="json")
    assert long.model_dump(mode="json")["announce"] == ["teams"]
    some = a_policy(announce=[{"channel": "teams", "on": ["failed"]}]).model_dump(mode="json")
    assert some["announce"] == [{"channel": "teams", "on": ["failed"]}]
