"""The entities: they store what the pure modules decide, and start what follows."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from durabletask.entities import EntityContext, EntityInstanceId

from deploy_logic.adapters.durable import CONTROLS, LEDGER, TURNS, ledger_id
from deploy_logic.adapters.durable_entity import bind_turns, endpoint_ledger, rollout_controls
from deploy_logic.codec import Json, decode, encode
from deploy_logic.ledger.controls import Control, Controls, Turned
from deploy_logic.ledger.operation import Act, Asked
from deploy_logic.ledger.record import Ended, Kept, Ledger, Parked
from deploy_logic.ledger.turns import Turns
from deploy_logic.matching import Offer
from deploy_logic.rollout import Phase
from tests.builders import MONDAY, WORKSPACE, an_offer


class Store:
    """An entity's context: a state that is JSON, and what was started."""

    def __init__(self, entity: EntityInstanceId) -> None:
        self.entity_id = entity
        self.operation = ""
        self.state: str | None = None
        self.started: list[tuple[str, Json, str]] = []

    def get_state(self, _kind: type[Any]) -> Any:
        return json.loads(self.state) if self.state is not None else None

    def set_state(self, state: Any) -> None:
        self.state = json.dumps(state)

    def schedule_new_orchestration(self, name: str, payload: Json, instance_id: str) -> None:
        assert len(instance_id) <= 100
        self.started.append((name, json.loads(json.dumps(payload)), instance_id))

    def tell(self, entity: Any, operation: str, payload: Json) -> list[tuple[str, Json, str]]:
        """Perform an operation; return what it started."""
        self.operation, self.started = operation, []
        entity(cast("EntityContext", self), json.loads(json.dumps(payload)))
        return self.started


@pytest.fixture
def store() -> Store:
    return Store(ledger_id(WORKSPACE, "fraud"))


def book(store: Store) -> Ledger:
    return decode(Ledger, json.loads(store.state or ""))


def an_end(of: Offer, **changes: Any) -> Json:
    over = Ended(
        rollout_id=of.rollout_id,
        model=of.model,
        version=of.version,
        phase=Phase.SUCCEEDED,
        reason="",
        at=datetime.now(UTC),
        **changes,
    )
    return encode(over)


def test_offer_starts_a_rollout_and_says_where_it_is(store: Store) -> None:
    (started,) = store.tell(endpoint_ledger, "offer", encode(an_offer()))
    assert started == ("roll_out", encode(an_offer()), an_offer().rollout_id)
    state = json.loads(store.state or "")
    assert (state["workspace"], state["endpoint"]) == (WORKSPACE, "fraud")


def test_operation_is_relayed_under_an_id_of_its_own_each_time(store: Store) -> None:
    store.tell(endpoint_ledger, "offer", encode(an_offer()))
    ids = []
    for act in (Act.STOP, Act.GO_ON, Act.STOP):
        asked = Asked(act=act, by="ann", reason="because", at=MONDAY)
        ((name, told, instance),) = store.tell(endpoint_ledger, "act", encode(asked))
        assert (name, told["rollout_id"]) == ("relay_operation", an_offer().rollout_id)
        ids.append(instance)
    assert len(set(ids)) == 3


def test_clock_is_asked_under_an_id_of_the_moment(store: Store) -> None:
    store.tell(endpoint_ledger, "offer", encode(an_offer()))
    until = datetime.now(UTC) + timedelta(days=1)
    kept = Kept(deployment="blue", model="fraud", version="6", until=until, why="old")
    end = an_end(an_offer(), kept=(kept,), serves="fraud-v7")
    ((name, told, instance),) = store.tell(endpoint_ledger, "finish", end)
    assert (name, told["workspace"], told["endpoint"]) == ("wake_ledger", WORKSPACE, "fraud")
    assert datetime.fromisoformat(told["at"]) == until
    ((_, _, again),) = store.tell(endpoint_ledger, "wake", {"at": datetime.now(UTC).isoformat()})
    assert instance == again


def test_wake_counts_as_its_own_moment_where_this_clock_is_behind(store: Store) -> None:
    opens = datetime.now(UTC) + timedelta(minutes=1)
    parked = Ledger(parked=Parked(offer=an_offer(), opens=opens))
    store.set_state(encode(parked))
    (started,) = store.tell(endpoint_ledger, "wake", {"at": opens.isoformat()})
    assert started[0] == "roll_out"


def test_what_cannot_be_done_leaves_the_state(store: Store) -> None:
    store.tell(endpoint_ledger, "offer", encode(an_offer()))
    before = store.state
    with pytest.raises(ValueError, match="dance"):
        store.tell(endpoint_ledger, "dance", {})
    assert store.state == before
    assert book(store).running == an_offer()


def test_controls_are_kept() -> None:
    store = Store(CONTROLS)
    turned = Turned(control=Control.STOP, by="ann", reason="because", at=MONDAY)
    assert store.tell(rollout_controls, "turn", encode(turned)) == []
    assert decode(Controls, json.loads(store.state or "")).stopped is not None
    with pytest.raises(ValueError, match="dance"):
        store.tell(rollout_controls, "dance", encode(turned))


def test_whose_turn_has_come_is_told() -> None:
    store, entity = Store(TURNS), bind_turns(1)

    def told(operation: str, rollout_id: str) -> list[str]:
        payload = {"rollout_id": rollout_id, "endpoint": "fraud"}
        started = store.tell(entity, operation, payload)
        assert {name for name, _, _ in started} <= {"relay_operation"}
        assert {one["request"]["operation"] for _, one, _ in started} <= {"turn"}
        return [one["rollout_id"] for _, one, _ in started]

    assert told("enter", "a") == ["a"]
    assert told("enter", "b") == []
    assert told("leave", "a") == ["b"]
    assert [one.rollout_id for one in decode(Turns, json.loads(store.state or "")).places] == ["b"]
    with pytest.raises(ValueError, match="dance"):
        store.tell(entity, "dance", {"rollout_id": "a"})


def test_names_are_those_that_the_app_registers() -> None:
    names = [endpoint_ledger.__name__, rollout_controls.__name__, bind_turns(0).__name__]
    assert names == [LEDGER, CONTROLS.entity, TURNS.entity]
