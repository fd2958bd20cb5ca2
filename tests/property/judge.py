"""The promises, held against what a world saw: one line for each that was broken."""

import itertools
from collections.abc import Iterator
from datetime import timedelta

from deploy_logic.codec import encode
from deploy_logic.gate.gate import Verdict
from deploy_logic.rollout import Phase
from tests.property.strategies import VERDICTS, WATCH
from tests.world import Run, World, replay

ENDS = frozenset(phase.value for phase in Phase if phase.is_over)
JUDGED = {"gate", "verdict", "dry_run"}  # what stands beside the figures of a verdict


def judge(world: World) -> list[str]:
    """Return every law that the world saw broken."""
    broken = list(world.violations)
    for run in world.runs:
        if run.result is None:
            # letting go of what Azure never finishes is tried again and again, an hour each time
            is_young = world.clock.now - run.turns[0].now < timedelta(hours=3)
            if run.offer.is_rollout or not is_young:
                broken.append(f"P6: {run.offer.rollout_id} never ends")
            continue
        if Phase(run.result["phase"]) is Phase.ROLLING_BACK or not run.result["ended"]:
            broken.append("P6: ended in the middle")
        broken += [
            f"P7: verdict without figures: {entry}"
            for entry in run.result["timeline"]
            if "verdict" in entry["figures"] and not set(entry["figures"]) - JUDGED
        ]
        if replay(run) != run.context.actions:
            broken.append("P10: a replay asks for something else")
    found = (
        _judge_ends(world),
        _judge_verdicts(world),
        _judge_letters(world),
        _judge_wavering(world),
    )
    return [*broken, *itertools.chain(*found), *_judge_answers(world), *_judge_starts(world)]


def _judge_letters(world: World) -> list[str]:
    """Every line of every timeline is posted once, in its order, and every end is told of."""
    broken = []
    for run in world.runs:
        if run.result is None or run.result["phase"] == Phase.NO_MATCH:
            continue
        letters = [one for one in world.posted if one.rollout_id == run.offer.rollout_id]
        lines = [
            (letter.first + number, encode(line))
            for letter in letters
            for number, line in enumerate(letter.lines)
        ]
        if lines != list(enumerate(run.result["timeline"])):
            broken.append(f"O1: posted {len(lines)} lines of {len(run.result['timeline'])}")
        ends = [kind for one in letters for kind in one.kinds.values() if kind in ENDS]
        shown = [one.rollout["phase"] for one in letters if one.rollout is not None]
        is_listed = run.offer.kind != "let_go"
        if ends != [run.result["phase"]] or shown[-1:] != ends[: int(is_listed)]:
            broken.append(f"O2: ended as {run.result['phase']}, and told of {ends}, {shown[-1:]}")
    return broken


def _judge_verdicts(world: World) -> list[str]:
    """No rollout succeeds against its gates, or without those whom its policy asks."""
    broken = []
    for run in world.runs:
        if run.result is None or Phase(run.result["phase"]) is not Phase.SUCCEEDED:
            continue
        texts = [entry["text"] for entry in run.result["timeline"]]
        approvals = sum(text.startswith("approved by") for text in texts)
        if any("promote_now by" in text for text in texts):
            continue
        if run.offer.version in world.wavers:  # _judge_wavering
            continue
        verdict = getattr(world.judge("", run.offer.version), "verdict", Verdict.PASS)
        is_watched = any("watched by" in text for text in texts)
        asked = [text for text in texts if text.startswith("approval ")]
        is_answered = approvals > len(asked) or any(text.startswith("approve by") for text in texts)
        if is_watched and verdict is not Verdict.PASS and not is_answered:
            broken.append(f"V1: went on although its gate says {verdict}")
        if len(asked) > approvals or (run.asks and not asked):
            broken.append("V2: went on without its approval")
    return broken


def _judge_ends(world: World) -> list[str]:
    """P5 and P8 rest on what the endpoint was read to be when each rollout ended."""
    broken = []
    for run in world.runs:
        result = run.result
        if result is None or not result["candidate"]:
            continue
        nonzero = {name: weight for name, weight in result["weights"].items() if weight}
        stable = {result["stable"]: 100} if result["stable"] else {}
        phase = Phase(result["phase"])
        seen = world.ended_with.get(result["rollout_id"], {})
        if phase is Phase.SUCCEEDED and (nonzero != {result["candidate"]: 100} or seen != nonzero):
            broken.append(f"P8: succeeded with weights {nonzero}, really {seen}")
        if phase in {Phase.FAILED, Phase.SUPERSEDED} and (nonzero != stable or seen != stable):
            broken.append(f"P5: {phase} with weights {nonzero}, really {seen}")
        left = _left_behind(world, run)
        texts = [entry["text"] for entry in result["timeline"]]
        told = any("an operator must" in one or "to be looked at until" in one for one in texts)
        if phase in {Phase.FAILED, Phase.SUPERSEDED} and left and not told:
            broken.append(f"P5: {phase}, and {left} is left behind")
    return broken


def _left_behind(world: World, run: Run) -> list[str]:
    """Return the deployments of a rollout that are there after everything has ended."""
    world.workspace.settled_weights(run.offer.endpoint)  # lets a deletion that is over be seen
    endpoint = world.workspace.endpoints[run.offer.endpoint]
    ours = run.offer.rollout_id
    return [name for name, one in endpoint.deployments.items() if one.rollout_id == ours]


def _judge_wavering(world: World) -> Iterator[str]:
    """What is said now so, now so, is counted by the budgets of the policy: here once more."""
    for run in world.runs:
        if run.result is None or run.offer.version not in world.wavers:
            continue
        texts = [entry["text"] for entry in run.result["timeline"]]
        if any("promote_now by" in text or text.startswith("approve by") for text in texts):
            continue
        said = _list_verdicts(run)
        phase, reason = run.result["phase"], run.result["reason"]
        if phase == Phase.SUCCEEDED and not all(_is_good(world, bake) for bake in said):
            yield f"V3: succeeded, and its bakes said {said}"
        is_judged = phase == Phase.FAILED and reason == VERDICTS["measures badly"].reason
        if is_judged and not _is_too_bad(world, said[-1]):
            yield f"V3: failed, and its bakes said {said}"


def _list_verdicts(run: Run) -> list[list[str]]:
    """Return what the watch has said in each bake."""
    said: list[list[str]] = []
    assert run.result is not None
    for entry in run.result["timeline"]:
        if entry["text"].startswith("bakes for") and "watched by" in entry["text"]:
            said.append([])
        if str(entry["figures"].get("gate", "")).startswith(WATCH["metric"]):
            said[-1].append(entry["figures"]["verdict"])
    return said


def _is_good(world: World, bake: list[str]) -> bool:
    """Whether a bake may end by itself: it was never too bad, has passed, and knows at its end."""
    never = not any(_is_too_bad(world, bake[: number + 1]) for number in range(len(bake)))
    return never and "pass" in bake and bake[-1] in {"pass", "fail"}


def _is_too_bad(world: World, bake: list[str]) -> bool:
    gate = world.policies[0].policy.gates[1]
    budget = getattr(gate, "failure_budget", None)
    in_a_row = budget.consecutive if budget else None
    total = budget.total if budget and budget.total is not None else None
    known = [one for one in bake if one in {"pass", "fail"}]
    last = len(known) - max((at + 1 for at, one in enumerate(known) if one == "pass"), default=0)
    if in_a_row is not None and last > in_a_row:
        return True
    return bake.count("fail") > (total or 0) if total is not None or in_a_row is None else False


def _judge_answers(world: World) -> Iterator[str]:
    """Whatever was registered has its answer in the end, whether its events came or not.

    A version that is not the newest may be passed over, unless the policy takes all in order.
    """
    if not world.is_swept:
        return
    book = world.ledgers.get("fraud")
    answered = {one.version for one in book.answers} if book is not None else set()
    answered |= {run.offer.version for run in world.runs}
    newest = max(int(one.version) for one in world.wanted)
    for one in world.wanted:
        is_due = one.on_new_version == "queue" or int(one.version) == newest
        if is_due and one.version not in answered:
            yield f"P10: version {one.version} was registered, and nobody has answered"


def _judge_starts(world: World) -> Iterator[str]:
    """A version is tried once, however often it is offered, unless a person lets it be again."""
    tried = [run.offer.version for run in world.runs if run.offer.is_rollout and world.touched(run)]
    if world.released == 0:
        twice = sorted({version for version in tried if tried.count(version) > 1})
        yield from (f"P4: version {version} was tried again unasked" for version in twice)
