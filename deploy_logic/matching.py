"""Step 2 of 5: an event and the policies give one answer per policy, each with its reason. Pure.

Tags are not looked at here: they are read back from the workspace, as they hold when it counts.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from deploy_logic.event import ModelRegistered
from deploy_logic.policy import Policy

_LONGEST_SLUG = 60  # with hash and attempt well inside the 100 characters an instance id may have


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a match asks of an endpoint's ledger: roll this version out by this policy."""

    rollout_id: str
    workspace: str  # ARM id
    endpoint: str
    model: str
    version: str
    policy: str
    version_rule: str  # as the policy writes it; the ledger compares versions with it
    on_new_version: str  # supersede, queue or finish_first
    event_id: str = ""
    attempt: int = 1  # a person's retry counts it up
    requested_by: str = ""  # empty: the registration event


@dataclass(frozen=True, slots=True, kw_only=True)
class NoMatch:
    """A policy's no, with its reason."""

    policy: str
    reason: str


def match_policies(
    event: ModelRegistered, policies: Iterable[Policy]
) -> tuple[Offer | NoMatch, ...]:
    """Return one answer per policy, in the order of the policies."""
    return tuple(_match(event, policy) for policy in policies)


def _match(event: ModelRegistered, policy: Policy) -> Offer | NoMatch:
    select = policy.select
    if event.model != select.model:
        return NoMatch(
            policy=policy.policy, reason=f"model {event.model!r} is not {select.model!r}"
        )
    refusal = select.version.refuses(event.version)
    if refusal:
        return NoMatch(policy=policy.policy, reason=refusal)
    return make_offer(event, policy)


def make_offer(event: ModelRegistered, policy: Policy) -> Offer:
    """Return what to ask of the ledger of the policy's endpoint."""
    endpoint = policy.deploy.endpoint
    return Offer(
        rollout_id=make_rollout_id(event.workspace, endpoint, event.model, event.version),
        workspace=event.workspace,
        endpoint=endpoint,
        model=event.model,
        version=event.version,
        policy=policy.policy,
        version_rule=policy.select.version.text,
        on_new_version=policy.on_new_version,
        event_id=event.event_id,
    )


def make_rollout_id(
    workspace: str, endpoint: str, model: str, version: str, *, attempt: int = 1
) -> str:
    """Return the rollout's name: the same event finds the same one.

    At most 100 printable ASCII characters, as the Durable Task Scheduler asks
    (https://learn.microsoft.com/azure/durable-task/scheduler/durable-task-scheduler). Workspace
    and endpoint names compare without case in Azure, model names and versions with it.
    """
    key = f"{workspace.lower()}\n{endpoint.lower()}\n{model}\n{version}"
    readable = f"{endpoint}-{model}-{version}".lower()
    slug = re.sub(r"[^a-z0-9.]+", "-", readable)[:_LONGEST_SLUG].strip("-.")
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{slug}-{digest}" + (f"-{attempt}" if attempt > 1 else "")


def endpoint_key(workspace: str, endpoint: str) -> str:
    """Return the name of an endpoint's ledger: readable, unique and the same in any case.

    Entity ids arrive in lower case, and slashes, ? and # are not allowed in them.
    """
    digest = hashlib.sha256(workspace.lower().encode()).hexdigest()[:12]
    return f"{endpoint.lower()}-{digest}"
