"""`python -m local.azure_ml`: run the emulator until it is told to stop."""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from local.azure_ml import pace
from local.azure_ml.control import Quotas
from local.azure_ml.event_types import Dialect
from local.azure_ml.pace import PACES, Durations
from local.azure_ml.scoring.echo import EchoPool
from local.azure_ml.scoring.front import DataPlane, Servers
from local.azure_ml.scoring.pool import ServerPool
from local.azure_ml.server import Emulator, MakeFront, Settings
from local.azure_ml.workspace import Workspace
from local.process import announce, stop_with_stdin

_CLOUD_KEYS = (
    "azure_portal",
    "resource_manager",
    "active_directory",
    "aml_resource_id",
    "storage_endpoint",
    "registry_discovery_endpoint",
)
_SCORING_PYTHON = Path(__file__).parents[2] / ".venv-scoring" / "bin" / "python"


def main() -> int:
    """Run the emulator with real scoring servers."""
    given = arguments().parse_args()
    if given.servers == "echo":
        return run(given, _make_echo)
    if not given.scoring_python.exists():
        print(
            f"scoring environment: no python at {given.scoring_python} (make it from"
            " requirements-scoring.txt, or name another one with --scoring-python)",
            file=sys.stderr,
        )
        return 1

    def make(settings: Settings) -> Emulator:
        pool = ServerPool(root=settings.data / "scoring", python=given.scoring_python)
        return Emulator(settings, pool=pool, make_front=_front(pool))

    return run(given, make)


def _make_echo(settings: Settings) -> Emulator:
    pool = EchoPool()
    return Emulator(settings, pool=pool, make_front=_front(pool))


def _front(pool: Servers) -> MakeFront:
    return lambda lookup, observe: DataPlane(pool, lookup, observe=observe)


def run(given: argparse.Namespace, make: Callable[[Settings], Emulator]) -> int:
    """Run an emulator on the folder of the arguments, or on one that goes away with it."""
    if given.stop_with_stdin:
        stop_with_stdin()
    if given.data is not None:
        return asyncio.run(_serve(given, make, given.data.absolute()))
    with tempfile.TemporaryDirectory(prefix="azure-ml-") as folder:
        return asyncio.run(_serve(given, make, Path(folder)))


async def _serve(
    given: argparse.Namespace, make: Callable[[Settings], Emulator], data: Path
) -> int:
    try:
        emulator = make(_settings(given, data))
    except OSError as error:
        print(f"listening on port {given.port or 'of the last start'}: {error}", file=sys.stderr)
        return 1
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await emulator.start()
    ours = emulator.workspace
    announce(
        url=ours.base_url,
        ca=str(emulator.ca),
        subscription=ours.subscription,
        resource_group=ours.resource_group,
        workspace=ours.name,
        location=ours.location,
        workspace_id=ours.id,
        identity_endpoint=f"{ours.base_url}/msi/token",
        identity_header=emulator.identity.header,
        pid=os.getpid(),
    )
    if not given.stop_with_stdin:
        introduce(
            ours, emulator.ca, emulator.identity.header
        )  # a child's parent has the line above
    await stopped.wait()
    await emulator.stop()
    return 0


def _settings(given: argparse.Namespace, data: Path) -> Settings:
    return Settings(
        data=data,
        port=given.port,
        pace=given.pace,
        subscription=given.subscription,
        resource_group=given.resource_group,
        workspace=given.workspace,
        location=given.location,
        dialect=given.event_dialect,
        event_scale=given.event_scale,
        raises_deployed=given.raise_model_deployed,
        quotas=Quotas(
            endpoints=given.endpoint_quota,
            deployments=given.deployment_quota,
            cores=given.core_quota,
        ),
    )


def _pace(text: str) -> Durations:
    try:
        return pace.read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def introduce(ours: Workspace, ca: Path, header: str) -> None:
    """Tell a person on standard error how to use what has started."""
    cloud = dict.fromkeys(_CLOUD_KEYS, ours.base_url)
    cloud["storage_endpoint"] = ours.base_url.removeprefix("https://")
    print(
        f"""
Azure ML workspace {ours.name!r} at {ours.base_url}; end it with Ctrl-C.

  export REQUESTS_CA_BUNDLE={ca}

azure-ai-ml, with any object that has get_token() as its credential:

  MLClient(credential, {ours.subscription!r}, {ours.resource_group!r}, {ours.name!r},
           cloud="LocalAml", cloud_metadata={cloud!r})

az:

  export IDENTITY_ENDPOINT={ours.base_url}/msi/token IDENTITY_HEADER={header}
  az cloud register -n LocalAml --endpoint-resource-manager {ours.base_url} \\
     --endpoint-active-directory {ours.base_url} \\
     --endpoint-active-directory-resource-id {ours.base_url} \\
     --suffix-storage-endpoint {cloud["storage_endpoint"]}
  az cloud set -n LocalAml && az login --identity

docs/emulator.md has the rest.
""",
        file=sys.stderr,
        flush=True,
    )


def arguments() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="python -m local.azure_ml", description=__doc__)
    default = Settings(data=Path())
    parser.add_argument("--data", type=Path, help="folder of everything kept (a temporary one)")
    parser.add_argument("--port", type=int, default=0, help="0: as at the last start, or any")
    parser.add_argument(
        "--pace",
        type=_pace,
        metavar="NAME[,KEY=SECONDS...]",
        help=f"of {', '.join(PACES)}; as at the last start, or instant",
    )
    parser.add_argument(
        "--servers",
        choices=("real", "echo"),
        default="real",
        help="echo: every deployment answers what it was asked, and no model is loaded",
    )
    parser.add_argument("--scoring-python", type=Path, default=_SCORING_PYTHON)
    parser.add_argument("--subscription", default=default.subscription)
    parser.add_argument("--resource-group", default=default.resource_group)
    parser.add_argument("--workspace", default=default.workspace)
    parser.add_argument("--location", default=default.location)
    parser.add_argument(
        "--event-dialect", type=Dialect, choices=list(Dialect), default=default.dialect
    )
    parser.add_argument(
        "--event-scale", type=float, default=default.event_scale, help="of the retry schedule"
    )
    parser.add_argument(
        "--raise-model-deployed",
        action="store_true",
        help="an event for every deployment that comes up; Azure may raise none",
    )
    parser.add_argument("--endpoint-quota", type=int, default=default.quotas.endpoints)
    parser.add_argument("--deployment-quota", type=int, default=default.quotas.deployments)
    parser.add_argument("--core-quota", type=int, default=default.quotas.cores)
    parser.add_argument("--stop-with-stdin", action="store_true", help="end with the parent")
    return parser


if __name__ == "__main__":
    sys.exit(main())
