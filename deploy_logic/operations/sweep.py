"""What the timer does: offer what was lost, heal ledgers, see what was changed by hand.

Whatever it does may be done again by the next sweep, and by an event that comes late.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from deploy_logic.codec import Json, decode, encode
from deploy_logic.errors import WorkspaceError
from deploy_logic.event import ModelRegistered
from deploy_logic.ledger.answer import bar
from deploy_logic.ledger.controls import Controls, find_bar
from deploy_logic.ledger.operation import Act, Asked
from deploy_logic.ledger.record import ASIDES, NOT_FOR_GOOD, Ledger, Reply
from deploy_logic.matching import Offer, do_tags_hold, match_selected, read_pattern
from deploy_logic.operations.overdue import warn_of_overdue
from deploy_logic.operations.sighting import look
from deploy_logic.pattern import PatternKind
from deploy_logic.plan.plan import ModelVersion
from deploy_logic.policy.policy import Policy
from deploy_logic.ports import Engine, Workspace
from deploy_logic.settings import Settings

_LOG = logging.getLogger("rollout")
_NEWEST = 30  # registered versions of a model that are looked at
# Between Azure's taking new weights and our reading them back a poll may pass, and an app that
# restarts; weights that nobody of us has set stay longer than that.
_POLLS = 8
_START_MAY_TAKE = timedelta(minutes=10)  # between a ledger's decision and its orchestration


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one sweep goes by."""

    settings: Settings
    engine: Engine
    open_workspace: Callable[[str], Workspace]
    controls: Controls
    now: datetime


def sweep(
    *,
    settings: Settings,
    policies: Iterable[Policy],
    engine: Engine,
    open_workspace: Callable[[str], Workspace],
    now: datetime,
) -> Json:
    """Compare registry, ledgers and endpoints, and mend what differs.

    Offering a version again is harmless: the ledger knows it. Only registrations younger than the
    look-back count, or installing the app would roll out what is years old.
    """
    this = Round(
        settings=settings,
        engine=engine,
        open_workspace=open_workspace,
        controls=engine.show_controls(),
        now=now,
    )
    policies = tuple(policies)
    books = [decode(Ledger, shown) for shown in engine.list_ledgers()]
    warn_of_overdue(books, policies, settings=settings, engine=engine, now=this.now)
    done = {
        "buried": _bury_lost(this, books),
        "left": _empty_turns(this),
        "woken": _wake_due(this, books),
        "seen": _look_at_weights(this, books),
        "offered": _offer_lost(this, policies),
    }
    engine.note_sweep(this.now)
    _LOG.info("swept", extra={what: len(ids) for what, ids in done.items()})
    return done


def _bury_lost(this: Round, books: Iterable[Ledger]) -> list[str]:
    """Tell ledgers whose rollout is gone from the engine."""
    buried = []
    for book in books:
        running = book.running
        if running is None or this.engine.is_alive(running.rollout_id):
            continue
        if book.since is not None and this.now - book.since < _START_MAY_TAKE:
            continue
        this.engine.bury(running, reason="its orchestration is gone; an operator must look")
        buried.append(running.rollout_id)
    return buried


def _empty_turns(this: Round) -> list[str]:
    """Take rollouts that are gone out of the turns, or nobody else would get theirs."""
    places = this.engine.show_turns().places
    gone = [one.rollout_id for one in places if not this.engine.is_alive(one.rollout_id)]
    for rollout_id in gone:
        this.engine.leave_turn(rollout_id)
    return gone


def _wake_due(this: Round, books: Iterable[Ledger]) -> list[str]:
    """Tell ledgers what they have missed: the stop switch, or something that is due."""
    woken = []
    for book in books:
        stopped = this.controls.stopped
        if (book.stopped is None) != (stopped is None):
            asked = Asked(
                act=Act.GO_ON if stopped is None else Act.STOP,
                by=stopped.by if stopped is not None else "sweep",
                reason=stopped.reason if stopped is not None else "nothing is stopped any more",
                at=this.now,
            )
            this.engine.tell_ledger(book.workspace, book.endpoint, "act", encode(asked))
        elif _is_due(book, this.now):
            told = {"at": this.now.isoformat()}
            this.engine.tell_ledger(book.workspace, book.endpoint, "wake", told)
        else:
            continue
        woken.append(book.endpoint)
    return woken


def _is_due(book: Ledger, now: datetime) -> bool:
    is_open = book.parked is not None and book.parked.opens <= now
    is_idle = book.running is None
    is_long = any(one.until <= now for one in book.kept)
    return book.stopped is None and (is_open or (is_idle and (is_long or bool(book.waiting))))


def _look_at_weights(this: Round, books: Iterable[Ledger]) -> list[str]:
    """Tell ledgers of weights that they do not know, or do not know any more."""
    seen = []
    for book in books:
        try:
            is_ours = book.workspace in this.settings.workspaces
            workspace = this.open_workspace(book.workspace) if is_ours else None
            sighting = look(workspace, book, this.engine) if workspace is not None else None
        except WorkspaceError as error:  # the next sweep asks again
            extra = {"endpoint": book.endpoint, "reason": str(error)}
            _LOG.warning("sweep could not look", extra=extra)
            continue
        if sighting is not None:
            told = replace(sighting, patience=this.settings.poll_interval * _POLLS)
            this.engine.tell_ledger(book.workspace, book.endpoint, "notice", encode(told))
            seen.append(book.endpoint)
    return seen


def _offer_lost(this: Round, policies: Sequence[Policy]) -> list[str]:
    offered: list[str] = []
    for workspace_id in this.settings.workspaces:
        since = this.now - this.settings.sweep_look_back
        registry = _Registry(workspace_id, this.open_workspace(workspace_id), since)
        for policy in policies:
            try:
                for model in registry.find_models(policy.select.model):
                    young = registry.find_young(model)
                    offers = _make_offers(registry.id, model, young, policy)
                    offered += _offer_unanswered(this, offers, policy)
            except WorkspaceError as error:  # the next sweep asks again; the others go on
                extra = {"policy": policy.policy, "reason": str(error)}
                _LOG.warning("sweep could not look", extra=extra)
    return offered


class _Registry:
    """What one workspace has registered; each thing is asked once in a sweep, failures again."""

    def __init__(self, workspace_id: str, workspace: Workspace, since: datetime) -> None:
        self.id = workspace_id
        self._workspace = workspace
        self._since = since
        self._models: tuple[str, ...] | None = None
        self._young: dict[str, list[ModelVersion]] = {}

    def find_models(self, written: str) -> list[str]:
        """Return the models that the policy selects: its own, or those that match its pattern."""
        pattern = read_pattern(written)
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


def _make_offers(
    workspace: str, model: str, young: list[ModelVersion], policy: Policy
) -> list[Offer]:
    """Return what the policy would have offered, oldest first, as the events would have come."""
    wanted = [one for one in young if _is_selected(one, policy)]
    # The newest alone, unless the policy takes all in order: the others would be overtaken.
    if policy.on_new_version != "queue":
        best = policy.select.version.best(wanted)
        wanted = wanted[:1] if best is None or policy.select.version.allow_older else [best]
    events = [
        ModelRegistered(
            event_id="sweep", workspace=workspace, model=model, version=one.version, tags=one.tags
        )
        for one in reversed(wanted)
    ]
    answers = [match_selected(event, policy) for event in events]
    return [answer for answer in answers if isinstance(answer, Offer)]


def _offer_unanswered(this: Round, offers: Sequence[Offer], policy: Policy) -> list[str]:
    """Offer what the ledger has no answer for, or none that holds any more."""
    if not offers:
        return []
    shown = this.engine.show_ledger(offers[0].workspace, offers[0].endpoint)
    book = decode(Ledger, shown) if shown is not None else Ledger()
    barred = find_bar(this.controls, policy.policy)
    offered = []
    for offer in offers:
        is_barred = bar(book, offer, barred) is not None
        if not _is_answered(book, policy, offer, is_barred=is_barred):
            this.engine.offer(
                replace(offer, needs_turn=this.settings.max_parallel > 0), barred=barred
            )
            offered.append(offer.rollout_id)
    return offered


def _is_answered(book: Ledger, policy: Policy, offer: Offer, *, is_barred: bool) -> bool:
    """Whether the ledger has said all that it has to say about the version.

    A no match can have been for its tags, which hold now; a second one has another reason. What
    was held, suspended or stopped is offered again once it is not any more.
    """
    said = [
        one.answer
        for one in book.answers
        if one.version == offer.version and one.model in {"", offer.model}
    ]
    said = [answer for answer in said if answer not in ASIDES]
    if said and said[-1] in NOT_FOR_GOOD:
        return is_barred
    is_read_back = bool(policy.select.tags) or not policy.select.version.reads_version
    if is_read_back and said[-1:] == [Reply.NO_MATCH]:
        return said.count(Reply.NO_MATCH) > 1
    return bool(said)


def _is_selected(version: ModelVersion, policy: Policy) -> bool:
    tags_hold = do_tags_hold(version.tags, policy)
    return tags_hold and not policy.select.version.refuses_model(version)
