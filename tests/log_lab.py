"""Every line that the app can log, each made by the code that logs it, as a platform sees it."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from deploy_logic.activities.workspace import ACTIVITIES
from deploy_logic.adapters.durable import ledger_id
from deploy_logic.adapters.durable_entity import endpoint_ledger
from deploy_logic.app import App
from deploy_logic.codec import decode, encode
from deploy_logic.errors import WorkspaceError
from deploy_logic.ledger.controls import Control
from deploy_logic.ledger.record import Ended
from deploy_logic.operations import endpoints, rollouts
from deploy_logic.rollout import Phase
from deploy_logic.telemetry import facts
from deploy_logic.telemetry.line import LOGGER, JsonLines
from tests.builders import WORKSPACE, a_policy, an_event_text, an_offer
from tests.desk import BECAUSE, Counter
from tests.fake_archive import FakeArchive
from tests.fakes import Clock, FakeWorkspace, an_outside
from tests.test_durable_entity import Store, an_end
from tests.test_operations import waits
from tests.test_orchestrator import BAD, Tale


class Shown(logging.Handler):
    """Keeps the messages, which is all that some platforms show."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def listening() -> Iterator[list[str]]:
    """Have the app's log as it is when it is deployed."""
    logger, lines, shown = logging.getLogger(LOGGER), JsonLines(), Shown()
    level = logger.level
    logger.addFilter(lines)
    logger.addHandler(shown)
    logger.setLevel(logging.INFO)
    try:
        yield shown.messages
    finally:
        logger.removeFilter(lines)
        logger.removeHandler(shown)
        logger.setLevel(level)


def refuse_policy(folder: Path) -> None:
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "bad.yaml").write_text("policy: x\n")
    App(environment={"ROLLOUT_WORKSPACES": WORKSPACE}, folder=folder)


def refuse_in_azure(_: Path) -> None:
    workspace = FakeWorkspace(Clock())

    def fault(_method: str, _when: str) -> None:
        raise WorkspaceError(
            "setting weights: no permission", status=403, code="AuthorizationFailed"
        )

    workspace.fault = fault
    payload = {"workspace": WORKSPACE, "endpoint": "fraud", "weights": {}, "rollout_id": "r"}
    ACTIVITIES["shift"](an_outside(workspace, list), payload)


def sweep(*, fault: bool = False, hours: int = 0) -> Callable[[Path], None]:
    def act(_: Path) -> None:
        desk = Counter()
        desk.handle(an_event_text())
        desk.change(since=desk.clock.now - timedelta(hours=hours))
        desk.engine.alive.add(desk.running.rollout_id)
        if fault:
            desk.register("8")
            desk.workspace.fault = _fail
        desk.sweep()

    return act


def _fail(_method: str, _when: str) -> None:
    raise WorkspaceError("no permission", status=403)


def end(phase: Phase = Phase.SUCCEEDED, reason: str = "it is the stable") -> Callable[[Path], None]:
    def act(_: Path) -> None:
        store, offer = Store(ledger_id(WORKSPACE, "fraud")), an_offer()
        store.tell(endpoint_ledger, "offer", encode(offer))
        over = replace(decode(Ended, an_end(offer)), phase=phase, reason=reason)
        store.tell(endpoint_ledger, "finish", encode(over))
        store.tell(endpoint_ledger, "finish", encode(over))  # told twice

    return act


def roll_back(_: Path) -> None:
    tale = Tale()
    tale.workspace.answers["7"] = BAD
    facts.tell_stages(tale.tell())


def handle(text: str) -> Callable[[Path], None]:
    def act(_: Path) -> None:
        Counter().handle(text)

    return act


def match_nothing(_: Path) -> None:
    picky = a_policy(select={"model": "fraud", "version": ">= 8"})
    for model in ("stranger", "fraud"):
        Counter(picky).handle(an_event_text(model=model))


def ask_rollout(_: Path) -> None:
    desk = Counter()
    desk.engine.rollouts["r"] = waits()
    rollouts.ask(desk.engine, "r", "abort", by="ann", said=BECAUSE)


def ask_endpoint(_: Path) -> None:
    desk = Counter()
    desk.handle(an_event_text())
    desk.ask("hold")


def start(_: Path) -> None:
    Counter().start(model="fraud", version="7")


def stop(_: Path) -> None:
    endpoints.turn_control(Counter().person, Control.STOP, BECAUSE)


# By the event of the line: what makes the app log it.
def lose_history(_: Path) -> None:
    outside, down = an_outside(FakeWorkspace(Clock()), list), FakeArchive()
    down.is_down = True
    ACTIVITIES["archive"](
        replace(outside, archive=lambda: down), {"rollout_id": "r", "rows": [], "is_last": True}
    )


MAKES: Mapping[str, Callable[[Path], None]] = {
    "policy refused": refuse_policy,
    "azure refused": refuse_in_azure,
    "event refused": handle("{"),
    "event ignored": handle(
        an_event_text(eventType="Microsoft.MachineLearningServices.RunCompleted")
    ),
    "no match": match_nothing,
    "version offered": handle(an_event_text()),
    "rollout started": end(),
    "rollout ended": end(),
    "rollout errored": end(Phase.ERRORED, reason="no quota"),
    "rolled back": roll_back,
    "rollout overdue": sweep(hours=14),
    "history not archived": lose_history,
    "swept": sweep(),
    "sweep could not look": sweep(fault=True),
    "operation asked": ask_rollout,
    "act asked": ask_endpoint,
    "start asked": start,
    "control turned": stop,
}


def make_lines(folder: Path) -> dict[str, list[str]]:
    """Return what each of them writes; among it is the line that it is there for."""
    written: dict[str, list[str]] = {}
    for event, make in MAKES.items():
        with listening() as messages, suppress(WorkspaceError):
            make(folder)
        written[event] = messages
    return written
