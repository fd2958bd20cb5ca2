"""Distils what our Bicep may say from the type tables of a checkout of Azure/bicep-types-az.

`python -m infra.resource_types CHECKOUT` writes resource_types.json: for each resource that we use,
in the version that we use, the names it knows, those it requires, and the values it lists.
"""

import json
import sys
from pathlib import Path
from typing import Any

from infra.bicep import BicepFile, Tree, objects, read_folder

FOLDER = Path(__file__).parent
TABLE = FOLDER / "resource_types.json"
_REQUIRED, _READ_ONLY = 1, 2  # flags of a property in the type tables

type Types = list[Tree]


def main() -> None:
    """Write the table."""
    checkout = Path(sys.argv[1])
    files, complaints = read_folder(FOLDER)
    if complaints:
        sys.exit("\n".join(complaints))
    table: Tree = {}
    for file in files.values():
        for _, declared, config in file.resources():
            name = f"{declared['type']}@{declared['api_version']}"
            types = _load(checkout, declared["type"], declared["api_version"])
            (kind,) = [
                one
                for one in types
                if one["$type"] == "ResourceType" and one["name"].lower() == name.lower()
            ]
            node = table.setdefault(name, {})
            if not declared["existing"]:
                _distil(types, _target(types, kind["body"]), [config], node, file)
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(table)} resource types in {TABLE.name}")  # noqa: T201 - a terminal program


def _load(checkout: Path, kind: str, version: str) -> Types:
    namespace = kind.partition("/")[0].lower()
    found: Types = []
    for path in sorted(checkout.glob(f"generated/*/{namespace}/{version}/types.json")):
        types: Types = json.loads(path.read_text(encoding="utf-8"))
        names = {str(one.get("name", "")).lower() for one in types}
        if f"{kind}@{version}".lower() in names:
            return types
        found = types
    sys.exit(f"{kind}@{version} is in no type table of {checkout} ({len(found)} types looked at)")


def _target(types: Types, reference: Tree) -> Tree:
    return types[int(reference["$ref"].rpartition("/")[2])]


def _distil(types: Types, kind: Tree, given: list[Any], node: Tree, file: BicepFile) -> None:
    """Write down what the type says about the objects that are given for it."""
    literal = [one for value in given for one in objects(value, file)]
    match kind["$type"]:
        case "ObjectType" if kind.get("properties"):
            _distil_object(types, kind["properties"], literal, node, file)
        case "DiscriminatedObjectType":
            node["discriminator"] = kind["discriminator"]
            for one in literal:
                value = one.get(kind["discriminator"], one.get(f"'{kind['discriminator']}'"))
                element = _target(types, kind["elements"][value])
                below = node.setdefault("elements", {}).setdefault(value, {})
                properties = {**kind["baseProperties"], **element["properties"]}
                _distil_object(types, properties, [one], below, file)
        case "ArrayType":
            items = [item for value in given for item in _items(value, file)]
            _distil(types, _target(types, kind["itemType"]), items, node, file)
        case "UnionType":
            values = [_target(types, one).get("value") for one in kind["elements"]]
            node["values"] = sorted(value for value in values if value is not None)


def _items(value: Any, file: BicepFile) -> list[Any]:  # noqa: ANN401 - any value
    return value if isinstance(value, list) else list(objects(value, file))


def _distil_object(
    types: Types, properties: Tree, given: list[Tree], node: Tree, file: BicepFile
) -> None:
    writable = {key: one for key, one in properties.items() if not one["flags"] & _READ_ONLY}
    node["required"] = sorted(key for key, one in writable.items() if one["flags"] & _REQUIRED)
    below = node.setdefault("properties", dict.fromkeys(sorted(writable)))
    for key, one in writable.items():
        values = [found[name] for found in given for name in (key, f"'{key}'") if name in found]
        if values:
            below[key] = below[key] or {}
            _distil(types, _target(types, one["type"]), values, below[key], file)


if __name__ == "__main__":
    main()
