"""Match one event: 10,000 exact policies, 10, with 100 patterns, against one dictionary lookup."""

from bench.measure import Figure, show_seconds, time_calls
from deploy_logic.event import ModelRegistered
from deploy_logic.matching import Offer, PolicyIndex, match_policies
from deploy_logic.policy.policy import Policy

_MANY, _FEW, _PATTERNS = 10_000, 10, 100
_WORKSPACE = (
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
)


def run() -> list[Figure]:
    """Return the figures of matching."""
    many = [_policy(number, f"model-{number}") for number in range(_MANY)]
    patterns = [_policy(number, _pattern(number)) for number in range(_MANY, _MANY + _PATTERNS)]
    few = many[:_FEW]
    names = {policy.select.model: policy for policy in many}
    index_many, index_few = PolicyIndex(many), PolicyIndex(few)
    index_patterns, index_both = PolicyIndex(patterns), PolicyIndex([*many, *patterns])
    event, stranger = _event("model-7"), _event("stranger")
    for index in (index_many, index_few, index_both):
        found = index.match(event)
        assert len(found) == 1  # a bench of what is not found would be no bench
        assert isinstance(found[0], Offer)
    seconds = time_calls(
        {
            "lookup": lambda: names.get("model-7"),
            "few": lambda: index_few.match(event),
            "many": lambda: index_many.match(event),
            "patterns": lambda: index_both.match(event),
            "none_few": lambda: index_few.match(stranger),
            "none": lambda: index_many.match(stranger),
            "none_patterns": lambda: index_patterns.match(stranger),
            "all": lambda: match_policies(event, many),
        }
    )
    return [
        _figure("1 match among 10,000 exact policies", seconds, "many", "few", "<= 1 ms"),
        _figure("the same with 100 patterns", seconds, "patterns", "few", "<= 1 ms"),
        _figure("no match among 10,000", seconds, "none", "none_few"),
        _figure("no match among 100 patterns", seconds, "none_patterns", "none_few"),
        _figure("no match among 10,000", seconds, "none", "lookup"),
        _figure("1 match among 10,000 exact policies", seconds, "many", "lookup"),
        _figure("asking all 10,000, as people do", seconds, "all", "many"),
    ]


_FLOORS = {
    "few": "1 match among 10",
    "none_few": "no match among 10",
    "lookup": "a dictionary lookup",
    "many": "the index of 10,000",
}


def _figure(name: str, seconds: dict[str, float], what: str, floor: str, aim: str = "") -> Figure:
    return Figure(
        name=name,
        ratio=seconds[what] / seconds[floor],
        floor=_FLOORS[floor],
        measured=show_seconds(seconds[what]),
        aim=aim,
    )


def _pattern(number: int) -> str:
    if number % 2:
        return f"glob:team-{number}-*"
    return f"regex:^team-{number}-(eu|us)-v[0-9]+$"


def _policy(number: int, model: str) -> Policy:
    return Policy.model_validate(
        {
            "policy": f"policy-{number}",
            "select": {"model": model},
            "deploy": {"endpoint": f"endpoint-{number}", "template": "deployment.yml"},
            "strategy": {"kind": "all-at-once"},
        }
    )


def _event(model: str) -> ModelRegistered:
    return ModelRegistered(event_id="e", workspace=_WORKSPACE, model=model, version="7")
