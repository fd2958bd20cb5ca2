"""Step 2 of 5: which policies could roll the same model version out to the same endpoint. Pure.

Nobody could say which of them wins. What cannot be proven apart counts as overlapping.
"""

import re
from collections.abc import Iterator, Sequence

from deploy_logic.matching import MODEL_PLACEHOLDER, name_endpoint
from deploy_logic.pattern import NamePattern, PatternKind, PatternSet, parse_name_pattern
from deploy_logic.policy.policy import Policy
from deploy_logic.policy.tag_rule import parse_tag_rule

_WILDCARD = re.compile(r"[*?\[]")
_META = frozenset(r"\.^$*+?{}[]|()")


def find_overlaps(policies: Sequence[Policy]) -> list[tuple[int, int]]:
    """Return the pairs, by number, in their order."""
    patterns = [parse_name_pattern(policy.select.model) for policy in policies]
    found = {
        (first, second)
        for first, second in _candidates(policies, patterns)
        if _could_meet(policies[first], policies[second], patterns[first], patterns[second])
    }
    return sorted(found)


def _candidates(
    policies: Sequence[Policy], patterns: Sequence[NamePattern]
) -> Iterator[tuple[int, int]]:
    """Give the pairs worth a look, without asking every policy about every other."""
    by_name: dict[str, list[int]] = {}
    by_both: dict[tuple[str, str], list[int]] = {}
    by_endpoint: dict[str, list[int]] = {}
    wide: list[int] = []
    for number, pattern in enumerate(patterns):
        if pattern.kind is PatternKind.EXACT:
            endpoint = name_endpoint(policies[number].deploy.endpoint, pattern.text).lower()
            same = by_both.setdefault((pattern.text, endpoint), [])
            yield from ((other, number) for other in same)
            same.append(number)
            by_name.setdefault(pattern.text, []).append(number)
            continue
        yield from ((other, number) for other in wide)
        endpoint = policies[number].deploy.endpoint.lower()
        if MODEL_PLACEHOLDER in endpoint:
            yield from ((other, number) for others in by_endpoint.values() for other in others)
            wide.append(number)
        else:
            yield from ((other, number) for other in by_endpoint.get(endpoint, ()))
            by_endpoint.setdefault(endpoint, []).append(number)
    numbers = [n for n, pattern in enumerate(patterns) if pattern.kind is not PatternKind.EXACT]
    asked = PatternSet([patterns[number] for number in numbers])
    for name, exact in by_name.items():
        for found in asked.find(name):
            number = numbers[found]
            yield from ((min(one, number), max(one, number)) for one in exact)


def _could_meet(one: Policy, other: Policy, name: NamePattern, other_name: NamePattern) -> bool:
    if _tags_differ(one, other):
        return False
    exact = next((p.text for p in (name, other_name) if p.kind is PatternKind.EXACT), None)
    endpoints = one.deploy.endpoint, other.deploy.endpoint
    if exact is not None:  # Azure compares the names of endpoints without case
        first, second = (name_endpoint(written, exact).lower() for written in endpoints)
        return first == second
    return _names_meet(name, other_name) and _endpoints_meet(*endpoints)


def _tags_differ(one: Policy, other: Policy) -> bool:
    """Whether a tag would have to be two texts at once."""
    for key, written in one.select.tags.items():
        wanted = other.select.tags.get(key)
        rule = parse_tag_rule(written)
        if wanted is None:
            continue
        other_rule = parse_tag_rule(wanted)
        if not rule.bounds and other_rule.refuses(written):
            return True
        if not other_rule.bounds and rule.refuses(wanted):
            return True
    return False


def _names_meet(one: NamePattern, other: NamePattern) -> bool:
    """Whether a name could match both: not when they must begin or end differently."""
    starts = _start(one), _start(other)
    ends = _end(one), _end(other)
    length = min(map(len, starts))
    tail = min(map(len, ends))
    if starts[0][:length] != starts[1][:length]:
        return False
    return tail == 0 or ends[0][-tail:] == ends[1][-tail:]


def _start(pattern: NamePattern) -> str:
    """Return what every matching name begins with, as far as that is plain to see."""
    body = pattern.text.partition(":")[2]
    if pattern.kind is PatternKind.GLOB:
        return _WILDCARD.split(body, maxsplit=1)[0]
    if not body.startswith("^") or "(?" in body or _has_choices(body):
        return ""
    plain = ""
    for position, character in enumerate(body[1:], 1):
        if character in _META:
            # what may repeat may also be missing
            return plain[:-1] if character in "*?{+" and plain else plain
        plain = body[1 : position + 1]
    return plain


def _has_choices(expression: str) -> bool:
    """Whether there is a | outside of all brackets, so that ^ binds to the first choice only."""
    if any(sign in expression for sign in (r"\Q", r"\]", "[:")):
        return True  # brackets that are none, and ends of choices that are none
    plain = re.sub(r"\\.|\[\^?\]?[^\]]*\]", "", expression)
    depth = 0
    for character in plain:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0:
            return True
    return False


def _end(pattern: NamePattern) -> str:
    """Return what every matching name ends with; of a glob without choices only."""
    body = pattern.text.partition(":")[2]
    if pattern.kind is not PatternKind.GLOB or "[" in body:
        return ""
    return re.split(r"[*?]", body)[-1]


def _endpoints_meet(one: str, other: str) -> bool:
    """Whether both could be the same endpoint, for the same model."""
    one, other = one.lower(), other.lower()
    first, has_model, rest = one.partition(MODEL_PLACEHOLDER)
    other_first, other_has_model, other_rest = other.partition(MODEL_PLACEHOLDER)
    if not has_model and not other_has_model:
        return one == other
    if has_model and other_has_model:
        # the same model in both: they are as long as each other, or never the same
        is_as_long = len(first + rest) == len(other_first + other_rest)
        return (
            is_as_long
            and _begin_alike(first, other_first)
            and _begin_alike(rest[::-1], other_rest[::-1])
        )
    fixed = other if has_model else one
    start, end = (first, rest) if has_model else (other_first, other_rest)
    is_long_enough = len(fixed) > len(start) + len(end)
    return is_long_enough and fixed.startswith(start) and fixed.endswith(end)


def _begin_alike(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
