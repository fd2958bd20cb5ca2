"""The HTTP API at its door: who is let in, what is refused and how, and the line that is left."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy_logic.api.door import problem, serve
from deploy_logic.api.route import Route
from deploy_logic.api.table import ROUTES
from deploy_logic.api.visit import Visit
from deploy_logic.errors import Complaint, OperationError, WorkspaceError
from deploy_logic.ports import EndpointState
from deploy_logic.right import EVERY_RIGHT, Right
from deploy_logic.rollout import Phase
from tests.builders import WORKSPACE, a_policy, an_event_body, an_event_text, an_offer
from tests.desk import SECOND, Counter
from tests.fakes import FakeWorkspace
from tests.office import ANN, Lab
from tests.test_history import shows

BECAUSE = {"reason": "complaints came in"}
# Every route with something in its path that there is, and a body that is right.
PATHS = {
    "rollout_id": "r",
    "operation": "abort",
    "endpoint": "fraud",
    "act": "hold",
    "policy": "fraud-prod",
    "control": "suspend",
    "file": "index.html",
}
BODIES: dict[str, Any] = {
    "StartBody": {**BECAUSE, "model": "fraud", "version": "8"},
    "PlanBody": {"model": "fraud", "version": "8"},
    "ReplayBody": {**BECAUSE, "events": [an_event_body(version=9)]},
}
GUARDED = [route for route in ROUTES if not route.is_open]
POSTS = [route for route in ROUTES if route.method == "POST"]


def named(routes: list[Route]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("route", routes, ids=lambda one: one.name)


def place(route: Route) -> str:
    return f"{route.method} {route.path.format(**PATHS)}"


def body(route: Route) -> Any:
    return BODIES.get(route.body, BECAUSE) if route.method == "POST" else None


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A rollout in flight, and everything that a route could be about."""
    counter = Counter()
    counter.handle(an_event_text())
    counter.engine.rollouts["r"] = shows("r", 0, phase="progressing")
    (tmp_path / "index.html").write_text("<!doctype html>")
    return Lab(counter, dashboard=tmp_path)


def audits(lab: Lab) -> list[dict[str, Any]]:
    return list(lab.counter.archive.audits.values())


# --- who is let in


@named(list(ROUTES))
def test_every_route_answers_whoever_has_the_right(lab: Lab, route: Route) -> None:
    if route.name in {"go_on", "retry"}:  # nothing is stopped, and nothing is over
        assert lab.send(place(route), body(route)).status == 409
    else:
        assert lab.send(place(route), body(route)).status == 200


@named(GUARDED)
def test_nobody_is_let_in_who_is_not_known(
    lab: Lab, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    lab.rights = None
    with caplog.at_level(logging.INFO, logger="rollout"):
        assert lab.refusal(place(route), body(route))[0] == 401
    (record,) = caplog.records
    assert (record.message, vars(record)["route"]) == ("nobody known", route.name)
    assert audits(lab) == []


def test_how_to_be_known_is_said_in_the_header_of_http() -> None:
    answer = problem(OperationError("no token", status=401, www_authenticate="Bearer"))
    assert answer.headers == {"WWW-Authenticate": "Bearer"}
    assert json.loads(answer.body)["www_authenticate"] == "Bearer"
    answer = problem(OperationError("no keys", status=503, retry_after=30))
    assert answer.headers == {"Retry-After": "30"}
    assert problem(OperationError("no", status=404)).headers == {}


@named([route for route in ROUTES if route.right is not None])
def test_nobody_is_let_in_without_the_right(lab: Lab, route: Route) -> None:
    assert route.right is not None
    lab.rights = EVERY_RIGHT - {route.right}
    status, title = lab.refusal(place(route), body(route))
    assert (status, title) == (403, f"ann has no right to {route.right}")


@named([route for route in ROUTES if route.is_open])
def test_what_is_open_asks_nobody(lab: Lab, route: Route) -> None:
    lab.rights = None
    assert lab.send(place(route), None, code="of-a-sign-in").status == 200


def test_reading_is_enough_for_no_wish_but_a_dry_run() -> None:
    reads = {route.name for route in POSTS if route.right is Right.READ}
    assert reads == {"plan_version"}
    assert {route.right for route in POSTS} == {Right.READ, Right.OPERATE}
    assert {route.right for route in GUARDED if route.method == "GET"} == {Right.READ, None}
    assert [route.name for route in GUARDED if route.right is None] == ["show_me"]


def test_promoting_now_needs_its_own_right(lab: Lab) -> None:
    lab.rights = frozenset({Right.READ, Right.OPERATE})
    status, title = lab.refusal("POST rollouts/r/promote_now", BECAUSE)
    assert (status, title) == (403, "ann has no right to promote_now")
    assert lab.counter.engine.asked == []
    lab.rights = EVERY_RIGHT
    assert lab.ask("POST rollouts/r/promote_now", BECAUSE)["operation"] == "promote_now"


# --- what is refused


@named(POSTS)
@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
def test_a_body_that_a_form_could_send_is_not_read(lab: Lab, route: Route, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = lab.send(place(route), body(route), headers=headers)
    assert answer.status == 415
    assert lab.counter.engine.asked == []


def test_a_kind_may_have_parameters_and_any_case(lab: Lab) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert lab.send("POST rollouts/r/pause", BECAUSE, headers=headers).status == 200


@named(POSTS)
@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b"reason", b"\xff", b"[" * 10_000, b'{"reason": "a", "reason": "b"}'],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_no_json_object_is_refused(lab: Lab, route: Route, text: bytes) -> None:
    assert lab.refusal(place(route), text)[0] == 400


@named([route for route in POSTS if route.name != "plan_version"])
@pytest.mark.parametrize("reason", [None, "", "  \n", 7, ["x"]], ids=repr)
def test_every_wish_needs_a_reason(lab: Lab, route: Route, reason: Any) -> None:
    status, title = lab.refusal(place(route), {**body(route), "reason": reason})
    assert status == 400
    assert "reason" in title


def test_a_reason_is_bounded_and_a_body_too(lab: Lab) -> None:
    lab.ask("POST rollouts/r/pause", {"reason": "x" * 600})
    assert lab.counter.engine.asked[0][1].reason == "x" * 500
    status, title = lab.refusal("POST rollouts/r/pause", {"reason": "x" * 20_000})
    assert (status, title) == (400, "the body has 20014 bytes (at most 10000)")


@named(GUARDED)
def test_a_parameter_that_is_none_is_refused(lab: Lab, route: Route) -> None:
    names = ", ".join(one.name for one in route.query) or "none"
    refused = lab.refusal(place(route), body(route), color="red")
    assert refused == (400, f"'color' is no parameter here ({names})")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("state", "open", "none of in_flight, over"),
        ("phase", "no_match", "none of errored, failed, "),
        ("phase", "Failed", "none of errored, failed, "),
        ("limit", "0", "no number from 1 to 200"),
        ("limit", "201", "no number from 1 to 200"),
        ("limit", "-1", "no number from 1 to 200"),
        ("limit", "٣", "no number from 1 to 200"),
        ("limit", "9" * 5000, "no number from 1 to 200"),
        ("since", "yesterday", "no time (such as 2026-11-23T09:00:00Z or 2026-11-23)"),
        ("until", "0001-01-01T00:00:00+23:59", "no time (such as"),
        ("after", "x", "no place in the list"),
        ("endpoint", "x" * 301, "no name (at most 300 printable characters)"),
        ("model", "a\x00b", "no name"),
    ],
)
def test_a_value_that_is_none_is_refused_with_what_would_be_right(
    lab: Lab, name: str, value: str, says: str
) -> None:
    status, title = lab.refusal("GET rollouts", **{name: value})
    assert status == 400
    assert title.startswith(f"{name} ")
    assert says in title
    assert len(title) < 700


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, 1),
        ({"state": "in_flight"}, 1),
        ({"state": "over"}, 0),
        ({"state": "over", "phase": "progressing"}, 0),
        ({"phase": "progressing"}, 1),
        ({"endpoint": "FRAUD", "model": "fraud", "policy": "fraud-prod"}, 1),
        ({"endpoint": "other"}, 0),
        ({"since": "2026-11-23"}, 1),
        ({"since": "2026-11-23T11:00:00+02:00"}, 1),
        ({"since": "2026-11-23T11:00:01+02:00"}, 0),
        ({"until": "2026-11-23T09:00:00"}, 0),
        ({"limit": "1"}, 1),
    ],
    ids=str,
)
def test_lists_are_filtered(lab: Lab, given: dict[str, str], found: int) -> None:
    assert len(lab.ask("GET rollouts", **given)["rollouts"]) == found


def test_next_of_a_page_is_after_of_the_following(lab: Lab) -> None:
    lab.counter.engine.rollouts["s"] = shows("s", 5, phase="preparing")
    first = lab.ask("GET rollouts", limit="1")
    assert [one["rollout_id"] for one in first["rollouts"]] == ["s"]
    rest = lab.ask("GET rollouts", limit="1", after=first["next"])
    assert [one["rollout_id"] for one in rest["rollouts"]] == ["r"]
    assert rest["next"] is None


def test_an_archive_that_does_not_answer_is_503(lab: Lab) -> None:
    lab.counter.archive.is_down = True
    assert lab.refusal("GET rollouts") == (503, "asking the archive: it is down")
    assert lab.refusal("GET export") == (503, "asking the archive: it is down")


# --- the line that is left


@named(POSTS)
def test_every_wish_leaves_a_line_whatever_came_of_it(lab: Lab, route: Route) -> None:
    lab.send(place(route), body(route))
    lab.send(place(route), {})
    first, second = audits(lab)
    assert (first["by"], first["name"], first["kind"]) == (ANN, "Ann", "audit")
    assert first["reason"] == body(route).get("reason", "")
    outcomes = {200: ("accepted", ""), 409: ("refused", first["why"])}
    assert (first["outcome"], first["why"]) == outcomes[first["status"]]
    assert (second["outcome"], second["status"]) == ("refused", 400)
    assert second["why"]
    assert first["id"] != second["id"]


@pytest.mark.parametrize(
    ("place", "operation", "target"),
    [
        ("POST rollouts/r/abort", "abort", "r"),
        ("POST rollouts/r/retry", "retry", "r"),
        ("POST endpoints/fraud/hold", "hold", "fraud"),
        ("POST policies/fraud-prod/suspend", "suspend", "fraud-prod"),
        ("POST stop", "stop", ""),
        ("POST replay", "replay", ""),
    ],
)
def test_the_line_says_what_was_asked_of_what(
    lab: Lab, place: str, operation: str, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="rollout"):
        lab.send(place, BECAUSE)
    (line,) = audits(lab)
    assert (line["operation"], line["target"]) == (operation, target)
    (record,) = [one for one in caplog.records if one.message == "person asked"]
    told = {key: vars(record)[key] for key in ("by", "operation", "target", "outcome", "status")}
    assert told == {key: line[key] for key in told}
    assert vars(record)["by_name"] == "Ann"


def test_a_refusal_for_want_of_a_right_leaves_a_line(lab: Lab) -> None:
    lab.rights = frozenset({Right.READ})
    lab.send("POST stop", BECAUSE)
    (line,) = audits(lab)
    assert (line["outcome"], line["status"], line["operation"]) == ("refused", 403, "stop")


def test_a_wish_that_breaks_the_app_leaves_a_line(lab: Lab) -> None:
    lab.counter.engine.is_down = True
    with pytest.raises(ConnectionError):
        lab.send("POST start", BODIES["StartBody"])
    (line,) = audits(lab)
    assert (line["outcome"], line["status"]) == ("refused", 500)


def test_an_archive_that_is_down_stops_no_operation(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.counter.archive.is_down = True
    with caplog.at_level(logging.INFO, logger="rollout"):
        assert lab.send("POST rollouts/r/abort", BECAUSE).status == 200
    assert [one.message for one in caplog.records] == [
        "operation asked",
        "person asked",
        "audit not archived",
    ]


def test_a_get_leaves_no_line(lab: Lab) -> None:
    lab.ask("GET rollouts")
    assert audits(lab) == []


# --- what is read


def test_timeline_and_export_are_lines_of_json(lab: Lab) -> None:
    answer = lab.send("GET rollouts/r/timeline")
    assert answer.kind == "application/jsonl"
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert lines == lab.ask("GET rollouts/r")["timeline"]
    lab.send("POST stop", BECAUSE)
    exported = [json.loads(line) for line in lab.send("GET export").body.splitlines()]
    assert [line["operation"] for line in exported] == ["stop"]
    assert lab.send("GET export", since="2999-01-01").body == b""


@pytest.mark.parametrize("place", ["GET rollouts/x", "GET rollouts/x/timeline", "GET endpoints/x"])
def test_what_nobody_knows_is_404(lab: Lab, place: str) -> None:
    assert lab.refusal(place)[0] == 404


def test_me_is_who_asks(lab: Lab) -> None:
    lab.rights = frozenset({Right.OPERATE, Right.READ})
    assert lab.ask("GET me") == {"id": ANN, "name": "Ann", "rights": ["read", "operate"]}


def test_policies_are_listed_with_their_gates_and_what_is_wrong(lab: Lab) -> None:
    complaint = Complaint(
        file="x.yaml", line=1, column=2, path="policy", given="''", expected="a name"
    )
    lab.complaints = (complaint,)
    lab.ask("POST policies/fraud-prod/suspend", BECAUSE)
    shown = lab.ask("GET policies")
    (policy,) = shown["policies"]
    assert policy.pop("suspended")["reason"] == BECAUSE["reason"]
    assert policy == {
        "policy": "fraud-prod",
        "model": "fraud",
        "version": "latest",
        "endpoint": "fraud",
        "strategy": "canary",
        "gates": ["probe 1 (request.json)"],
        "source": "",
    }
    assert shown["complaints"] == [str(complaint)]


def test_endpoints_say_what_is_possible_now(lab: Lab) -> None:
    (shown,) = lab.ask("GET endpoints")["endpoints"]
    assert shown["possible"] == lab.ask("GET endpoints/fraud")["possible"] == ["hold"]
    lab.ask("POST endpoints/fraud/hold", BECAUSE)
    assert lab.ask("GET endpoints/fraud")["possible"] == ["hold", "release"]
    lab.counter.end(Phase.FAILED)
    assert lab.ask("GET endpoints/fraud")["possible"] == ["hold", "release", "retry"]


# --- a dry run


@pytest.fixture
def dry(lab: Lab) -> Iterator[Lab]:
    """A lab in which nothing may have been touched afterwards."""
    before = json.dumps(lab.counter.engine.list_ledgers())
    offered = list(lab.counter.engine.offered)
    yield lab
    assert json.dumps(lab.counter.engine.list_ledgers()) == before
    assert lab.counter.engine.offered == offered


def plan(lab: Lab, **asked: Any) -> dict[str, Any]:
    (answer,) = lab.ask("POST plan", asked)["answers"]
    return dict(answer)


def test_a_dry_run_says_what_the_ledger_would(dry: Lab) -> None:
    answer = plan(dry, model="fraud", version="8")
    running = an_offer().rollout_id
    assert answer["answer"] == "superseding"
    assert answer["reason"] == f"takes the place of {running}"
    assert answer["rollout_id"] == an_offer(version="8").rollout_id
    assert answer["steps"][:3] == ["probe: probe 1 (request.json)", "weight 10", "bake 10m"]
    assert answer["steps"][-1] == "weight 100"
    assert (answer["policy"], answer["endpoint"]) == ("fraud-prod", "fraud")


def test_a_dry_run_of_what_is_known_has_no_steps(dry: Lab) -> None:
    answer = plan(dry, event=an_event_body())
    assert (answer["answer"], answer["steps"]) == ("duplicate", [])


def test_a_dry_run_of_what_nobody_wants_is_no_match(dry: Lab) -> None:
    answer = plan(dry, model="churn", version="1")
    assert (answer["answer"], answer["rollout_id"], answer["steps"]) == ("no match", "", [])
    assert "churn" in answer["reason"]


def test_a_dry_run_looks_at_tags_that_are_given() -> None:
    lab = Lab(Counter(a_policy(select={"model": "fraud", "tags": {"stage": "production"}})))
    assert plan(lab, model="fraud", version="8")["answer"] == "started"
    assert (
        plan(lab, model="fraud", version="8", tags={"stage": "production"})["answer"] == "started"
    )
    answer = plan(lab, model="fraud", version="8", tags={"stage": "test"})
    assert answer["answer"] == "no match"
    assert "'stage': 'test'" in answer["reason"]


def test_a_dry_run_reads_a_version_where_the_policy_does() -> None:
    rule = {"scheme": "semver", "from": "tag:release", "allow": "^1.2"}
    lab = Lab(Counter(a_policy(select={"model": "fraud", "version": rule})))
    assert plan(lab, model="fraud", version="8", tags={"release": "1.3.0"})["answer"] == "started"
    assert plan(lab, model="fraud", version="8", tags={"release": "2.0.0"})["answer"] == "no match"


def test_a_dry_run_knows_stops_and_suspensions(lab: Lab) -> None:
    lab.ask("POST policies/fraud-prod/suspend", BECAUSE)
    assert plan(lab, model="fraud", version="8")["answer"] == "suspended"
    lab.ask("POST stop", BECAUSE)
    assert plan(lab, model="fraud", version="8")["answer"] == "stopped"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "model name ''"),
        ({"model": "fraud"}, "model version ''"),
        ({"model": "fraud", "version": 8}, "'version' is 8 (a text is needed)"),
        ({"model": "fraud", "version": "8", "tags": {"a": 1}}, "(an object of texts is needed)"),
        ({"model": "fraud", "version": "8", "color": "red"}, "'color' is none of model, version"),
        ({"model": "a/b", "version": "8"}, "model name 'a/b'"),
        ({"event": {}, "model": "fraud"}, "'event' is none of"),
        ({"event": an_event_body(subject="models/fraud:8")}, "disagree"),
        ({"event": 7}, "is not a JSON object"),
    ],
    ids=str,
)
def test_a_dry_run_of_nonsense_is_refused(lab: Lab, asked: dict[str, Any], says: str) -> None:
    status, title = lab.refusal("POST plan", asked)
    assert status == 400
    assert says in title


@pytest.mark.parametrize(
    "asked",
    [{"event": an_event_body(topic=SECOND)}, {"event": {"eventType": "Other", "id": "e"}}],
    ids=["elsewhere", "other"],
)
def test_a_dry_run_of_what_is_ignored_has_no_answers(lab: Lab, asked: dict[str, Any]) -> None:
    said = lab.ask("POST plan", asked)
    assert said["answers"] == []
    assert said["reason"]


# --- a replay

DEAD_LETTERED = {
    "deadLetterReason": "MaxDeliveryAttemptsExceeded",
    "deliveryAttempts": 30,
    "lastDeliveryOutcome": "NotFound",
    "publishTime": "2026-11-23T09:00:00.1234567Z",
    "lastDeliveryAttemptTime": "2026-11-24T09:00:00.1234567Z",
}
CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "c-1",
    "source": WORKSPACE,
    "subject": "models/fraud:12",
    "type": "Microsoft.MachineLearningServices.ModelRegistered",
    "data": {"ModelName": "fraud", "ModelVersion": 12},
    **{key.lower(): value for key, value in DEAD_LETTERED.items()},
}


def test_dead_letters_are_handled_as_the_trigger_would(lab: Lab) -> None:
    events = [
        {**an_event_body(version=11, id="e-11"), **DEAD_LETTERED},
        CLOUD_EVENT,
        an_event_body(subject="models/fraud:8", id="e-8"),
        an_event_body(topic=SECOND, id="e-9"),
        an_event_body(model="churn", id="e-10"),
        7,
    ]
    results = lab.ask("POST replay", {**BECAUSE, "events": events})["results"]
    said = [(one["event_id"], one["answer"], bool(one["reason"])) for one in results]
    assert said == [
        ("e-11", "offered", False),
        ("c-1", "offered", False),
        ("e-8", "refused", True),
        ("e-9", "ignored", True),
        ("e-10", "no match", True),
        ("", "refused", True),
    ]
    assert [one.version for one in lab.counter.engine.offered] == ["7", "11", "12"]
    assert [len(one["rollout_ids"]) for one in results] == [1, 1, 0, 0, 0, 0]


def test_an_event_that_contradicts_itself_is_refused_on_replay_too(lab: Lab) -> None:
    text = json.dumps({**BECAUSE, "events": [an_event_body(version=11)]})
    twice = text.replace('"ModelVersion": 11', '"ModelVersion": 11, "ModelVersion": 12')
    (result,) = json.loads(lab.send("POST replay", twice.encode()).body)["results"]
    assert result["answer"] == "refused"


@pytest.mark.parametrize("events", [None, [], {}, "x", [{}] * 101], ids=lambda one: repr(one)[:9])
def test_a_replay_needs_a_list_of_a_hundred_at_most(lab: Lab, events: Any) -> None:
    assert lab.refusal("POST replay", {**BECAUSE, "events": events})[0] == 400


# --- checks


def checks(lab: Lab) -> dict[str, tuple[bool, str]]:
    shown = lab.ask("GET checks")["checks"]
    unmended = {one["name"] for one in shown if not one["ok"] and not one["mend"]}
    assert unmended <= {"engine", "archive", "sweep"}
    return {one["name"]: (one["ok"], one["text"]) for one in shown}


def test_checks_say_what_is_well(lab: Lab) -> None:
    lab.counter.sweep()
    found = checks(lab)
    assert {name: ok for name, (ok, _) in found.items()} == dict.fromkeys(
        ("engine", "policies", "archive", "event", "sweep", "workspace 1", "clock"), True
    )
    assert found["engine"][1] == "it answers; rollouts in flight: 1"
    assert "version '7' of model 'fraud'" in found["event"][1]


def test_checks_say_what_is_not(lab: Lab) -> None:
    lab.counter.archive.is_down = lab.counter.engine.is_down = True

    class Refusing(FakeWorkspace):
        def get_endpoint(self, endpoint: str) -> EndpointState | None:
            raise WorkspaceError(f"reading endpoint {endpoint!r}: 403")

    lab.counter.workspace = Refusing(lab.counter.clock)
    lab.counter.policies = []
    found = checks(lab)
    assert {name for name, (ok, _) in found.items() if not ok} == {
        "archive",
        "policies",
        "sweep",
        "workspace 1",
    }
    assert found["archive"][1] == "it does not answer: asking the archive: it is down"


# --- the dashboard


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("dashboard.js", "text/javascript; charset=utf-8"),
        ("dashboard.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_files_of_the_dashboard_have_their_kinds(lab: Lab, name: str, kind: str) -> None:
    (lab.dashboard / name).write_text("text of it")
    answer = lab.send(f"GET dashboard/{name}")
    assert (answer.status, answer.kind, answer.body) == (200, kind, b"text of it")
    caching = "no-store" if name == "index.html" else "no-cache"
    assert answer.headers["Cache-Control"] == caching


def test_the_dashboard_is_its_index_and_nothing_may_be_loaded_from_elsewhere(lab: Lab) -> None:
    answer = lab.send("GET dashboard", None, code="x", state="y")
    assert answer.body == b"<!doctype html>"
    policy = answer.headers["Content-Security-Policy"]
    assert policy == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    )
    lab.sign_in = {"kind": "token", "authority": "https://login.example/tenant/v2.0"}
    policy = lab.send("GET dashboard").headers["Content-Security-Policy"]
    assert "connect-src 'self' https://login.example; " in policy
    lab.sign_in = {"kind": "token", "authority": "http://127.0.0.1:8080/t/v2.0"}
    policy = lab.send("GET dashboard").headers["Content-Security-Policy"]
    assert "connect-src 'self' http://127.0.0.1:8080; " in policy


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "../secret.html", "/etc/passwd", "folder.html", "notes.txt", "INDEX.HTML"],
)
def test_nothing_else_is_served(lab: Lab, name: str) -> None:
    (lab.dashboard / "notes.txt").write_text("x")
    (lab.dashboard / "folder.html").mkdir()
    (lab.dashboard.parent / "secret.html").write_text("x")
    route = next(one for one in ROUTES if one.name == "show_dashboard_file")
    assert serve(route, lab.office(), Visit(parts={"file": name})).status == 404


def test_an_app_without_the_page_says_so(tmp_path: Path) -> None:
    lab = Lab(dashboard=tmp_path / "none")
    assert lab.refusal("GET dashboard") == (404, "the dashboard has no file 'index.html'")
