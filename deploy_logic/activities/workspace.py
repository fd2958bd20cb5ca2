"""Step 5 of 5: one function per effect. Each can be called again at any time, and looks first.

Our verbs become Azure's words here and nowhere else. An activity returns everything it knows as
plain JSON, failures too: the engine may erase an exception's type on its way to the orchestrator,
and a wait that the orchestrator makes itself can be cut short by an abort.

States: done; working (under way, look again); busy (ask again); failed (the candidate is bad);
broke (a person is needed).
"""

import re
from collections.abc import Mapping, Sequence

from deploy_logic.activities.activity import Activity, is_full, tell_all
from deploy_logic.activities.announce import announce
from deploy_logic.activities.archive import archive
from deploy_logic.activities.call import agree, call
from deploy_logic.activities.gate import measure
from deploy_logic.codec import Json, decode, encode
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.gate.gate import Probed, judge_probe, judge_probed
from deploy_logic.matching import Offer, list_told
from deploy_logic.plan.plan import (
    ModelVersion,
    Plan,
    Sight,
    Snapshot,
    find_served,
    read_model_id,
)
from deploy_logic.plan.step import Probe
from deploy_logic.ports import DeploymentState, EndpointState, Outside, Workspace

_LOG_LINES = 40
_LOOKS = 4  # at what does not show what we have asked for, over a minute in all
_LONGEST_LOG = 4_000  # characters of the log's end that go into the record
_NEWEST = 30  # registered versions that are compared with the one that was offered

# How Azure says that the candidate is bad, and not that it could not do its part.
# https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints
_BAD_CANDIDATE = frozenset({"ImageBuildFailure", "ResourceNotReady", "BadArgument"})

_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Exit)\b")
_SERVER = re.compile(r"azureml_inference_server_http\.")  # wraps what the user's script raised


@tell_all
def look(outside: Outside, payload: Json) -> Json:
    """Return the policy, the model version, its rivals and the endpoint as they are now."""
    offer = decode(Offer, payload)
    wanted = (files for files in outside.policies() if files.policy.policy == offer.policy)
    files = next(wanted, None)
    if files is None:
        return {"state": "done", "files": None}
    workspace = outside.open_workspace(offer.workspace)
    endpoint = workspace.get_endpoint(offer.endpoint)
    deployments = workspace.list_deployments(offer.endpoint) if endpoint is not None else ()
    snapshot = Snapshot(
        exists=endpoint is not None,
        region=endpoint.region if endpoint is not None else "",
        weights=endpoint.traffic if endpoint is not None else {},
        deployments=deployments,
    )
    registered = workspace.list_model_versions(offer.model, newest=_NEWEST)
    model = _find_version(workspace, offer.model, offer.version, registered)
    sight = Sight(
        model=model,
        registered=registered,
        served=_read_served(workspace, offer, model, registered, snapshot),
        snapshot=snapshot,
        timings=outside.timings,
    )
    return {"state": "done", "files": files.model_dump(mode="json"), "sight": encode(sight)}


@tell_all
def check_capacity(outside: Outside, payload: Json) -> Json:
    """Say whether there is room for the candidate, as far as anybody may know."""
    plan = decode(Plan, payload["plan"])
    try:
        found = outside.open_workspace(plan.workspace).find_capacity(plan)
    except TransientError:
        raise
    except WorkspaceError as error:  # a missing right to look is no reason not to try
        return {"state": "done", "is_short": False, "text": f"capacity is not known: {error}"}
    if found is None:
        return {"state": "done", "is_short": False, "text": ""}
    text = (
        f"{plan.candidate!r} needs {found.needed} cores of {found.family} with what Azure reserves "
        f"for upgrades, and {found.free} are free"
    )
    return {"state": "done", "is_short": found.needed > found.free, "text": text}


@tell_all
def create_endpoint(outside: Outside, payload: Json) -> Json:
    """Create the endpoint of the plan's template, unless it is there."""
    plan = decode(Plan, payload["plan"])
    workspace = outside.open_workspace(plan.workspace)
    endpoint = workspace.get_endpoint(plan.endpoint)
    if endpoint is None:
        workspace.create_endpoint(plan)
        return {"state": "working", "reason": f"endpoint {plan.endpoint!r} is being created"}
    if _is_changing(endpoint):
        return _wait_for("endpoint", plan.endpoint, endpoint)
    if endpoint.provisioning_state != "Succeeded":
        state = endpoint.provisioning_state
        return {"state": "broke", "reason": f"creating endpoint {plan.endpoint!r}: it is {state}"}
    return {"state": "done"}


@tell_all
def create_candidate(outside: Outside, payload: Json) -> Json:
    """Create the candidate at weight 0, unless this very rollout has created it."""
    plan = decode(Plan, payload["plan"])
    workspace = outside.open_workspace(plan.workspace)
    found = workspace.get_deployment(plan.endpoint, plan.candidate)
    if found is None:
        workspace.create_deployment(plan)
        return {"state": "working", "reason": f"{plan.candidate!r} is being created"}
    if found.rollout_id != plan.rollout_id:
        owner = f"rollout {found.rollout_id}" if found.rollout_id else "somebody else"
        reason = f"creating {plan.candidate!r}: {owner} has made a deployment of that name"
        return {"state": "broke", "reason": reason}
    return _tell_created(workspace, plan.endpoint, plan.candidate, found)


@tell_all
def watch_candidate(outside: Outside, payload: Json) -> Json:
    """Say how far the creation of the candidate is."""
    workspace = outside.open_workspace(payload["workspace"])
    endpoint, name = payload["endpoint"], payload["deployment"]
    found = workspace.get_deployment(endpoint, name)
    if found is None or found.rollout_id != payload["rollout_id"]:
        return {"state": "busy", "reason": f"{name!r} is not there"}
    return _tell_created(workspace, endpoint, name, found)


@tell_all
def probe(outside: Outside, payload: Json) -> Json:
    """Send requests to the candidate itself, a slice of them at a time."""
    workspace = outside.open_workspace(payload["workspace"])
    step = decode(Probe, payload["probe"])
    begin: int = payload.get("from", 0)
    probed = decode(Probed, payload["so_far"]) if begin else Probed()
    milliseconds = 0
    for number, body in enumerate(step.bodies[begin:], begin + 1):
        answer = workspace.score(payload["endpoint"], payload["deployment"], body)
        probed = probed.add(answer, judge_probe(step.name, step.expect, answer))
        milliseconds += answer.milliseconds
        if number < len(step.bodies) and is_full(number - begin, milliseconds):
            return {"state": "done", "next": number, "so_far": encode(probed)}
    return {"state": "done", "judgement": encode(judge_probed(step, probed))}


@tell_all
def shift(outside: Outside, payload: Json) -> Json:
    """Make the endpoint have these weights and no others; done means read back."""
    workspace = outside.open_workspace(payload["workspace"])
    name, wanted, mirror = payload["endpoint"], payload["weights"], payload.get("mirror")
    endpoint = workspace.get_endpoint(name)
    if endpoint is None:
        return _tell_missing(name, wanted)
    if _is_changing(endpoint):
        return _wait_for("endpoint", name, endpoint)
    refusal = _refuse_reading(endpoint, payload)
    if refusal is not None:
        return refusal
    is_there = _has(endpoint, wanted, mirror) and endpoint.provisioning_state == "Succeeded"
    if is_there and not payload.get("must_write"):
        return {"state": "done", **_tell_weights(endpoint)}
    known = payload.get("expected")
    if known is not None and _nonzero(endpoint.traffic) not in [_nonzero(one) for one in known]:
        return {"state": "drifted", **_tell_weights(endpoint)}
    return _write_weights(workspace, payload, endpoint)


def _write_weights(workspace: Workspace, payload: Json, seen: EndpointState) -> Json:
    name, wanted, mirror = payload["endpoint"], payload["weights"], payload.get("mirror")
    operation = workspace.set_traffic(name, wanted, mirror=mirror, seen=seen)
    is_due = payload.get("must_write", False)
    carry = {"must_write": False, "operation": operation, "looks": 0} if is_due else {}
    found = workspace.get_endpoint(name)
    if found is None or _is_changing(found) or not _has(found, wanted, mirror):
        return _wait_for_weights(name, carry)
    if _refuse_reading(found, {**payload, **carry}) is not None:
        return _wait_for_weights(name, carry)
    return {"state": "done", **_tell_weights(found)}


def _refuse_reading(endpoint: EndpointState, payload: Json) -> Json | None:
    """Return why what was read is not what was written; None when it is, or cannot be told.

    Reads may lag (ARM is eventually consistent), and an endpoint as it was before the rollout
    looks like one that was rolled back. So it must name the operation that we have begun. After
    some looks another operation is somebody else's, and what is read counts.
    """
    ours, looks = payload.get("operation", ""), payload.get("looks", 0)
    if not ours or endpoint.operation in {"", ours} or looks >= _LOOKS:
        return None
    return _wait_for_weights(payload["endpoint"], {"looks": looks + 1})


def _wait_for_weights(name: str, carry: Json) -> Json:
    reason = f"the weights of {name!r} are being set"
    return {"state": "working", "reason": reason, "carry": carry}


@tell_all
def weigh(outside: Outside, payload: Json) -> Json:
    """Read the weights that the endpoint has now."""
    workspace = outside.open_workspace(payload["workspace"])
    name = payload["endpoint"]
    endpoint = workspace.get_endpoint(name)
    if endpoint is None:
        return {"state": "broke", "reason": f"reading weights: endpoint {name!r} does not exist"}
    if _is_changing(endpoint):
        return {"state": "busy", "reason": f"endpoint {name!r} is being changed"}
    return {"state": "done", **_tell_weights(endpoint)}


@tell_all
def look_back(outside: Outside, payload: Json) -> Json:
    """Say whether a deployment that was kept is ready, and what serves in its place."""
    workspace = outside.open_workspace(payload["workspace"])
    name, kept = payload["endpoint"], payload["deployment"]
    endpoint = workspace.get_endpoint(name)
    if endpoint is None:
        return {"state": "broke", "reason": f"looking back: endpoint {name!r} does not exist"}
    found = workspace.get_deployment(name, kept)
    serving = [one for one in workspace.list_deployments(name) if _weight(endpoint, one.name) > 0]
    return {
        "state": "done",
        "is_ready": found is not None and found.provisioning_state == "Succeeded",
        "serving": [{"name": one.name, **_tell_model(one.model_id)} for one in serving],
        "timings": encode(outside.timings),
        "announce": [
            encode(told)
            for files in outside.policies()
            if files.policy.policy == payload.get("policy")
            for told in list_told(files.policy)
        ],
    }


@tell_all
def retire(outside: Outside, payload: Json) -> Json:
    """Delete a deployment; never one that has weight, which is read again just before."""
    workspace = outside.open_workspace(payload["workspace"])
    endpoint_name, name = payload["endpoint"], payload["deployment"]
    # One that is whoever's need not be known before; whether it is gone is read afterwards.
    if payload["must_be_ours"] or payload.get("is_asked"):
        found = workspace.get_deployment(endpoint_name, name)
        if found is None:
            return _look_for(name, payload)
        refusal = _refuse_retirement(found, payload)
        if refusal is not None:
            return refusal
    endpoint = workspace.get_endpoint(endpoint_name)
    if endpoint is None:
        return {"state": "done"}
    if _is_changing(endpoint):
        return _wait_for("endpoint", endpoint_name, endpoint)
    if _weight(endpoint, name) != 0:
        reason = f"retiring {name!r}: it has weight {_weight(endpoint, name)}"
        return {"state": "broke", "reason": reason}
    workspace.delete_deployment(endpoint_name, name)
    reason = f"{name!r} is being deleted"
    return {"state": "working", "reason": reason, "carry": {"is_asked": True}}


ACTIVITIES: Mapping[str, Activity] = {
    activity.__name__: activity
    for activity in (
        look,
        check_capacity,
        create_endpoint,
        create_candidate,
        watch_candidate,
        probe,
        shift,
        weigh,
        look_back,
        retire,
        measure,
        agree,
        call,
        announce,
        archive,
    )
}


def _look_for(name: str, payload: Json) -> Json:
    """Say that a deployment is gone, or that it may only not be shown yet.

    Reads may lag: what was asked for just now is not there in them, and would be left behind.
    """
    looks = payload.get("looks", 0)
    if payload.get("is_asked") or not payload.get("is_made") or looks >= _LOOKS:
        return {"state": "done"}
    reason = f"{name!r} is not shown (yet, if it was created)"
    return {"state": "working", "reason": reason, "carry": {"looks": looks + 1}}


def _refuse_retirement(found: DeploymentState, payload: Json) -> Json | None:
    """Return why the deployment is not to be deleted, or not yet; None when nothing is wrong."""
    name = payload["deployment"]
    if payload["must_be_ours"] and found.rollout_id != payload["rollout_id"]:
        return {"state": "broke", "reason": f"retiring {name!r}: this rollout has not made it"}
    if found.provisioning_state in {"Creating", "Updating", "Scaling", "Deleting"}:
        return _wait_for("deployment", name, found)
    return None


def _read_served(
    workspace: Workspace,
    offer: Offer,
    model: ModelVersion | None,
    registered: Sequence[ModelVersion],
    snapshot: Snapshot,
) -> ModelVersion | None:
    """Return the model's version that the stable serves: rules read its tags and times too."""
    version = find_served(snapshot, model) if model is not None else ""
    return _find_version(workspace, offer.model, version, registered) if version else None


def _find_version(
    workspace: Workspace, model: str, version: str, registered: Sequence[ModelVersion]
) -> ModelVersion | None:
    """Return a version from those just listed; an archived or an old one is asked for by itself."""
    known = next((one for one in registered if one.version == version), None)
    return known or workspace.get_model_version(model, version)


def _tell_created(workspace: Workspace, endpoint: str, name: str, found: DeploymentState) -> Json:
    if found.provisioning_state == "Succeeded":
        return {"state": "done"}
    if found.provisioning_state not in {"Failed", "Canceled"}:
        return _wait_for("deployment", name, found)
    log = _end_of_log(workspace, endpoint, name)
    reason = f"creating {name!r}: {found.code or found.provisioning_state}: {found.message}"
    telling = _telling_line(log)
    reason += f"; its log says: {telling}" if telling else ""
    bad = found.code in _BAD_CANDIDATE
    return {"state": "failed" if bad else "broke", "reason": reason, "log": log, "code": found.code}


def _telling_line(log: str) -> str:
    """Return the last line that names an exception of the user's, or the last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if _EXCEPTION.match(line) and not _SERVER.match(line)]
    return next(reversed(errors or lines), "")


def _end_of_log(workspace: Workspace, endpoint: str, name: str) -> str:
    try:
        return workspace.get_logs(endpoint, name, lines=_LOG_LINES)[-_LONGEST_LOG:]
    except WorkspaceError as error:  # the reason counts more than its log
        return f"(the log could not be read: {error})"


def _tell_model(model_id: str) -> Json:
    model, version = read_model_id(model_id)
    return {"model": model, "version": version}


def _tell_missing(name: str, wanted: Mapping[str, int]) -> Json:
    if wanted:
        return {"state": "broke", "reason": f"setting weights: endpoint {name!r} does not exist"}
    return {"state": "done", "weights": {}, "mirror": {}}


def _wait_for(kind: str, name: str, found: EndpointState | DeploymentState) -> Json:
    return {"state": "working", "reason": f"{kind} {name!r} is {found.provisioning_state}"}


def _is_changing(endpoint: EndpointState) -> bool:
    return endpoint.provisioning_state in {"Creating", "Updating", "Deleting"}


def _has(
    endpoint: EndpointState, wanted: Mapping[str, int], mirror: Mapping[str, int] | None
) -> bool:
    """Whether the weights are these and no others; names compare without case in Azure."""
    is_mirrored = mirror is None or _nonzero(endpoint.mirror) == _nonzero(mirror)
    return is_mirrored and _nonzero(endpoint.traffic) == _nonzero(wanted)


def _tell_weights(endpoint: EndpointState) -> Json:
    return {"weights": dict(endpoint.traffic), "mirror": dict(endpoint.mirror)}


def _nonzero(weights: Mapping[str, int]) -> dict[str, int]:
    return {name.lower(): weight for name, weight in weights.items() if weight != 0}


def _weight(endpoint: EndpointState, name: str) -> int:
    return _nonzero(endpoint.traffic).get(name.lower(), 0)
