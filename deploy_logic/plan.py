"""Step 3 of 5: an offer, its policy and a snapshot of the endpoint give the ordered steps. Pure.

The plan is fixed before anything is touched; canary, blue-green and all-at-once differ here only.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, assert_never

from deploy_logic import policy_gate
from deploy_logic.matching import Offer
from deploy_logic.policy import Policy
from deploy_logic.policy_files import PolicyFiles
from deploy_logic.policy_strategy import AllAtOnce, BlueGreen, Canary
from deploy_logic.tag_rule import parse_tag_rule

_LONGEST_NAME = 32  # https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas
_MOST_DEPLOYMENTS = 20  # per endpoint, same page
_PLAIN_VERSION = re.compile(r"[0-9][0-9-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A registered model version as the workspace holds it now."""

    version: str
    id: str  # ARM id
    tags: Mapping[str, str] = field(default_factory=dict)
    is_archived: bool = False
    created: datetime | None = None  # None: the workspace does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One deployment as seen in the snapshot."""

    name: str
    model_id: str
    rollout_id: str = ""  # from our receipt in its tags; empty when not ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The endpoint as seen when the plan is made; names keep the case Azure shows."""

    exists: bool
    weights: Mapping[str, int] = field(default_factory=dict)
    deployments: tuple[Deployment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen when the rollout started; everything that a plan depends on."""

    model: ModelVersion | None
    registered: tuple[ModelVersion, ...] = ()  # the model's newest versions, archived ones too
    snapshot: Snapshot
    timings: "Timings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """The user's `az ml` YAML, as it was when the rollout started."""

    template: str
    endpoint_template: str  # empty: the endpoint must exist
    folder: str  # from which the templates' own paths count


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How long to wait for Azure; from the settings, fixed with the plan."""

    poll_interval: timedelta
    creation_deadline: timedelta
    shift_deadline: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Call the candidate directly and hold its answer against the expectation."""

    name: str
    body: str
    expect: Mapping[str, object]
    kind: Literal["probe"] = "probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Give the candidate this weight, 1 to 100, and the stable the rest."""

    weight: int
    kind: Literal["shift"] = "shift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bake:
    """Stay at the weight for a time."""

    length: timedelta
    kind: Literal["bake"] = "bake"


type Step = Probe | Shift | Bake


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a rollout will do, frozen with the hash of the policy it came from."""

    rollout_id: str
    workspace: str
    endpoint: str
    model: str
    version: str
    model_id: str
    policy: str
    policy_hash: str
    creation: Creation
    candidate: str
    stable: str | None  # None: the first version on an empty endpoint
    steps: tuple[Step, ...]  # before promotion
    promotion: tuple[Step, ...]  # ends with all weight on the candidate
    deadline: timedelta  # of the whole rollout
    timings: Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPlan:
    """Why there is nothing to roll out; a person is needed unless is_no_match."""

    reason: str
    is_no_match: bool = False


def make_plan(offer: Offer, files: PolicyFiles, sight: Sight) -> Plan | NoPlan:
    """Return the plan, or why there is none. Called once, when the rollout starts."""
    policy, snapshot, model = files.policy, sight.snapshot, sight.model
    if model is None:
        reason = f"model {offer.model!r} has no version {offer.version!r} in the workspace"
        return NoPlan(reason=reason, is_no_match=True)
    refusal = _refuse_model(offer, policy, model) or _refuse_newer(offer, policy, sight)
    if refusal:
        return NoPlan(reason=refusal, is_no_match=True)
    stable = find_stable(snapshot)
    refusal = _refuse_after(offer, policy, model, snapshot)
    if refusal:
        return NoPlan(reason=refusal, is_no_match=True)
    trouble = _refuse_endpoint(offer, policy, snapshot)
    if trouble:
        return NoPlan(reason=trouble)
    steps, promotion = _lay_out(policy, is_first=stable is None)
    return Plan(
        rollout_id=offer.rollout_id,
        workspace=offer.workspace,
        endpoint=offer.endpoint,
        model=offer.model,
        version=offer.version,
        model_id=model.id,
        policy=policy.policy,
        policy_hash=files.hash,
        creation=Creation(
            template=files.template,
            endpoint_template="" if snapshot.exists else files.endpoint_template,
            folder=files.folder,
        ),
        candidate=name_candidate(offer.model, offer.version, attempt=offer.attempt),
        stable=stable,
        steps=(*_probes(files), *steps),
        promotion=promotion,
        deadline=policy.deadline,
        timings=sight.timings,
    )


def find_stable(snapshot: Snapshot) -> str | None:
    """Return the deployment that has all the weight, or None when none has any."""
    weighted = [name for name, weight in snapshot.weights.items() if weight > 0]
    return weighted[0] if len(weighted) == 1 else None


def name_candidate(model: str, version: str, *, attempt: int = 1) -> str:
    """Return the candidate's name: 3 to 32 letters, digits and single dashes, a letter first.

    Readable where it fits; where something had to be dropped, a short hash keeps names apart.
    """
    wanted = f"{model}-v{version}" + (f"-r{attempt}" if attempt > 1 else "")
    slug = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")
    # a version with letters could be taken for another model's (a-v1 of version 2)
    fits = slug == wanted and slug[:1].isalpha() and len(slug) <= _LONGEST_NAME
    if fits and _PLAIN_VERSION.fullmatch(version):
        return slug
    key = f"{model}\n{version}\n{attempt}"
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    start = slug if slug[:1].isalpha() else f"m-{slug}".rstrip("-")
    return f"{start[: _LONGEST_NAME - 9].rstrip('-')}-{digest}"


def _refuse_model(offer: Offer, policy: Policy, model: ModelVersion) -> str:
    """Return why the version, as it is now, is not what the policy selects."""
    if model.is_archived:
        return f"version {offer.version} is archived"
    for key, wanted in policy.select.tags.items():
        refusal = parse_tag_rule(wanted).refuses(model.tags.get(key))
        if refusal:
            return f"tag {key!r} of version {offer.version} {refusal}"
    return policy.select.version.refuses(offer.version)


def _refuse_newer(offer: Offer, policy: Policy, sight: Sight) -> str:
    """Return which registered version overtakes this one, so that no arrival order decides.

    A policy that takes all in order, and a person who asked for this one, are not overtaken.
    """
    if policy.on_new_version == "queue" or offer.requested_by or offer.attempt > 1:
        return ""
    rule = policy.select.version
    for other in sight.registered:
        if other.version == offer.version or _refuse_model(
            replace(offer, version=other.version), policy, other
        ):
            continue
        if rule.refuses_after(offer.version, other.version):
            return f"version {offer.version} is older than {other.version}, which is registered"
    return ""


def _refuse_after(offer: Offer, policy: Policy, model: ModelVersion, snapshot: Snapshot) -> str:
    """Return why the version may not follow what serves now."""
    stable = find_stable(snapshot)
    served = next((d.model_id for d in snapshot.deployments if d.name == stable), "")
    if served.lower() == model.id.lower():
        return f"version {offer.version} is what {stable!r} serves"
    same_model = model.id.lower().removesuffix(f"/versions/{offer.version.lower()}")
    if not served.lower().startswith(f"{same_model}/versions/") or offer.requested_by:
        return ""
    return policy.select.version.refuses_after(offer.version, served.rpartition("/")[2])


def _refuse_endpoint(offer: Offer, policy: Policy, snapshot: Snapshot) -> str:
    """Return why a person is needed before anything can be rolled out here."""
    if not snapshot.exists:
        if policy.deploy.endpoint_template:
            return ""
        return (
            f"endpoint {offer.endpoint!r} does not exist, and policy {policy.policy!r} has no "
            "deploy.endpoint_template to create it from"
        )
    weighted = {name: weight for name, weight in snapshot.weights.items() if weight > 0}
    if len(weighted) > 1:
        return (
            f"the weights of endpoint {offer.endpoint!r} are split {weighted}; a rollout starts "
            "from one stable (give one deployment 100)"
        )
    if len(snapshot.deployments) >= _MOST_DEPLOYMENTS:
        return (
            f"endpoint {offer.endpoint!r} has {len(snapshot.deployments)} deployments "
            f"(Azure allows {_MOST_DEPLOYMENTS}; retire one)"
        )
    return ""


def _probes(files: PolicyFiles) -> tuple[Probe, ...]:
    return tuple(
        Probe(
            name=gate.name or f"probe {number} ({gate.request})",
            body=files.requests[gate.request],
            expect=gate.expect.model_dump(mode="json"),
        )
        for number, gate in enumerate(files.policy.gates, 1)
        if isinstance(gate, policy_gate.Probe) and gate.request is not None
    )


def _lay_out(policy: Policy, *, is_first: bool) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Return the steps before promotion and those of promotion.

    The first version on an empty endpoint goes straight to 100: there is nobody to compare with.
    """
    strategy = policy.strategy
    match strategy:
        case Canary():
            rises: list[Step] = []
            for step in strategy.steps if not is_first else ():
                rises += [Shift(weight=step.weight), Bake(length=step.bake)]
            return tuple(rises), (Shift(weight=100), *_bake(strategy.final_bake))
        case BlueGreen():
            return (), (Shift(weight=100), *_bake(strategy.final_bake))
        case AllAtOnce():
            return (), (Shift(weight=100),)
        case _:
            assert_never(strategy)


def _bake(length: timedelta) -> tuple[Step, ...]:
    return (Bake(length=length),) if length > timedelta(0) else ()
