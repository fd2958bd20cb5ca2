"""Step 2 of 5: the files that a policy names are read along, with a complaint about each bad one.

Paths are relative to the policy file. They may lead out of its folder, as several folders of
policies share their templates, but not out of the app: what is outside is not shipped with it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from deploy_logic.policy.complaint import point
from deploy_logic.policy.part import Wrong
from deploy_logic.policy.place import Document, quote
from deploy_logic.policy.place import Path as Way
from deploy_logic.template.template import read_compute

if TYPE_CHECKING:
    from deploy_logic.errors import Complaint

LONGEST_FILE = 100_000  # characters: they travel in durable payloads
_PATH = "a file, as a path from the policy's own folder"
_FILES = {"probe": ("request", "requests"), "agreement": ("requests",), "logs": ("query",)}
_APP = "host.json"  # stands at the root of a Function App


class Texts(TypedDict):
    """What was read, by what it is for."""

    folder: str
    template: str
    endpoint_template: str
    requests: dict[str, str]
    schemas: dict[str, str]
    queries: dict[str, str]


def find_root(folder: Path) -> Path:
    """Return the folder that no path may leave: the app's, or the policies' own where none is."""
    own = folder.resolve()
    return next((one for one in (own, *own.parents) if (one / _APP).is_file()), own)


class NamedFiles:
    """Reads what one policy names, and collects what is wrong."""

    def __init__(self, file: str, document: Document, folder: Path, root: Path) -> None:
        """Keep where to look, and where not to."""
        self.complaints: list[Complaint] = []
        self._file = file
        self._document = document
        self._folder = folder
        self._root = root

    def read(self) -> Texts:
        """Return the texts of the files that can be used."""
        texts = Texts(
            folder="", template="", endpoint_template="", requests={}, schemas={}, queries={}
        )
        for way, name in _named(self._document.value):
            text = self._read_one(way, name)
            if text is None:
                continue
            match way[-1]:
                case "template":
                    texts["template"] = text
                    texts["folder"] = str(self._folder / Path(name).parent)
                case "endpoint_template":
                    texts["endpoint_template"] = text
                case "request" | "requests":
                    texts["requests"][name] = text
                case "schema":
                    texts["schemas"][name] = text
                case _:
                    texts["queries"][name] = text
        self._refuse_mirror(texts["template"])
        return texts

    def _read_one(self, way: Way, name: str) -> str | None:
        try:
            text = self._open(name)
            _check_text(way, name, text)
        except _Unusable as unusable:
            self._complain(way, unusable.given, unusable.expected)
        except OSError as error:
            self._complain(way, f"{name!r}: {error.strerror}", _PATH)
        except UnicodeDecodeError as error:
            self._complain(way, f"{name!r}: byte {error.start} is not UTF-8", "text in UTF-8")
        except (ValueError, RuntimeError) as error:  # such as links in a circle
            self._complain(way, f"{name!r}: {error}", _PATH)
        else:
            return text
        return None

    def _open(self, name: str) -> str:
        target = self._folder / name
        if Path(name).is_absolute() or "\\" in name or not name.isprintable():
            raise _Unusable(f"{_PATH}, with / between folders and none in front")
        if not target.resolve().is_relative_to(self._root):
            raise _Unusable(f"{_PATH} to one inside of the app")
        size = target.stat().st_size
        text = target.read_text(encoding="utf-8") if size <= LONGEST_FILE * 4 else ""
        if (not text and size) or len(text) > LONGEST_FILE:
            given = f"{name!r} has {len(text) or size} characters"
            raise _Unusable(f"at most {LONGEST_FILE}", given=given)
        return text

    def _refuse_mirror(self, template: str) -> None:
        strategy = self._document.value.get("strategy")
        is_asked = isinstance(strategy, dict) and strategy.get("mirror") is not None
        if is_asked and read_compute(template) == "kubernetes":
            expected = "no mirror: Kubernetes endpoints have none, and the template is for one"
            self._complain(("strategy", "mirror"), "", expected)

    def _complain(self, way: Way, given: str, expected: str) -> None:
        wrong = Wrong(given=quote(given), expected=expected)
        self.complaints.append(point(self._file, self._document.place, way, wrong))


class _Unusable(Exception):  # noqa: N818 - carries a complaint to its place, nothing else
    """What a file holds is not what its use needs."""

    def __init__(self, expected: str, *, given: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.given = given


def _named(value: dict[str, Any]) -> Iterator[tuple[Way, str]]:
    """Give every file that the document names, with the way to its name; also of a wrong policy."""
    gates = value.get("gates")
    places: list[tuple[Way, tuple[str, ...]]] = [(("deploy",), ("template", "endpoint_template"))]
    for number, gate in enumerate(gates if isinstance(gates, list) else ()):
        kind = gate.get("kind") if isinstance(gate, dict) else None
        places.append((("gates", number), _FILES.get(kind, ()) if isinstance(kind, str) else ()))
        if kind == "probe":
            places.append((("gates", number, "expect"), ("schema",)))
    for way, keys in places:
        around = _follow(value, way)
        for key in keys if isinstance(around, dict) else ():
            name = around.get(key)
            if isinstance(name, str) and name:
                yield (*way, key), name


def _follow(value: Any, way: Way) -> Any:  # noqa: ANN401 - JSON
    for part in way:
        value = value.get(part) if isinstance(value, dict) else value[part]
    return value


def _check_text(way: Way, name: str, text: str) -> None:
    match way[-1]:
        case "request":
            _read_json(name, text, 1)
        case "requests":
            lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
            if not lines:
                given = f"{name!r} has no line"
                raise _Unusable("one JSON value in each line, and at least one", given=given)
            for number, line in lines:
                _read_json(name, line, number)
        case "schema":
            _check_schema(name, _read_json(name, text, 1))
        case "query" if not text.strip():
            raise _Unusable("a query of the logs, as in the portal", given=f"{name!r} is empty")
        case _:
            pass


def _read_json(name: str, text: str, line: int) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        given = f"{name!r}, line {line + error.lineno - 1}, column {error.colno}: {error.msg}"
        raise _Unusable("JSON: it is sent as application/json", given=given) from error
    except (ValueError, RecursionError) as error:
        raise _Unusable("JSON that can be read", given=f"{name!r}, line {line}: {error}") from error


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _check_schema(name: str, schema: object) -> None:
    # a tenth of a second to import, and few policies have one
    from jsonschema import SchemaError, validators  # noqa: PLC0415

    if not isinstance(schema, dict | bool):
        raise _Unusable("a JSON Schema, which is an object", given=f"{name!r} holds another value")
    try:
        validators.validator_for(schema).check_schema(schema)
    except SchemaError as error:
        place = error.json_path.removeprefix("$.")
        given = f"{name!r}, {place}: {error.message}"
        raise _Unusable("a JSON Schema", given=given) from error
