"""The operations: what each command asks of the app, with a reason, and never without."""

from pathlib import Path

import pytest

from rolloutctl.exit import Exit
from rolloutctl.online.ask import WISHES
from rolloutctl.online.frame import ANSWERS
from tests.ctl.app import OPERATOR, App
from tests.ctl.conftest import Run
from tests.ctl.story import FIGURES, ID, rollout, waiting
from tests.ctl.terminal import Terminal

ASKED = [
    (("pause", "r-1"), "rollouts/r-1/pause", {}),
    (("resume", "r-1"), "rollouts/r-1/resume", {}),
    (("abort", "r-1"), "rollouts/r-1/abort", {}),
    (("promote-now", "r-1"), "rollouts/r-1/promote_now", {}),
    (("retry", "r-1"), "rollouts/r-1/retry", {}),
    (("start", "fraud", "7"), "start", {"model": "fraud", "version": "7"}),
    (
        ("start", "fraud", "7", "--policy", "p"),
        "start",
        {"model": "fraud", "version": "7", "policy": "p"},
    ),
    (("hold", "e"), "endpoints/e/hold", {}),
    (("release", "e"), "endpoints/e/release", {}),
    (
        ("release", "e", "--version", "7", "--model", "m"),
        "endpoints/e/release",
        {"version": "7", "model": "m"},
    ),
    (("revert", "e"), "endpoints/e/revert", {}),
    (("revert", "e", "--deployment", "blue"), "endpoints/e/revert", {"deployment": "blue"}),
    (("suspend", "p"), "policies/p/suspend", {}),
    (("unsuspend", "p"), "policies/p/resume", {}),
    (("stop",), "stop", {}),
    (("go-on",), "go-on", {}),
]


def test_every_wish_is_in_the_table() -> None:
    assert {given[0] for given, _, _ in ASKED} == set(WISHES)


@pytest.mark.parametrize(("given", "path", "body"), ASKED, ids=str)
def test_the_app_is_asked_for_it(
    app: App, run: Run, given: tuple[str, ...], path: str, body: dict[str, str]
) -> None:
    done = run(*given, "--reason", "why not")
    assert done.code == Exit.OK, done.err
    assert app.posts() == [(path, {**body, "reason": "why not"})]
    assert done.out.startswith(f"asked: {given[0]} ")
    assert done.out.endswith(", by oid-1\n")


@pytest.mark.parametrize("given", [given for given, _, _ in ASKED], ids=str)
def test_nothing_is_asked_without_a_reason(app: App, run: Run, given: tuple[str, ...]) -> None:
    done = run(*given)
    assert done.code == Exit.USAGE
    assert "--reason" in done.err
    assert app.asked == []


# Answers


@pytest.mark.parametrize("command", ANSWERS)
def test_an_answer_names_its_figures(app: App, run: Run, command: str) -> None:
    asks = {**waiting()["awaits"], "operations": [command]}
    app.rollouts = [waiting(awaits=asks)]
    done = run(command, ID, "--reason", "why", "--yes", "--figures", FIGURES)
    assert done.code == Exit.OK, done.err
    assert app.posts() == [(f"rollouts/{ID}/{command}", {"reason": "why", "figures": FIGURES})]
    assert done.out == f"asked: {command} {ID}, on figures {FIGURES}\n"


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        (("--yes",), Exit.USAGE, "--yes without --figures"),
        ((), Exit.USAGE, "no terminal to ask back on (--yes --figures DIGEST)"),
        (("--figures", FIGURES), Exit.USAGE, "no terminal to ask back on"),
        (("--yes", "--figures", "0ld"), Exit.REFUSED, f"on figures '{FIGURES}' now, not on '0ld'"),
    ],
)
def test_nobody_answers_blindly(
    app: App, run: Run, given: tuple[str, ...], code: Exit, says: str
) -> None:
    app.rollouts = [waiting()]
    done = run("approve", ID, "--reason", "why", *given)
    assert done.code == code
    assert says in done.err
    assert app.posts() == []


def test_what_is_not_asked_is_not_answered(app: App, run: Run) -> None:
    app.rollouts = [rollout()]
    done = run("approve", ID, "--reason", "why", "--yes", "--figures", FIGURES)
    assert done.code == Exit.REFUSED
    assert "(possible now: abort, pause, promote_now)" in done.err
    app.rollouts = [waiting()]
    done = run("adopt", ID, "--reason", "why", "--yes", "--figures", FIGURES)
    assert done.code == Exit.REFUSED
    assert app.posts() == []


@pytest.mark.parametrize(
    ("typed", "code", "posts"),
    [("yes\n", Exit.OK, 1), ("y\n", Exit.OK, 1), ("no\n", Exit.NO, 0), ("\n", Exit.NO, 0)],
)
def test_at_a_terminal_the_figures_are_shown_and_it_asks_back(
    app: App, home: Path, typed: str, code: Exit, posts: int
) -> None:
    app.rollouts = [waiting()]
    given = {"ROLLOUTCTL_APP": app.url, "ROLLOUTCTL_TOKEN": OPERATOR, "HOME": str(home)}
    with Terminal("approve", ID, "--reason", "why", size=(40, 200), given=given) as terminal:
        terminal.until(lambda text: "? (yes)" in text, "that it asks back")
        assert f"approve on figures {FIGURES}? (yes)" in terminal.text
        assert "(2 of 512, 0.1 % to 1.4 %) is at most 2 %" in terminal.text
        terminal.type(typed)
        assert terminal.end() == code
    assert len(app.posts()) == posts
