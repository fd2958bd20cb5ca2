"""The pair of workspaces, one of each for all tests here, and an endpoint that serves."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.azure_ml.certificates import server_context
from tests.contract.rooms import (
    RAISES,
    SCORE,
    EmulatorRoom,
    FakeRoom,
    Room,
    a_plan,
    new_endpoint,
    set_weights,
)
from tests.local.azure_ml_lab import REAL, lab


@pytest.fixture(scope="package")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("templates")
    (folder / "code").mkdir()
    (folder / "code" / "score.py").write_text(SCORE)
    return folder


@pytest.fixture(scope="package", autouse=True)
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The emulator's folder, whose authority is trusted from here on."""
    folder = tmp_path_factory.mktemp("azure_ml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(server_context(folder / "certificates")[1]))
        # azure-ai-ml's client sets this, and with it set no other process can import the SDK:
        # named here, it is put back as it was.
        patch.delenv("AZUREML_CURRENT_CLOUD", raising=False)
        yield folder
        os.environ.pop("AZUREML_CURRENT_CLOUD", None)


@pytest.fixture(scope="package")
def emulator(data: Path, templates: Path) -> Iterator[EmulatorRoom]:
    with lab(data, program=REAL) as running:
        room = EmulatorRoom(running, templates)
        register_versions(room)
        yield room


@pytest.fixture(scope="package")
def fake(templates: Path) -> FakeRoom:
    room = FakeRoom(templates)
    register_versions(room)
    return room


@pytest.fixture(scope="package", params=["fake", "emulator"])
def room(request: pytest.FixtureRequest) -> Room:
    found: Room = request.getfixturevalue(request.param)
    return found


def register_versions(room: Room) -> None:
    room.register("1", answer="one")
    room.register("2", answer="two")
    room.register("3", answer=RAISES)


def serve(room: Room) -> str:
    endpoint = new_endpoint(room)
    for name, version in (("blue", "1"), ("green", "2"), ("red", "3")):
        room.workspace.create_deployment(a_plan(room, endpoint, name, version=version))
        room.settle(endpoint)
    set_weights(room, endpoint, blue=100)
    return endpoint


@pytest.fixture(scope="package")
def served_by_emulator(emulator: EmulatorRoom) -> str:
    return serve(emulator)


@pytest.fixture(scope="package")
def served_by_fake(fake: FakeRoom) -> str:
    return serve(fake)


@pytest.fixture
def served(room: Room, request: pytest.FixtureRequest) -> str:
    """An endpoint with blue at 100, and green and red, which raises, at 0."""
    kind = "emulator" if isinstance(room, EmulatorRoom) else "fake"
    endpoint: str = request.getfixturevalue(f"served_by_{kind}")
    set_weights(room, endpoint, blue=100)
    return endpoint
