"""Read one event, small and of a megabyte, against parsing the same JSON and nothing else."""

import json

from bench.measure import Figure, show_seconds, time_calls
from deploy_logic.event import MODEL_REGISTERED, read_event

_WORKSPACE = (
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
)


def run() -> list[Figure]:
    """Return the figures of reading."""
    small = _event({"area": "diabetes"})
    large = _event({f"tag-{number}": "x" * 1_000 for number in range(1_000)})
    seconds = time_calls(
        {
            "small": lambda: read_event(small, workspaces=[_WORKSPACE]),
            "small floor": lambda: json.loads(small),
            "large": lambda: read_event(large, workspaces=[_WORKSPACE]),
            "large floor": lambda: json.loads(large),
        }
    )
    return [
        Figure(
            name=name,
            ratio=seconds[what] / seconds[f"{what} floor"],
            floor="json.loads of it",
            measured=show_seconds(seconds[what]),
        )
        for name, what in (("read an event", "small"), ("read an event of 1 MB", "large"))
    ]


def _event(tags: dict[str, str]) -> str:
    data = {"ModelName": "fraud", "ModelVersion": 7, "ModelTags": tags, "ModelProperties": {}}
    body = {
        "id": "831e1650-001e-001b-66ab-eeb76e069631",
        "source": _WORKSPACE,
        "subject": "models/fraud:7",
        "type": MODEL_REGISTERED,
        "time": "2026-11-23T08:59:00.1234567Z",
        "data": data,
        "specversion": "1.0",
    }
    return json.dumps(body)
