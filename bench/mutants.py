"""`python -m bench.mutants [WORD...]`: takes guards out one at a time; says which test notices.

Works on copies of the tree, never on the tree itself. Exit code 1 when a guard is not missed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.guards import GUARDS, REPOSITORY, Guard

_LEFT_OUT = (".*", "__pycache__", "dist", "htmlcov")
_PATIENCE = 300  # seconds; a guard whose loss makes its tests go on for ever is missed too
_WORKERS = 2
_FAILED = re.compile(r"^FAILED (.+?)(?: - .*)?$", re.MULTILINE)
_SURVIVED = "SURVIVED"


def main() -> int:
    """Take out the guards whose names have one of the words in them, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="in the names of guards")
    words = parser.parse_args().words
    guards = [one for one in GUARDS if not words or any(word in one.name for word in words)]
    if not guards:
        parser.error(f"no guard is named like {' or '.join(map(repr, words))}")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trees = [_copy(Path(folder, str(number))) for number in range(_WORKERS)]
        _run_all(trees[0], guards)
        survived = sum(_report(found) for found in _try_all(trees, guards))
    print(f"\n{len(guards)} guards taken out, {survived} of them not missed")
    return 1 if survived else 0


def _copy(folder: Path) -> Path:
    shutil.copytree(REPOSITORY, folder, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
    for name in (".funcignore", ".venv"):  # which some tests read
        if (REPOSITORY / name).exists():
            (folder / name).symlink_to((REPOSITORY / name).resolve())
    return folder


def _run_all(tree: Path, guards: Iterable[Guard]) -> None:
    """Make sure that the tests pass while every guard is there."""
    files = sorted({name for guard in guards for name in guard.test_files})
    failed = _test(tree, files)
    if failed:
        sys.exit(f"with every guard in its place, {failed} fails: mend it first")


def _try_all(trees: Sequence[Path], guards: Sequence[Guard]) -> Iterable[tuple[Guard, str]]:
    free: SimpleQueue[Path] = SimpleQueue()
    for tree in trees:
        free.put(tree)

    def attempt(guard: Guard) -> tuple[Guard, str]:
        tree = free.get()
        try:
            return guard, _try(tree, guard)
        finally:
            free.put(tree)

    with ThreadPoolExecutor(len(trees)) as pool:
        yield from pool.map(attempt, guards)


def _try(tree: Path, guard: Guard) -> str:
    """Return the first test that misses the guard, or that none does."""
    path = tree / guard.path
    text = path.read_text(encoding="utf-8")
    trouble = guard.find(text)
    if trouble:
        sys.exit(f"taking out a guard: {trouble}")
    path.write_text(guard.remove(text), encoding="utf-8")
    try:
        return _test(tree, guard.test_files) or _SURVIVED
    finally:
        path.write_text(text, encoding="utf-8")


def _test(tree: Path, files: Sequence[str]) -> str:
    """Return the first test that fails, or nothing; what is no test's failure ends the program."""
    command = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *files)
    # Of two versions of a file within one second, compiled ones cannot tell which is which.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=tree,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"(not over after {_PATIENCE} s)"
    if done.returncode == 0:
        return ""
    found = _FAILED.search(done.stdout)
    if done.returncode != 1 or found is None:
        sys.exit(f"running {' '.join(files)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return found[1].removeprefix("tests/")


def _report(found: tuple[Guard, str]) -> int:
    guard, caught_by = found
    print(f"{guard.name:<62} {caught_by}", flush=True)
    return int(caught_by == _SURVIVED)


if __name__ == "__main__":
    sys.exit(main())
