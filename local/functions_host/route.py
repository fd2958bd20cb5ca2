"""Route templates of HTTP triggers: `items/{id:int}/{*rest}` as a test of a path. Pure."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

_PARAMETER = re.compile(r"(?P<slash>/?)\{(?P<body>(?:[^{}]|\{\{|\}\})+)\}")
_NAME = re.compile(r"(?P<stars>\*{0,2})(?P<name>[^:?=]+)(?P<rest>.*)", re.DOTALL)
_CONSTRAINT = re.compile(r":(?P<name>\w+)(?:\((?P<argument>(?:[^()]|\([^()]*\))*)\))?")

type Check = Callable[[str], bool]


class RouteError(ValueError):
    """A template this host cannot read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parameter:
    name: str
    checks: tuple[Check, ...]
    default: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A parsed template: `match` gives the parameters of a path, or None."""

    template: str
    pattern: re.Pattern[str]
    parameters: tuple[_Parameter, ...]
    precedence: tuple[int, ...]  # smaller is more specific: tried first

    def match(self, path: str) -> dict[str, str] | None:
        """Return the route parameters when the (decoded) path fits."""
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        values: dict[str, str] = {}
        for parameter, text in zip(self.parameters, found.groups(), strict=True):
            value = text or parameter.default
            if value is None:
                continue  # an optional one that is not there
            if not all(check(value) for check in parameter.checks):
                return None
            values[parameter.name] = value
        return values


def parse_route(template: str) -> Route:
    """Read a template in the syntax of ASP.NET's attribute routing; raises RouteError."""
    trimmed = template.strip("/")
    pattern, parameters, end = "", [], 0
    for found in _PARAMETER.finditer(trimmed):
        pattern += _literal(template, trimmed[end : found.start()])
        parameter, fragment = _parameter(template, found["body"], found["slash"])
        parameters.append(parameter)
        pattern += fragment
        end = found.end()
    pattern += _literal(template, trimmed[end:])
    return Route(
        template=template,
        pattern=re.compile(f"{pattern}/?", re.IGNORECASE),
        parameters=tuple(parameters),
        precedence=tuple(map(_rank, re.sub(r"\{\{|\}\}", "", trimmed).split("/"))),
    )


def _literal(template: str, text: str) -> str:
    if "{" in text or "}" in text:
        raise RouteError(f"route {template!r}: a brace in {text!r} has no partner")
    return re.escape(text)


def _parameter(template: str, body: str, slash: str) -> tuple[_Parameter, str]:
    parts = _NAME.fullmatch(body)
    if parts is None:
        raise RouteError(f"route {template!r}: {{{body}}} has no name")
    rest, _, default = parts["rest"].partition("=")
    optional = rest.endswith("?")
    rest = rest.removesuffix("?").replace("{{", "{").replace("}}", "}")
    constraints = list(_CONSTRAINT.finditer(rest))
    if "".join(constraint[0] for constraint in constraints) != rest:
        raise RouteError(f"route {template!r}: {rest!r} is not a list of constraints")
    checks = tuple(_check(template, found["name"], found["argument"]) for found in constraints)
    fragment = slash + ("(.*)" if parts["stars"] else "([^/]+)")
    if optional or default or parts["stars"]:
        fragment = f"(?:{fragment})?"
    parameter = _Parameter(name=parts["name"], checks=checks, default=default or None)
    return parameter, fragment


def _rank(segment: str) -> int:
    """Order segments as ASP.NET does: literal, mixed or constrained, plain, catch-all."""
    if "{" not in segment:
        return 1
    if segment.startswith("{*"):
        return 5
    constrained = ":" in segment or not (segment.startswith("{") and segment.endswith("}"))
    return 2 if constrained else 3


def _reads(reader: Callable[[str], object]) -> Check:
    def check(value: str) -> bool:
        try:
            reader(value)
        except ValueError:
            return False
        return True

    return check


def _whole(bits: int) -> Check:
    bound = 1 << (bits - 1)
    return lambda value: (
        re.fullmatch(r"[+-]?[0-9]+", value) is not None and -bound <= int(value) < bound
    )


_PLAIN: dict[str, Check] = {
    "int": _whole(32),
    "long": _whole(64),
    "bool": lambda value: value.lower() in {"true", "false"},
    "guid": _reads(uuid.UUID),
    "datetime": _reads(datetime.fromisoformat),
    "decimal": _reads(float),
    "double": _reads(float),
    "float": _reads(float),
    "alpha": lambda value: re.fullmatch(r"[A-Za-z]*", value) is not None,
    "required": bool,
}


def _number(value: str) -> int | None:
    return int(value) if _whole(64)(value) else None


def _within(low: int | None, high: int | None) -> Check:
    def check(value: str) -> bool:
        number = _number(value)
        return (
            number is not None
            and (low is None or number >= low)
            and (high is None or number <= high)
        )

    return check


def _check(template: str, name: str, argument: str | None) -> Check:
    if argument is None and name.lower() in _PLAIN:
        return _PLAIN[name.lower()]
    try:
        if argument is not None:
            return _check_with(name.lower(), argument)
    except ValueError as error:
        raise RouteError(f"route {template!r}: constraint {name}({argument}): {error}") from error
    raise RouteError(f"route {template!r}: constraint {name!r} is not known")


# Constraints with numbers: (name, how many) -> the test.
_WITH_NUMBERS: dict[tuple[str, int], Callable[..., Check]] = {
    ("length", 1): lambda exact: lambda value: len(value) == exact,
    ("length", 2): lambda low, high: lambda value: low <= len(value) <= high,
    ("minlength", 1): lambda low: lambda value: len(value) >= low,
    ("maxlength", 1): lambda high: lambda value: len(value) <= high,
    ("min", 1): lambda low: _within(low, None),
    ("max", 1): lambda high: _within(None, high),
    ("range", 2): _within,
}


def _check_with(name: str, argument: str) -> Check:
    if name == "regex":
        pattern = re.compile(argument, re.IGNORECASE)
        return lambda value: pattern.search(value) is not None
    numbers = [int(number) for number in argument.split(",")]
    if (name, len(numbers)) not in _WITH_NUMBERS:
        raise ValueError("not known with these arguments")
    return _WITH_NUMBERS[name, len(numbers)](*numbers)
