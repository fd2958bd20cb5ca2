"""The toy world as the engine that the sweep sees: ledgers and rollouts on its own clock."""

import functools
from dataclasses import replace
from datetime import datetime, timedelta

from deploy_logic.codec import Json, encode
from deploy_logic.ledger.controls import Controls, Turned
from deploy_logic.ledger.operation import decide
from deploy_logic.ledger.record import Barred, Ledger
from deploy_logic.ledger.turns import Turns
from deploy_logic.matching import Offer
from deploy_logic.operations.sweep import sweep
from deploy_logic.rollout import Request
from tests.builders import WORKSPACE
from tests.desk import a_settings
from tests.world import World

SETTINGS = replace(a_settings(), sweep_look_back=timedelta(days=2))


class WorldEngine:
    """The Engine port on a world: what is told arrives a little later, as signals do."""

    def __init__(self, world: World) -> None:
        self._world = world

    def offer(self, offer: Offer, *, barred: Barred | None = None) -> None:
        assert barred is None  # nothing is stopped or suspended in these stories
        self._later(functools.partial(self._world.offer, offer))

    def tell_ledger(self, workspace: str, endpoint: str, operation: str, payload: Json) -> None:
        told = {**payload, "workspace": workspace, "endpoint": endpoint}

        def hear() -> None:
            world = self._world
            book = world.ledgers.get(endpoint.lower(), Ledger())
            world.apply(endpoint, decide(book, operation, told, at=world.clock.now))

        self._later(hear)

    def show_controls(self) -> Controls:
        return Controls()

    def turn_control(self, turned: Turned) -> None:
        raise AssertionError(f"the sweep turns nothing: {turned}")

    def show_turns(self) -> Turns:
        return self._world.turns

    def leave_turn(self, rollout_id: str) -> None:
        self._world.tell_turns("leave", {"rollout_id": rollout_id})

    def ask(self, rollout_id: str, request: Request) -> None:
        self._later(functools.partial(self._world.ask, rollout_id, encode(request)))

    def show_rollout(self, rollout_id: str) -> Json | None:
        for run in reversed(self._world.runs):
            if run.offer.rollout_id == rollout_id:
                return run.result or run.context.status
        return None

    def list_rollouts(self) -> list[Json]:
        return [run.result or run.context.status for run in reversed(self._world.runs)]

    def list_running(self) -> list[Json]:
        return [run.context.status for run in self._world.runs if run.result is None]

    def note_sweep(self, at: datetime) -> None:
        assert at == self._world.clock.now

    def show_ledger(self, workspace: str, endpoint: str) -> Json | None:
        book = self._world.ledgers.get(endpoint.lower())
        if book is None:
            return None
        return encode(replace(book, workspace=workspace, endpoint=endpoint))

    def list_ledgers(self) -> list[Json]:
        return [
            encode(replace(book, workspace=WORKSPACE, endpoint=endpoint))
            for endpoint, book in self._world.ledgers.items()
        ]

    def is_alive(self, rollout_id: str) -> bool:
        runs = (run for run in self._world.runs if run.offer.rollout_id == rollout_id)
        return any(run.result is None for run in runs)

    def bury(self, offer: Offer, *, reason: str) -> None:
        self._world.violations.append(f"P10: {offer.rollout_id} is buried alive: {reason}")

    def _later(self, act: functools.partial[None] | object) -> None:
        assert callable(act)
        self._world.after(timedelta(seconds=self._world.delay()), act)


def sweep_world(world: World) -> None:
    """Do what the timer does."""
    sweep(
        settings=SETTINGS,
        policies=[one.policy for one in world.policies],
        engine=WorldEngine(world),
        open_workspace=lambda _id: world.workspace,
        now=world.clock.now,
    )
