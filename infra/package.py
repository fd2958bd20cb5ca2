"""Builds the deployment package: `python -m infra.package`. The same input gives the same bytes.

The zip holds what .funcignore leaves, and everything of requirements.txt under
.python_packages/lib/site-packages, where the Functions worker looks for it.
"""

import argparse
import compileall
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from py_compile import PycInvalidationMode

REPOSITORY = Path(__file__).parents[1]
SITE_PACKAGES = Path(".python_packages/lib/site-packages")
# The plan runs Linux on x86-64; newer tags are left to the next base image.
_PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64")
_NEVER = {"__pycache__"}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can say
_MODE = 0o100644 << 16


class PackageError(Exception):
    """The package could not be built; the message says why."""


def main() -> None:
    """Build it and say what came out."""
    parser = argparse.ArgumentParser(prog="python -m infra.package", description=__doc__)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "dist" / "app.zip")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="package-") as folder:
        try:
            stage(Path(folder))
        except PackageError as error:
            sys.exit(str(error))
        pack(Path(folder), options.out)
        count = sum(1 for _ in _files(Path(folder)))
    size = options.out.stat().st_size / 1e6
    print(f"{options.out}: {count} files, {size:.1f} MB")  # noqa: T201 - a terminal program


def stage(folder: Path, repository: Path = REPOSITORY) -> None:
    """Put the content of the package into the folder."""
    for path in shipped(repository):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(repository / path, target)
    _install(repository / "requirements.txt", folder / SITE_PACKAGES)
    _compile(folder)


def shipped(repository: Path) -> list[Path]:
    """Return the files that .funcignore leaves, relative to the repository."""
    lines = (repository / ".funcignore").read_text(encoding="utf-8").splitlines()
    # As Core Tools hold them: each line against the start of a path; see the file itself.
    ignored = tuple(line.lstrip("/") for line in lines if line.startswith("/"))
    found = []
    for path in _files(repository, ignored):
        relative = path.relative_to(repository)
        if not relative.as_posix().startswith(ignored):
            found.append(relative)
    return sorted(found)


def pack(folder: Path, out: Path) -> None:
    """Zip the folder: names in order, one time for all, so that equal content is equal bytes."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for path in sorted(_files(folder), key=lambda one: one.relative_to(folder).as_posix()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            entry.external_attr = _MODE
            entry.create_system = 3  # Unix, also where it is built elsewhere
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, path.read_bytes(), compresslevel=9)


def _files(folder: Path, ignored: tuple[str, ...] = ()) -> Iterator[Path]:
    """Give every file; the repository's big ignored folders are not even entered."""
    for root, folders, files in os.walk(folder):
        here = Path(root).relative_to(folder)
        if ignored:
            folders[:] = [
                name
                for name in folders
                if name not in _NEVER and not f"{(here / name).as_posix()}/".startswith(ignored)
            ]
        yield from (Path(root) / name for name in files)


def _install(requirements: Path, target: Path) -> None:
    platforms = [part for one in _PLATFORMS for part in ("--platform", one)]
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--requirement", str(requirements), "--target", str(target)),
        *platforms,
        *("--implementation", "cp", "--python-version", "3.13", "--only-binary", ":all:"),
        "--no-deps",  # requirements.txt has them all, pinned
        "--no-compile",  # we do, in a way that gives the same bytes each time
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        raise PackageError(f"installing {requirements.name}: {done.stderr.strip()}")
    shutil.rmtree(target / "bin", ignore_errors=True)  # scripts that name this machine's Python


def _compile(folder: Path) -> None:
    """Put bytecode beside every source that the app imports.

    The package is mounted read-only, so each start would compile two thousand modules anew.
    """
    with warnings.catch_warnings(action="ignore"):
        # Not the policies: what lies there is uploaded as it is. The answer says nothing: packages
        # bring sources for other Pythons along, which do not compile.
        for part in ("function_app.py", "deploy_logic", SITE_PACKAGES):
            path = folder / part
            one = compileall.compile_file if path.is_file() else compileall.compile_dir
            one(
                path,
                quiet=2,
                stripdir=str(folder),
                invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,  # no times in it
            )


if __name__ == "__main__":
    main()
