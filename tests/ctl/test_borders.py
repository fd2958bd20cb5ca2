"""Where the command line stands: what it may import, and that it can ask for all there is."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy_logic.ledger.controls import Control
from deploy_logic.ledger.operation import Act
from deploy_logic.rollout import ANSWERS as OURS
from deploy_logic.rollout import OF_PEOPLE, Phase
from rolloutctl.commands import COMMANDS
from rolloutctl.online import frame, rollouts
from rolloutctl.online.ask import WISHES

REPOSITORY = Path(__file__).parents[2]
ONLINE = sorted((REPOSITORY / "rolloutctl" / "online").glob("*.py"))
# Another name here than in the app, or none, with the reason.
NAMED = {
    Control.RESUME: "unsuspend",  # `resume` ends the pause of a rollout
    Act.RETRY: "retry",  # of the rollout that did not succeed
}


@pytest.mark.parametrize("path", ONLINE, ids=lambda path: str(path.stem))
def test_what_talks_to_an_app_knows_its_api_and_not_its_code(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {name for name in found if name and name.startswith("deploy_logic")}
    assert ours <= {"deploy_logic.duration"}


def test_looking_at_an_app_does_not_wait_for_what_policies_need() -> None:
    asked = "from rolloutctl.__main__ import main; main(['list', '--app', 'http://127.0.0.1:1'])"
    heavy = "[name for name in ('pydantic', 'azure', 're2', 'yaml') if name in sys.modules]"
    code = f"import json, sys; {asked}; print(json.dumps({heavy}))"
    done = subprocess.run(
        (sys.executable, "-c", code), cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert "Connection refused" in done.stderr
    assert json.loads(done.stdout) == []


def test_every_operation_of_people_has_a_command() -> None:
    said = [*OF_PEOPLE, *Act, *Control]
    commands = {NAMED.get(one, one.value.replace("_", "-")) for one in said}
    assert commands <= set(COMMANDS)
    assert set(frame.ANSWERS) == {one.value for one in OURS}
    assert {one.value.replace("_", "-") for one in OF_PEOPLE} - set(frame.ANSWERS) <= set(WISHES)


def test_every_phase_can_be_listed() -> None:
    shown = {phase.value for phase in Phase} - {Phase.NO_MATCH}
    assert {*rollouts.IN_FLIGHT, *rollouts.OVER} == shown
    assert set(rollouts.OVER) == {one for one in shown if Phase(one).is_over}
