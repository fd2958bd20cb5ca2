"""Plays the demo on a running stack, tells the terminal what happens, and judges how it ended."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local.program import REPOSITORY, Program
from local.stack import Stack

SCORING_PYTHON = REPOSITORY / ".venv-scoring" / "bin" / "python"
POLICIES = Path(__file__).parent / "policies"
_REQUESTS = Path(__file__).parent / "callers.jsonl"
_RATE = 20  # requests a second at most
_OWN_FAILURE = "424"  # the status of a model that raised
_PATIENCE = 240.0  # seconds for one rollout on a busy machine
_LOOK = 0.25  # seconds between two looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One model version, and how its rollout is supposed to end."""

    model: str
    version: str
    folder: str
    kind: str  # as azure-ai-ml calls it
    about: str
    phase: str
    says: str  # part of the reason


FIRST = (
    Chapter(
        model="churn",
        version="1",
        folder="churn-1",
        kind="mlflow_model",
        about="an MLflow model, no code",
        phase="succeeded",
        says="is the stable",
    ),
    Chapter(
        model="fraud-detector",
        version="1",
        folder="fraud-1",
        kind="custom_model",
        about="the first version",
        phase="succeeded",
        says="is the stable",
    ),
)
LIVE = (
    Chapter(
        model="fraud-detector",
        version="2",
        folder="fraud-2",
        kind="custom_model",
        about="a better one, under live callers",
        phase="succeeded",
        says="is the stable",
    ),
    Chapter(
        model="fraud-detector",
        version="3",
        folder="fraud-3",
        kind="custom_model",
        about="passes its probe, and fails on requests of the late evening",
        phase="failed",
        says="error_rate of candidate",
    ),
    Chapter(
        model="fraud-detector",
        version="4",
        folder="fraud-4",
        kind="custom_model",
        about="its container does not start",
        phase="failed",
        says="FileNotFoundError",
    ),
)


class Demo:
    """The story on one stack."""

    def __init__(self, stack: Stack, say: Callable[[str], None]) -> None:
        """Take a stack that runs, and where to tell what happens."""
        self._stack = stack
        self._say = say
        self._models = stack.data / "models"
        self._began = time.monotonic()

    def train(self) -> "subprocess.Popen[bytes]":
        """Start to train in the scoring environment; the stack can start meanwhile."""
        self._models.mkdir(parents=True, exist_ok=True)
        command = (str(SCORING_PYTHON), str(Path(__file__).parent / "train.py"), str(self._models))
        with (self._stack.data / "train.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def play(self) -> dict[str, Any]:
        """Roll everything out under live callers; return what happened and whether it is right."""
        client = self._client()
        ended = self._roll_out(client, FIRST)
        traffic = self._send_traffic()
        for chapter in LIVE:
            ended += self._roll_out(client, (chapter,))
        traffic.stop()
        summary = json.loads(traffic.last_line)
        complaints = [line for _, _, line in ended if line]
        complaints += divide_failures(summary, [one["candidate"] for one in _judged_live(ended)])
        return {
            "ok": not complaints,
            "complaints": complaints,
            "seconds": round(time.monotonic() - self._began, 1),
            "rollouts": [{**asdict(chapter), "rollout": shown} for chapter, shown, _ in ended],
            "traffic": summary,
        }

    def _client(self) -> Any:  # noqa: ANN401 - azure-ai-ml is slow to import, and has no types
        here = self._stack.azure_ml.ready
        os.environ["REQUESTS_CA_BUNDLE"] = here["ca"]
        from azure.ai.ml import MLClient  # noqa: PLC0415 - over a second
        from azure.core.credentials import AccessToken  # noqa: PLC0415

        class Anybody:
            """The emulator lets everybody in who brings a token."""

            def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:  # noqa: ANN401
                return AccessToken("demo", int(time.time()) + 3600)

        cloud = json.loads(self._stack.app_settings()["ROLLOUT_CLOUD_METADATA"])
        ids = (here["subscription"], here["resource_group"], here["workspace"])
        return MLClient(Anybody(), *ids, cloud="Local", cloud_metadata=cloud, show_progress=False)

    def _roll_out(
        self,
        client: Any,  # noqa: ANN401 - see _client
        chapters: Sequence[Chapter],
    ) -> list[tuple[Chapter, dict[str, Any], str]]:
        from azure.ai.ml.entities import Model  # noqa: PLC0415 - see _client

        for chapter in chapters:
            path = str(self._models / chapter.folder)
            model = Model(name=chapter.model, path=path, type=chapter.kind)
            with contextlib.redirect_stderr(io.StringIO()):  # the SDK writes bare colour codes
                client.models.create_or_update(model)
            self._tell(chapter, f"registered: {chapter.about}")
        return self._follow(chapters)

    def _follow(self, chapters: Sequence[Chapter]) -> list[tuple[Chapter, dict[str, Any], str]]:
        """Tell every change of the rollouts; return how each ended and what is wrong with it."""
        told: set[tuple[Chapter, str, str]] = set()
        end = time.monotonic() + _PATIENCE
        while True:
            shown = [self._find(chapter) for chapter in chapters]
            for chapter, one in zip(chapters, shown, strict=True):
                self._tell_news(chapter, one, told)
            is_late = time.monotonic() > end
            if is_late or all(one.get("ended") for one in shown):
                return [(c, one, _complain(c, one)) for c, one in zip(chapters, shown, strict=True)]
            time.sleep(_LOOK)

    def _tell_news(
        self, chapter: Chapter, shown: dict[str, Any], told: set[tuple[Chapter, str, str]]
    ) -> None:
        for entry in shown.get("timeline", ()):
            news = (chapter, entry["at"], entry["text"])
            if news not in told:
                told.add(news)
                self._tell(chapter, entry["text"])

    def _find(self, chapter: Chapter) -> dict[str, Any]:
        for listed in self._stack.ask_app("GET", "rollouts")["rollouts"]:
            if (listed["model"], listed["version"]) == (chapter.model, chapter.version):
                shown: dict[str, Any] = self._stack.ask_app(
                    "GET", f"rollouts/{listed['rollout_id']}"
                )
                return shown
        return {}

    def _send_traffic(self) -> Program:
        here = self._stack.azure_ml.ready
        endpoint = f"{here['workspace_id']}/onlineEndpoints/fraud"
        uri = self._stack.ask_azure_ml("GET", endpoint)["properties"]["scoringUri"]
        key = self._stack.ask_azure_ml("POST", f"{endpoint}/listKeys", {})["primaryKey"]
        options = ("--url", uri, "--ca", here["ca"], f"--key={key}", "--bodies", str(_REQUESTS))
        # Two at once: of more, one instance refuses some while the machine is slow
        pace = ("--rate", str(_RATE), "--concurrency", "2", "--seconds", "900")
        command = ("local.traffic", *options, *pace)
        traffic = Program("traffic", command, log=self._stack.data / "logs" / "traffic.log")
        traffic.start()
        self._say(f"{self._time()}  callers      up to {_RATE} requests a second to endpoint fraud")
        return traffic

    def _tell(self, chapter: Chapter, text: str) -> None:
        name = f"{chapter.model.removesuffix('-detector')} v{chapter.version}"
        self._say(f"{self._time()}  {name:<12} {text}")

    def _time(self) -> str:
        return f"{time.monotonic() - self._began:6.1f} s"


def _complain(chapter: Chapter, shown: dict[str, Any]) -> str:
    if not shown.get("ended"):
        return f"{chapter.model} {chapter.version}: not over after {_PATIENCE:g} s"
    if shown["phase"] == chapter.phase and chapter.says in shown["reason"]:
        return ""
    return f"{chapter.model} {chapter.version}: {shown['phase']}: {shown['reason']}"


def _judged_live(
    ended: Sequence[tuple[Chapter, dict[str, Any], str]],
) -> list[dict[str, Any]]:
    """Return the rollouts that were judged bad by what live requests got."""
    return [shown for _, shown, _ in ended if "of candidate" in shown.get("reason", "")]


def divide_failures(summary: dict[str, Any], candidates: Sequence[str]) -> list[str]:
    """Count apart what the candidates' own models failed; complain of everything else.

    Only a model that raised counts as its own: any other failure, also one under the name of a
    candidate, is a request that the rollout lost.
    """
    by = summary["failed_by"]
    own = sum(by.get(name, {}).get(_OWN_FAILURE, 0) for name in candidates)
    lost = summary["failed"] - own
    summary |= {"failed_by_candidate": own, "lost": lost}
    if lost or not summary["sent"]:
        return [f"callers lost {lost} of {summary['sent']} requests"]
    return []


def summarise(result: dict[str, Any]) -> str:
    """Return the end of the story as a table."""
    lines = ["", f"{'rollout':<20} {'phase':<10} reason"]
    for one in result["rollouts"]:
        shown = one["rollout"]
        name = f"{one['model']} v{one['version']}"
        lines.append(f"{name:<20} {shown.get('phase', '?'):<10} {shown.get('reason', '')}")
    traffic = result["traffic"]
    by = ", ".join(f"{name} {count}" for name, count in traffic["deployments"].items())
    own = f"{traffic['failed_by_candidate']} failed by a candidate itself"
    sent = f"requests sent {traffic['sent']}, lost {traffic['lost']}, {own}"
    lines += ["", f"{sent} (served by {by})"]
    lines += [f"not as it should be: {line}" for line in result["complaints"]]
    return "\n".join(lines)


def check_environment() -> None:
    """End with what to do when the scoring environment is missing."""
    if not SCORING_PYTHON.exists():
        sys.exit("the scoring environment is missing: run it through `make run`, which makes it")
