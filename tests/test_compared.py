"""The comparison claims nothing that no test or example shows, and leaves no feature out."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
PAGE = (DOCS / "compared.md").read_text(encoding="utf-8")
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \| ([^|]+) \| (\w+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
GROUPS = 66  # features of the groups A to E; the others are told in short
LEAST_REASON = 40  # characters: less is no reason


def cited_tests(shown: str) -> list[tuple[str, str]]:
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", shown)


def cited_examples(shown: str) -> list[str]:
    return re.findall(r"\]\((examples/[\w.-]+)\)", shown)


def complain(answer: str, shown: str) -> list[str]:
    """Return what is wrong with one row: an answer, and what shows it."""
    named = [*cited_tests(shown), *cited_examples(shown)]
    prose = re.sub(r"`tests/[^`]+`|\[[^]]+\]\([^)]+\)", "", shown)
    wrong = [
        f"no such test: {file}::{name}" for file, name in cited_tests(shown) if not is_(file, name)
    ]
    wrong += [
        f"no such example: {name}" for name in cited_examples(shown) if not (DOCS / name).exists()
    ]
    if answer not in {"yes", "part", "no"}:
        wrong.append(f"no answer: {answer}")
    if answer in {"yes", "part"} and not named:
        wrong.append("nothing shows it")
    if answer == "no" and (named or len(prose) < LEAST_REASON):
        wrong.append("a no has a reason, and nothing that shows it")
    if answer == "part" and len(prose) < LEAST_REASON:
        wrong.append("a part says what is missing")
    return wrong


def is_(file: str, name: str) -> bool:
    path = REPOSITORY / file
    if not path.exists():
        return False
    found = ast.parse(path.read_text(encoding="utf-8")).body
    return name in {node.name for node in found if isinstance(node, ast.FunctionDef)}


def test_every_feature_is_there_once() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, 81))


@pytest.mark.parametrize(
    ("answer", "shown"), [row[2:4] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_what_is_shown_exists(answer: str, shown: str) -> None:
    assert complain(answer, shown) == []


def test_the_sums_are_those_of_the_rows() -> None:
    answers = [answer for number, _, answer, *_ in ROWS if int(number) <= GROUPS]
    sums = [answers.count(answer) for answer in ("yes", "part", "no")]
    for text in (PAGE, README):
        (found,) = re.findall(r"has (\d+), has (\d+) in part, and has (\d+) not", text)
        assert [int(count) for count in found] == sums


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("yes", ""),
        ("yes", "it is so, believe me, whatever you may think of it"),
        ("yes", "`tests/test_compared.py::test_that_nobody_wrote`"),
        ("yes", "`tests/test_nothing.py::test_every_feature_is_there_once`"),
        ("yes", "[nothing.yaml](examples/nothing.yaml)"),
        ("part", "`tests/test_compared.py::test_every_feature_is_there_once`"),
        ("no", "not built"),
        ("almost", "`tests/test_compared.py::test_every_feature_is_there_once`"),
    ],
)
def test_what_is_not_shown_is_noticed(answer: str, shown: str) -> None:
    assert complain(answer, shown)
