"""What may be asked for from outside: handle an event, show, abort, sweep.

The trigger path: it never imports azure-ai-ml, never asks Azure, and never raises on a bad event.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from deploy_logic.codec import Json, decode
from deploy_logic.errors import EventError, OperationError, PatternError, WorkspaceError
from deploy_logic.event import Ignored, ModelRegistered, read_event
from deploy_logic.ledger import Ledger
from deploy_logic.matching import (
    NoMatch,
    Offer,
    PolicyIndex,
    match_selected,
    name_endpoint,
    read_pattern,
)
from deploy_logic.pattern import PatternKind
from deploy_logic.plan import ModelVersion
from deploy_logic.policy import Policy
from deploy_logic.ports import Engine, Workspace
from deploy_logic.rollout import Operation, Phase, Request, allows
from deploy_logic.settings import Settings
from deploy_logic.view import summarise

_LOG = logging.getLogger("rollout")
_NEWEST = 30  # registered versions of a model that the sweep looks at
_START_MAY_TAKE = timedelta(minutes=10)  # between a ledger's decision and its orchestration


def handle_event(
    text: str, *, settings: Settings, policies: Iterable[Policy], engine: Engine
) -> list[str]:
    """Offer the registered version to the ledger of every policy that matches.

    Returns the ids of what was offered. A bad event is recorded and answered, never raised:
    Event Grid would send it again for a day. Many policies come as a PolicyIndex.
    """
    try:
        event = read_event(text, workspaces=settings.workspaces)
    except EventError as error:
        _LOG.warning("event refused", extra={"reason": str(error)})
        return []
    if isinstance(event, Ignored):
        _LOG.info("event ignored", extra={"event_id": event.event_id, "reason": event.reason})
        return []
    index = policies if isinstance(policies, PolicyIndex) else PolicyIndex(policies)
    return _offer_all(event, index, engine)


def _offer_all(event: ModelRegistered, index: PolicyIndex, engine: Engine) -> list[str]:
    fixed = {"event_id": event.event_id, "model": event.model, "version": event.version}
    answers = index.match(event)
    if not answers:
        reason = f"none of {len(index)} policies selects model {event.model!r}"
        _LOG.info("no match", extra={**fixed, "reason": reason})
    offered = []
    for answer in answers:
        if isinstance(answer, NoMatch):
            extra = {**fixed, "policy": answer.policy, "reason": answer.reason}
            _LOG.info("no match", extra=extra)
            continue
        engine.offer(answer)
        _LOG.info("version offered", extra={**fixed, "rollout_id": answer.rollout_id})
        offered.append(answer.rollout_id)
    return offered


def list_rollouts(engine: Engine) -> Json:
    """Return every rollout without its timeline, newest first.

    What the workspace showed to be no match was never a rollout; its ledger tells.
    """
    shown = [summarise(one) for one in engine.list_rollouts()]
    return {"rollouts": [one for one in shown if one["phase"] != Phase.NO_MATCH]}


def show_rollout(engine: Engine, rollout_id: str) -> Json:
    """Return one rollout with its timeline."""
    shown = engine.show_rollout(rollout_id)
    if shown is None:
        raise OperationError(f"there is no rollout {rollout_id!r}", status=404)
    return shown


def list_endpoints(engine: Engine) -> Json:
    """Return every endpoint's ledger: what runs, waits and was answered."""
    return {"endpoints": engine.list_ledgers()}


def show_endpoint(engine: Engine, settings: Settings, endpoint: str) -> Json:
    """Return the ledger of the endpoint of that name, in the first workspace that has one."""
    for workspace in settings.workspaces:
        found = engine.show_ledger(workspace, endpoint)
        if found is not None:
            return found
    raise OperationError(f"nothing was ever offered to an endpoint {endpoint!r}", status=404)


def abort(engine: Engine, rollout_id: str, *, by: str, reason: str) -> Json:
    """Ask the rollout to roll back; it does so in seconds, whatever it is waiting for."""
    shown = show_rollout(engine, rollout_id)
    phase = Phase(shown["phase"])
    if not allows(Operation.ABORT, phase):
        raise OperationError(
            f"{rollout_id!r} is {phase}: it cannot be aborted any more", status=409
        )
    engine.ask(rollout_id, Request(operation=Operation.ABORT, by=by, reason=reason))
    _LOG.info("abort asked", extra={"rollout_id": rollout_id, "by": by, "reason": reason})
    return {"rollout_id": rollout_id, "operation": Operation.ABORT.value, "by": by}


def sweep(
    *,
    settings: Settings,
    policies: Iterable[Policy],
    engine: Engine,
    open_workspace: Callable[[str], Workspace],
) -> Json:
    """Compare the registry with the ledgers: offer lost registrations, bury lost rollouts.

    Offering a version again is harmless: the ledger knows it. Only registrations younger than the
    look-back count, or installing the app would roll out what is years old.
    """
    now = datetime.now(UTC)
    buried = _bury_lost(engine, now)
    offered: list[str] = []
    for workspace_id in settings.workspaces:
        registry = _Registry(open_workspace(workspace_id), now - settings.sweep_look_back)
        for policy in policies:
            try:
                for model in registry.find_models(policy.select.model):
                    young = registry.find_young(model)
                    offered += _offer_newest(workspace_id, model, young, policy, engine)
            except WorkspaceError as error:  # the next sweep asks again; the others go on
                extra = {"policy": policy.policy, "reason": str(error)}
                _LOG.warning("sweep could not look", extra=extra)
    _LOG.info("swept", extra={"offered": len(offered), "buried": len(buried)})
    return {"offered": offered, "buried": buried}


class _Registry:
    """What one workspace has registered; each thing is asked once in a sweep, failures again."""

    def __init__(self, workspace: Workspace, since: datetime) -> None:
        self._workspace = workspace
        self._since = since
        self._models: tuple[str, ...] | None = None
        self._young: dict[str, list[ModelVersion]] = {}

    def find_models(self, written: str) -> list[str]:
        """Return the models that the policy selects: its own, or those that match its pattern."""
        pattern = read_pattern(written)
        if isinstance(pattern, PatternError):
            return []
        if pattern.kind is PatternKind.EXACT:
            return [pattern.text]
        if self._models is None:
            self._models = self._workspace.list_models()
        return [model for model in self._models if pattern.matches(model)]

    def find_young(self, model: str) -> list[ModelVersion]:
        """Return the versions of the model that the look-back allows, newest first."""
        if model not in self._young:
            found = self._workspace.list_model_versions(model, newest=_NEWEST)
            self._young[model] = [
                one for one in found if one.created and one.created >= self._since
            ]
        return self._young[model]


def _offer_newest(
    workspace: str, model: str, young: list[ModelVersion], policy: Policy, engine: Engine
) -> list[str]:
    """Offer what the ledger has no answer for, oldest first, as the events would have come."""
    wanted = [one for one in young if _is_selected(one, policy)]
    if policy.on_new_version != "queue":  # one alone: the others would be overtaken
        best = policy.select.version.best(wanted)
        wanted = wanted[:1] if best is None or policy.select.version.allow_older else [best]
    if not wanted:
        return []
    endpoint = name_endpoint(policy.deploy.endpoint, model)
    ledger = engine.show_ledger(workspace, endpoint) or {}
    answers = ledger.get("answers", ())
    offered = []
    for version in reversed(wanted):
        if _is_answered(answers, policy, model, version.version):
            continue
        event = ModelRegistered(
            event_id="sweep", workspace=workspace, model=model, version=version.version
        )
        answer = match_selected(event, policy)
        if isinstance(answer, Offer):
            engine.offer(answer)
            offered.append(answer.rollout_id)
    return offered


def _is_answered(answers: Sequence[Json], policy: Policy, model: str, version: str) -> bool:
    """Whether the ledger has said all that it has to say about the version.

    A no match can have been for its tags, which hold now; a second one has another reason.
    """
    key = (model, version)
    said = [one["answer"] for one in answers if (one["model"], one["version"]) == key]
    is_read_back = bool(policy.select.tags) or not policy.select.version.reads_version
    if is_read_back and said[-1:] == ["no_match"]:
        return said.count("no_match") > 1
    return bool(said)


def _is_selected(version: ModelVersion, policy: Policy) -> bool:
    tags_hold = all(version.tags.get(key) == value for key, value in policy.select.tags.items())
    return tags_hold and not policy.select.version.refuses_model(version)


def _bury_lost(engine: Engine, now: datetime) -> list[str]:
    buried = []
    for shown in engine.list_ledgers():
        ledger = decode(Ledger, shown)
        running = ledger.running
        if running is None or engine.is_alive(running.rollout_id):
            continue
        started = [one.at for one in ledger.answers if one.answer == "started"]
        if started and now - started[-1] < _START_MAY_TAKE:
            continue
        engine.bury(running, reason="its orchestration is gone; an operator must look")
        buried.append(running.rollout_id)
    return buried
