"""An engine and a workspace in memory, and the operations on them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deploy_logic.ledger.record import Ledger
from deploy_logic.matching import Offer, PolicyIndex
from deploy_logic.operations import endpoints, intake
from deploy_logic.operations.endpoints import Desk
from deploy_logic.operations.sweep import sweep
from deploy_logic.plan.plan import ModelVersion
from deploy_logic.policy.policy import Policy
from deploy_logic.rollout import Phase
from deploy_logic.settings import PUBLIC_CLOUD, Settings
from tests.builders import WORKSPACE, a_policy, model_id
from tests.fake_archive import FakeArchive
from tests.fakes import Clock, FakeEngine, FakeWorkspace

SECOND = WORKSPACE + "-2"
HOUR = timedelta(hours=1)
BECAUSE = {"reason": "complaints came in"}


def a_settings(*workspaces: str, max_parallel: int = 0) -> Settings:
    return Settings(
        workspaces=workspaces or (WORKSPACE,),
        policies=Path("policies"),
        cloud=PUBLIC_CLOUD,
        poll_interval=timedelta(seconds=15),
        creation_deadline=HOUR,
        shift_deadline=HOUR,
        sweep_look_back=2 * HOUR,
        trust_platform_identity=True,
        max_parallel=max_parallel,
    )


class Counter:
    """Where events, people and the timer come to."""

    def __init__(self, *policies: Policy, max_parallel: int = 0) -> None:
        self.clock = Clock()
        self.clock.now = datetime.now(UTC)  # as operations of people do
        self.engine = FakeEngine(self.clock)
        self.archive = FakeArchive()
        self.workspace = FakeWorkspace(self.clock)
        self.policies: Sequence[Policy] = policies or (a_policy(),)
        self.settings = a_settings(max_parallel=max_parallel)

    def handle(self, text: str) -> list[str]:
        return intake.handle_event(
            text, settings=self.settings, policies=self.policies, engine=self.engine
        )

    def sweep(self, *workspaces: str) -> dict[str, list[str]]:
        """Sweep, and return what was done; what was not is left out."""
        done = sweep(
            settings=a_settings(*workspaces) if workspaces else self.settings,
            policies=self.policies,
            engine=self.engine,
            open_workspace=lambda _id: self.workspace,
            now=self.clock.now,
        )
        return {what: ids for what, ids in done.items() if ids}

    def register(self, version: str, *, age: timedelta | None = HOUR, **changes: Any) -> None:
        self.workspace.models["fraud", version] = ModelVersion(
            version=version,
            id=model_id(version),
            created=None if age is None else self.clock.now - age,
            **changes,
        )

    def offered(self) -> list[str]:
        return [one.version for one in self.engine.offered]

    # People

    @property
    def person(self) -> Desk:
        return Desk(
            settings=self.settings,
            policies=PolicyIndex(self.policies),
            engine=self.engine,
            archive=self.archive,
            by="ann",
        )

    def ask(self, act: str, endpoint: str = "fraud", **said: str) -> Any:
        return endpoints.ask_endpoint(self.person, endpoint, act, {**BECAUSE, **said})

    def start(self, **said: str) -> Any:
        return endpoints.start(self.person, {**BECAUSE, **said})

    # The ledger

    @property
    def book(self) -> Ledger:
        return self.engine.ledgers[WORKSPACE, "fraud"]

    @property
    def running(self) -> Offer:
        assert self.book.running is not None
        return self.book.running

    def end(self, phase: Phase = Phase.SUCCEEDED, reason: str = "", **changes: Any) -> None:
        """Have what runs end that way."""
        self.engine.end(self.running, phase, reason, **changes)

    def said(self) -> list[str]:
        return [one.answer for one in self.book.answers]

    def change(self, **changes: Any) -> None:
        self.engine.ledgers[WORKSPACE, "fraud"] = replace(self.book, **changes)
