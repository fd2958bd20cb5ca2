"""list, show, endpoints and policies: what is asked, and what is printed."""

import re
from typing import Any

import pytest

from rolloutctl.exit import Exit
from tests.ctl.app import App
from tests.ctl.conftest import Run
from tests.ctl.recorded import assert_golden
from tests.ctl.story import ID, failed, promoted, rollout, waiting

MARK = {"by": "oid-1", "reason": "we retrain", "at": "2026-11-23T09:45:34.123456Z"}
LEDGER: dict[str, Any] = {
    "endpoint": "fraud",
    "running": {"rollout_id": ID},
    "waiting": [{"rollout_id": "fraud-fraud-detector-3-aaaa"}],
    "parked": None,
    "stable": {"model": "fraud-detector", "version": "1"},
    "serves": {"fraud-detector-v1": 90, "fraud-detector-v2": 10, "gone": 0},
    "kept": [{"deployment": "fraud-detector-v0", "until": "2026-11-24T09:45:34.1Z"}],
    "held": MARK,
    "stopped": None,
    "possible": ["release"],
    "answers": [
        {
            "at": "2026-11-23T09:41:46.1Z",
            "model": "fraud-detector",
            "version": "2",
            "answer": "started",
            "reason": "nothing else runs on the endpoint",
        }
    ],
}
POLICY: dict[str, Any] = {
    "policy": "fraud-prod",
    "model": "fraud-detector",
    "version": ">= 3",
    "endpoint": "fraud",
    "strategy": "canary",
    "gates": ["probe", "error_rate"],
    "suspended": None,
    "source": "fraud-prod.yaml",
}


def test_the_list_is_printed_in_columns(app: App, run: Run) -> None:
    app.rollouts = [promoted(), failed(rollout_id="fraud-fraud-detector-1-cafe", version="1")]
    assert_golden("list", run("list").out.rstrip("\n"))


def test_a_rollout_in_flight_has_a_length_too(app: App, run: Run) -> None:
    app.rollouts = [rollout()]
    assert re.search(r"progressing +10 +2026-11-23T09:41:46Z +\d+\w", run("list").out)


def test_nothing_is_said_to_be_nothing(app: App, run: Run) -> None:
    assert run("list").out == "no rollouts\n"
    app.bodies = {"endpoints": {"endpoints": []}, "policies": {"policies": [], "complaints": []}}
    assert run("endpoints").out == "no endpoint was ever offered anything\n"
    assert run("policies").out == "no policies\n"


def test_what_is_filtered_the_app_is_told(app: App, run: Run) -> None:
    given = ("--state", "over", "--phase", "failed", "--endpoint", "e", "--model", "m")
    more = ("--policy", "p", "--since", "2026-11-23T10:00+01:00", "--until", "2026-11-24")
    assert run("list", *given, *more, "--limit", "7").code == Exit.OK
    assert app.asked[0][1] == (
        "rollouts?endpoint=e&limit=7&model=m&phase=failed&policy=p"
        "&since=2026-11-23T09:00:00Z&state=over&until=2026-11-24T00:00:00Z"
    )


def test_how_long_ago_is_a_time_too(app: App, run: Run) -> None:
    assert run("list", "--since", "2d").code == Exit.OK
    assert re.search(r"since=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", app.asked[0][1])


@pytest.mark.parametrize(
    "given", [("--since", "yesterday"), ("--limit", "-1"), ("--phase", "done"), ("--state", "all")]
)
def test_a_filter_that_cannot_be_is_a_mistake(app: App, run: Run, given: tuple[str, str]) -> None:
    done = run("list", *given)
    assert done.code == Exit.USAGE
    assert given[1] in done.err
    assert app.asked == []


@pytest.mark.parametrize(("limit", "looks", "count"), [("0", 3, 5), ("3", 2, 3), ("2", 1, 2)])
def test_pages_are_followed(app: App, run: Run, limit: str, looks: int, count: int) -> None:
    app.page = 2
    app.rollouts = [promoted(rollout_id=f"r-{number}") for number in range(5)]
    done = run("list", "--limit", limit, "--json")
    assert [one["rollout_id"] for one in done.json["rollouts"]] == [f"r-{n}" for n in range(count)]
    assert done.json["has_more"] is (count < 5)
    assert len(app.asked) == looks


def test_that_there_are_more_is_said(app: App, run: Run) -> None:
    app.rollouts = [promoted(rollout_id=f"r-{number}") for number in range(3)]
    assert run("list", "--limit", "2").out.endswith("the newest 2; --limit 0 for all\n")


def test_a_rollout_is_shown_with_its_timeline(app: App, run: Run) -> None:
    app.rollouts = [waiting(timeline_left_out=4)]
    shown = run("show", ID).out
    assert "figures 528c8f9de830" in shown
    assert "possible abort, approve, reject, pause, promote_now" in shown
    assert "... 4 older lines" in shown
    assert shown.rstrip().endswith("2026-11-23T09:54:12Z  approval to promote by group:ml-leads")


def test_only_the_newest_lines_are_shown_when_asked(app: App, run: Run) -> None:
    app.rollouts = [promoted()]
    shown = run("show", ID, "--last", "1").out
    assert shown.endswith(
        "... 6 older lines\n2026-11-23T09:58:06Z  'fraud-detector-v2' is the stable\n"
    )


def test_json_is_what_the_app_said(app: App, run: Run) -> None:
    app.rollouts = [waiting()]
    assert run("show", ID, "--json").json == waiting()


def test_a_rollout_that_is_not_there_is_a_wrong_name(app: App, run: Run) -> None:
    del app
    done = run("show", "nothing")
    assert (done.code, done.err) == (Exit.USAGE, "rolloutctl: there is no 'rollouts/nothing'\n")


def test_endpoints_are_listed_with_what_stands_in_the_way(app: App, run: Run) -> None:
    free = {**LEDGER, "endpoint": "churn", "running": None, "waiting": [], "held": None}
    parked = {**free, "endpoint": "late", "parked": {"opens": "2026-11-24T08:00:00Z"}}
    app.bodies = {"endpoints": {"endpoints": [LEDGER, free, parked]}}
    assert_golden("endpoints", run("endpoints").out.rstrip("\n"))


def test_one_endpoint_is_shown_with_its_answers(app: App, run: Run) -> None:
    app.bodies = {"endpoints/fraud": LEDGER}
    assert_golden("endpoint", run("endpoints", "fraud").out.rstrip("\n"))


def test_policies_are_listed(app: App, run: Run) -> None:
    suspended = {**POLICY, "policy": "churn-prod", "gates": [], "suspended": MARK}
    app.bodies = {"policies": {"policies": [POLICY, suspended], "complaints": []}}
    done = run("policies")
    assert done.code == Exit.OK
    assert_golden("policies", done.out.rstrip("\n"))


def test_a_policy_that_is_left_out_is_an_answer_of_no(app: App, run: Run) -> None:
    app.bodies = {"policies": {"policies": [POLICY], "complaints": ["bad.yaml:4:17: select"]}}
    done = run("policies")
    assert done.code == Exit.NO
    assert done.out.endswith("bad.yaml:4:17: select\n")
