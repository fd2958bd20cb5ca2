"""The scoring script of a no-code MLflow deployment: runs inside the scoring environment.

Takes `{"input_data": ..., "params"?: ...}` as Azure ML's own script does and answers the plain
predictions.
"""

import json
import os
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from azureml_inference_server_http.api.aml_response import AMLResponse

_loaded: dict[str, Any] = {}


def _model_folder() -> Path:
    root = Path(os.environ["AZUREML_MODEL_DIR"])
    found = sorted(root.rglob("MLmodel"), key=lambda path: len(path.parts))
    if not found:
        raise FileNotFoundError(f"no MLmodel file under {root}: this is not an MLflow model")
    return found[0].parent


def init() -> None:
    """Load the model; an exception here fails the deployment."""
    _loaded["model"] = mlflow.pyfunc.load_model(str(_model_folder()))


def _bad_request(message: str) -> AMLResponse:
    return AMLResponse({"message": message}, 400, json_str=True)


def _as_model_input(given: dict[str, Any] | list[Any]) -> Any:  # noqa: ANN401 - what pyfunc takes
    if isinstance(given, list):
        is_records = bool(given) and all(isinstance(row, dict) for row in given)
        return pd.DataFrame(given) if is_records else np.array(given)
    if "data" in given and "columns" in given:
        return pd.DataFrame(data=given["data"], columns=given["columns"], index=given.get("index"))
    return {name: np.array(values) for name, values in given.items()}


def _as_json(predicted: Any) -> Any:  # noqa: ANN401 - whatever a flavor predicts
    if isinstance(predicted, pd.DataFrame):
        return json.loads(predicted.to_json(orient="records"))
    if isinstance(predicted, np.ndarray | pd.Series):
        return predicted.tolist()
    if isinstance(predicted, dict):
        return {name: _as_json(value) for name, value in predicted.items()}
    return predicted


def run(raw_data: str) -> Any:  # noqa: ANN401 - a JSON value, or a response with a status
    """Predict for one request."""
    try:
        request = json.loads(raw_data)
    except ValueError as error:
        return _bad_request(f"The request body is not JSON: {error}")
    if not isinstance(request, dict) or "input_data" not in request:
        return _bad_request("A value is not provided for the 'input_data' parameter.")
    given = request["input_data"]
    if not isinstance(given, dict | list):
        return _bad_request("Invalid input format: expected an array of items.")
    model_input = _as_model_input(given)
    return _as_json(_loaded["model"].predict(model_input, params=request.get("params")))
