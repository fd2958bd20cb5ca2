"""Step 4 of 5: weights are set and read back; what somebody else has set freezes the rollout."""

from collections.abc import Generator, Mapping
from typing import Any

from deploy_logic.codec import Json
from deploy_logic.plan.plan import Plan
from deploy_logic.ports import Waitable
from deploy_logic.rollout import Operation
from deploy_logic.story.asking import ask
from deploy_logic.story.diary import Diary

type Story[T] = Generator[Waitable, Any, T]

_CHOICES = (Operation.ADOPT, Operation.RESTORE, Operation.REJECT)


def shift(
    diary: Diary,
    plan: Plan,
    weights: Mapping[str, int],
    *,
    mirror: Mapping[str, int] | None = None,
) -> Story[None]:
    """Set the weights and read them back; what somebody else has set is not overwritten unasked."""
    diary.has_shifted = True
    while True:
        ours = [dict(diary.rollout.weights), dict(weights)]
        done = yield from _converge(diary, plan, weights, mirror, expected=ours)
        if done["state"] != "drifted":
            diary.weigh(done["weights"], done.get("mirror"))
            return
        if not (yield from _freeze(diary, plan, done["weights"])):
            return


def settle_weights(diary: Diary, plan: Plan) -> Story[None]:
    """Look whether the weights are what was set, and ask a person when they are not."""
    diary.waiting.frozen = None
    payload = _about(plan)
    seen = yield from diary.waiting.ask("weigh", payload, within=plan.timings.shift_deadline)
    diary.waiting.heed()
    ours = diary.rollout.weights
    if _nonzero(seen["weights"]) == _nonzero(ours):
        diary.note("the weights are as they were set", weights=dict(ours))
        return
    if (yield from _freeze(diary, plan, seen["weights"])):
        done = yield from _converge(diary, plan, ours, None, expected=None)
        diary.weigh(done["weights"])


def assert_weights(
    diary: Diary, plan: Plan, weights: Mapping[str, int], *, mirror: Mapping[str, int] | None
) -> Story[None]:
    """Set the weights whatever they are now, and read them back."""
    done = yield from _converge(diary, plan, weights, mirror, expected=None)
    diary.weigh(done["weights"], done.get("mirror"))


def _freeze(diary: Diary, plan: Plan, found: Mapping[str, int]) -> Story[bool]:
    """Ask what to do; True when our weights are to be set, False when theirs are to stay."""
    diary.waiting.frozen = None
    text = (
        f"the weights of {plan.endpoint!r} are {dict(found)}, and the rollout had set "
        f"{dict(diary.rollout.weights)}: adopt them, restore ours, or reject to roll back"
    )
    decided = yield from ask(diary, what="weights", text=text, operations=_CHOICES)
    if decided is not None and decided.operation is Operation.ADOPT:
        diary.weigh(found)
        return False
    if decided is not None or diary.waiting.hurried is not None:
        # What was found is what may be overwritten now, and nothing else.
        diary.weigh(found)
    return True


def _converge(
    diary: Diary,
    plan: Plan,
    weights: Mapping[str, int],
    mirror: Mapping[str, int] | None,
    *,
    expected: list[dict[str, int]] | None,
) -> Story[Json]:
    payload: Json = {**_about(plan), "weights": dict(weights)}
    if mirror is not None:
        payload["mirror"] = dict(mirror)
    if expected is not None:
        payload["expected"] = expected
    elif diary.has_shifted:
        # What they are to be again they were before: a read that lags would show just that.
        payload["must_write"] = True
    if mirror is not None and not mirror and diary.rollout.mirror:
        payload["must_write"] = True  # likewise
    within = plan.timings.shift_deadline
    return (yield from diary.waiting.converge("shift", payload, within=within))


def _about(plan: Plan) -> Json:
    return {
        "workspace": plan.workspace,
        "endpoint": plan.endpoint,
        "rollout_id": plan.rollout_id,
        "model": plan.model,
        "version": plan.version,
    }


def _nonzero(weights: Mapping[str, int]) -> dict[str, int]:
    return {name.lower(): weight for name, weight in weights.items() if weight != 0}
