"""The scoring script of the sample model: loads it once, answers with class and probability."""

import json
import os
from pathlib import Path

import joblib

_MODEL = {}


def init() -> None:
    """Load the model; the server calls this once, before it counts as ready."""
    folder = Path(os.environ["AZUREML_MODEL_DIR"])
    found = next(folder.rglob("model.joblib"), None)
    if found is None:
        names = sorted(path.name for path in folder.rglob("*") if path.is_file())
        raise FileNotFoundError(f"no model.joblib among the model's files {names}")
    _MODEL["it"] = joblib.load(found)


def run(raw: str) -> dict[str, list[int]]:
    """Answer {"data": [[amount, hour], ...]} with one prediction per row: 1 is fraud."""
    rows = json.loads(raw)["data"]
    return {"prediction": [int(label) for label in _MODEL["it"].predict(rows)]}
