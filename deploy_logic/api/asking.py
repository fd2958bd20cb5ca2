"""What the routes do that people ask something by; each needs a reason and leaves an audit line."""

from deploy_logic.api.reading import MOST_OF_AN_EVENT
from deploy_logic.api.said import read_body, read_reason, read_said
from deploy_logic.api.visit import Office, Visit
from deploy_logic.codec import Json
from deploy_logic.ledger.controls import Control
from deploy_logic.operations import endpoints, rollouts
from deploy_logic.operations import replay as replaying
from deploy_logic.right import Right
from deploy_logic.rollout import Operation

_LONGEST = 10_000  # bytes of a body


def ask_rollout(office: Office, visit: Visit) -> Json:
    """Ask a rollout in flight for an operation."""
    rollout_id, operation = visit.parts["rollout_id"], visit.parts["operation"]
    who = visit.who
    if operation == Operation.PROMOTE_NOW:  # it leaves out gates and approvals: a right of its own
        who.require(Right.PROMOTE_NOW)
    said = read_said(read_body(visit.body, most=_LONGEST))
    engine = office.engine
    return rollouts.ask(engine, rollout_id, operation, by=who.id, claims=who.claims, said=said)


def retry(office: Office, visit: Visit) -> Json:
    """Try the version of a rollout that is over once more."""
    return endpoints.retry_rollout(office.desk(visit), visit.parts["rollout_id"], _said(visit))


def start(office: Office, visit: Visit) -> Json:
    """Start a version by hand."""
    return endpoints.start(office.desk(visit), _said(visit))


def ask_endpoint(office: Office, visit: Visit) -> Json:
    """Hold an endpoint, release it, retry a version on it, or revert it."""
    endpoint, act = visit.parts["endpoint"], visit.parts["act"]
    return endpoints.ask_endpoint(office.desk(visit), endpoint, act, _said(visit))


def turn_policy(office: Office, visit: Visit) -> Json:
    """Suspend a policy, or resume it."""
    policy, control = visit.parts["policy"], visit.parts["control"]
    return endpoints.turn_policy(office.desk(visit), policy, control, _said(visit))


def stop(office: Office, visit: Visit) -> Json:
    """Stop everything."""
    return endpoints.turn_control(office.desk(visit), Control.STOP, _said(visit))


def go_on(office: Office, visit: Visit) -> Json:
    """Let everything go on."""
    return endpoints.turn_control(office.desk(visit), Control.GO_ON, _said(visit))


def replay(office: Office, visit: Visit) -> Json:
    """Handle events once more, as the trigger would."""
    body = read_body(visit.body, most=replaying.MOST_EVENTS * MOST_OF_AN_EVENT)
    read_reason(body)
    return replaying.replay(office.desk(visit), body.get("events"))


def _said(visit: Visit) -> dict[str, str]:
    return read_said(read_body(visit.body, most=_LONGEST))
