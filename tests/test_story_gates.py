"""Stories of rollouts whose gates are measured while the candidate bakes, and asked once."""

from datetime import timedelta
from typing import Any

import pytest

from deploy_logic.gate.gate import Judgement, Verdict
from deploy_logic.ledger.operation import Act
from deploy_logic.rollout import Operation
from tests.builders import a_policy
from tests.test_orchestrator import Tale, is_rolled_back, shifts, texts

ERRORS = {"kind": "metric", "metric": "error_rate", "at_most": "1%", "min_samples": 200}
RELATIVE = {"kind": "metric", "metric": "latency_p95", "worse_than_stable_by_at_most": "20%"}
OUTSIDE = {"kind": "http", "url": "https://gates.contoso.com/fraud", "when": ["step"]}
FAIL = Judgement(verdict=Verdict.FAIL, reason="12 % is above 1 %", figures={"value": 0.12})
UNSURE = Judgement(
    verdict=Verdict.INCONCLUSIVE, reason="3 samples are too few", figures={"samples": 3}
)


class Gated(Tale):
    """A canary of 10 and 50 whose gates say, one after the other, what the story tells them to."""

    def __init__(self, *gates: dict[str, Any], **changes: Any) -> None:
        policy = a_policy(gates=list(gates), **{"final_bake": "0s", **changes})
        super().__init__(policy)
        self.verdicts: dict[str, list[Judgement | str]] = {}
        self.world.judge = self.say

    def say(self, gate: str, _version: str = "7") -> Judgement | str:
        listed = self.verdicts.get(gate, [])
        if not listed:
            return Judgement(verdict=Verdict.PASS, reason=f"{gate}: fine", figures={"value": 0.0})
        return listed[0] if len(listed) == 1 else listed.pop(0)

    def asked(self, gate: str) -> int:
        return sum(1 for name, _ in self.world.asked if name == gate)

    def answer(
        self, operation: Operation, *, by: str = "ann", claims: tuple[str, ...] = ()
    ) -> None:
        """Answer the question that people see now, with the figures that they see."""
        self.ask(operation, by=by, claims=claims, figures=self.awaits().get("figures", ""))

    def awaits(self) -> dict[str, Any]:
        found: dict[str, Any] = self.run.context.status.get("awaits") or {}
        return found


def test_gate_is_measured_again_and_again_in_every_bake() -> None:
    tale = Gated(ERRORS, bake="10m", final_bake="10m")
    result = tale.tell()
    assert (result["phase"], tale.weights()) == ("succeeded", {"fraud-v7": 100})
    # first after lag and a minute, then each minute until the bake is over: three bakes
    assert tale.asked("error_rate 1") == 3 * 7
    for _, payload in tale.world.asked:
        assert payload["candidate"] == "fraud-v7"
        assert payload["stable"] == "blue"
        assert payload["lag"] == 180


def test_gate_that_fails_ends_the_step_at_once() -> None:
    tale = Gated(ERRORS, bake="1h")
    tale.verdicts["error_rate 1"] = [FAIL]
    result = tale.tell()
    assert (result["phase"], result["reason"]) == ("failed", FAIL.reason)
    assert shifts(tale) == [{"blue": 90, "fraud-v7": 10}, {"blue": 100}]
    assert tale.asked("error_rate 1") == 1
    is_rolled_back(tale)


@pytest.mark.parametrize(
    ("budget", "end"),
    [({"total": 2}, "succeeded"), ({"total": 1}, "failed"), ({"consecutive": 1}, "failed")],
)
def test_failure_budget_forgives_as_many(budget: dict[str, int], end: str) -> None:
    tale = Gated({**ERRORS, "failure_budget": budget}, weights=(10,), bake="20m")
    fine = tale.say("error_rate 1")
    tale.verdicts["error_rate 1"] = [FAIL, FAIL, fine]
    assert tale.tell()["phase"] == end


def test_gate_in_a_dry_run_decides_nothing_and_is_shown() -> None:
    tale = Gated({**ERRORS, "dry_run": True})
    tale.verdicts["error_rate 1"] = [FAIL]
    result = tale.tell()
    assert result["phase"] == "succeeded"
    assert any(text.endswith("(dry run: it decides nothing)") for text in texts(result))


def test_gate_that_cannot_be_asked_is_errored_and_rolled_back() -> None:
    tale = Gated({**ERRORS, "error_budget": 2}, bake="30m")
    tale.verdicts["error_rate 1"] = ["no permission"]
    result = tale.tell()
    assert result["phase"] == "errored"
    assert result["reason"] == "error_rate 1: could not be asked: no permission"
    assert tale.asked("error_rate 1") == 3
    is_rolled_back(tale)


def test_gate_that_cannot_be_asked_for_a_while_is_forgiven() -> None:
    tale = Gated({**ERRORS, "error_budget": 2}, bake="30m")
    fine = tale.say("error_rate 1")
    tale.verdicts["error_rate 1"] = ["busy", "busy", fine]
    assert tale.tell()["phase"] == "succeeded"


def test_bake_is_extended_while_there_is_too_little_to_judge_by() -> None:
    tale = Gated({**ERRORS, "patience": "30m"}, weights=(10,), bake="10m")
    fine = tale.say("error_rate 1")
    tale.verdicts["error_rate 1"] = [*[UNSURE] * 15, fine]
    tale.offer()
    tale.world.run(timedelta(minutes=25))
    assert tale.run.context.status["phase"] == "progressing"
    tale.world.run(timedelta(hours=1))
    assert tale.result()["phase"] == "succeeded"


def waiting_for_a_person(**changes: Any) -> Gated:
    tale = Gated({**ERRORS, "patience": "20m"}, weights=(10,), bake="10m", **changes)
    tale.verdicts["error_rate 1"] = [UNSURE]
    tale.offer()
    tale.world.run(timedelta(hours=1))
    assert tale.run.context.status["phase"] == "waiting"
    assert tale.awaits()["what"] == "gate"
    assert UNSURE.reason in tale.awaits()["text"]
    return tale


def test_no_traffic_is_never_a_pass_a_person_decides() -> None:
    tale = waiting_for_a_person()
    tale.answer(Operation.APPROVE)
    tale.world.run()
    assert (tale.result()["phase"], tale.weights()) == ("succeeded", {"fraud-v7": 100})


def test_person_who_is_asked_about_a_gate_may_reject() -> None:
    tale = waiting_for_a_person()
    tale.answer(Operation.REJECT)
    tale.world.run()
    assert tale.result()["reason"] == "rejected by ann: looks wrong"
    is_rolled_back(tale)


def test_no_answer_about_a_gate_by_the_deadline_is_a_no() -> None:
    tale = waiting_for_a_person(deadline="3h")
    tale.world.run()
    assert tale.result()["reason"] == "the deadline of 3h has passed"
    is_rolled_back(tale)


@pytest.mark.parametrize(("verdict", "end"), [(FAIL, "failed"), (None, "succeeded")])
def test_gate_goes_on_being_measured_while_a_person_is_asked(
    verdict: Judgement | None, end: str
) -> None:
    tale = waiting_for_a_person()
    tale.verdicts["error_rate 1"] = [verdict] if verdict else []
    tale.world.run()
    assert tale.result()["phase"] == end


def test_answer_to_other_figures_does_not_count() -> None:
    tale = waiting_for_a_person()
    tale.ask(Operation.APPROVE, figures="000000000000")
    tale.world.run(timedelta(minutes=1))
    assert tale.run.context.status["phase"] == "waiting"
    tale.answer(Operation.APPROVE)
    tale.world.run()
    result = tale.result()
    assert result["phase"] == "succeeded"
    assert any("does not count: it rests on figures '000000000000'" in one for one in texts(result))


def test_what_is_compared_with_the_stable_is_not_measured_when_the_stable_has_no_traffic() -> None:
    tale = Gated(RELATIVE, weights=(10,), bake="10m", final_bake="10m")
    assert tale.tell()["phase"] == "succeeded"
    assert tale.asked("latency_p95 1") == 7  # in the step alone


def test_gate_is_measured_sixty_times_in_a_bake_at_most() -> None:
    tale = Gated({**ERRORS, "every": "1s"}, weights=(10,), bake="6h")
    assert tale.tell()["phase"] == "succeeded"
    assert tale.asked("error_rate 1") <= 61


def test_other_peoples_service_is_asked_at_each_of_its_moments() -> None:
    tale = Gated({**OUTSIDE, "when": ["before", "step", "promote", "roll_back"]}, bake="3m")
    assert tale.tell()["phase"] == "succeeded"
    moments = [
        payload["call"]["when"] if "call" in payload else "step" for _, payload in tale.world.asked
    ]
    assert moments == ["before", *["step"] * 6, "promote"]


def test_service_that_says_no_before_lets_nothing_be_created() -> None:
    tale = Gated({**OUTSIDE, "when": ["before"]})
    tale.verdicts["http 1"] = [FAIL]
    result = tale.tell()
    assert result["phase"] == "failed"
    assert "create_deployment" not in tale.workspace.calls
    assert tale.weights() == {"blue": 100}


def test_service_hears_of_a_roll_back_and_cannot_change_it() -> None:
    tale = Gated({**OUTSIDE, "when": ["roll_back"]}, {**ERRORS}, bake="5m")
    tale.verdicts = {"http 1": ["it is down"], "error_rate 2": [FAIL]}
    result = tale.tell()
    assert (result["phase"], result["reason"]) == ("failed", FAIL.reason)
    assert tale.asked("http 1") == 1
    is_rolled_back(tale)


AGREEMENT = {"kind": "agreement", "requests": "sample.jsonl", "at_least": "98%"}


def test_agreement_is_asked_before_any_traffic() -> None:
    tale = Gated(AGREEMENT)
    tale.verdicts["agreement 1"] = [FAIL]
    result = tale.tell()
    assert (result["phase"], shifts(tale)) == ("failed", [])
    is_rolled_back(tale)


def test_agreement_that_cannot_say_is_left_to_a_person() -> None:
    tale = Gated(AGREEMENT)
    tale.verdicts["agreement 1"] = [UNSURE]
    tale.offer()
    tale.world.run(timedelta(hours=1))
    tale.answer(Operation.APPROVE)
    tale.world.run()
    assert tale.result()["phase"] == "succeeded"


CHAMPION = {"kind": "champion", "tag": "auc", "better": "higher", "margin": 0.005}


@pytest.mark.parametrize(("auc", "end"), [("0.92", "succeeded"), ("0.912", "failed")])
def test_champion_is_held_against_the_stables_tag_before_anything_is_created(
    auc: str, end: str
) -> None:
    tale = Gated(CHAMPION)
    tale.workspace.register("6", auc="0.91")
    tale.workspace.register("7", auc=auc)
    assert tale.tell()["phase"] == end
    assert ("create_deployment" in tale.workspace.calls) is (end == "succeeded")


def test_freeze_keeps_the_weights_and_asks() -> None:
    tale = Gated(ERRORS, weights=(10, 50), bake="10m", on_failure="freeze")
    tale.verdicts["error_rate 1"] = [FAIL]
    tale.offer()
    tale.world.run(timedelta(hours=1))
    assert tale.weights() == {"blue": 90, "fraud-v7": 10}
    assert tale.awaits()["what"] == "failure"
    tale.verdicts.clear()
    tale.answer(Operation.APPROVE)
    tale.world.run()
    assert (tale.result()["phase"], tale.weights()) == ("succeeded", {"fraud-v7": 100})


def test_freeze_that_is_rejected_rolls_back() -> None:
    tale = Gated(ERRORS, weights=(10,), bake="10m", on_failure="freeze")
    tale.verdicts["error_rate 1"] = [FAIL]
    tale.offer()
    tale.world.run(timedelta(hours=1))
    tale.answer(Operation.REJECT)
    tale.world.run()
    assert tale.result()["reason"].startswith("rejected by ann: looks wrong")
    is_rolled_back(tale)


MIRRORED = {
    "kind": "canary",
    "mirror": {"percent": 20, "bake": "30m"},
    "steps": [{"weight": 10, "bake": "10m"}],
}


def test_mirror_comes_before_live_weight_and_ends_before_it() -> None:
    tale = Gated(ERRORS, strategy=MIRRORED)
    written: list[tuple[dict[str, int], dict[str, int]]] = []
    real = tale.workspace.set_traffic

    def watch(endpoint: str, weights: Any, *, mirror: Any = None, seen: Any = None) -> str:
        operation = real(endpoint, weights, mirror=mirror, seen=seen)
        written.append((dict(weights), dict(tale.workspace.endpoints["fraud"].mirror)))
        return operation

    tale.workspace.set_traffic = watch  # type: ignore[method-assign] # to see what it was given
    assert tale.tell()["phase"] == "succeeded"
    assert written == [
        ({"blue": 100}, {"fraud-v7": 20}),
        ({"blue": 100}, {}),
        ({"blue": 90, "fraud-v7": 10}, {}),
        ({"blue": 0, "fraud-v7": 100}, {}),
    ]


def test_roll_back_ends_the_mirror() -> None:
    tale = Gated(ERRORS, strategy=MIRRORED)
    tale.verdicts["error_rate 1"] = [FAIL]
    assert tale.tell()["phase"] == "failed"
    assert tale.workspace.endpoints["fraud"].mirror == {}
    is_rolled_back(tale)


def test_old_stable_is_kept_warm_and_the_ledger_hears_of_it() -> None:
    tale = Gated(weights=(10,), keep={"old": 1, "for": "24h"})
    tale.offer()
    tale.world.run(timedelta(hours=23))
    assert tale.result()["phase"] == "succeeded"
    assert tale.deployments() == ["blue", "fraud-v7"]
    assert tale.weights() == {"fraud-v7": 100}
    (kept,) = tale.world.ledgers["fraud"].kept
    assert (kept.deployment, kept.version, kept.why) == ("blue", "6", "old")
    tale.world.run()
    assert tale.deployments() == ["fraud-v7"]  # let go of when its time was over


def test_failed_candidate_is_kept_to_be_looked_at() -> None:
    tale = Gated(ERRORS, keep_failed="2h")
    tale.verdicts["error_rate 1"] = [FAIL]
    tale.offer()
    tale.world.run(timedelta(hours=2))
    assert tale.result()["phase"] == "failed"
    assert tale.deployments() == ["blue", "fraud-v7"]
    assert tale.weights() == {"blue": 100}
    tale.world.run()
    assert tale.deployments() == ["blue"]


def test_revert_gives_the_kept_one_everything_with_one_write() -> None:
    tale = Gated(weights=(10,), keep={"old": 1, "for": "24h"})
    tale.offer()
    tale.world.run(timedelta(hours=2))
    written = len(shifts(tale))
    tale.world.act("fraud", Act.REVERT, by="ann")
    tale.world.run(timedelta(hours=2))
    assert tale.weights() == {"blue": 100}
    assert len(shifts(tale)) == written + 1
    book = tale.world.ledgers["fraud"]
    assert book.held is not None
    assert [one.deployment for one in book.kept] == ["fraud-v7"]
    tale.offer()
    tale.offer("8")
    assert [one.answer for one in book.answers if one.answer == "started"] == ["started"]
    assert [str(one.answer) for one in tale.world.ledgers["fraud"].answers][-2:] == [
        "quarantined",
        "held",
    ]


def many_requests(count: int) -> Gated:
    """Return a story whose probe sends so many requests, of which one activity asks 40."""
    tale = Gated({"kind": "probe", "requests": "many.jsonl"})
    lines = "\n".join(f"[{number}]" for number in range(count))
    (files,) = tale.world.policies
    tale.world.policies[0] = files.model_copy(update={"requests": {"many.jsonl": lines}})
    return tale


def test_gate_of_many_requests_is_asked_in_slices() -> None:
    tale = many_requests(100)
    assert tale.tell()["phase"] == "succeeded"
    assert [body for _, body in tale.workspace.scored] == [f"[{number}]" for number in range(100)]


def test_abort_is_honoured_between_two_slices() -> None:
    tale = many_requests(4000)
    tale.world.at_activity["probe", 2] = [tale.ask]
    result = tale.tell()
    assert result["phase"] == "failed"
    assert len(tale.workspace.scored) == 80
    is_rolled_back(tale)


def test_service_that_asked_for_events_hears_of_every_phase() -> None:
    tale = Gated({**OUTSIDE, "when": ["event"]}, weights=(10,), bake="3m")
    tale.verdicts["http 1"] = ["it is down"]  # which changes nothing
    assert tale.tell()["phase"] == "succeeded"
    heard = [payload["phase"] for _, payload in tale.world.asked]
    assert heard == ["preparing", "progressing", "promoting", "succeeded"]
