"""Things to test with, with defaults for all that does not matter."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy_logic.event import MODEL_REGISTERED, ModelRegistered
from deploy_logic.matching import Offer, make_offer
from deploy_logic.plan.plan import Timings
from deploy_logic.policy.files import PolicyFiles
from deploy_logic.policy.policy import Policy

WORKSPACE = (
    "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/ml"
    "/providers/Microsoft.MachineLearningServices/workspaces/team"
)
MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TIMINGS = Timings(
    poll_interval=timedelta(seconds=15),
    creation_deadline=timedelta(hours=1),
    shift_deadline=timedelta(minutes=30),
)


def an_event_body(*, model: str = "fraud", version: object = 7, **changes: Any) -> dict[str, Any]:
    """Return an event in the Event Grid schema, as Azure documents it."""
    return {
        "topic": WORKSPACE,
        "subject": f"models/{model}:{version}",
        "eventType": MODEL_REGISTERED,
        "eventTime": "2026-11-23T08:59:00.1234567Z",
        "id": "e-1",
        "data": {"ModelName": model, "ModelVersion": version, "ModelTags": {"stage": "production"}},
        "dataVersion": "",
        "metadataVersion": "1",
        **changes,
    }


def an_event_text(**changes: Any) -> str:
    """Return the same as the text that the trigger gets."""
    return json.dumps(an_event_body(**changes))


def an_event(*, model: str = "fraud", version: str = "7", event_id: str = "e-1") -> ModelRegistered:
    """Return an event that was read."""
    return ModelRegistered(event_id=event_id, workspace=WORKSPACE, model=model, version=version)


def a_policy(
    *,
    weights: tuple[int, ...] = (10, 50),
    bake: str = "10m",
    final_bake: str = "0s",
    strategy: dict[str, Any] | None = None,
    **changes: Any,
) -> Policy:
    """Return a canary policy of model fraud on endpoint fraud."""
    steps = [{"weight": weight, "bake": bake} for weight in weights]
    canary = {"kind": "canary", "steps": steps, "final_bake": final_bake}
    written = {
        "policy": "fraud-prod",
        "select": {"model": "fraud"},
        "deploy": {"endpoint": "fraud", "template": "deployment.yml"},
        "strategy": strategy or canary,
        "gates": [{"kind": "probe", "request": "request.json"}],
        **changes,
    }
    return Policy.model_validate(written)


def policy_files(policy: Policy | None = None) -> PolicyFiles:
    """Return the policy with what it names."""
    policy = policy or a_policy()
    return PolicyFiles(
        policy=policy,
        folder="policies",
        template="instance_type: Standard_DS3_v2\ninstance_count: 1\n",
        endpoint_template="auth_mode: key\n" if policy.deploy.endpoint_template else "",
        requests=dict.fromkeys(_named(policy), '{"data": [[1, 2]]}'),
    )


def _named(policy: Policy) -> list[str]:
    """Return every file that a gate of the policy names."""
    keys = ("request", "requests")
    return [getattr(gate, key) for gate in policy.gates for key in keys if getattr(gate, key, None)]


def an_offer(policy: Policy | None = None, *, version: str = "7", event_id: str = "e-1") -> Offer:
    """Return what an event of that version asks of the ledger."""
    policy = policy or a_policy()
    return make_offer(
        an_event(model=policy.select.model, version=version, event_id=event_id), policy
    )


def model_id(version: str, *, model: str = "fraud") -> str:
    """Return the ARM id of a model version."""
    return f"{WORKSPACE}/models/{model}/versions/{version}"
