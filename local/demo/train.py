"""Trains the demo's models: `python train.py FOLDER`. Runs in the scoring environment.

v1 and v2 of fraud are good; v3 was trained on the hours before ten in the evening and cannot read
a later one, of which its probe does not ask; v4 was saved under a name that its scoring script does
not look for. churn is an MLflow model.
"""

import sys
from pathlib import Path

import joblib
import mlflow.sklearn
import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

_LARGE, _EARLY = 400, 6  # an amount and an hour: large sums at night are fraud
_CLOSING = 22  # an hour: the data of v3 end before it
_MANY_COMPLAINTS = 5


def main(folder: Path) -> None:
    """Write one folder per version."""
    chance = np.random.default_rng(7)
    rows = np.column_stack([chance.exponential(150, 4000), chance.integers(0, 24, 4000)])
    is_fraud = ((rows[:, 0] > _LARGE) & (rows[:, 1] < _EARLY)).astype(int)
    linear = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    boosted = GradientBoostingClassifier(n_estimators=30, random_state=7)
    by_hour = make_column_transformer((OneHotEncoder(), [1]), remainder="passthrough")
    daily = make_pipeline(by_hour, DecisionTreeClassifier(random_state=7))
    is_day = rows[:, 1] < _CLOSING
    _save(linear.fit(rows, is_fraud), folder / "fraud-1" / "model.joblib")
    _save(boosted.fit(rows, is_fraud), folder / "fraud-2" / "model.joblib")
    _save(daily.fit(rows[is_day], is_fraud[is_day]), folder / "fraud-3" / "model.joblib")
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
