"""The deployment package: what is in it, that it is whole, and a rollout played from it."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy_logic.api.page import KINDS
from infra.package import SITE_PACKAGES, pack, shipped, stage
from local.stack import Stack
from tests.e2e.scene import AT_ONCE, CANARY, Scene, write_policies

pytestmark = pytest.mark.e2e

REPOSITORY = Path(__file__).parents[1]
_ON_THE_PATH = "import sys; sys.path[:0] = sys.argv[1:]"


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stage the package once; the packages come from the index."""
    folder: Path = tmp_path_factory.mktemp("staged")
    stage(folder)
    return folder


@pytest.fixture(scope="module")
def package(staged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("dist") / "app.zip"
    pack(staged, out)
    return out


@pytest.fixture(scope="module")
def unzipped(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("wwwroot")
    with zipfile.ZipFile(package) as found:
        found.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def scene(unzipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("scene")
    policies = {"packed": (CANARY, ""), "queued": (AT_ONCE, "")}
    stack = Stack(
        policies=write_policies(folder / "policies", policies),
        data=folder / "data",
        pace="instant",
        settings={
            "ROLLOUT_SWEEP_SCHEDULE": "0 0 5 1 1 *",  # never while the tests run
            "ROLLOUT_EVENT_QUEUE": "model-registered",
        },
        app=unzipped,
    )
    try:
        stack.start()
        yield Scene(stack, folder)
    finally:
        stack.stop()


def test_only_what_is_shipped_is_in_it(package: Path) -> None:
    with zipfile.ZipFile(package) as found:
        names = found.namelist()
    first = {name.partition("/")[0] for name in names}
    assert first == {
        ".python_packages",
        "__pycache__",  # of function_app.py
        "dashboard",
        "deploy_logic",
        "function_app.py",
        "host.json",
        "policies",
        "requirements.txt",
    }
    assert [name for name in names if name.startswith("policies/") and name.endswith(".pyc")] == []
    ours = [name for name in names if not name.startswith(".python_packages/")]
    kinds = {name.rpartition(".")[2] for name in ours}
    page = {name.rpartition(".")[2] for name in names if name.startswith("dashboard/")}
    assert "html" in page
    assert page <= {kind.lstrip(".") for kind in KINDS}  # or it would not be served
    assert kinds - page == {"py", "pyc", "json", "yaml", "yml", "txt"}
    assert not any("settings.json" in name for name in ours)


def test_it_has_every_requirement_and_no_other(package: Path) -> None:
    lines = (REPOSITORY / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    with zipfile.ZipFile(package) as found:
        names = found.namelist()
    prefix = f"{SITE_PACKAGES.as_posix()}/"
    infos = {
        name.removeprefix(prefix).split("/")[0].removesuffix(".dist-info")
        for name in names
        if name.startswith(prefix) and ".dist-info/" in name
    }
    vendored = dict(one.rsplit("-", 1) for one in infos)
    assert {_plain(name): version for name, version in vendored.items()} == {
        _plain(name): version for name, version in pins.items()
    }


def test_the_page_says_how_large_it_is(package: Path, unzipped: Path) -> None:
    """To a twentieth: a change of ours moves a little, a new package more."""
    page = (REPOSITORY / "docs" / "first-deployment.md").read_text(encoding="utf-8")
    found = re.search(r"unzipped \| (\d+) MB; (\d+) MB in ([\d,]+) files", page)
    assert found is not None
    files = [path for path in unzipped.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    assert int(found[1]) == pytest.approx(package.stat().st_size / 1e6, rel=0.05)
    assert int(found[2]) == pytest.approx(size, rel=0.05)
    assert int(found[3].replace(",", "")) == pytest.approx(len(files), rel=0.05)
    packages = len(list((unzipped / SITE_PACKAGES).glob("*.dist-info")))
    assert f"| packages | {packages}, all of them pinned" in page


def test_the_page_says_how_much_an_event_imports(unzipped: Path) -> None:
    page = (REPOSITORY / "docs" / "first-deployment.md").read_text(encoding="utf-8")
    found = re.search(r"processor time, (\d+) modules", page)
    assert found is not None
    imported = load(unzipped, "import function_app, json, sys; print(json.dumps([*sys.modules]))")
    assert len(imported) == pytest.approx(int(found[1]), rel=0.05)
    assert not any(name.startswith("azure.ai") for name in imported)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def test_the_same_content_gives_the_same_bytes(staged: Path, package: Path, tmp_path: Path) -> None:
    for path in (staged / "policies").rglob("*.yaml"):
        os.utime(path, (0, 0))  # other times, as of another checkout
    pack(staged, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == package.read_bytes()


def test_nothing_of_this_machine_is_in_it(unzipped: Path) -> None:
    here = str(REPOSITORY).encode()
    for path in unzipped.rglob("*"):
        assert not path.is_file() or here not in path.read_bytes(), path


def test_it_is_whole(unzipped: Path) -> None:
    """The app and what it imports later load with nothing but the package on the path."""
    code = (
        "import function_app, deploy_logic.adapters.azure_ml_template, azure.identity, re2, grpc\n"
        "from deploy_logic.activities.workspace import ACTIVITIES\n"
        "import json, sys, sysconfig\n"
        "ours = {n: m.__file__ for n, m in sys.modules.items() if getattr(m, '__file__', None)}\n"
        "std = sysconfig.get_path('stdlib')\n"
        "print(json.dumps({n: f for n, f in ours.items() if not f.startswith(std)}))\n"
    )
    loaded = load(unzipped, code)
    assert len(loaded) > 1000
    elsewhere = {name: file for name, file in loaded.items() if not file.startswith(str(unzipped))}
    assert elsewhere == {}


def load(unzipped: Path, code: str) -> Any:
    """Run code with nothing but the package on the path; return the JSON of its last line."""
    paths = (str(unzipped), str(unzipped / SITE_PACKAGES))
    sample = json.loads((REPOSITORY / "local.settings.sample.json").read_text())["Values"]
    done = subprocess.run(
        # -I and -S: no environment, no working directory, no site-packages of ours
        (sys.executable, "-I", "-S", "-c", f"{_ON_THE_PATH}\n{code}", *paths),
        cwd=unzipped,
        env={**sample, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_rollout_is_played_from_it(scene: Scene, unzipped: Path) -> None:
    first = scene.register_and_end("packed")
    second = scene.register_and_end("packed")
    assert (first["phase"], second["phase"]) == ("succeeded", "succeeded")
    assert scene.weights("packed") == {"packed-v2": 100}
    # and its libraries were those of the package, not those of the tests
    maps = Path(f"/proc/{scene.stack.host.pid}/maps").read_text()
    libraries = {line.split()[-1] for line in maps.splitlines() if "cygrpc" in line}
    assert libraries
    assert all(one.startswith(str(unzipped)) for one in libraries)


def test_an_event_that_comes_by_queue_starts_a_rollout(scene: Scene) -> None:
    scene.admin("POST", "events", {"hold": True})
    version = scene.register("queued")
    event = scene.event("queued", version)
    assert put_into_queue(scene, json.dumps(event)) == 202
    assert scene.ended("queued", version)["phase"] == "succeeded"
    # what is no event is recorded and not sent again
    assert put_into_queue(scene, "nonsense") == 202
    assert put_into_queue(scene, 7) == 400  # that was no message
    scene.admin("POST", "events", {"release": True})


def put_into_queue(scene: Scene, message: object) -> int:
    """Hand a message to the function that reads the queue; return the status."""
    request = urllib.request.Request(  # noqa: S310 - the host on loopback
        f"{scene.stack.host.ready['url']}/admin/functions/on_event_queued",
        data=json.dumps({"input": message}).encode(),
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


def test_shipped_files_follow_funcignore(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    for name in ("function_app.py", "local.settings.json", "tests/x.py", "README.md"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".funcignore").write_text(
        "# a comment\n/.funcignore\n/tests/\n/local.settings.json\n"
    )
    assert [path.as_posix() for path in shipped(tmp_path)] == ["README.md", "function_app.py"]
