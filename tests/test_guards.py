"""Every guard that `make mutants` takes out stands where the table says."""

import ast

import pytest

from tests.guards import GUARDS, REPOSITORY, Guard


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_guard_stands_once_and_without_it_the_file_is_still_python(guard: Guard) -> None:
    text = (REPOSITORY / guard.path).read_text(encoding="utf-8")
    assert guard.find(text) == ""
    left = guard.remove(text)
    assert left != text
    ast.parse(left)


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_tests_that_should_notice_are_there(guard: Guard) -> None:
    assert guard.test_files
    assert [name for name in guard.test_files if not (REPOSITORY / name).is_file()] == []


def test_guards_have_names_of_their_own() -> None:
    assert len({guard.name for guard in GUARDS}) == len(GUARDS) >= 24


@pytest.mark.parametrize("text", ["", "guard guard"], ids=["gone", "twice"])
def test_guard_that_is_not_there_once_is_an_error(text: str) -> None:
    guard = Guard(name="this", file="plan.py", text="guard", without="", tests="plan")
    assert guard.find(text).startswith("this: found")
