"""Conditions and values of a query: read from text, and asked of a row. Pure."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<moment>datetime\([^)]*\))
    | (?P<duration>\d+(?:\.\d+)?(?:ms|d|h|m|s)\b)
    | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<name>!?[A-Za-z_$][\w]*~?)
    | (?P<sign>==|!=|=~|!~|<=|>=|<|>|\||\(|\)|,|=|-|\+|\.)
    )""",
    re.VERBOSE,
)
_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}

type Row = Mapping[str, Any]
type Value = Callable[[Row], Any]


class QueryError(Exception):
    """A query that is wrong, or that is not among what is understood here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One word of a query."""

    kind: str
    text: str


def split(text: str) -> list[Token]:
    """Cut a query into its words; comments go."""
    rest = re.sub(r"//[^\n]*", "", text)
    tokens: list[Token] = []
    place = 0
    while rest[place:].strip():
        found = _TOKEN.match(rest, place)
        if found is None or found.lastgroup is None:
            raise QueryError(f"Query could not be parsed at '{rest[place:].strip()[:20]}'")
        tokens.append(Token(kind=found.lastgroup, text=found[found.lastgroup]))
        place = found.end()
    return tokens


class Reader:
    """Reads words one after the other."""

    def __init__(self, tokens: list[Token], columns: Mapping[str, str], now: datetime) -> None:
        self._tokens = tokens
        self._place = 0
        self.columns = dict(columns)  # name and type of what the rows have at this point
        self._now = now

    def peek(self) -> str:
        """Give the next word, or nothing at the end."""
        return "" if self.is_over else self._tokens[self._place].text

    @property
    def is_over(self) -> bool:
        """Tell whether there is nothing left."""
        return self._place >= len(self._tokens)

    def next(self) -> Token:
        """Take the next word."""
        if self.is_over:
            raise QueryError("Query could not be parsed: it ends too early")
        self._place += 1
        return self._tokens[self._place - 1]

    def take(self, text: str) -> bool:
        """Take the next word if it is this one."""
        if self.peek() != text:
            return False
        self._place += 1
        return True

    def expect(self, text: str) -> None:
        """Take this very word."""
        if not self.take(text):
            raise QueryError(f"Query could not be parsed at '{self.peek()}': expected '{text}'")

    def name(self) -> str:
        """Take a name."""
        token = self.next()
        if token.kind != "name":
            raise QueryError(f"Query could not be parsed at '{token.text}': expected a name")
        return token.text

    def column(self) -> str:
        """Take the name of a column that is there."""
        name = self.name()
        if name not in self.columns:
            raise QueryError(
                f"'where' operator: Failed to resolve column or scalar expression named '{name}'"
            )
        return name

    def listed(self) -> Iterator[None]:
        """Go on as long as commas follow."""
        yield
        while self.take(","):
            yield

    # --- conditions

    def condition(self) -> Value:
        """Take alternatives."""
        parts = [self._all()]
        while self.take("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

    def _all(self) -> Value:
        parts = [self._one()]
        while self.take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)

    def _one(self) -> Value:
        if self.take("not"):
            self.expect("(")
            inner = self.condition()
            self.expect(")")
            return lambda row: not inner(row)
        if self.take("("):
            inner = self.condition()
            self.expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Value:
        left = self.value()
        if self.peek() in _AFTER_A_CONDITION:
            return left  # a function that is a condition by itself
        word = self.next().text
        if word in ("in", "!in", "in~", "!in~"):
            self.expect("(")
            values = [self.value() for _ in self.listed()]
            self.expect(")")
            equal = _COMPARE["=~" if word.endswith("~") else "=="]
            wanted = not word.startswith("!")
            return lambda row: any(equal(left(row), one(row)) for one in values) == wanted
        if word == "between":
            raise QueryError("Operator 'between' is not emulated")
        if word not in _COMPARE:
            raise QueryError(f"Operator '{word}' is not emulated")
        right = self.value()
        compare = _COMPARE[word]
        return lambda row: compare(left(row), right(row))

    # --- values

    def value(self) -> Value:
        """Take a column, a literal or a function of them, and what is under a key of it."""
        found = self._whole()
        while self.take("."):
            found = _under(self.name(), found)
        return found

    def _whole(self) -> Value:
        token = self.next()
        match token.kind:
            case "number":
                number = float(token.text) if "." in token.text else int(token.text)
                return lambda _: number
            case "text":
                text = re.sub(r"\\(.)", r"\1", token.text[1:-1])
                return lambda _: text
            case "duration" | "moment":
                read = _length if token.kind == "duration" else _moment
                fixed = read(token.text)
                return lambda _: fixed
            case "name" if self.peek() == "(":
                return self._function(token.text)
            case "name" if token.text in ("true", "false"):
                return lambda _: token.text == "true"
            case "name":
                self._place -= 1
                name = self.column()
                return lambda row: row[name]
        raise QueryError(f"Query could not be parsed at '{token.text}'")

    def _function(self, name: str) -> Value:
        self.expect("(")
        if name == "now":
            self.expect(")")
            return lambda _: self._now
        inner = self.value()
        if name == "bin":
            self.expect(",")
            size = self.value()
            self.expect(")")
            return lambda row: _bin(inner(row), size(row))
        self.expect(")")
        if name == "ago":
            return lambda row: self._now - inner(row)
        if name not in _FUNCTIONS:
            raise QueryError(f"Function '{name}' is not emulated")
        work = _FUNCTIONS[name]
        return lambda row: work(inner(row))


def _under(key: str, whole: Value) -> Value:
    def look(row: Row) -> Any:  # noqa: ANN401 - JSON is Any
        found = whole(row)
        return found.get(key) if isinstance(found, Mapping) else None

    return look


def _parse(value: object) -> Any:  # noqa: ANN401 - JSON is Any
    """Read JSON; what is none stays the text that it is."""
    try:
        return json.loads(str(value))
    except ValueError:
        return value


def _length(text: str) -> timedelta:
    found = re.fullmatch(r"([\d.]+)([a-z]+)", text)
    if found is None:
        raise QueryError(f"'{text}' is not a length of time")
    return timedelta(seconds=float(found[1]) * _UNITS[found[2]])


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.removeprefix("datetime(").rstrip(")").strip("\"' "))
    except ValueError as error:
        raise QueryError(f"'{text}' is not a date") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _integer(value: object) -> int | None:
    try:
        return int(float(str(value)))
    except ValueError:
        return None


def _bin(value: Any, size: Any) -> Any:  # noqa: ANN401 - numbers or times
    if isinstance(value, datetime) and isinstance(size, timedelta):
        seconds = value.timestamp() // size.total_seconds() * size.total_seconds()
        return datetime.fromtimestamp(seconds, UTC)
    return value // size * size


_AFTER_A_CONDITION = ("", ")", "|", ",", "and", "or")
_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "tolower": lambda value: str(value).lower(),
    "tostring": lambda value: "" if value is None else str(value),
    "toint": _integer,
    "todouble": lambda value: None if value is None else float(value),
    "parse_json": _parse,
    "isempty": lambda value: value in (None, ""),
    "isnull": lambda value: value in (None, ""),
    "isnotempty": lambda value: value not in (None, ""),
    "isnotnull": lambda value: value not in (None, ""),
}


def _pair(left: Any, right: Any) -> tuple[Any, Any]:  # noqa: ANN401 - JSON is Any
    """Make a number and a text comparable: the sample queries compare codes with texts."""
    if isinstance(left, str) != isinstance(right, str) and None not in (left, right):
        return str(left), str(right)
    return left, right


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: object, right: object) -> bool:
        if left is None or right is None:
            return False
        try:
            return test(left, right)
        except TypeError as error:
            raise QueryError(f"{left!r} and {right!r} cannot be compared") from error

    return compare


def _folded(test: Callable[[str, str], bool], *, wanted: bool = True) -> Callable[[Any, Any], bool]:
    def compare(left: object, right: object) -> bool:
        return test(str(left or "").lower(), str(right or "").lower()) == wanted

    return compare


def _has(text: str, word: str) -> bool:
    return re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", text) is not None


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: _pair(left, right)[0] == _pair(left, right)[1],
    "!=": lambda left, right: _pair(left, right)[0] != _pair(left, right)[1],
    "=~": _folded(lambda left, right: left == right),
    "!~": _folded(lambda left, right: left == right, wanted=False),
    "<": _ordered(lambda left, right: left < right),
    ">": _ordered(lambda left, right: left > right),
    "<=": _ordered(lambda left, right: left <= right),
    ">=": _ordered(lambda left, right: left >= right),
    "contains": _folded(lambda left, right: right in left),
    "!contains": _folded(lambda left, right: right in left, wanted=False),
    "startswith": _folded(lambda left, right: left.startswith(right)),
    "endswith": _folded(lambda left, right: left.endswith(right)),
    "has": _folded(_has),
    "!has": _folded(_has, wanted=False),
}
