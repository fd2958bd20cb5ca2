"""`python -m bench.templates`: which public `az ml` examples load as templates, and why not.

ROLLOUT_PUBLIC_EXAMPLES names a folder with one folder per project, each a copy of its files;
nothing of them is kept here. An example is a file that its $schema or its keys show to be of an
online endpoint or deployment.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy_logic.adapters.azure_ml_template import load_complaints
from deploy_logic.template.place import TemplateComplaint, read
from deploy_logic.template.template import Kind, check_template, recognise


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One public file, what it is, and what is wrong with it as a template."""

    project: str
    path: Path
    kind: Kind
    complaints: tuple[TemplateComplaint, ...]


def find_examples(folder: Path) -> Iterator[Example]:
    """Yield every online endpoint and deployment under the folder, project by project."""
    for project in sorted(path for path in folder.iterdir() if path.is_dir()):
        for path in sorted([*project.rglob("*.yml"), *project.rglob("*.yaml")]):
            kind = _kind(path)
            if kind is not None:
                yield judge(project.name, path, kind)


def judge(project: str, path: Path, kind: Kind) -> Example:
    """Check the file as `rolloutctl check` does."""
    text = path.read_text(encoding="utf-8")
    complaints = check_template(path, text, kind=kind) + load_complaints(path, text, kind=kind)
    return Example(project=project, path=path, kind=kind, complaints=complaints)


def _kind(path: Path) -> Kind | None:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    root = read(text)
    return None if isinstance(root, TemplateComplaint) else recognise(root)


def main() -> None:
    """Print every refused example, and the table."""
    folder = os.environ.get("ROLLOUT_PUBLIC_EXAMPLES", "")
    if not Path(folder).is_dir() or not folder:
        sys.exit(f"ROLLOUT_PUBLIC_EXAMPLES: {folder!r} is not a folder of projects")
    counts: Counter[tuple[str, Kind, bool]] = Counter()
    for example in find_examples(Path(folder)):
        counts[example.project, example.kind, not example.complaints] += 1
        for one in example.complaints:
            print(f"{example.path.relative_to(folder)}:{one}")
    for project, kind in sorted({(project, kind) for project, kind, _ in counts}):
        loads, refused = counts[project, kind, True], counts[project, kind, False]
        print(f"{project:<40} {kind:<10} {loads:>3} load {refused:>3} refused")


if __name__ == "__main__":
    main()
