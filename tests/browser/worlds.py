"""What there is to see in these tests: one function per situation, each sets the server's answers.

Every one returns where to look, as the part of the address after the page.
"""

from datetime import timedelta

from deploy_logic.codec import Json
from deploy_logic.ledger.record import Mark
from deploy_logic.rollout import Rollout
from tests.browser import answers
from tests.browser.server import Server

CANARY = "fraud-fraud-detector-2-232ab0d1e2e3"  # in flight
BAD = "fraud-fraud-detector-3-c75970e22089"  # failed by its error rate


def busy(server: Server, rollout: Rollout | None = None) -> str:
    """Set the recorded demo: a canary in flight, what ended before, other endpoints."""
    demo, told = answers.recorded(), server.answers
    bake = answers.baking() if rollout is None else None
    flying = answers.shown(rollout or answers.a_rollout(), bake=bake)
    ended = sorted(demo["ended"], key=lambda one: str(one["started"]), reverse=True)
    past = [{**one, "possible": [], "bake": None} for one in ended if one["version"] != "2"]
    told.rollouts = {one["rollout_id"]: one for one in (flying, *past)}
    at_work = {**demo["endpoint_in_flight"], "possible": ["hold"]}
    told.endpoints = [at_work, answers.a_busy_ledger(), answers.a_ledger("pricing")]
    told.policies = answers.policies()
    return "#/"


def asking(server: Server) -> str:
    """Let the canary wait for an approval by two."""
    return busy(server, answers.awaiting_approval())


def drifted(server: Server) -> str:
    """Let the canary ask what to do with weights that somebody else has set."""
    return busy(server, answers.frozen())


def stopped(server: Server) -> str:
    """Stop everything."""
    busy(server)
    mark = Mark(by="somebody", reason="prices are wrong everywhere", at=answers.now())
    server.answers.controls["stopped"] = {
        "by": mark.by,
        "reason": mark.reason,
        "at": answers.encode_time(mark.at),
    }
    return "#/"


def over(server: Server) -> str:
    """Show the rollout that failed."""
    busy(server)
    return f"#/rollouts/{BAD}"


def in_flight(server: Server) -> str:
    """Show the rollout in flight."""
    busy(server)
    return f"#/rollouts/{CANARY}"


def endpoint(server: Server) -> str:
    """Show an endpoint that is held, keeps a deployment, and has a version in quarantine."""
    busy(server)
    return "#/endpoints/churn"


def policies(server: Server) -> str:
    """Show the policies."""
    busy(server)
    return "#/policies"


def long_history(server: Server, count: int = 1000) -> str:
    """Show the history, which is long."""
    found = answers.many_rollouts(count)
    server.answers.rollouts = {one["rollout_id"]: one for one in found}
    return "#/rollouts"


def empty(server: Server) -> str:
    """Let nothing ever have happened."""
    del server
    return "#/"


def silent(server: Server) -> str:
    """Let the API never answer what the first page asks."""
    server.answers.stalled.add("rollouts")
    return "#/"


def broken(server: Server) -> str:
    """Let the API fail."""
    server.answers.refusals["GET rollouts"] = (500, {"title": "something broke, id 7f3a"})
    return "#/"


def without_rights(server: Server) -> str:
    """Sign in somebody who has no right."""
    server.answers.me = {"id": "x", "name": "Bob Nobody", "rights": []}
    return "#/"


def signed_out(server: Server) -> str:
    """Let nobody be signed in, where the page signs people in itself."""
    server.ask_for_tokens()
    return "#/"


def taken(rollout: Json, operation: str, by: str) -> Json:
    """Return the rollout as it tells that the operation was heard."""
    at = answers.encode_time(answers.now() + timedelta(seconds=1))  # after every line before it
    line = {"at": at, "text": f"{operation} by {by}: because", "figures": {}}
    return {**rollout, "timeline": [*rollout["timeline"], line]}
