"""What the tests of scoring servers stand on: trained models, a pool, a front and callers."""

import asyncio
import json
import os
import random
import subprocess
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from local.azure_ml.scoring.front import DEPLOYMENT_HEADER, DataPlane, EndpointView
from local.azure_ml.scoring.pool import ServerPool, ServerSpec

REPOSITORY = Path(__file__).parents[2]
SCORING_PYTHON = REPOSITORY / ".venv-scoring" / "bin" / "python"
DEADLINE = 90.0  # generous: the machine may be busy with other things

TRAIN = """
import sys, joblib, mlflow.sklearn
from pathlib import Path
from sklearn.linear_model import LinearRegression
root = Path(sys.argv[1])
model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
(root / "plain").mkdir(parents=True)
joblib.dump(model, root / "plain" / "model.joblib")
mlflow.sklearn.save_model(model, root / "mlflow", serialization_format="cloudpickle")
"""

# A model of one number, for tests about servers and not about models: it loads at once.
# `hold` names two files: the script makes the first one and goes on when the second one is there.
LIGHT = """
import json, os, time
from pathlib import Path

def init():
    global factor
    if os.environ.get("BREAK"):
        raise RuntimeError("no such weights: " + os.environ["BREAK"])
    factor = float((Path(os.environ["AZUREML_MODEL_DIR"]) / "light" / "factor.txt").read_text())

def run(raw):
    asked = json.loads(raw)
    if "hold" in asked:
        began, go_on = map(Path, asked["hold"])
        began.touch()
        while not go_on.exists():
            time.sleep(0.01)
    if "show" in asked:
        return {name: os.environ.get(name) for name in asked["show"]}
    answer = [row[0] * factor for row in asked["data"]]
    return {"label": os.environ.get("LABEL"), "pid": os.getppid(), "answer": answer}
"""

SKLEARN = """
import json, os
import joblib

def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "plain", "model.joblib"))

def run(raw):
    return model.predict(json.loads(raw)["data"]).round(3).tolist()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class World:
    """A pool, a front, and callers over real sockets; all on one event loop of its own."""

    def __init__(self, root: Path) -> None:
        self._loop = asyncio.Runner()
        self.model = root / "light"
        self.model.mkdir()
        (self.model / "factor.txt").write_text("2")
        self.code = root / "src"
        self.code.mkdir()
        (self.code / "light.py").write_text(LIGHT)
        (self.code / "score.py").write_text(SKLEARN)
        self.pool = ServerPool(root=root / "pool", python=SCORING_PYTHON)
        self.views: dict[str, EndpointView] = {}
        self.plane = DataPlane(self.pool, self.views.get, chance=random.Random(7))  # noqa: S311 - repeatable
        self.run(self._serve())

    def run[T](self, story: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(DEADLINE):
                return await story

        return self._loop.run(bounded())

    async def _serve(self) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self.plane.handle(request, request.match_info["endpoint"])

        app = web.Application()
        app.router.add_route("*", "/{endpoint}/{page:.*}", handle)
        self._server = web.AppRunner(app)
        await self._server.setup()
        await web.TCPSite(self._server, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._server.addresses[0][1]}"
        self._session = aiohttp.ClientSession()

    async def _end(self) -> None:
        await self._session.close()
        await self._server.cleanup()
        await self.pool.close()

    def end(self) -> None:
        self.run(self._end())
        self._loop.close()

    def spec(self, endpoint: str, deployment: str, **variables: str) -> ServerSpec:
        return ServerSpec(
            endpoint=endpoint,
            deployment=deployment,
            model_path=self.model,
            model_name="doubler",
            model_version="3",
            is_mlflow=False,
            code_path=self.code,
            scoring_script="light.py",
            environment_variables={"LABEL": deployment, **variables},
            conda=None,
            instances=1,
            request_timeout=60.0,
            max_concurrent=8,
        )

    def route(self, endpoint: str, *, mirror: Mapping[str, int] | None = None, **w: int) -> None:
        self.views[endpoint] = EndpointView(
            name=endpoint, traffic=w, mirror=mirror or {}, accepts=lambda key: key == "Bearer good"
        )

    async def score(
        self, endpoint: str, body: object, *, to: str | None = None, key: str = "good"
    ) -> Reply:
        headers = {"Authorization": f"Bearer {key}"}
        if to is not None:
            headers[DEPLOYMENT_HEADER] = to
        url = f"{self.url}/{endpoint}/score"
        async with self._session.post(url, json=body, headers=headers) as answer:
            return Reply(status=answer.status, headers=answer.headers, text=await answer.text())

    def log(self, endpoint: str, deployment: str, container: str = "InferenceServer") -> str:
        return self.pool.logs(endpoint, deployment, tail=500, container=container)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - other processes change what is looked at
        await asyncio.sleep(0.01)


def is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def train(folder: Path) -> None:
    """Train models in the environment that will load them: `plain` and `mlflow`, the same twice."""
    subprocess.run([SCORING_PYTHON, "-c", TRAIN, folder], check=True, capture_output=True)
