"""Step 4 of 5: how many rollouts go on at once over all endpoints, and whose turn it is. Pure.

Everything may come twice. Who is lost without leaving is taken out by the sweep.
"""

from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One rollout in the order in which they came."""

    rollout_id: str
    endpoint: str
    since: datetime
    has_turn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Everybody who goes on or waits, in the order in which they came."""

    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """The turns as they are now, and who is to be told that it is their turn."""

    turns: Turns
    called: tuple[str, ...] = ()


def enter(turns: Turns, place: Place, *, cap: int) -> Called:
    """Let one more wait for its turn; who has it already is told again."""
    known = next((one for one in turns.places if one.rollout_id == place.rollout_id), None)
    if known is None:
        return _call(replace(turns, places=(*turns.places, place)), cap)
    found = _call(turns, cap)
    return replace(found, called=(place.rollout_id,)) if known.has_turn else found


def leave(turns: Turns, rollout_id: str, *, cap: int) -> Called:
    """Let one go, whether it had its turn or not; the next ones are called."""
    left = tuple(one for one in turns.places if one.rollout_id != rollout_id)
    return _call(replace(turns, places=left), cap)


def _call(turns: Turns, cap: int) -> Called:
    """Give turns in order as far as the cap allows; 0 is no cap."""
    free = len(turns.places) if cap == 0 else cap - sum(one.has_turn for one in turns.places)
    places, called = [], []
    for place in turns.places:
        if not place.has_turn and free > 0:
            called.append(place.rollout_id)
            places.append(replace(place, has_turn=True))
            free -= 1
        else:
            places.append(place)
    return Called(turns=Turns(places=tuple(places)), called=tuple(called))
