"""The pages say what the code has: every name a user meets, and no link, command or test amiss."""

import ast
import importlib.util
import json
import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from deploy_logic.activities.workspace import ACTIVITIES
from deploy_logic.api.page import KINDS
from deploy_logic.api.route import JSON, PREFIX, Route
from deploy_logic.api.said import MOST_ROLLOUTS
from deploy_logic.api.table import ROUTES
from deploy_logic.gate.gate import Verdict
from deploy_logic.ledger.controls import Control
from deploy_logic.ledger.operation import Act
from deploy_logic.ledger.record import Reply
from deploy_logic.operations.replay import MOST_EVENTS
from deploy_logic.policy.files import load_policies, read_policies
from deploy_logic.policy.policy import Policy
from deploy_logic.right import Right
from deploy_logic.rollout import OF_PEOPLE, Operation, Phase

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
PAGES = {
    str(path.relative_to(REPOSITORY)): path.read_text(encoding="utf-8")
    for path in sorted(
        [
            *DOCS.rglob("*.md"),
            *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        ]
    )
}
OPERATING = PAGES["docs/operating.md"]
API = PAGES["docs/http-api.md"]
HOW = PAGES["docs/how-it-works.md"]
REFERENCE = PAGES["docs/policy-reference.md"]
ENDPOINTS = PAGES["docs/endpoints.md"]
ENDPOINT_ACTS = frozenset(act.value for act in Act)
CONTROLS = frozenset(control.value for control in Control)
SHIPPED = {
    "function_app.py",
    "host.json",
    "requirements.txt",
    "deploy_logic",
    "dashboard",
    "policies",
}
# The words of the house; a page that loses one, or spells it otherwise, is noticed here.
TERMS = """
event; model version; policy; selector; version rule; match; no match; workspace; endpoint;
deployment; stable; candidate; rollout; rollout id; strategy; plan; step; weight; shift; mirror;
probe; bake; gate; metric; measurement; threshold; verdict; approval; decision; deadline; snapshot;
operation; phase; advance; promote; abort; roll back; revert; retire; supersede; suspend; pause;
failed; errored; timeline; ledger; offer; quarantine; sweep; figures; announcement; channel
"""


def in_first_column(page: str) -> set[str]:
    """Return what stands in backticks or bold in the first column of the page's tables."""
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ")]
    return {
        name.strip("`*") for cell in cells for name in re.findall(r"`[^`]+`|\*\*[^*]+\*\*", cell)
    }


def section(page: str, heading: str) -> str:
    """Return the part of the page under a heading, up to the next one of its level or above."""
    level = heading.partition(" ")[0]
    found = re.search(
        rf"^{re.escape(heading)}$\n(.*?)(?=^#{{1,{len(level)}}} |\Z)",
        page,
        re.DOTALL | re.MULTILINE,
    )
    assert found is not None, f"no section {heading!r}"
    return found[1]


# What the code has


def settings() -> set[str]:
    sample = json.loads((REPOSITORY / "local.settings.sample.json").read_text())["Values"]
    code = (REPOSITORY / "deploy_logic" / "settings.py").read_text()
    app = (REPOSITORY / "function_app.py").read_text()
    return {*sample, *re.findall(r"\bROLLOUT_[A-Z_]+\b", code + app)}


def activity_states() -> set[str]:
    """Return what activities/workspace.py puts under `state`, at once or by way of a variable."""
    tree = ast.parse((REPOSITORY / "deploy_logic" / "activities" / "workspace.py").read_text())
    values: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            values += [value for key, value in pairs if getattr(key, "value", None) == "state"]
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "state":
            values.append(node.value)
    ends = [end for value in values for end in _ends(value)]
    return {str(end.value) for end in ends if isinstance(end, ast.Constant)}


def _ends(value: ast.expr) -> list[ast.expr]:
    return [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]


def routes() -> set[str]:
    """Return `METHOD /api/route` for every route; test_function_app holds them to the app."""
    return {route.place for route in ROUTES}


def host_json() -> dict[str, Any]:
    """Return every key of host.json with dots, and its value."""

    def walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(inner, f"{path}.{key}" if path else key)
        else:
            yield path, value

    return dict(walk(json.loads((REPOSITORY / "host.json").read_text()), ""))


def policy_keys() -> set[str]:
    """Return every key of the policy language, with dots and [] for items of a list."""

    def walk(kind: Any, path: str) -> Iterator[str]:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for field, info in kind.model_fields.items():
                name = info.alias or field
                below = f"{path}.{name}" if path else name
                yield below
                yield from walk(info.annotation, below)
            return
        arguments = get_args(kind)
        is_list = getattr(kind, "__origin__", None) is tuple
        for argument in arguments:
            yield from walk(argument, f"{path}[]" if is_list else path)

    return set(walk(Policy, ""))


def log_lines() -> dict[str, set[str]]:
    """Return every text that deploy_logic logs, by the level it is logged at."""
    found: dict[str, set[str]] = {}
    for path in (REPOSITORY / "deploy_logic").rglob("*.py"):
        for level, text in re.findall(r"_LOG\.(\w+)\(\s*\"([^\"]+)\"", path.read_text()):
            found.setdefault(level.replace("exception", "error"), set()).add(text)
    return found


def make_targets() -> set[str]:
    makefile = (REPOSITORY / "Makefile").read_text()
    return set(re.findall(r"^([a-z0-9]+):.*##", makefile, re.MULTILINE))


# What the pages say


def test_what_is_collected_is_not_empty() -> None:
    """The tests below would hold of nothing; these are what each must have found at least."""
    assert {"ROLLOUT_WORKSPACES", "AzureWebJobsStorage"} <= settings()
    assert {"done", "working", "busy", "failed", "broke"} <= activity_states()
    assert {"GET /api/rollouts", "POST /api/rollouts/{rollout_id}/{operation}"} <= routes()
    assert {"select.tags", "strategy.steps[].bake", "gates[].expect.equals"} <= policy_keys()
    assert "swept" in log_lines()["info"]
    assert "run" in make_targets()


def test_every_setting_has_its_row_and_no_other() -> None:
    assert in_first_column(section(OPERATING, "## App settings")) == settings()


def test_defaults_of_settings_are_those_of_the_sample() -> None:
    sample = json.loads((REPOSITORY / "local.settings.sample.json").read_text())["Values"]
    table = section(OPERATING, "## App settings")
    for name in settings() - {"ROLLOUT_WORKSPACES"} - {key for key in sample if not sample[key]}:
        (row,) = [line for line in table.splitlines() if line.startswith(f"| `{name}` |")]
        assert f"`{sample[name]}`" in row


def test_every_host_json_key_has_its_row_with_its_value() -> None:
    table = section(OPERATING, "## host.json")
    rows = {f"| `{key}` | `{_written(value)}` |" for key, value in host_json().items()}
    found = {line.rsplit(" | ", 1)[0] + " |" for line in table.splitlines() if line[:3] == "| `"}
    assert found == rows


def _written(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool | int) else str(value)


def test_every_route_has_its_section_and_no_other() -> None:
    headings = re.findall(r"^### ([A-Z]+ /.+)$", API, re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert set(headings) == routes()
    assert host_json()["extensions.http.routePrefix"] == PREFIX.strip("/")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_s_section_says_who_may_and_what_may_come(route: Route) -> None:
    """The right, the parameters with their bounds, and what kind the answer is."""
    part = section(API, f"### {route.place}")
    right = route.right.value if route.right is not None else ""
    who = "nobody" if route.is_open else right or "any signed-in"
    assert f"Right: {who}." in part
    assert {one.name for one in route.query} <= in_first_column(part)
    told = re.findall(r"^\| (\d{3}) \|", part, re.MULTILINE)
    assert {int(status) for status in told} <= set(route.statuses)
    if route.kind not in {JSON, "*/*"}:  # of any kind
        assert f"`{route.kind}`" in part


def test_the_api_s_page_says_how_many_are_on_a_page_and_in_a_replay() -> None:
    assert f"1 to {MOST_ROLLOUTS}" in section(API, "### GET /api/rollouts")
    assert f"at most {MOST_EVENTS}" in section(API, "### POST /api/replay")


def test_the_api_s_page_has_every_kind_of_file_of_the_dashboard() -> None:
    part = section(API, "### GET /api/dashboard/{file}")
    assert set(re.findall(r"`(\.\w+)`", part)) == set(KINDS)


@pytest.mark.parametrize("right", list(Right))
def test_every_right_is_explained(right: Right) -> None:
    assert right.value in in_first_column(section(API, "## Who may do what"))


def test_every_log_line_has_its_row_at_its_level() -> None:
    rows = re.findall(r"^\| (\w+) \| `([^`]+)` \|", section(OPERATING, "## Logs"), re.MULTILINE)
    assert set(rows) == {(level, text) for level, texts in log_lines().items() for text in texts}


def test_every_ledger_answer_has_its_row_and_no_other() -> None:
    answers = {*in_first_column(section(ENDPOINTS, "## Answers to an offer"))}
    lines = {*in_first_column(section(ENDPOINTS, "## Other lines"))}
    assert answers & lines == set()
    assert answers | lines == {reply.value for reply in Reply}


@pytest.mark.parametrize("table", [ENDPOINT_ACTS, CONTROLS], ids=["endpoint", "control"])
def test_every_act_of_people_has_its_row(table: Collection[str]) -> None:
    assert set(table) <= in_first_column(section(ENDPOINTS, "## What people may ask"))


def test_every_phase_has_its_row_in_order() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section(HOW, "## The phases"), re.MULTILINE)
    assert rows == [phase.value for phase in Phase]


def test_every_activity_and_state_has_its_row() -> None:
    part = section(HOW, "## The activities")
    assert in_first_column(part) == {*ACTIVITIES, *activity_states()}


@pytest.mark.parametrize("operation", list(Operation))
def test_every_operation_is_explained(operation: Operation) -> None:
    assert f"| `{operation.value}` |" in section(HOW, "## The operations")


@pytest.mark.parametrize("operation", OF_PEOPLE)
def test_every_operation_of_people_has_its_row_at_the_route(operation: Operation) -> None:
    heading = "### POST /api/rollouts/{rollout_id}/{operation}"
    assert operation.value in in_first_column(section(API, heading))


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_is_explained(verdict: Verdict) -> None:
    assert f"`{verdict.value}`" in section(HOW, "## The story of a rollout")


def test_every_promise_has_its_row() -> None:
    rows = re.findall(r"^\| (P\d+) \|", section(HOW, "## The promises"), re.MULTILINE)
    assert rows == [f"P{number}" for number in range(1, 13)]


def test_every_policy_key_has_its_row() -> None:
    table = in_first_column(section(REFERENCE, "## Keys"))
    leaves = {key for key in policy_keys() if not _has_parts(key)}
    assert leaves <= table
    assert table <= policy_keys()


def _has_parts(key: str) -> bool:
    """Whether the key only holds others, which have rows of their own."""
    return any(other.startswith(f"{key}.") for other in policy_keys())


def test_every_make_target_is_in_the_readme_and_no_other() -> None:
    named = re.findall(r"^\| `make (\w+)` \|", PAGES["README.md"], re.MULTILINE)
    assert set(named) == make_targets()


def test_the_glossary_has_every_term() -> None:
    terms = {term.strip() for term in TERMS.replace("\n", " ").split(";")}
    assert terms <= in_first_column(PAGES["docs/glossary.md"])


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _without_code(PAGES[page])):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (REPOSITORY / page).parent / name if name else REPOSITORY / page
        assert path.exists(), target
        if anchor:
            assert anchor in _anchors(path.read_text(encoding="utf-8")), target


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def _anchors(text: str) -> set[str]:
    """Return the anchors that the page's headings get: lower case, dashes, no punctuation."""
    headings = re.findall(r"^#+ (.+)$", _without_code(text), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def test_every_module_that_a_command_names_can_be_run() -> None:
    named = {name for text in PAGES.values() for name in re.findall(r"python -m ([\w.]+)", text)}
    assert "local.azure_ml" in named
    for name in sorted(named):
        package = importlib.util.find_spec(f"{name}.__main__") if _is_package(name) else None
        assert package or importlib.util.find_spec(name), name


def _is_package(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.submodule_search_locations is not None


def test_every_test_that_is_cited_exists() -> None:
    cited = {
        place for text in PAGES.values() for place in re.findall(r"(tests/[\w/]+\.py)::(\w+)", text)
    }
    assert cited
    for file, name in sorted(cited):
        tree = ast.parse((REPOSITORY / file).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name


def test_the_layout_shows_what_is_there() -> None:
    tree = section(PAGES["CONTRIBUTING.md"], "## Layout: one street").split("```")[1]
    shown = set(_paths(tree))
    for path in shown:
        assert list(path.parent.glob(path.name)), path
    street = {path for path in (REPOSITORY / "deploy_logic").rglob("*.py") if path.stem[0] != "_"}
    assert street <= shown


def _paths(tree: str) -> Iterator[Path]:
    """Return the paths of a tree drawn with four characters per level."""
    above: list[Path] = [REPOSITORY]
    for line in tree.splitlines():
        found = re.match(r"((?:[│ ] {3})*)[├└]── (\S+)", line)
        if found is not None:
            depth = len(found[1]) // 4
            path = above[depth] / found[2].rstrip("/")
            above[depth + 1 :] = [path]
            yield path


@pytest.mark.parametrize("page", ["README.md", "docs/policy-reference.md"])
def test_the_policy_shown_loads(page: str, tmp_path: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)
    (text,) = [block for block in blocks if block.startswith("policy:")]
    for folder in ("templates", "requests", "code"):
        shutil.copytree(REPOSITORY / "policies" / folder, tmp_path / folder)
    (tmp_path / "shown.yaml").write_text(text)
    (loaded,) = load_policies(tmp_path)
    assert loaded.policy.policy == "fraud-prod"


def test_the_complaints_shown_are_those_about_the_file_shown(tmp_path: Path) -> None:
    part = section(REFERENCE, "## Complaints")
    found = re.search(r"^```yaml\n(.*?)^```\n\n```\n(.*?)^```", part, re.DOTALL | re.MULTILINE)
    assert found is not None
    (tmp_path / "bad.yaml").write_text(found[1])
    complaints = read_policies(tmp_path).complaints
    assert "".join(f"{complaint}\n" for complaint in complaints) == found[2]


def test_the_policy_of_the_readme_is_the_shipped_one() -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```", PAGES["README.md"], re.DOTALL | re.MULTILINE)
    assert yaml.safe_load(text) == yaml.safe_load(
        (REPOSITORY / "policies" / "fraud-prod.yaml").read_text()
    )


def test_what_is_shipped_is_what_the_app_needs() -> None:
    lines = (REPOSITORY / ".funcignore").read_text().splitlines()
    left_out = [line.lstrip("/") for line in lines if line.startswith("/")]
    assert {".git/", ".local/", ".venv/", ".venv-scoring/", "local.settings.json"} <= {*left_out}
    there = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in REPOSITORY.iterdir()
        if not path.name.startswith(".")  # editors and tools leave some of their own
    }
    # Core Tools take a line as the beginning of a path, so `local` would leave out `local.x` too.
    shipped = {path for path in there if not any(path.startswith(line) for line in left_out)}
    assert {path.rstrip("/") for path in shipped} == SHIPPED


def test_what_the_demo_printed_is_shown() -> None:
    """Each version with its end, and the sums: the figures are other ones in every run."""
    (shown,) = [one for one in PAGES["README.md"].split("```") if "requests sent" in one]
    for version, phase in (("v1", "succeeded"), ("v2", "succeeded"), ("v3", "failed")):
        assert re.search(rf"^fraud-detector {version} +{phase} ", shown, re.MULTILINE)
    assert "lost 0" in shown
    assert re.search(
        r"^ *\d+\.\d s  fraud v3 +weights read back: fraud-detector-v2 100$", shown, re.MULTILINE
    )
