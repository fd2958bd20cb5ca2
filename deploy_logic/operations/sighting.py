"""What the sweep reads of an endpoint's weights, to be told to its ledger."""

import re

from deploy_logic.ledger.drift import Sighting
from deploy_logic.ledger.record import Ledger
from deploy_logic.matching import Offer
from deploy_logic.ports import Engine, Workspace
from deploy_logic.rollout import Operation, Phase, allows

_ALL = 100
_MODEL_ID = re.compile(r"/models/([^/]+)/versions/([^/]+)$")


def look(workspace: Workspace, book: Ledger, engine: Engine) -> Sighting | None:
    """Return what is new about the endpoint's weights, or None; at most two calls of Azure."""
    running = book.running
    if running is None:
        return _look_at_rest(workspace, book)
    expected = _find_expected(engine, running) if running.is_rollout else None
    found = _read_weights(workspace, book.endpoint) if expected is not None else None
    if found is None or (expected == found and book.noticed is None):
        return None
    return Sighting(found=found, rollout_id=running.rollout_id, expected=expected)


def _look_at_rest(workspace: Workspace, book: Ledger) -> Sighting | None:
    found = _read_weights(workspace, book.endpoint)
    if found is None or found == book.serves:
        return None
    if not book.serves:  # it was not known: nothing was changed
        return Sighting(found=found)
    whole = [name for name, weight in found.items() if weight == _ALL]
    deployments = workspace.list_deployments(book.endpoint)
    model_ids = [one.model_id for one in deployments if one.name in whole]
    match = _MODEL_ID.search(model_ids[0]) if model_ids else None
    if match is None:
        return Sighting(found=found)
    return Sighting(found=found, model=match[1], version=match[2])


def _read_weights(workspace: Workspace, endpoint: str) -> dict[str, int] | None:
    """Return who has weight; None when there is no endpoint, or Azure is at work on it."""
    state = workspace.get_endpoint(endpoint)
    if state is None or state.provisioning_state != "Succeeded":
        return None
    return {name: weight for name, weight in state.traffic.items() if weight != 0}


def _find_expected(engine: Engine, running: Offer) -> dict[str, int] | None:
    """Return the weights that the rollout has read back last, while it may be frozen."""
    shown = engine.show_rollout(running.rollout_id)
    if shown is None or not allows(Operation.FREEZE, Phase(shown["phase"])):
        return None
    weights = {name: weight for name, weight in shown["weights"].items() if weight != 0}
    return weights or None
