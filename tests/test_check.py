"""`rolloutctl check`: what it prints about right and wrong folders, and its exit codes."""

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rolloutctl import check
from tests.test_policy_language import GOOD, TEN_COMPLAINTS, TEN_MISTAKES

REPOSITORY = Path(__file__).parents[1]
TEMPLATE = "instance_type: Standard_DS3_v2\ninstance_count: 1\n"


@dataclass
class Said:
    """What the command printed."""

    code: int
    out: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Runs the command as `python -m rolloutctl check` would."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def run(self, *options: str, folder: Path | None = None) -> Said:
        parser = argparse.ArgumentParser()
        check.add_arguments(parser)
        self._capsys.readouterr()
        code = check.run(parser.parse_args(["--policies", str(folder or self.folder), *options]))
        return Said(code=code, out=self._capsys.readouterr().out)


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "churn.yml").write_text(TEMPLATE)
    (tmp_path / "churn.yaml").write_text(GOOD)
    return Shell(tmp_path, capsys)


def test_right_policies_are_counted_and_that_is_all(shell: Shell) -> None:
    said = shell.run("--offline")
    assert (said.code, said.out) == (0, "1 policy, 0 errors, 0 warnings\n")


def test_a_deployment_that_could_not_stand_on_its_endpoint_is_named(shell: Shell) -> None:
    (shell.folder / "templates" / "attached.yml").write_text("compute: azureml:k8s\n")
    policy = GOOD.replace("deploy: {", "deploy: {endpoint_template: templates/attached.yml, ")
    assert policy != GOOD
    (shell.folder / "churn.yaml").write_text(policy)
    said = shell.run()
    assert said.code == 1
    assert said.out.splitlines()[0] == (
        "templates/churn.yml:1:1: type: a managed deployment on a Kubernetes endpoint "
        "(type: kubernetes, as the endpoint template names a compute)"
    )


def test_right_policies_as_json(shell: Shell) -> None:
    said = shell.run("--json")
    assert said.code == 0
    assert said.json == {"ok": True, "policies": ["churn-prod"], "complaints": []}


def test_every_complaint_comes_with_its_line_and_a_mark_under_the_place(shell: Shell) -> None:
    (shell.folder / "bad.yaml").write_text(TEN_MISTAKES)
    said = shell.run()
    assert said.code == 1
    lines = said.out.splitlines()
    assert [line for line in lines if line.startswith("bad.yaml:")] == TEN_COMPLAINTS.splitlines()
    assert lines[6:9] == [
        TEN_COMPLAINTS.splitlines()[2],
        '      version: ">= 3; < 5"',
        "                    ^",
    ]
    assert lines[-1] == "1 policy, 10 errors, 0 warnings"


def test_every_complaint_as_json(shell: Shell) -> None:
    (shell.folder / "bad.yaml").write_text(TEN_MISTAKES)
    said = shell.run("--json")
    assert (said.code, said.json["ok"], said.json["policies"]) == (1, False, ["churn-prod"])
    assert len(said.json["complaints"]) == 10
    assert said.json["complaints"][2] == {
        "kind": "error",
        "file": "bad.yaml",
        "line": 4,
        "column": 17,
        "path": "select.version",
        "given": '">= 3; < 5"',
        "expected": "a comma between comparisons",
    }


def test_a_channel_that_nobody_gave_is_a_warning_and_with_strict_an_error(shell: Shell) -> None:
    (shell.folder / "churn.yaml").write_text(f"{GOOD}announce: [teams]\n")
    said = shell.run("--json")
    assert (said.code, said.json["ok"], said.json["policies"]) == (0, True, ["churn-prod"])
    (complaint,) = said.json["complaints"]
    assert (complaint["kind"], complaint["path"]) == ("warning", "announce[0]")
    assert "warning: announce[0]: " in shell.run().out
    strict = shell.run("--json", "--strict")
    assert (strict.code, strict.json["ok"]) == (1, False)
    assert strict.json["complaints"] == [{**complaint, "kind": "error"}]


@pytest.mark.parametrize(
    ("channels", "code"), [("teams,topic", 0), (" teams ", 0), ("topic", 1), ("", 1)]
)
def test_channels_are_looked_for_among_those_that_are_given(
    shell: Shell, channels: str, code: int
) -> None:
    (shell.folder / "churn.yaml").write_text(f"{GOOD}announce: [teams]\n")
    said = shell.run("--json", "--strict", "--channels", channels)
    assert (said.code, len(said.json["complaints"])) == (code, code)


def test_the_line_is_found_whatever_ends_lines(shell: Shell) -> None:
    text = GOOD.replace("\n", "\r\n") + "owner: somebody\r\n"
    (shell.folder / "churn.yaml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    lines = shell.run().out.splitlines()
    assert lines[0].startswith("churn.yaml:5:1: owner: unknown key 'owner' (only policy, select,")
    assert lines[1:3] == ["    owner: somebody", "    ^"]


def test_a_long_line_is_shown_around_the_place(shell: Shell) -> None:
    padding = "x" * 300
    (shell.folder / "churn.yaml").write_text(f"{{a{padding}: 1, policy: x, b{padding}: 2}}\n")
    lines = shell.run().out.splitlines()
    number = next(n for n, line in enumerate(lines) if ": policy: x" in line)
    shown, mark = lines[number + 1 : number + 3]
    assert len(shown) <= 104
    assert shown[mark.index("^") :].startswith("x,")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"policy: \xff\n", "byte 0xff"),
        (b"", "0 policies, 0 errors"),
        (b"policy: [", "1 error"),
        (b"\t", "spaces: YAML does not indent with tabs"),
    ],
    ids=["not UTF-8", "nothing", "not YAML", "a tab"],
)
def test_any_file_is_answered(shell: Shell, content: bytes, says: str) -> None:
    (shell.folder / "churn.yaml").write_bytes(content)
    assert says in shell.run().out


def test_folder_that_is_none(shell: Shell) -> None:
    said = shell.run(folder=shell.folder / "none")
    assert said.code == 1
    assert said.out.startswith("none:1:1: policies: is not a folder")


@pytest.mark.parametrize(("folder", "lag"), [("policies", "3m"), ("local/demo/policies", "0s")])
def test_shipped_policies_are_right(shell: Shell, folder: str, lag: str) -> None:
    said = shell.run("--strict", "--metric-lag", lag, folder=REPOSITORY / folder)
    assert (said.code, said.out.count("\n")) == (0, 1), said.out


def test_without_templates_to_check_nothing_of_azure_is_imported(shell: Shell) -> None:
    shutil.rmtree(shell.folder / "templates")
    script = (
        "import argparse, sys\n"
        "from rolloutctl import check\n"
        "parser = argparse.ArgumentParser()\n"
        "check.add_arguments(parser)\n"
        "code = check.run(parser.parse_args(sys.argv[1:]))\n"
        "sys.exit(9 if any(name.startswith('azure.') for name in sys.modules) else code)\n"
    )
    command = [sys.executable, "-c", script, "--policies", str(shell.folder)]
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == 1
