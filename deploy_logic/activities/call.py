"""Step 5 of 5: the activities that ask others about the candidate: the stable, and services.

What takes long comes in slices: an activity asks for a while, says how far it came, and is called
again with that.
"""

import hashlib

from deploy_logic.activities.activity import is_full, tell_all
from deploy_logic.codec import Json, decode, encode
from deploy_logic.gate.agreement import Agreed, judge_agreement
from deploy_logic.gate.call import judge_http
from deploy_logic.gate.gate import Answer, Judgement
from deploy_logic.plan.step import Agreement, Call, HttpSource, Watch
from deploy_logic.ports import Outside, Workspace

EVENT_TYPE = "rollout.gate"


@tell_all
def agree(outside: Outside, payload: Json) -> Json:
    """Ask stable and candidate the same requests, and count the same answers."""
    workspace = outside.open_workspace(payload["workspace"])
    step = decode(Agreement, payload["agreement"])
    begin: int = payload.get("from", 0)
    seen = decode(Agreed, payload["so_far"]) if begin else Agreed()
    milliseconds = 0
    for number, body in enumerate(step.bodies[begin:], begin + 1):
        stable, candidate = _ask_both(workspace, payload, body)
        seen = seen.add(stable, candidate, tolerance=step.tolerance)
        milliseconds += stable.milliseconds + candidate.milliseconds
        if number < len(step.bodies) and is_full(number - begin, milliseconds):
            return {"state": "done", "next": number, "so_far": encode(seen)}
    return _tell(judge_agreement(step, seen))


@tell_all
def call(outside: Outside, payload: Json) -> Json:
    """Ask somebody else's service, once."""
    step = decode(Call, payload["call"])
    # one event is told from the next by phase and weight; the other moments come once
    once = f"{payload['phase']} {payload['weight']}" if step.when == "event" else ""
    return _ask(outside, payload, name=step.name, url=step.url, moment=step.when, once=once)


def ask_watch(outside: Outside, payload: Json) -> Json:
    """Ask somebody else's service during a bake: each measurement is a question of its own."""
    watch = decode(Watch, payload["watch"])
    if not isinstance(watch.source, HttpSource):
        raise TypeError(f"{watch.name} is not measured by asking a service")
    once = f"{payload['step']} {payload['at']}"
    return _ask(outside, payload, name=watch.name, url=watch.source.url, moment="step", once=once)


def _ask_both(workspace: Workspace, payload: Json, body: str) -> tuple[Answer, Answer]:
    """Return both answers; the candidate is not asked what the stable gave no answer to."""
    endpoint = payload["endpoint"]
    stable = workspace.score(endpoint, payload["stable"], body)
    if stable.status is None:
        return stable, Answer(status=None, error="not asked")
    return stable, workspace.score(endpoint, payload["candidate"], body)


def _ask(
    outside: Outside, payload: Json, *, name: str, url: str, moment: str, once: str = ""
) -> Json:
    """Send what the question is about. once tells questions of one gate and moment apart."""
    parts = (payload["rollout_id"], name, moment, once)
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    answer = outside.web().post(url, _event(payload, name, moment, key), idempotency_key=key)
    return _tell(judge_http(name, answer))


def _event(payload: Json, gate: str, moment: str, key: str) -> Json:
    """Return a CloudEvent. It has no time: the same question must be the same whenever it is sent.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
    """
    keys = ("rollout_id", "endpoint", "model", "version", "candidate", "stable", "phase", "weight")
    return {
        "specversion": "1.0",
        "type": EVENT_TYPE,
        "id": key,
        "source": f"{payload['workspace']}/onlineEndpoints/{payload['endpoint']}",
        "datacontenttype": "application/json",
        "data": {**{each: payload[each] for each in keys}, "moment": moment, "gate": gate},
    }


def _tell(judged: Judgement) -> Json:
    return {"state": "done", "judgement": encode(judged)}
