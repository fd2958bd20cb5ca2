"""The borders of CONTRIBUTING.md over the source itself: who imports whom, and who touches what."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.builders import WORKSPACE

REPOSITORY = Path(__file__).parents[1]
STREET = REPOSITORY / "deploy_logic"
LONGEST_FUNCTION, LONGEST_FILE = 40, 400

# Third-party packages that a module may import, beside the standard library. Street order: a module
# may import those of ours that stand above it, and no others.
THIRD_PARTY: Mapping[str, frozenset[str]] = {
    "errors": frozenset(),
    "duration": frozenset(),
    "settings": frozenset(),
    "event": frozenset(),
    "right": frozenset(),
    "pattern": frozenset({"re2"}),
    "version.scheme": frozenset({"semver"}),
    "version.integer_range": frozenset(),
    "version.semver_range": frozenset({"semver"}),
    "version.allow": frozenset({"semver"}),
    "version.rule": frozenset({"semver"}),
    "template.placeholder": frozenset({"yaml"}),
    "template.place": frozenset({"yaml"}),
    "template.template": frozenset({"yaml"}),
    "policy.tag_rule": frozenset(),
    "policy.window": frozenset({"tzdata"}),
    "policy.part": frozenset({"pydantic", "pydantic_core"}),
    "policy.strategy": frozenset({"pydantic"}),
    "policy.gate_part": frozenset({"pydantic"}),
    "policy.gate_metric": frozenset({"pydantic"}),
    "policy.gate": frozenset({"pydantic"}),
    "policy.people": frozenset({"pydantic"}),
    "policy.policy": frozenset({"pydantic"}),
    "policy.place": frozenset({"yaml"}),
    "policy.yaml": frozenset({"yaml"}),
    "policy.complaint": frozenset({"pydantic", "pydantic_core"}),
    "policy.named": frozenset({"jsonschema"}),
    "matching": frozenset(),
    "policy.overlap": frozenset(),
    "policy.files": frozenset({"pydantic", "pydantic_core"}),
    "plan.step": frozenset(),
    "plan.layout": frozenset(),
    "plan.plan": frozenset(),
    "gate.gate": frozenset({"jsonschema", "referencing"}),
    "gate.tally": frozenset(),
    "gate.metric": frozenset(),
    "gate.agreement": frozenset(),
    "gate.champion": frozenset(),
    "gate.call": frozenset(),
    "rollout": frozenset(),
    "codec": frozenset({"pydantic"}),
    "ledger.record": frozenset(),
    "ledger.answer": frozenset(),
    "ledger.end": frozenset(),
    "ledger.ledger": frozenset(),
    "ledger.drift": frozenset(),
    "ledger.operation": frozenset(),
    "ledger.controls": frozenset(),
    "ledger.turns": frozenset(),
    "view": frozenset(),
    "archive": frozenset(),
    "ports": frozenset(),
    "story.waiting": frozenset({"pydantic"}),
    "story.diary": frozenset(),
    "story.asking": frozenset(),
    "story.settling": frozenset(),
    "story.baking": frozenset(),
    "story.gating": frozenset(),
    "story.reverting": frozenset(),
    "story.orchestrator": frozenset(),
    "activities.activity": frozenset(),
    "activities.call": frozenset(),
    "activities.gate": frozenset(),
    "activities.workspace": frozenset(),
    "operations.intake": frozenset(),
    "operations.history": frozenset(),
    "operations.audit": frozenset(),
    "operations.rollouts": frozenset(),
    "operations.endpoints": frozenset(),
    "operations.policies": frozenset(),
    "operations.dry_run": frozenset(),
    "operations.replay": frozenset(),
    "operations.checks": frozenset(),
    "operations.sighting": frozenset(),
    "operations.sweep": frozenset(),
    "api.visit": frozenset(),
    "api.said": frozenset(),
    "api.page": frozenset(),
    "api.reading": frozenset(),
    "api.asking": frozenset(),
    "api.route": frozenset(),
    "api.schema": frozenset(),
    "api.openapi": frozenset(),
    "api.table": frozenset(),
    "api.door": frozenset(),
    "app": frozenset({"azure.core", "azure.identity"}),
}
ADAPTERS: Mapping[str, frozenset[str]] = {
    "arm": frozenset({"azure.core", "azure.mgmt.core"}),
    "azure_ml": frozenset({"azure.core"}),
    "azure_monitor": frozenset({"azure.core"}),
    "log_analytics": frozenset({"azure.core"}),
    "azure_ml_reason": frozenset({"yaml"}),
    "azure_ml_template": frozenset({"azure.ai.ml", "azure.core", "marshmallow", "yaml"}),
    "durable": frozenset({"azure.durable_functions", "durabletask"}),
    "durable_entity": frozenset({"durabletask"}),
    "http": frozenset({"azure.functions"}),
    "identity": frozenset(),
    "webhook": frozenset({"certifi"}),
}
ORDER = [*THIRD_PARTY, "adapters"]
# What the wiring opens when it is first needed; everything else stands above what it imports.
OPENED_LATE = {("app", "adapters")}
LOGGING = frozenset(
    {
        "activities.activity",
        "operations.intake",
        "operations.audit",
        "operations.rollouts",
        "operations.endpoints",
        "operations.sweep",
        "api.door",
        "app",
    }
)
CLOCK = frozenset(
    {"operations.endpoints", "operations.dry_run", "operations.sweep"}
)  # everybody else is told the time
# Modules whose import is enough to break a replay, or a pure function's promise.
OUTSIDE = frozenset(
    {"asyncio", "http", "io", "os", "random", "secrets", "shutil", "socket", "subprocess"}
    | {"tempfile", "threading", "time", "urllib", "uuid"}
)
OPENS_FILES = frozenset(
    {"policy.files", "policy.named", "template.template", "settings", "api.visit", "api.page"}
    | {"app"}
)
REPLAYED = (
    *(
        "story.waiting",
        "story.diary",
        "story.asking",
        "story.settling",
        "story.baking",
        "story.gating",
        "story.reverting",
    ),
    "story.orchestrator",
)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            if node.module in {"deploy_logic", "azure"} or is_room(node.module):
                yield from (f"{node.module}.{name.name}" for name in node.names)
            else:
                yield node.module


def is_room(module: str) -> bool:
    """Tell whether the module is a folder of ours, so that what is imported from it are modules."""
    return module.startswith("deploy_logic.") and REPOSITORY.joinpath(*module.split(".")).is_dir()


def ours(tree: ast.AST) -> set[str]:
    """Return the modules of ours that the tree imports; every adapter counts as `adapters`."""
    found = {name.partition(".")[2] for name in imports(tree) if name.startswith("deploy_logic.")}
    return {"adapters" if name.split(".")[0] == "adapters" else name for name in found}


def third_party(tree: ast.AST) -> set[str]:
    return {
        name
        for name in imports(tree)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "deploy_logic", "__future__"}
    }


def allowed(name: str, packages: frozenset[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def names(folder: Path) -> set[str]:
    """Return the modules under the folder as they are imported from it."""
    found = (path.relative_to(folder).with_suffix("").parts for path in folder.rglob("*.py"))
    return {".".join(parts) for parts in found if parts[-1] != "__init__"}


def source(module: str) -> ast.Module:
    return parse(STREET.joinpath(*module.split(".")).with_suffix(".py"))


def test_every_module_is_in_the_table_and_no_other() -> None:
    assert names(STREET) == {*THIRD_PARTY, *(f"adapters.{name}" for name in ADAPTERS)}


@pytest.mark.parametrize("module", THIRD_PARTY)
def test_imports_point_back_up_the_street(module: str) -> None:
    above = set(ORDER[: ORDER.index(module)])
    late = {imported for importer, imported in OPENED_LATE if importer == module}
    assert ours(source(module)) <= above | late


@pytest.mark.parametrize("module", THIRD_PARTY)
def test_module_uses_no_package_that_it_has_no_right_to(module: str) -> None:
    found = third_party(source(module))
    assert [name for name in found if not allowed(name, THIRD_PARTY[module])] == []


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_adapter_uses_its_own_package_alone(adapter: str) -> None:
    found = third_party(parse(STREET / "adapters" / f"{adapter}.py"))
    assert [name for name in found if not allowed(name, ADAPTERS[adapter])] == []


@pytest.mark.parametrize("module", sorted(set(THIRD_PARTY) - {"app"}))
def test_street_touches_nothing_outside(module: str) -> None:
    tree = source(module)
    found = {name.split(".")[0] for name in imports(tree)}
    assert found & OUTSIDE == set()
    assert "logging" not in found or module in LOGGING
    assert module in CLOCK or list(clock_reads(tree)) == []
    assert module in OPENS_FILES or "pathlib" not in found
    calls = {called(node) for node in ast.walk(tree)}
    assert calls & {"open", "print", "input", "exec", "eval"} == set()


def called(node: ast.AST) -> str:
    """Return the name of what is called, or nothing when it is no such call."""
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return ast.unparse(node).partition("(")[0] if is_call else ""


def clock_reads(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"now", "today", "utcnow"}:
            owner = node.value
            if isinstance(owner, ast.Name) and owner.id in {"datetime", "date"}:
                yield ast.unparse(node)


@pytest.mark.parametrize("module", REPLAYED)
def test_replayed_code_is_the_same_every_time(module: str) -> None:
    tree = source(module)
    found = {name.split(".")[0] for name in imports(tree)}
    assert found & (OUTSIDE | {"logging", "pathlib"}) == set()
    asynchronous = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    assert [node for node in ast.walk(tree) if isinstance(node, asynchronous)] == []
    assert list(clock_reads(tree)) == []
    over = [node.iter for node in ast.walk(tree) if isinstance(node, (ast.For, ast.comprehension))]
    assert [ast.unparse(node) for node in over if is_set(node)] == []


def is_set(node: ast.expr) -> bool:
    return isinstance(node, (ast.Set, ast.SetComp)) or called(node) in {"set", "frozenset"}


def test_the_environment_is_handed_over_once() -> None:
    readers = {
        path.name
        for path in (*STREET.rglob("*.py"), REPOSITORY / "function_app.py")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}
    }
    assert readers == {"function_app.py"}


def test_what_runs_locally_knows_nothing_of_ours() -> None:
    guilty = [
        str(path)
        for path in (REPOSITORY / "local").rglob("*.py")
        if any(name.split(".")[0] == "deploy_logic" for name in imports(parse(path)))
    ]
    assert guilty == []


def shipped_and_local() -> list[Path]:
    folders = ("deploy_logic", "local", "rolloutctl")
    return [
        REPOSITORY / "function_app.py",
        *(path for folder in folders for path in sorted((REPOSITORY / folder).rglob("*.py"))),
    ]


def test_functions_and_files_are_short() -> None:
    long = []
    for path in shipped_and_local():
        tree = parse(path)
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long.append(f"{path.name}: {node.name} has {lines} lines")
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > LONGEST_FILE:
            long.append(f"{path.name} has {lines} lines")
    assert long == []


TRIGGER = """
import importlib.util, json, sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))
import function_app
from deploy_logic.operations import intake
from tests.fakes import Clock, FakeEngine

this, engine = function_app.this, FakeEngine(Clock())
offered = intake.handle_event(
    sys.argv[1], settings=this.settings, policies=this.policies, engine=engine
)
heavy = ("azure.ai.ml", "azure.identity", "marshmallow", "deploy_logic.adapters.azure_ml")
print(json.dumps({"offered": offered, "imported": [n for n in heavy if n in sys.modules]}))
"""


def test_trigger_path_never_imports_azure_ai_ml(tmp_path: Path) -> None:
    (tmp_path / "churn.yaml").write_text(
        "policy: churn-prod\n"
        "select: {model: churn}\n"
        "deploy: {endpoint: churn, template: churn.yml}\n"
        "strategy: {kind: all-at-once}\n"
    )
    (tmp_path / "churn.yml").write_text("instance_count: 1\n")
    event = {
        "id": "e-1",
        "eventType": "Microsoft.MachineLearningServices.ModelRegistered",
        "topic": WORKSPACE,
        "subject": "models/churn:3",
        "data": {"ModelName": "churn", "ModelVersion": "3"},
    }
    environment = {"ROLLOUT_WORKSPACES": WORKSPACE, "ROLLOUT_POLICIES": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", TRIGGER, json.dumps(event)],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    answer = json.loads(done.stdout.splitlines()[-1])
    assert len(answer["offered"]) == 1
    assert answer["imported"] == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("import time\n", "time"),
        ("from uuid import uuid4\n", "uuid"),
    ],
)
def test_a_forbidden_import_would_be_seen(text: str, what: str) -> None:
    assert {name.split(".")[0] for name in imports(ast.parse(text))} & OUTSIDE == {what}


@pytest.mark.parametrize(
    ("text", "is_seen"),
    [
        ("datetime.now()", True),
        ("context.now", False),
        ("date.today()", True),
    ],
)
def test_a_look_at_the_clock_would_be_seen(text: str, *, is_seen: bool) -> None:
    assert bool(list(clock_reads(ast.parse(text)))) is is_seen


@pytest.mark.parametrize(
    ("text", "is_seen"),
    [
        ("{1, 2}", True),
        ("set(names)", True),
        ("sorted(names)", False),
        ("[name for name in {1}]", False),
    ],
)
def test_walking_over_a_set_would_be_seen(text: str, *, is_seen: bool) -> None:
    assert is_set(ast.parse(text, mode="eval").body) is is_seen
