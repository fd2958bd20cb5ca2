"""The story of one rollout, told in a toy world: every road it can take, and how it ends."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deploy_logic.codec import encode
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.gate.gate import Answer, chart
from deploy_logic.policy.policy import Policy
from deploy_logic.ports import Capacity
from deploy_logic.rollout import Operation, Phase, Request
from tests.builders import a_policy, an_offer, policy_files
from tests.fakes import FakeDeployment, FakeEndpoint
from tests.world import Run, World, replay

MINUTE = timedelta(minutes=1)
FIRST = a_policy(deploy={"endpoint": "fraud", "template": "t.yml", "endpoint_template": "e.yml"})
BLUE_GREEN = a_policy(strategy={"kind": "blue-green", "final_bake": "20m"})
ALL_AT_ONCE = a_policy(strategy={"kind": "all-at-once"})
ALL = {"blue": 0, "fraud-v7": 100}
BAD = Answer(status=424, milliseconds=9, body="boom")
DOWN = Answer(status=503, milliseconds=9, body="")


class Tale:
    """A world in which version 6 serves as `blue` and version 7 is registered."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.needs_turn = False
        self.policy = policy or a_policy(final_bake="20m")
        self.world = World([policy_files(self.policy)], delay=lambda: 1.0)
        self.workspace = self.world.workspace
        self.workspace.serve("6")
        self.workspace.register("7")
        self.begin = self.world.clock.now

    def offer(self, version: str = "7") -> None:
        asked = an_offer(self.policy, version=version)
        self.world.offer(replace(asked, needs_turn=self.needs_turn))

    def tell(self) -> dict[str, Any]:
        """Offer version 7, let everything happen, and return the rollout as people see it."""
        self.offer()
        self.world.run()
        return self.result()

    def result(self) -> dict[str, Any]:
        result = self.run.result
        assert result is not None, "it never ends"
        assert self.world.violations == []
        for run in self.world.runs:
            assert replay(run) == run.context.actions
        return result

    @property
    def run(self) -> Run:
        return self.world.runs[0]

    def weights(self) -> dict[str, int]:
        return self.workspace.settled_weights("fraud")

    def deployments(self) -> list[str]:
        return sorted(self.workspace.endpoints["fraud"].deployments)

    def ask(
        self,
        operation: Operation = Operation.ABORT,
        *,
        by: str = "ann",
        claims: tuple[str, ...] = (),
        figures: str = "",
    ) -> None:
        request = Request(
            operation=operation, by=by, reason="looks wrong", claims=claims, figures=figures
        )
        self.world.after(timedelta(0), lambda: self.run.context.receive(encode(request)))

    def when(self, phase: str, act: Callable[[], None]) -> None:
        """Do something as soon as people see the rollout in that phase."""
        done: list[bool] = []

        def watch() -> None:
            shown = self.run.context.status if self.world.runs else {}
            if shown.get("phase") == phase and not done:
                done.append(True)
                act()
            elif not done:
                self.world.after(timedelta(seconds=1), watch)

        self.world.after(timedelta(seconds=1), watch)


def texts(result: dict[str, Any]) -> list[str]:
    return [one["text"] for one in result["timeline"]]


def shifts(tale: Tale) -> list[dict[str, int]]:
    """Return the weights that were written, in order."""
    return tale.workspace.written


# --- the good end


def test_canary_is_walked_through_step_by_step() -> None:
    tale = Tale()
    result = tale.tell()
    assert shifts(tale) == [
        {"blue": 90, "fraud-v7": 10},
        {"blue": 50, "fraud-v7": 50},
        {"blue": 0, "fraud-v7": 100},
    ]
    assert texts(result) == [
        "the plan is fixed: 7 steps by policy 'fraud-prod'",
        "creating 'fraud-v7' beside 'blue'",
        "'fraud-v7' is ready at weight 0",
        "probe 1 (request.json): status 200 after 12 ms, as expected",
        "weight 10 to 'fraud-v7'",
        "weights read back: blue 90, fraud-v7 10",
        "bakes for 10m",
        "weight 50 to 'fraud-v7'",
        "weights read back: blue 50, fraud-v7 50",
        "bakes for 10m",
        "'fraud-v7' is to become the stable",
        "weights read back: fraud-v7 100",
        "bakes for 20m",
        "weights read back: fraud-v7 100",
        "'fraud-v7' is promoted",
        "'blue' is retired",
        "'fraud-v7' is the stable",
    ]
    assert (result["phase"], result["reason"]) == ("succeeded", "'fraud-v7' is the stable")
    assert (result["candidate"], result["stable"]) == ("fraud-v7", "blue")
    assert (tale.weights(), tale.deployments()) == ({"fraud-v7": 100}, ["fraud-v7"])


@pytest.mark.parametrize(
    ("policy", "weights"),
    [
        (BLUE_GREEN, [ALL]),
        (ALL_AT_ONCE, [ALL]),
        (
            a_policy(weights=(1, 99), bake="0s"),
            [{"blue": 99, "fraud-v7": 1}, {"blue": 1, "fraud-v7": 99}, ALL],
        ),
    ],
    ids=["blue-green", "all-at-once", "canary without bakes"],
)
def test_strategy_writes_exactly_these_weights(
    policy: Policy, weights: list[dict[str, int]]
) -> None:
    tale = Tale(policy)
    assert tale.tell()["phase"] == "succeeded"
    assert shifts(tale) == weights
    assert tale.deployments() == ["fraud-v7"]


def test_first_version_creates_the_endpoint_and_goes_straight_to_all() -> None:
    tale = Tale(FIRST)
    tale.workspace.endpoints.clear()
    result = tale.tell()
    assert texts(result)[1] == "creating 'fraud-v7' as the first version"
    assert shifts(tale) == [{"fraud-v7": 100}]
    assert (result["phase"], result["stable"]) == ("succeeded", "")
    calls = tale.workspace.calls
    assert calls.index("create_endpoint") < calls.index("create_deployment")


def test_old_stable_that_cannot_be_retired_does_not_undo_a_promotion() -> None:
    tale = Tale()

    def fault(method: str, _when: str) -> None:
        if method == "delete_deployment":
            raise WorkspaceError("deleting: 403 AuthorizationFailed", status=403)

    tale.workspace.fault = fault
    result = tale.tell()
    assert result["phase"] == "succeeded"
    assert texts(result)[-2].endswith("403 AuthorizationFailed; an operator must retire 'blue'")
    assert (tale.weights(), tale.deployments()) == ({"fraud-v7": 100}, ["blue", "fraud-v7"])


def test_ledger_hears_of_the_end_and_starts_what_waits() -> None:
    tale = Tale(a_policy(weights=(10,), bake="1m", on_new_version="queue"))
    tale.workspace.register("8")
    tale.offer("7")
    tale.offer("8")
    tale.world.run()
    ended = tale.world.ledgers["fraud"].ended
    assert [(one.version, one.phase) for one in ended] == [
        ("7", Phase.SUCCEEDED),
        ("8", Phase.SUCCEEDED),
    ]
    tale.result()
    assert tale.weights() == {"fraud-v8": 100}


# --- no match


def archive(tale: Tale) -> None:
    tale.workspace.models.pop(("fraud", "7"))


def forget_policy(tale: Tale) -> None:
    tale.policy = a_policy(policy="gone-one")


def serve_newer(tale: Tale) -> None:
    tale.workspace.serve("9")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (archive, "model 'fraud' has no version '7' in the workspace"),
        (forget_policy, "policy 'gone-one' is not among the policies any more"),
        (serve_newer, "version 7 is older than 9, which is registered"),
    ],
)
def test_event_that_the_workspace_does_not_bear_out_touches_nothing(
    change: Callable[[Tale], None], reason: str
) -> None:
    tale = Tale()
    change(tale)
    result = tale.tell()
    assert (result["phase"], result["reason"]) == ("no_match", reason)
    assert (shifts(tale), tale.deployments()) == ([], ["blue"])
    assert tale.world.ledgers["fraud"].answers[-1].answer == "no_match"


def test_endpoint_that_is_missing_needs_a_person() -> None:
    tale = Tale()
    tale.workspace.endpoints.clear()
    result = tale.tell()
    assert result["phase"] == "errored"
    assert "endpoint 'fraud' does not exist" in result["reason"]


# --- the candidate is bad: the stable serves, no person is needed


def is_rolled_back(tale: Tale) -> None:
    assert (tale.weights(), tale.deployments()) == ({"blue": 100}, ["blue"])


@pytest.mark.parametrize(
    "code", ["ResourceNotReady", "ImageBuildFailure", "BadArgument"], ids=str.lower
)
def test_container_that_does_not_start_is_failed_with_its_log(code: str) -> None:
    tale = Tale()
    tale.workspace.broken["7"] = code
    tale.workspace.logs["fraud-v7"] = "starting\nValueError: bad pickle\n"
    result = tale.tell()
    assert result["phase"] == "failed"
    assert result["reason"] == (
        f"creating 'fraud-v7': {code}: it is bad; its log says: ValueError: bad pickle"
    )
    logs = [one["figures"] for one in result["timeline"] if one["text"] == "the end of its log"]
    assert logs == [{"log": "starting\nValueError: bad pickle\n"}]
    is_rolled_back(tale)


def test_probe_that_is_answered_badly_is_failed() -> None:
    tale = Tale()
    tale.workspace.answers["7"] = BAD
    result = tale.tell()
    assert result["phase"] == "failed"
    assert result["reason"] == "probe 1 (request.json): status 424 is not 200, answer boom"
    (judged,) = [one["figures"] for one in result["timeline"] if "verdict" in one["figures"]]
    assert judged == {
        "gate": "probe 1 (request.json)",
        "verdict": "fail",
        "dry_run": False,
        "status": 424,
        "milliseconds": 9,
        "answer": "boom",
        **chart(9, unit="ms", samples=1),
    }
    assert shifts(tale) == []  # the candidate never had weight, so none was taken
    is_rolled_back(tale)


def test_deadline_rolls_back() -> None:
    tale = Tale(a_policy(weights=(10,), bake="50m", deadline="55m"))
    result = tale.tell()
    assert (result["phase"], result["reason"]) == ("failed", "the deadline of 55m has passed")
    assert shifts(tale) == [{"blue": 90, "fraud-v7": 10}, {"blue": 100}]
    is_rolled_back(tale)


# --- could not act or could not judge: a person is needed


def test_candidate_that_has_no_room_is_not_created() -> None:
    tale = Tale()
    tale.workspace.capacity = Capacity(family="standardDSv2Family", needed=10, free=9)
    result = tale.tell()
    assert result["phase"] == "errored"
    assert result["reason"].startswith("no quota: 'fraud-v7' needs 10 cores of standardDSv2Family")
    assert "create_deployment" not in tale.workspace.calls


def test_no_quota_is_errored() -> None:
    tale = Tale()
    tale.workspace.broken["7"] = "OutOfQuota"
    result = tale.tell()
    assert result["phase"] == "errored"
    assert result["reason"].startswith("creating 'fraud-v7': OutOfQuota: it is bad")
    is_rolled_back(tale)


def test_probe_that_cannot_be_asked_is_errored_once_its_error_budget_is_spent() -> None:
    tale = Tale()
    tale.workspace.answers["7"] = DOWN
    result = tale.tell()
    assert result["phase"] == "errored"
    assert result["reason"].endswith("status 503 is not 200, answer  (5 times)")
    judged = [one["figures"] for one in result["timeline"] if "verdict" in one["figures"]]
    assert [one["verdict"] for one in judged] == ["error"] * 5
    is_rolled_back(tale)


def test_probe_that_can_be_asked_the_second_time_goes_on() -> None:
    tale = Tale()
    tale.workspace.answers["7"] = DOWN

    def recover(method: str, _when: str) -> None:
        if method == "score" and tale.workspace.calls.count("score") == 2:
            tale.workspace.answers.clear()

    tale.workspace.fault = recover
    result = tale.tell()
    assert result["phase"] == "succeeded"
    judged = [one["figures"] for one in result["timeline"] if "verdict" in one["figures"]]
    assert [one["verdict"] for one in judged] == ["error", "pass"]


def test_creation_that_never_ends_is_errored_and_the_candidate_is_left_for_a_person() -> None:
    tale = Tale()
    tale.workspace.broken["7"] = "never"
    result = tale.tell()
    assert result["phase"] == "errored"
    assert result["reason"].startswith("not done after 1h: deployment 'fraud-v7' is Creating")
    assert any("an operator must retire 'fraud-v7'" in text for text in texts(result))
    assert tale.weights() == {"blue": 100}


def test_stable_that_is_gone_during_the_roll_back_is_errored_and_the_candidate_serves_on() -> None:
    tale = Tale(a_policy(weights=(60,), bake="30m"))

    def lose_the_stable() -> None:
        endpoint = tale.workspace.endpoints["fraud"]
        endpoint.deployments.pop("blue")
        endpoint.weights = {"fraud-v7": 100}
        tale.ask()

    tale.when("progressing", lambda: tale.world.after(10 * MINUTE, lose_the_stable))
    result = tale.tell()
    assert result["phase"] == "errored"
    assert result["reason"] == (
        "aborted by ann: looks wrong; rolling back: setting weights: no deployment {'blue'}; "
        "an operator must set the weights"
    )
    assert (tale.weights(), tale.deployments()) == ({"fraud-v7": 100}, ["fraud-v7"])


def test_deployment_of_the_same_name_by_somebody_else_is_not_touched() -> None:
    tale = Tale()
    theirs = FakeDeployment(model_id="x", rollout_id="", ready_at=tale.begin)
    tale.workspace.endpoints["fraud"].deployments["fraud-v7"] = theirs
    result = tale.tell()
    assert result["phase"] == "errored"
    assert result["reason"] == (
        "creating 'fraud-v7': somebody else has made a deployment of that name"
    )
    assert tale.deployments() == ["blue", "fraud-v7"]
    assert "delete_deployment" not in tale.workspace.calls


def test_our_own_mistake_leads_back_to_the_stable(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("deploy_logic.story.gating._judge", judge)
    tale = Tale()
    result = tale.tell()
    assert result["phase"] == "errored"
    assert result["reason"] == "the rollout broke: ZeroDivisionError: oh"
    is_rolled_back(tale)


# --- Azure is out of order


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "method",
    [
        "get_endpoint",
        "create_deployment",
        "get_deployment",
        "score",
        "set_traffic",
        "list_deployments",
    ],
)
def test_call_that_breaks_for_a_while_changes_nothing_about_the_end(method: str, when: str) -> None:
    tale = Tale()
    left = iter(range(3))

    def fault(called: str, moment: str) -> None:
        if called == method and moment == when and next(left, None) is not None:
            raise TransientError("503", retry_after=timedelta(seconds=30))

    tale.workspace.fault = fault
    assert tale.tell()["phase"] == "succeeded"
    assert tale.weights() == {"fraud-v7": 100}


def test_activity_that_the_engine_gives_up_on_is_asked_again() -> None:
    tale = Tale()
    left = iter(range(2))

    def fault(called: str, _when: str) -> None:
        if called == "list_model_versions" and next(left, None) is not None:
            raise RuntimeError("worker lost")

    tale.workspace.fault = fault
    assert tale.tell()["phase"] == "succeeded"


def test_look_that_never_answers_is_errored_and_touches_nothing() -> None:
    tale = Tale()

    def fault(_called: str, _when: str) -> None:
        raise TransientError("503")

    tale.workspace.fault = fault
    result = tale.tell()
    assert (result["phase"], result["reason"]) == ("errored", "not done after 1h: 503")
    tale.workspace.fault = lambda _called, _when: None
    is_rolled_back(tale)


def test_endless_retry_after_is_bounded() -> None:
    tale = Tale()
    left = iter(range(1))

    def fault(called: str, _when: str) -> None:
        if called == "list_model_versions" and next(left, None) is not None:
            raise TransientError("429", retry_after=timedelta(days=1))

    tale.workspace.fault = fault
    tale.offer()
    tale.world.run(timedelta(hours=3))
    assert tale.result()["phase"] == "succeeded"


def test_no_permission_to_look_is_errored() -> None:
    tale = Tale()

    def fault(called: str, _when: str) -> None:
        if called == "get_endpoint":
            raise WorkspaceError("GET: 403", status=403)

    tale.workspace.fault = fault
    result = tale.tell()
    assert (result["phase"], result["reason"]) == ("errored", "GET: 403")


# --- operations


@pytest.mark.parametrize("phase", ["pending", "preparing", "progressing", "promoting"])
@pytest.mark.parametrize(
    ("operation", "end", "verb"),
    [
        (Operation.ABORT, "failed", "aborted"),
        (Operation.SUPERSEDE, "superseded", "superseded"),
    ],
)
def test_operation_is_honoured_in(phase: str, operation: Operation, end: str, verb: str) -> None:
    tale = Tale()
    tale.when(phase, lambda: tale.ask(operation))
    result = tale.tell()
    assert (result["phase"], result["reason"]) == (end, f"{verb} by ann: looks wrong")
    assert f"{operation} by ann: looks wrong" in texts(result)
    is_rolled_back(tale)


def test_abort_in_a_bake_does_not_wait_for_its_end() -> None:
    tale = Tale(a_policy(weights=(10,), bake="2h"))
    tale.when("progressing", lambda: tale.world.after(5 * MINUTE, tale.ask))
    tale.offer()
    tale.world.run(30 * MINUTE)
    assert tale.result()["phase"] == "failed"


@pytest.mark.parametrize("activity", ["create_candidate", "shift"])
def test_abort_waits_for_an_effect_that_is_under_way_and_undoes_it(activity: str) -> None:
    tale = Tale()
    late = iter([600.0])  # far longer than a roll back takes
    tale.world.delay = lambda: next(late, 1.0) if tale.world.called[activity] else 1.0
    tale.world.at_activity[activity, 1] = [tale.ask]
    assert tale.tell()["reason"] == "aborted by ann: looks wrong"
    is_rolled_back(tale)


def test_abort_of_a_promotion_that_is_complete_changes_nothing() -> None:
    tale = Tale()
    tale.world.at_activity["retire", 1] = [tale.ask]
    result = tale.tell()
    assert result["phase"] == "succeeded"
    assert "'blue' is retired" in texts(result)  # as if nobody had said anything
    assert (tale.weights(), tale.deployments()) == ({"fraud-v7": 100}, ["fraud-v7"])


def test_abort_while_rolling_back_changes_nothing() -> None:
    tale = Tale()
    tale.workspace.answers["7"] = BAD
    tale.when("rolling_back", tale.ask)
    result = tale.tell()
    assert result["reason"].startswith("probe 1")
    is_rolled_back(tale)


def test_abort_of_the_first_version_leaves_the_endpoint_empty() -> None:
    tale = Tale(a_policy(strategy={"kind": "blue-green", "final_bake": "2h"}))
    tale.workspace.endpoints["fraud"] = FakeEndpoint()
    tale.when("promoting", lambda: tale.world.after(5 * MINUTE, tale.ask))
    result = tale.tell()
    assert result["phase"] == "failed"
    assert "weights read back: none" in texts(result)
    assert (tale.weights(), tale.deployments()) == ({}, [])


@pytest.mark.parametrize("nonsense", [{"operation": "dance"}, {"reason": None}, {"by": 7}], ids=str)
def test_operation_that_cannot_be_read_is_left_aside(nonsense: Any) -> None:
    tale = Tale()
    tale.when("progressing", lambda: tale.run.context.receive(nonsense))
    result = tale.tell()
    assert result["phase"] == "succeeded"
    assert "an operation that cannot be read was left aside" in texts(result)


def test_newer_version_takes_the_place_of_the_one_in_flight() -> None:
    tale = Tale()
    tale.offer("7")

    def register_8() -> None:
        tale.workspace.register("8")
        tale.offer("8")

    tale.when("progressing", register_8)
    tale.world.run()
    first = tale.result()
    assert first["phase"] == "superseded"
    second = tale.world.runs[1].result
    assert second is not None
    assert (second["phase"], second["stable"]) == ("succeeded", "blue")
    assert (tale.weights(), tale.deployments()) == ({"fraud-v8": 100}, ["fraud-v8"])


def test_status_people_see_is_the_rollout_as_it_goes() -> None:
    tale = Tale()
    seen: list[str] = []
    for phase in ("pending", "preparing", "progressing", "promoting", "succeeded"):
        tale.when(phase, lambda phase=phase: seen.append(phase))  # type: ignore[misc]
    result = tale.tell()
    assert seen == ["pending", "preparing", "progressing", "promoting", "succeeded"]
    status = tale.run.context.status
    assert {key: status[key] for key in result if key != "timeline"} == {
        key: value for key, value in result.items() if key != "timeline"
    }
