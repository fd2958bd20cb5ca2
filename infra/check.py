"""Checks the infrastructure offline: `python -m infra.check`. 1 if there is anything to say.

It is no compiler: what Azure makes of the files is seen by `bicep build` and `what-if`, which need
the network (docs/first-deployment.md).
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from infra import rules
from infra.bicep import BicepFile, Tree, objects, read_folder

FOLDER = Path(__file__).parent
_ENTRY = ("main.bicep", "subscription.bicep")


def check(folder: Path, repository: Path) -> list[str]:
    """Return every complaint about the folder; azure.yaml is expected beside it."""
    files, complaints = read_folder(folder)
    if complaints:
        return complaints  # everything else would be about the gaps
    table = json.loads((FOLDER / "resource_types.json").read_text(encoding="utf-8"))
    for file in files.values():
        complaints += [f"{file.path}: {one}" for one in _symbols(file)]
        complaints += [f"{file.path}: {one}" for one in _documented(file)]
        complaints += [f"{file.path}: {one}" for one in _modules(file, files)]
        complaints += [f"{file.path}: {one}" for one in _types(file, table)]
    complaints += _reached(files)
    complaints += rules.check(files, folder, repository)
    return complaints


def main() -> None:
    """Print the complaints."""
    complaints = check(FOLDER, FOLDER.parent)
    for one in complaints:
        print(one)  # noqa: T201 - a terminal program
    count = len(list(FOLDER.rglob("*.bicep")))
    print(f"{count} files, {len(complaints)} complaints")  # noqa: T201
    sys.exit(1 if complaints else 0)


def _symbols(file: BicepFile) -> Iterator[str]:
    for name, line in file.used.items():
        if name not in file.declared:
            yield f"line {line}: {name!r} is not declared"
    for name, kind in file.declared.items():
        if kind in {"param", "var", "type"} and name not in file.used:
            yield f"{kind} {name!r} is declared and never used"


def _documented(file: BicepFile) -> Iterator[str]:
    for kind, found in (("param", file.parameters), ("output", file.outputs)):
        for name, one in found.items():
            texts = [d["argument"] for d in one["decorators"] if d["type"] == "description"]
            if not texts or not str(texts[0]).strip():
                yield f"{kind} {name!r} has no @description"


def _modules(file: BicepFile, files: Mapping[str, BicepFile]) -> Iterator[str]:
    folder = Path(file.path).parent
    called: dict[str, BicepFile] = {}
    for symbol, path, config in file.modules():
        target = files.get((folder / path).as_posix())
        if target is None:
            yield f"module {symbol!r}: {path!r} is not there"
            continue
        called[symbol] = target
        given = set(config.get("params") or {})
        needed = {name for name, one in target.parameters.items() if one["default"] is None}
        for name in sorted(given - set(target.parameters)):
            yield f"module {symbol!r}: {path} has no parameter {name!r}"
        for name in sorted(needed - given):
            yield f"module {symbol!r}: parameter {name!r} of {path} is not given"
    yield from _outputs(file, called)


def _outputs(file: BicepFile, called: Mapping[str, BicepFile]) -> Iterator[str]:
    """Complain about outputs of modules that are asked for and not there."""
    texts = [token.text for token in file.tokens]
    for index, text in enumerate(texts):
        if text not in called:
            continue
        rest = [one for one in texts[index + 1 : index + 8] if one not in {"!", ".?"}]
        if rest[:1] == ["["]:
            rest = rest[rest.index("]") + 1 :]
        rest = [one for one in rest if one != "."]
        if rest[:1] == ["outputs"] and rest[1] not in called[text].outputs:
            line = file.tokens[index].line
            yield f"line {line}: {called[text].path} has no output {rest[1]!r}"


def _reached(files: Mapping[str, BicepFile]) -> Iterator[str]:
    """Complain about files that nothing leads to."""
    reached: set[str] = set()
    waiting = [path for path in _ENTRY if path in files]
    while waiting:
        path = waiting.pop()
        reached.add(path)
        folder = Path(path).parent
        called = ((folder / target).as_posix() for _, target, _ in files[path].modules())
        waiting += [one for one in called if one in files and one not in reached]
    yield from (f"{path}: no module leads to it" for path in sorted(set(files) - reached))


def _types(file: BicepFile, table: Mapping[str, Tree]) -> Iterator[str]:
    for symbol, declared, config in file.resources():
        name = f"{declared['type']}@{declared['api_version']}"
        node = table.get(name)
        if node is None:
            yield f"resource {symbol!r}: {name} is not in resource_types.json"
        elif not declared["existing"]:
            # Bicep's own: which resource it hangs on, what it lies on, what it waits for
            own = {"parent", "scope", "dependsOn"}
            plain = {key: value for key, value in config.items() if key not in own}
            yield from (f"resource {symbol!r}: {one}" for one in _against(plain, node, file, ""))


def _against(value: Any, node: Tree | None, file: BicepFile, path: str) -> Iterator[str]:  # noqa: ANN401 - any value
    """Hold a value against what the type table says about its place."""
    if not node:
        return
    values = node.get("values")
    if values and isinstance(value, str) and _is_literal(value, file) and value not in values:
        yield f"{path} {value!r} is not one of {', '.join(values)}"
    for found in objects(value, file):
        yield from _object(found, node, file, path)


def _is_literal(value: str, file: BicepFile) -> bool:
    return value not in file.declared and value not in _local(file) and "${" not in value


def _local(file: BicepFile) -> set[str]:
    return {token.text for token in file.tokens if token.kind == "name"} - set(file.used)


def _object(found: Tree, node: Tree, file: BicepFile, path: str) -> Iterator[str]:
    plain = {str(key).strip("'"): value for key, value in found.items()}
    below: Tree = node
    if "discriminator" in node:
        kind = plain.get(node["discriminator"])
        if kind not in node["elements"]:
            known = ", ".join(node["elements"])
            yield f"{path} {node['discriminator']} {kind!r} is not one of {known}"
            return
        below = node["elements"][kind]
    known_here = below.get("properties")
    if known_here is None:
        return
    for key, value in plain.items():
        if key not in known_here:
            yield f"{path}.{key} is not known ({_near(key, known_here)})".lstrip(".")
        else:
            yield from _against(value, known_here[key], file, f"{path}.{key}".lstrip("."))
    for key in below.get("required", ()):
        if key not in plain:
            yield f"{path}.{key} is missing".lstrip(".")


def _near(key: str, known: Iterable[str]) -> str:
    same = [one for one in known if one.lower()[:4] == key.lower()[:4]]
    return ", ".join(sorted(same)) or "nothing like it is"


if __name__ == "__main__":
    main()
