"""azure-ai-ml for the tests of templates: imported only when one asks, for it takes a second."""

import io
from pathlib import Path
from typing import Any

from deploy_logic.template.place import TemplateComplaint
from deploy_logic.template.template import Kind

VALUES = {
    "MODEL_NAME": "fraud",
    "MODEL_VERSION": "7",
    "ENDPOINT_NAME": "fraud-endpoint",
    "DEPLOYMENT_NAME": "fraud-v7",
    "SUBSCRIPTION_ID": "11111111-2222-3333-4444-555555555555",
    "RESOURCE_GROUP": "risk",
    "WORKSPACE_NAME": "scoring",
}


def load_complaints(path: Path, text: str, *, kind: Kind) -> tuple[TemplateComplaint, ...]:
    from deploy_logic.adapters import azure_ml_template  # noqa: PLC0415 - see above

    return azure_ml_template.load_complaints(path, text, kind=kind)


def load_entity(path: Path, kind: Kind) -> Any:
    """What a rollout would send, before it is sent."""
    from deploy_logic.adapters import azure_ml_template  # noqa: PLC0415 - see above
    from deploy_logic.template.template import fill_template  # noqa: PLC0415 - see above

    text = fill_template(path.read_text(encoding="utf-8"), VALUES)
    return azure_ml_template._load(text, path, kind, VALUES)


def load_plainly(text: str, path: Path, kind: Kind) -> Any:
    """What azure-ai-ml makes of the text by itself."""
    from azure.ai.ml import load_online_deployment, load_online_endpoint  # noqa: PLC0415 - see above

    load = load_online_endpoint if kind == "endpoint" else load_online_deployment
    return load(io.StringIO(text), relative_origin=str(path.absolute()))
