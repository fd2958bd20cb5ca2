"""Step 2 of 5: "which models", by name: exact, `glob:` or `regex:`. Pure.

Expressions run on RE2, which takes time in proportion to the name whatever a person writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import re2

from deploy_logic.errors import PatternError

_SURROGATES = range(0xD800, 0xE000)  # no UTF-8 holds them, so no expression can


class PatternKind(StrEnum):
    """How a pattern is written; all but exact are the prefix."""

    EXACT = "exact"
    GLOB = "glob"  # the whole name, with * ? and [..]
    REGEX = "regex"  # found anywhere in the name, unless anchored with ^ and $


@dataclass(frozen=True, slots=True, kw_only=True)
class NamePattern:
    """A parsed pattern. Names compare with case and code point by code point, as in Azure ML."""

    text: str  # as the policy writes it
    kind: PatternKind
    expression: str = ""  # for RE2; empty when exact
    _compiled: Any = field(default=None, compare=False, repr=False)

    def matches(self, name: str) -> bool:
        """Whether a model of that name is selected."""
        if self.kind is PatternKind.EXACT:
            return name == self.text
        return _is_encodable(name) and self._compiled.search(name) is not None

    def has_group(self, group: str) -> bool:
        """Whether the expression has a group of that name."""
        return self.kind is PatternKind.REGEX and group in self._compiled.groupindex

    def extract(self, name: str, group: str) -> str:
        """Return what the group holds; empty when it holds nothing or the name is no match."""
        found = self._compiled.search(name) if _is_encodable(name) else None
        return str(found.group(group) or "") if found is not None else ""

    def refuses(self, name: str) -> str:
        """Return why a model of that name is not selected, or nothing when it is."""
        if self.matches(name):
            return ""
        if self.kind is not PatternKind.EXACT:
            return f"model {name!r} does not match {self.text!r}"
        is_meant = set(self.text) & set("*?[")
        hint = f" (a pattern is written {'glob:' + self.text!r})" if is_meant else ""
        return f"model {name!r} is not {self.text!r}{hint}"


def parse_name_pattern(text: str) -> NamePattern:
    """Return the pattern; PatternError marks the place that does not parse."""
    if not text:
        raise PatternError(text, 0, "the name of a model, glob:... or regex:...")
    for position, character in enumerate(text):
        if ord(character) in _SURROGATES:
            shown = text.encode("utf-8", "replace").decode()
            raise PatternError(shown, position, "whole characters, not half of a surrogate pair")
    prefix, colon, body = text.partition(":")
    if not colon or prefix.strip().lower() not in {PatternKind.GLOB, PatternKind.REGEX}:
        return NamePattern(text=text, kind=PatternKind.EXACT)
    if prefix not in set(PatternKind):
        right = f"{prefix.strip().lower()}: (for the exact name {text!r}, 'glob:{text}')"
        raise PatternError(text, 0, right)
    if not body:
        raise PatternError(text, len(text), "something after the colon; for every model 'glob:*'")
    kind = PatternKind(prefix)
    expression = _translate(text, len("glob:")) if kind is PatternKind.GLOB else body
    return NamePattern(
        text=text, kind=kind, expression=expression, _compiled=_compile(text, expression)
    )


class PatternSet:
    """Many patterns asked at once: one pass over the name, however many there are."""

    def __init__(self, patterns: Sequence[NamePattern]) -> None:
        """Combine the patterns; asking takes no more parsing."""
        self._patterns = tuple(patterns)
        self._sets: list[tuple[Any, tuple[int, ...]]] = []
        self._alone: list[int] = []
        self._combine(tuple(range(len(self._patterns))))

    def find(self, name: str) -> list[int]:
        """Return the numbers of the patterns that match, in their order."""
        if not _is_encodable(name):
            return [n for n, pattern in enumerate(self._patterns) if pattern.matches(name)]
        found = [number for number in self._alone if self._patterns[number].matches(name)]
        for combined, numbers in self._sets:
            hits = combined.Match(name)
            if 0 in hits:
                found += [numbers[hit - 1] for hit in hits if hit != 0]
            else:  # it ran out of memory, and says so only by finding nothing at all
                found += [number for number in numbers if self._patterns[number].matches(name)]
        return sorted(found)

    def _combine(self, numbers: tuple[int, ...]) -> None:
        """Make one RE2 set of them, or several where one would take too much memory."""
        if not numbers:
            return
        combined = re2.Set.SearchSet(_options())
        combined.Add("")  # number 0: found in every name, unless the set has failed
        try:
            for number in numbers:
                combined.Add(_expression(self._patterns[number]))
            combined.Compile()
        except re2.error:
            if len(numbers) == 1:
                self._alone += numbers
                return
            half = len(numbers) // 2
            self._combine(numbers[:half])
            self._combine(numbers[half:])
        else:
            self._sets.append((combined, numbers))


def _expression(pattern: NamePattern) -> str:
    if pattern.kind is PatternKind.EXACT:
        return rf"\A{''.join(map(_literal, pattern.text))}\z"
    return pattern.expression


def _translate(text: str, start: int) -> str:
    """Return the glob that begins at start as an expression for the whole name."""
    parts = []
    position = start
    while position < len(text):
        character = text[position]
        position += 1
        match character:
            case "*":
                parts.append(".*")
            case "?":
                parts.append(".")
            case "[":
                end = _end_of_choice(text, position - 1)
                parts.append(_translate_choice(text, position, end))
                position = end + 1
            case "\\":
                expected = "no backslash: no model has one in its name; [*] stands for a * itself"
                raise PatternError(text, position - 1, expected)
            case _:
                parts.append(_literal(character))
    return rf"(?s)\A{''.join(parts)}\z"


def _end_of_choice(text: str, opening: int) -> int:
    """Return where the ] is; directly after the opening it stands for itself."""
    first = opening + 2 if text[opening + 1 : opening + 2] == "!" else opening + 1
    end = text.find("]", first + 1)
    if end < 0:
        raise PatternError(text, opening, "a closing ], or [[] for a [ itself")
    return end


def _translate_choice(text: str, start: int, end: int) -> str:
    """Return what stands between [ and ] as a character class."""
    if text[start] == "^":
        raise PatternError(text, start, "! at the start of [..] for all other characters")
    negation = "^" if text[start] == "!" else ""
    position = start + len(negation)
    items = ""
    while position < end:
        low, dash, high = text[position], text[position + 1], text[position + 2 : position + 3]
        if dash == "-" and position + 2 < end:
            if low > high:
                expected = f"a range from low to high; {low} comes after {high}"
                raise PatternError(text, position, expected)
            items += f"{_literal(low)}-{_literal(high)}"
            position += 3
        else:
            items += _literal(low)
            position += 1
    return f"[{negation}{items}]"


def _literal(character: str) -> str:
    """Return the character so that it stands for itself in an expression."""
    is_plain = character.isascii() and character.isalnum()
    return character if is_plain else f"\\x{{{ord(character):x}}}"


def _compile(text: str, expression: str) -> Any:  # noqa: ANN401 - re2 has no types
    try:
        return re2.compile(expression, _options())
    except re2.error as error:
        said = error.args[0]
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        start = len(text) - len(expression) if text.endswith(expression) else 0
        expected = (
            f"an expression that RE2 reads, without look-around and back-references: {reason}"
        )
        raise PatternError(text, start + _place(expression, reason), expected) from error


def _place(expression: str, reason: str) -> int:
    """Return where the trouble is; RE2 quotes the part that it means, or everything."""
    problem, _, part = reason.partition(": ")
    if part != expression:
        return max(expression.find(part), 0)
    if problem == "unexpected )":
        places = (place for place, character in enumerate(expression) if character == ")")
        return next(place for place in places if _is_unexpected(expression[: place + 1]))
    return len(expression) if problem.startswith("missing") else 0


def _is_unexpected(start: str) -> bool:
    try:
        re2.compile(start, _options())
    except re2.error as error:
        return bytes(error.args[0]).startswith(b"unexpected )")
    return False


def _options() -> Any:  # noqa: ANN401 - re2 has no types
    options = re2.Options()
    options.log_errors = False  # it would print them to stderr
    return options


def _is_encodable(name: str) -> bool:
    return name.isascii() or not any(ord(character) in _SURROGATES for character in name)
