"""What only Azure can say about an installation: asked by way of az, with the commands shown."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from rolloutctl.online.az import Az, AzError, print_command
from rolloutctl.online.finding import Finding, bad, good, unknown

type Json = dict[str, Any]

_ROLES = Path(__file__).parents[2] / "infra" / "roles.json"
_TRIGGER = "on_model_registered"
_EVENT = "microsoft.machinelearningservices.modelregistered"
_OWN = ("own storage account", "own Application Insights")
_CUSTOM = ("reader", "operator")  # which every installation makes
_PROVISION = "azd provision"
_SUBSCRIBE = (
    'az deployment sub create --name "rollouts-subscription-$AZURE_ENV_NAME" --location '
    '"$AZURE_LOCATION" --template-file infra/subscription.bicep --parameters '
    "infra/subscription.bicepparam"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Where things are, by the outputs of the deployment; what nobody said is empty."""

    app: str
    app_id: str
    group: str
    principal: str
    topics: tuple[str, ...]
    storage_id: str
    dead_letters: str

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Return what the variables say, as `azd env get-values` gives them."""
        try:
            topics = json.loads(environment.get("SYSTEM_TOPIC_IDS") or "[]")
        except ValueError:
            topics = []
        return cls(
            app=environment.get("FUNCTION_APP_NAME", ""),
            app_id=environment.get("FUNCTION_APP_ID", ""),
            group=environment.get("AZURE_RESOURCE_GROUP", ""),
            principal=environment.get("IDENTITY_PRINCIPAL_ID", ""),
            topics=tuple(map(str, topics)) if isinstance(topics, list) else (),
            storage_id=environment.get("STORAGE_ACCOUNT_ID", ""),
            dead_letters=environment.get("DEAD_LETTER_CONTAINER", ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What az is asked, and what is made of its answer."""

    name: str
    needs: Mapping[str, str]  # variable -> its value; without one nothing is asked
    command: tuple[str, ...]
    judge: Callable[[Any], Iterator[Finding]]


def examine_azure(az: Az, where: Installation) -> list[Finding]:
    """Ask everything; what cannot be asked is said with the command that would show it."""
    return [finding for one in _questions(where) for finding in _examine(az, one)]


def _examine(az: Az, question: _Question) -> list[Finding]:
    name, command = question.name, print_command(*question.command)
    missing = [variable for variable, value in question.needs.items() if not value]
    if missing:
        load = 'set -a; eval "$(azd env get-values)"; set +a'
        return [unknown(name, f"which one is not said (variable {missing[0]})", load)]
    try:
        return list(question.judge(az.ask(*question.command)))
    except AzError as error:
        return [unknown(name, str(error), command)]
    except (AttributeError, KeyError, TypeError) as error:
        return [unknown(name, f"az answered otherwise than it used to: {error!r}", command)]


def _questions(where: Installation) -> Iterator[_Question]:
    app = {"AZURE_RESOURCE_GROUP": where.group, "FUNCTION_APP_NAME": where.app}
    place = ("--resource-group", where.group, "--name", where.app)
    show = ("functionapp", "show", *place)
    yield _Question(name="function app", needs=app, command=show, judge=_judge_app)
    functions = ("functionapp", "function", "list", *place)
    yield _Question(name="functions", needs=app, command=functions, judge=_judge_functions)
    roles = ("role", "assignment", "list", "--assignee", where.principal, "--all")
    needs = {"IDENTITY_PRINCIPAL_ID": where.principal}
    yield _Question(name="rights", needs=needs, command=roles, judge=_judge_rights)
    for topic in where.topics or ("",):
        yield _ask_topic(where, topic)
    account = where.storage_id.rpartition("/")[2]
    blobs = ("--account-name", account, "--container-name", where.dead_letters)
    yield _Question(
        name="dead letters",
        needs={"STORAGE_ACCOUNT_ID": account, "DEAD_LETTER_CONTAINER": where.dead_letters},
        command=("storage", "blob", "list", *blobs, "--auth-mode", "login", "--num-results", "100"),
        judge=lambda found: _judge_dead_letters(found, account, where.dead_letters),
    )


def _ask_topic(where: Installation, topic: str) -> _Question:
    parts = topic.strip("/").split("/")  # subscriptions/S/resourceGroups/G/providers/.../T
    named = dict(zip(parts[::2], parts[1::2], strict=False))
    name = parts[-1]
    place = (
        *("--resource-group", named.get("resourceGroups", ""), "--system-topic-name", name),
        *("--subscription", named.get("subscriptions", "")),
    )
    return _Question(
        name=f"subscription of {name}" if name else "subscription",
        needs={"SYSTEM_TOPIC_IDS": topic, "FUNCTION_APP_ID": where.app_id},
        command=("eventgrid", "system-topic", "event-subscription", "list", *place),
        judge=lambda found: _judge_subscriptions(found, where, name),
    )


def _judge_app(found: Json) -> Iterator[Finding]:
    state = str(found.get("state") or (found.get("properties") or {}).get("state"))
    if state == "Running":
        yield good("function app", "it is running")
    else:
        mend = print_command("functionapp", "start", "--ids", str(found.get("id", "")))
        yield bad("function app", f"it is {state} (Running)", mend)


def _judge_functions(found: list[Json]) -> Iterator[Finding]:
    names = sorted(str(one["name"]).rpartition("/")[2] for one in found)
    if _TRIGGER in names:
        yield good("functions", f"{len(names)} functions, {_TRIGGER} among them")
    else:
        why = "the code is not deployed, or does not start"
        text = f"no function {_TRIGGER} among {len(names)} ({why})"
        yield bad("functions", text, "azd deploy app --from-package dist/app.zip")


def _judge_rights(found: list[Json]) -> Iterator[Finding]:
    held = {str(one["roleDefinitionName"]) for one in found}
    table = json.loads(_ROLES.read_text(encoding="utf-8"))
    built_in = [
        role["name"]
        for role in table["built_in"].values()
        if role["to"] == "app" and role["scope"] in _OWN
    ]
    missing = [name for name in built_in if name not in held]
    for kind in _CUSTOM:
        prefix = f"Rollout {kind} "
        if not any(name.startswith(prefix) for name in held):
            missing.append(f"{prefix}...")
    if missing:
        text = f"the app's identity has not: {', '.join(missing)}"
        yield bad("rights", text, _PROVISION)
    else:
        yield good("rights", f"the app's identity has its {len(held)} roles")


def _judge_subscriptions(found: list[Json], where: Installation, topic: str) -> Iterator[Finding]:
    name = f"subscription of {topic}"
    ours = [one for one in found if _leads_to(one, where)]
    if not ours:
        yield bad(name, f"none of {len(found)} leads to the app", _SUBSCRIBE)
    for one in ours:
        wrong = list(_faults(one))
        if wrong:
            yield bad(name, f"{one['name']}: {'; '.join(wrong)}", _SUBSCRIBE)
        else:
            yield good(name, f"{one['name']} leads to the app, and keeps dead letters")


def _leads_to(subscription: Json, where: Installation) -> bool:
    identified = subscription.get("deliveryWithResourceIdentity") or {}
    destination = subscription.get("destination") or identified.get("destination") or {}
    target = str(destination.get("resourceId", "")).lower()
    is_queue = destination.get("endpointType") == "StorageQueue"
    function = f"{where.app_id}/functions/{_TRIGGER}".lower()
    return target == (where.storage_id.lower() if is_queue else function)


def _faults(subscription: Json) -> Iterator[str]:
    state = subscription.get("provisioningState")
    if state != "Succeeded":
        yield f"it is {state}: the handshake is not done (Succeeded)"
    types = (subscription.get("filter") or {}).get("includedEventTypes")
    if types is not None and _EVENT not in {str(one).lower() for one in types}:
        yield f"it hears of {', '.join(map(str, types))} (ModelRegistered)"
    if not any(
        subscription.get(f"deadLetter{kind}") for kind in ("Destination", "WithResourceIdentity")
    ):
        yield "it keeps no dead letters"


def _judge_dead_letters(found: list[Json], account: str, container: str) -> Iterator[Finding]:
    if not found:
        yield good("dead letters", "none")
        return
    more = " or more" if len(found) >= 100 else ""  # noqa: PLR2004 - as many as were asked for
    place = ("--account-name", account, "--source", container)
    load = print_command(
        "storage", "blob", "download-batch", *place, "--destination", ".", "--auth-mode", "login"
    )
    text = f"{len(found)}{more} in the container, such as {found[0]['name']}"
    yield bad("dead letters", text, f"{load}; rolloutctl replay FILE... --reason TEXT")
