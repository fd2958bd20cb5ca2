"""What an event would do now: every policy's answer, and what the ledger would say.

Touches nothing. What only the workspace knows is not asked: the rollout looks for itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain

from deploy_logic.codec import Json, decode
from deploy_logic.errors import EventError, OperationError
from deploy_logic.event import MODEL_REGISTERED, Ignored, ModelRegistered, read_body
from deploy_logic.ledger.answer import name_attempt
from deploy_logic.ledger.controls import Controls, find_bar
from deploy_logic.ledger.ledger import offer as decide_offer
from deploy_logic.ledger.record import Ledger
from deploy_logic.matching import NoMatch, Offer, do_tags_hold, match_policies
from deploy_logic.operations.endpoints import TAKEN, Desk
from deploy_logic.plan.layout import lay_out, print_step
from deploy_logic.plan.plan import ModelVersion
from deploy_logic.policy.files import PolicyFiles

_KEYS = ("model", "version", "workspace", "tags", "properties")


def dry_run(desk: Desk, files: Sequence[PolicyFiles], asked: Mapping[str, object]) -> Json:
    """Return an answer per policy to a version, or to a whole event."""
    event = _read_event(desk, asked)
    if isinstance(event, Ignored):
        return {"answers": [], "reason": event.reason}
    controls = desk.engine.show_controls()
    found = match_policies(event, (one.policy for one in files))
    answers = [
        _answer_no(answer, files=one)
        if isinstance(answer, NoMatch)
        else _answer(desk, controls, event, answer, one)
        for one, answer in zip(files, found, strict=True)
    ]
    return {"answers": answers, "reason": "" if files else "there are no policies"}


def _read_event(desk: Desk, asked: Mapping[str, object]) -> ModelRegistered | Ignored:
    body = asked["event"] if set(asked) == {"event"} else _make_event(desk, asked)
    try:
        return read_body(body, workspaces=desk.settings.workspaces)
    except EventError as error:
        raise OperationError(str(error), status=400) from error


def _make_event(desk: Desk, asked: Mapping[str, object]) -> Json:
    """Return the event that the registration of such a version would be."""
    unknown = [key for key in asked if key not in _KEYS]
    if unknown:
        known = f"{', '.join(_KEYS)}; or event alone"
        raise OperationError(f"{unknown[0]!r} is none of {known}", status=400)
    texts = ("model", "version", "workspace")
    for key in texts:
        value = asked.get(key, "")
        if not isinstance(value, str):
            raise OperationError(f"{key!r} is {value!r} (a text is needed)", status=400)
    for key in ("tags", "properties"):
        value = asked.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            text = f"{key!r} is {value!r} (an object of texts is needed)"
            raise OperationError(text, status=400)
    data = {"ModelName": asked.get("model", ""), "ModelVersion": asked.get("version", "")}
    labels = {"ModelTags": asked.get("tags", {}), "ModelProperties": asked.get("properties", {})}
    return {
        "id": "dry-run",
        "eventType": MODEL_REGISTERED,
        "topic": asked.get("workspace") or desk.settings.workspaces[0],
        "subject": f"models/{asked.get('model', '')}:{asked.get('version', '')}",
        "data": {**data, **labels},
    }


def _answer_no(answer: NoMatch, *, files: PolicyFiles) -> Json:
    return {
        "policy": answer.policy,
        "endpoint": files.policy.deploy.endpoint,
        "answer": "no match",
        "reason": answer.reason,
        "rollout_id": "",
        "steps": [],
    }


def _answer(
    desk: Desk, controls: Controls, event: ModelRegistered, asked: Offer, files: PolicyFiles
) -> Json:
    """Return what the ledger of the policy's endpoint would say now."""
    refusal = _refuse_labels(event, files)
    if refusal:
        no = _answer_no(NoMatch(policy=asked.policy, reason=refusal), files=files)
        return {**no, "endpoint": asked.endpoint}
    shown = desk.engine.show_ledger(asked.workspace, asked.endpoint)
    book = decode(Ledger, shown) if shown is not None else Ledger()
    asked = replace(asked, needs_turn=desk.settings.max_parallel > 0)
    barred = find_bar(controls, asked.policy)
    said = decide_offer(book, asked, at=datetime.now(UTC), barred=barred).ledger.answers[-1]
    is_taken = said.answer in TAKEN
    return {
        "policy": asked.policy,
        "endpoint": asked.endpoint,
        "answer": said.answer,
        "reason": said.reason,
        "rollout_id": name_attempt(book, asked).rollout_id if is_taken else asked.rollout_id,
        "steps": _print_steps(files) if is_taken else [],
    }


def _refuse_labels(event: ModelRegistered, files: PolicyFiles) -> str:
    """Return why the policy would not take tags and properties as they are given, or nothing.

    Those that an event does not carry are read back in the workspace, and are not known here.
    """
    policy = files.policy
    if event.tags and not do_tags_hold(event.tags, policy):
        return f"tags {dict(event.tags)} are not those that are asked for: {policy.select.tags}"
    rule = policy.select.version
    if rule.reads_version or not (event.tags or event.properties):
        return ""
    shown = ModelVersion(version=event.version, id="", tags=event.tags, properties=event.properties)
    return rule.refuses_model(shown)


def _print_steps(files: PolicyFiles) -> list[str]:
    """Return the steps beside a stable; a first version goes to 100 as soon as it was probed."""
    layout = lay_out(files, is_first=False)
    steps = chain(layout.preparation, layout.steps, layout.promotion)
    return [print_step(step) for step in steps]
