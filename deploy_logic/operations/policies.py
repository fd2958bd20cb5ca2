"""What people read of policies: what each selects and does, and what is wrong with others."""

from collections.abc import Iterable, Sequence
from itertools import chain

from deploy_logic.codec import Json, encode
from deploy_logic.errors import Complaint
from deploy_logic.ledger.controls import Controls
from deploy_logic.plan.layout import Layout, lay_out
from deploy_logic.plan.step import Approve, Bake, Mirror, Shift, Step
from deploy_logic.policy.files import PolicyFiles


def list_policies(
    policies: Iterable[PolicyFiles], complaints: Sequence[Complaint], controls: Controls
) -> Json:
    """Return every policy that is used, and what is wrong with the others."""
    return {
        "policies": [_show(files, controls) for files in policies],
        "complaints": [str(complaint) for complaint in complaints],
    }


def _show(files: PolicyFiles, controls: Controls) -> Json:
    policy = files.policy
    mark = controls.suspended.get(policy.policy)
    return {
        "policy": policy.policy,
        "model": policy.select.model,
        "version": policy.select.version.text,
        "endpoint": policy.deploy.endpoint,
        "strategy": policy.strategy.kind,
        "gates": _name_gates(lay_out(files, is_first=False)),
        "suspended": None if mark is None else encode(mark),
        "source": files.source,
    }


def _name_gates(layout: Layout) -> list[str]:
    """Return the names that the timeline has them by, each once."""
    steps = chain(layout.preparation, layout.steps, layout.promotion)
    calls = chain(layout.calls_of_roll_back, layout.calls_of_event)
    names = chain(chain.from_iterable(_names(step) for step in steps), (one.name for one in calls))
    return list(dict.fromkeys(names))


def _names(step: Step) -> list[str]:
    match step:
        case Bake():
            return [watch.name for watch in step.watches]
        case Approve() | Mirror() | Shift():
            return []
        case _:
            return [step.name]
