"""What is said, as a CloudEvent: for programs. Pure.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

import hashlib
from typing import Any

from deploy_logic.announcement.wording import Message

type Json = dict[str, Any]

_PREFIX, _VERSION = "azureml.rollouts.rollout", "v1"


def make_event(message: Message) -> Json:
    """Return the event. The same message always gives the same one, and so the same id."""
    rollout, line = message["rollout"], message["line"]
    return {
        "specversion": "1.0",
        "id": name_message(message),
        "source": f"{rollout['workspace']}/onlineEndpoints/{rollout['endpoint']}",
        "type": f"{_PREFIX}.{message['kind']}.{_VERSION}",
        "subject": f"endpoints/{rollout['endpoint']}/rollouts/{rollout['rollout_id']}",
        "time": line["at"],
        "datacontenttype": "application/json",
        "data": {"rollout": dict(rollout), "line": dict(line)},
    }


def name_message(message: Message) -> str:
    """Return what tells the message from every other one, whoever sends it and how often."""
    line = message["line"]
    parts = (message["rollout"]["rollout_id"], message["kind"], line["at"], line["text"])
    digest = hashlib.sha256("\n".join(str(part) for part in parts).encode()).hexdigest()
    return f"{parts[0]}-{digest[:16]}"
