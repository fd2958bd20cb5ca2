"""Step 3 of 5: an offer, its policy and a snapshot of the endpoint give the ordered steps. Pure.

The plan is fixed before anything is touched.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from deploy_logic.matching import Offer
from deploy_logic.plan.layout import lay_out
from deploy_logic.plan.step import Call, Mirror, Step
from deploy_logic.policy.files import PolicyFiles
from deploy_logic.policy.people import Keep
from deploy_logic.policy.policy import Policy
from deploy_logic.policy.tag_rule import parse_tag_rule

_LONGEST_NAME = 32  # https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas
_MOST_DEPLOYMENTS = 20  # per endpoint, same page
_MODEL_ID = re.compile(r"/models/([^/]+)/versions/([^/]+)$", re.IGNORECASE)
_KEEP_NONE = Keep.model_validate({"old": 0, "for": "0s"})
_PLAIN_VERSION = re.compile(r"[0-9][0-9-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A registered model version as the workspace holds it now."""

    version: str
    id: str  # ARM id
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    is_archived: bool = False
    created: datetime | None = None  # None: the workspace does not say
    created_by: str = ""  # who registered it: object id or name; empty: the workspace does not say


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
    region: str = ""  # empty: not known, as of an endpoint that does not exist
    weights: Mapping[str, int] = field(default_factory=dict)
    deployments: tuple[Deployment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen when the rollout started; everything that a plan depends on."""

    model: ModelVersion | None
    registered: tuple[ModelVersion, ...] = ()  # the model's newest versions
    served: ModelVersion | None = None  # what the stable serves, when it is of the same model
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
    metric_lag: timedelta = timedelta(minutes=3)  # the newest minutes, which are not complete yet


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
    stable_model: str = ""  # that the stable serves
    stable_version: str = ""
    weights: Mapping[str, int] = field(default_factory=dict)  # before anything was touched
    preparation: tuple[Step, ...] = ()  # before anything is created
    steps: tuple[Step, ...]  # before promotion
    promotion: tuple[Step, ...]  # its last shift gives all weight to the candidate
    calls_of_roll_back: tuple[Call, ...] = ()
    calls_of_event: tuple[Call, ...] = ()
    deadline: timedelta  # of the whole rollout, from the creation of the candidate on
    on_failure: Literal["roll_back", "freeze"] = "roll_back"
    keep_old: int = 0  # old deployments that stay warm
    keep_for: timedelta = timedelta(0)
    keep_failed: timedelta = timedelta(0)  # how long a failed candidate stays to be looked at
    tags: Mapping[str, str] = field(default_factory=dict)  # of the new version
    stable_tags: Mapping[str, str] | None = None  # of the stable's; None: there is none to compare
    registered_by: str = ""  # object id or name, as the workspace says
    region: str = ""  # of the endpoint, and so of its deployments; empty: to be asked for
    timings: Timings

    @property
    def has_mirror(self) -> bool:
        """Whether the rollout mirrors at all; where not, the mirror is somebody else's."""
        return any(isinstance(step, Mirror) for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPlan:
    """Why there is nothing to roll out; a person is needed unless is_no_match."""

    reason: str
    is_no_match: bool = False


def make_plan(offer: Offer, files: PolicyFiles, sight: Sight) -> Plan | NoPlan:
    """Return the plan, or why there is none. Called once, when the rollout starts."""
    policy, model = files.policy, sight.model
    if model is None:
        reason = f"model {offer.model!r} has no version {offer.version!r} in the workspace"
        return NoPlan(reason=reason, is_no_match=True)
    refusal = _refuse_model(offer, policy, model) or _refuse_newer(offer, policy, model, sight)
    refusal = refusal or _refuse_after(offer, policy, model, sight)
    if refusal:
        return NoPlan(reason=refusal, is_no_match=True)
    trouble = _refuse_endpoint(offer, policy, sight.snapshot)
    return NoPlan(reason=trouble) if trouble else _freeze(offer, files, sight, model)


def _freeze(offer: Offer, files: PolicyFiles, sight: Sight, model: ModelVersion) -> Plan:
    """Write down everything that the rollout will need, as it is now."""
    policy, snapshot = files.policy, sight.snapshot
    stable = find_stable(snapshot)
    keep = policy.keep or _KEEP_NONE
    layout = lay_out(files, is_first=stable is None)
    stable_model, stable_version = _served(snapshot, stable)
    return Plan(
        rollout_id=offer.rollout_id,
        workspace=offer.workspace,
        endpoint=offer.endpoint,
        model=offer.model,
        version=offer.version,
        policy=policy.policy,
        policy_hash=files.hash,
        creation=Creation(
            template=files.template,
            endpoint_template="" if snapshot.exists else files.endpoint_template,
            folder=files.folder,
        ),
        candidate=name_candidate(offer.model, offer.version, attempt=offer.attempt),
        stable=stable,
        stable_model=stable_model,
        stable_version=stable_version,
        weights={name: weight for name, weight in snapshot.weights.items() if weight != 0},
        preparation=layout.preparation,
        steps=layout.steps,
        promotion=layout.promotion,
        calls_of_roll_back=layout.calls_of_roll_back,
        calls_of_event=layout.calls_of_event,
        deadline=policy.deadline,
        on_failure=policy.on_failure,
        keep_old=keep.old,
        keep_for=keep.time,
        keep_failed=policy.keep_failed,
        stable_tags=sight.served.tags if sight.served else None,
        **_about(model),
        region=snapshot.region,
        timings=sight.timings,
    )


def _about(model: ModelVersion) -> dict[str, Any]:
    return {"model_id": model.id, "tags": model.tags, "registered_by": model.created_by}


def _served(snapshot: Snapshot, stable: str | None) -> tuple[str, str]:
    """Return name and version of the model that the stable serves; empty when it says none."""
    return read_model_id(
        next((one.model_id for one in snapshot.deployments if one.name == stable), "")
    )


def read_model_id(model_id: str) -> tuple[str, str]:
    """Return name and version of a registered model from its ARM id; empty when it is no such."""
    found = _MODEL_ID.search(model_id)
    return (found[1], found[2]) if found else ("", "")


def find_stable(snapshot: Snapshot) -> str | None:
    """Return the deployment that has all the weight, or None when none has any."""
    weighted = [name for name, weight in snapshot.weights.items() if weight > 0]
    return weighted[0] if len(weighted) == 1 else None


def find_served(snapshot: Snapshot, model: ModelVersion) -> str:
    """Return the version of the same model that the stable serves; empty when it serves none."""
    stable = find_stable(snapshot)
    served = next((d.model_id for d in snapshot.deployments if d.name == stable), "")
    family = model.id.lower().removesuffix(model.version.lower())
    return served[len(family) :] if served.lower().startswith(family) else ""


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
    return policy.select.version.refuses_model(model)


def _refuse_newer(offer: Offer, policy: Policy, model: ModelVersion, sight: Sight) -> str:
    """Return which registered version overtakes this one, so that no arrival order decides.

    A policy that takes all in order, and a person who asked for this one, are not overtaken.
    """
    if policy.on_new_version == "queue" or offer.requested_by:
        return ""
    rule = policy.select.version
    for other in sight.registered:
        if other.version == offer.version or _refuse_model(
            replace(offer, version=other.version), policy, other
        ):
            continue
        ahead = rule.refuses_beside(model, other)
        if ahead:
            return f"{ahead}, which is registered"
    return ""


def _refuse_after(offer: Offer, policy: Policy, model: ModelVersion, sight: Sight) -> str:
    """Return why the version may not follow what serves now."""
    served = find_served(sight.snapshot, model)
    if served.lower() == model.version.lower():
        return f"version {offer.version} is what {find_stable(sight.snapshot)!r} serves"
    if not served or offer.requested_by:
        return ""
    # One that is in the registry no more is known by its version alone.
    stable = sight.served or ModelVersion(version=served, id="")
    return policy.select.version.refuses_model_after(model, stable)


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
