"""Trains the demo's models: `python train.py FOLDER`. Runs in the scoring environment.

v1 and v2 of fraud are good; v3 learned from labels that were turned round; v4 was saved under a
name that its scoring script does not look for. churn is an MLflow model.
"""

import sys
from pathlib import Path

import joblib
import mlflow.sklearn
import numpy as np
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

_LARGE, _EARLY = 400, 6  # an amount and an hour: large sums at night are fraud
_MANY_COMPLAINTS = 5


def main(folder: Path) -> None:
    """Write one folder per version."""
    chance = np.random.default_rng(7)
    rows = np.column_stack([chance.exponential(150, 4000), chance.integers(0, 24, 4000)])
    is_fraud = ((rows[:, 0] > _LARGE) & (rows[:, 1] < _EARLY)).astype(int)
    linear = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    boosted = GradientBoostingClassifier(n_estimators=30, random_state=7)
    turned = GradientBoostingClassifier(n_estimators=30, random_state=7)
    _save(linear.fit(rows, is_fraud), folder / "fraud-1" / "model.joblib")
    _save(boosted.fit(rows, is_fraud), folder / "fraud-2" / "model.joblib")
    _save(turned.fit(rows, 1 - is_fraud), folder / "fraud-3" / "model.joblib")
    _save(boosted, folder / "fraud-4" / "final_model_v2.joblib")
    months = np.column_stack([chance.uniform(0, 10, 500), chance.uniform(0, 48, 500)])
    churned = (months[:, 0] > _MANY_COMPLAINTS).astype(int)
    churn = LogisticRegression().fit(months, churned)
    # cloudpickle: mlflow's newer default needs one package more in the scoring environment
    mlflow.sklearn.save_model(churn, str(folder / "churn-1"), serialization_format="cloudpickle")


def _save(model: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
