"""What the routes answer that read, and touch nothing."""

import json
from collections.abc import Iterable, Mapping

from deploy_logic.api.page import find_file
from deploy_logic.api.said import STATES, read_body
from deploy_logic.api.visit import Answer, Office, Visit
from deploy_logic.codec import Json, decode
from deploy_logic.ledger.record import Ledger
from deploy_logic.operations import checks, dry_run, endpoints, history, policies
from deploy_logic.ports import Wanted
from deploy_logic.right import Right
from deploy_logic.settings import VERSION

MOST_OF_AN_EVENT = 1_000_000  # bytes; Event Grid's own bound
_EVERY = frozenset(history.IN_FLIGHT | history.OVER)


def list_rollouts(office: Office, visit: Visit) -> Json:
    """Return a page of rollouts, newest first."""
    given = visit.given
    phases = STATES.get(given["state"], _EVERY)
    if given["phase"]:
        phases &= {given["phase"]}
    if not phases:  # a phase that is not of the state
        return {"rollouts": [], "next": None}
    names = ("endpoint", "model", "policy", "since", "until")
    wanted = Wanted(phases=frozenset(phases), **{name: given[name] for name in names})
    after, limit = given["after"], int(given["limit"])
    return history.list_rollouts(office.engine, office.archive, wanted, after=after, limit=limit)


def show_rollout(office: Office, visit: Visit) -> Json:
    """Return one rollout with its timeline."""
    return history.show_whole(office.engine, office.archive, visit.parts["rollout_id"])


def read_timeline(office: Office, visit: Visit) -> Answer:
    """Return the timeline alone, line by line."""
    return _lines(history.read_timeline(office.engine, office.archive, visit.parts["rollout_id"]))


def export(office: Office, visit: Visit) -> Answer:
    """Return everything that was archived in that time, line by line."""
    given = visit.given
    return _lines(office.archive.export(since=given["since"], until=given["until"]))


def list_endpoints(office: Office, visit: Visit) -> Json:
    """Return every endpoint's ledger, and what people may ask of each."""
    shown = endpoints.list_endpoints(office.engine)["endpoints"]
    return {"endpoints": [_add_possible(office, visit, one) for one in shown]}


def show_endpoint(office: Office, visit: Visit) -> Json:
    """Return one endpoint's ledger, and what people may ask of it."""
    shown = endpoints.show_endpoint(office.desk(visit), visit.parts["endpoint"])
    return _add_possible(office, visit, shown)


def list_policies(office: Office, visit: Visit) -> Json:
    """Return every policy, and what is wrong with those that were left out."""
    del visit
    controls = office.engine.show_controls()
    return policies.list_policies(office.files, office.complaints, controls)


def show_controls(office: Office, visit: Visit) -> Json:
    """Return what is stopped or suspended, and whose turn it is."""
    return endpoints.show_controls(office.desk(visit))


def plan_version(office: Office, visit: Visit) -> Json:
    """Return what a version or an event would do now."""
    asked = read_body(visit.body, most=MOST_OF_AN_EVENT)
    return dry_run.dry_run(office.desk(visit), office.files, asked)


def run_checks(office: Office, visit: Visit) -> Json:
    """Return what the app itself can say about its set-up."""
    del visit
    return checks.run_checks(
        checks.Checked(
            settings=office.settings,
            policies=office.policies,
            complaints=office.complaints,
            engine=office.engine,
            archive=office.archive,
            open_workspace=office.open_workspace,
            now=office.now(),
        )
    )


def show_me(office: Office, visit: Visit) -> Json:
    """Return who asks, as the app knows them."""
    del office
    who = visit.who
    rights = [right.value for right in Right if right in who.rights]
    return {"id": who.id, "name": who.name, "rights": rights}


def show_sign_in(office: Office, visit: Visit) -> Json:
    """Return how to sign in; nothing of it is secret."""
    del visit
    return office.describe_sign_in()


def show_health(office: Office, visit: Visit) -> Json:
    """Return that the app runs, and which version of it."""
    del office, visit
    return {"status": "ok", "version": VERSION}


def show_page(office: Office, visit: Visit) -> Answer:
    """Return a file of the dashboard, the page itself when none is named."""
    name = visit.parts.get("file", "index.html")
    return find_file(office.dashboard, name, authority=_find_authority(office.describe_sign_in()))


def _find_authority(sign_in: Mapping[str, object]) -> str:
    authority = sign_in.get("authority", "")
    return authority if isinstance(authority, str) else ""


def _add_possible(office: Office, visit: Visit, shown: Json) -> Json:
    possible = endpoints.list_acts(office.desk(visit), decode(Ledger, shown))
    return {**shown, "possible": possible}


def _lines(rows: Iterable[Json]) -> Answer:
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    return Answer(status=200, kind="application/jsonl", body=text.encode())
