"""Step 2 of 5: "which versions". Parse a rule once, ask it about a version. Pure.

A rule is asked twice: by the version's text alone, where no workspace is asked (event, ledger),
and with all that the workspace holds. What the text alone does not decide is let pass the first
time, so that only the second answer is final.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never

from semver import Version

from deploy_logic.errors import VersionRuleError
from deploy_logic.pattern import NamePattern
from deploy_logic.version.allow import (
    LATEST,
    Allow,
    Anything,
    Exactly,
    print_allow,
    read_allow,
    read_integer_range,
)
from deploy_logic.version.integer_range import Comparisons
from deploy_logic.version.scheme import (
    Facts,
    Origin,
    Pick,
    Reading,
    Scheme,
    Source,
    Unreadable,
    read_integer,
    read_semver,
    read_text,
    read_time,
)
from deploy_logic.version.semver_range import SemverRange

KEYS = ("scheme", "from", "allow", "except", "pick", "allow_older")
_GROUP = "v"  # of an expression: the part of a text that orders
_VERSION = Source()
_LATEST = Anything()


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRule:
    """A parsed rule. latest and every range also mean newer than the stable; pinned does not."""

    text: str = field(compare=False)  # as the policy writes it
    scheme: Scheme = Scheme.INTEGER
    source: Source = _VERSION
    allow: Allow = _LATEST
    exceptions: tuple[str, ...] = ()  # as written, each read by the scheme
    pick: Pick = Pick.HIGHEST  # which of two is the newer one
    allow_older: bool = False

    @property
    def name(self) -> str:
        """Return the rule as people write it: the short form in quotes, the long one as in YAML."""
        if not self.text.startswith("{"):
            return repr(self.text)
        shown = [f"{key}: {_plain(value)}" for key, value in _to_long(self).items()]
        return "{" + ", ".join(shown) + "}"

    @property
    def reads_version(self) -> bool:
        """Whether the version's text is what it reads; if not, only the workspace can tell."""
        return self.source.origin is Origin.VERSION

    @property
    def orders_by_version(self) -> bool:
        """Whether two versions can be put in order by their text alone."""
        return self.reads_version and self.scheme is not Scheme.REGISTERED

    @property
    def has_order(self) -> bool:
        """Whether it asks for newer than the stable."""
        return not isinstance(self.allow, Exactly) and not self.allow_older

    def refuses(self, version: str) -> str:
        """Return why the version's text alone rules it out, or nothing when it does not."""
        if not self.reads_version:
            return ""
        found = self._read_text(version, version)
        return found.reason if isinstance(found, Unreadable) else self._refuse(found)

    def refuses_after(self, version: str, stable: str) -> str:
        """Return why by their texts alone the version may not follow the stable, or nothing."""
        if not self.orders_by_version or not self.has_order:
            return ""
        return self._refuse_after(
            self._read_text(version, version), self._read_text(stable, stable)
        )

    def refuses_model(self, model: Facts) -> str:
        """Return why the rule does not allow the model version, or nothing when it does."""
        found = self.read(model)
        return found.reason if isinstance(found, Unreadable) else self._refuse(found)

    def refuses_model_after(self, model: Facts, stable: Facts) -> str:
        """Return why the model version may not follow the stable, or nothing when it may."""
        if not self.has_order:
            return ""
        return self._refuse_after(self.read(model), self.read(stable))

    def refuses_beside(self, model: Facts, other: Facts) -> str:
        """Return why the rule picks the other one of the two, or nothing when it does not.

        Of two that count as equal it picks one as well, so that it is always the same one.
        """
        one, two = self.read(model), self.read(other)
        if not self.has_order or isinstance(one, Unreadable) or isinstance(two, Unreadable):
            return ""
        is_behind = one.rank < two.rank if self.pick is Pick.HIGHEST else two.rank < one.rank
        return self._relate(one, two) if is_behind else ""

    def order[M: Facts](self, models: Iterable[M]) -> list[M]:
        """Return those that can be read, from lowest to highest, in whatever order they come."""
        found = [(self.read(model), model) for model in models]
        read = [(one, model) for one, model in found if isinstance(one, Reading)]
        return [model for _, model in sorted(read, key=lambda pair: pair[0].rank)]

    def best[M: Facts](self, models: Iterable[M]) -> M | None:
        """Return the one that the rule picks of those that can be read."""
        ordered = self.order(models)
        if not ordered:
            return None
        return ordered[-1] if self.pick is Pick.HIGHEST else ordered[0]

    def read(self, model: Facts) -> Reading | Unreadable:
        """Return the model version as the rule's scheme reads it."""
        text = self.source.find(model)
        if text is None:
            return Unreadable(reason=f"{self.source.describe(model.version)} is missing")
        found = self._read_text(model.version, text)
        if self.scheme is not Scheme.REGISTERED or isinstance(found, Unreadable):
            return found
        created = read_time(model.created)
        if isinstance(created, Unreadable):
            return Unreadable(reason=f"version {model.version!r} {created.reason}")
        return Reading(subject=found.subject, version=model.version, text=text, key=created)

    def _read_text(self, version: str, text: str) -> Reading | Unreadable:
        key = self._key(text)
        is_plain = not self.reads_version or not isinstance(key, Unreadable | str)
        subject = self.source.describe(version if is_plain else repr(version), text)
        if isinstance(key, Unreadable):
            return Unreadable(reason=f"{subject} {key.reason}")
        return Reading(subject=subject, version=version, text=text, key=key)

    def read_exception(self, text: str) -> int | Version | str | Unreadable:
        """Return what an exception stands for; of an expression, the text as it is written."""
        match self.scheme:
            case Scheme.INTEGER:
                return read_integer(text)
            case Scheme.SEMVER:
                return read_semver(text)
            case _:
                return read_text(text)

    def _key(self, text: str) -> int | Version | str | Unreadable:
        """Return what orders the text; of an expression with a group, what the group holds."""
        match self.scheme:
            case Scheme.INTEGER:
                return read_integer(text)
            case Scheme.SEMVER:
                return read_semver(text)
            case Scheme.REGISTERED:
                return read_text(text)
            case Scheme.ALPHABETICAL:
                if not isinstance(self.allow, NamePattern) or not self.allow.has_group(_GROUP):
                    return read_text(text)
                if not self.allow.matches(text):
                    return Unreadable(reason=f"does not match {self.allow.text!r}")
                reason = f"leaves (?P<{_GROUP}>) of {self.allow.text!r} empty"
                return self.allow.extract(text, _GROUP) or Unreadable(reason=reason)
            case _:
                assert_never(self.scheme)

    def _refuse(self, found: Reading) -> str:
        """Return why what was read is not allowed, whatever serves."""
        for written in self.exceptions:
            if found.text == written or found.key == self.read_exception(written):
                return f"{found.subject} is {written!r}, which the rule excepts"
        reason = ""
        match self.allow:
            case Anything():
                return ""
            case Exactly(value=value):
                if found.key != value:
                    reason = f"is not {value}, which the rule pins"
            case Comparisons() | SemverRange():
                reason = self.allow.refuses(found.key)
            case NamePattern():
                if not self.allow.matches(found.text):
                    reason = f"does not match {self.allow.text!r}"
            case _:
                assert_never(self.allow)
        return f"{found.subject} {reason}" if reason else ""

    def _refuse_after(self, found: Reading | Unreadable, stable: Reading | Unreadable) -> str:
        if isinstance(found, Unreadable):
            return found.reason
        if isinstance(stable, Unreadable):
            return f"the stable's {stable.reason}, so nothing counts as newer"
        if found.key == stable.key:
            is_same = found.version == stable.version
            already = f"{found.subject} is already the stable"
            return already if is_same else self._relate(found, stable)
        is_behind = (found.key < stable.key) is (self.pick is Pick.HIGHEST)
        return self._relate(found, stable) if is_behind else ""

    def _relate(self, found: Reading, ahead: Reading) -> str:
        """Return in words why what was read is not ahead of the other."""
        other = ahead.subject
        if self.orders_by_version:
            other = other.removeprefix("version ")
        if found.key == ahead.key:
            newer = "newer" if self.pick is Pick.HIGHEST else "lower"
            return f"{found.subject} is not {newer} than its equal {other}"
        relation = "older" if self.pick is Pick.HIGHEST else "not lower"
        return f"{found.subject} is {relation} than {other}"


def read_version_rule(written: str | int | Mapping[object, object] | VersionRule) -> VersionRule:
    """Return the rule that a policy writes; VersionRuleError marks what is wrong with it."""
    match written:
        case VersionRule():
            return written
        case str():
            return parse_version_rule(written)
        case int():
            return parse_version_rule(str(written))
        case _:
            return _read_long(written)


def parse_version_rule(text: str) -> VersionRule:
    """Return the rule; VersionRuleError marks the place that does not parse."""
    if not text.lstrip().startswith("{"):
        return VersionRule(text=text, allow=read_integer_range(text))
    try:
        written = json.loads(text)
    except json.JSONDecodeError as error:
        raise VersionRuleError(text, error.pos, f"JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # endless numbers, endless nesting
        raise VersionRuleError(text, 0, f"JSON with {', '.join(KEYS)}") from error
    return _read_long(written)


def print_version_rule(rule: VersionRule) -> str:
    """Return the rule in its plainest form, which parses to the same rule."""
    keys = _to_long(rule)
    if rule.scheme is Scheme.INTEGER and set(keys) <= {"scheme", "allow"}:
        return str(rule.allow)
    return json.dumps(keys)


def _to_long(rule: VersionRule) -> dict[str, str | bool | list[str]]:
    """Return the keys of the long form, without those that say what goes without saying."""
    keys: dict[str, str | bool | list[str]] = {"scheme": rule.scheme.value}
    if rule.source != Source():
        keys["from"] = str(rule.source)
    allow = print_allow(rule.allow)
    if allow != LATEST:
        keys["allow"] = allow
    if rule.exceptions:
        keys["except"] = list(rule.exceptions)
    if rule.pick is not Pick.HIGHEST:
        keys["pick"] = rule.pick.value
    if rule.allow_older:
        keys["allow_older"] = True
    return keys


def _read_long(written: Mapping[object, object]) -> VersionRule:
    for key in written:
        if key not in KEYS:
            raise VersionRuleError(str(key), 0, f"one of {', '.join(KEYS)}")
    scheme = _choose(Scheme, "scheme", written.get("scheme", Scheme.INTEGER))
    older = written.get("allow_older", False)
    if not isinstance(older, bool):
        raise VersionRuleError(str(older), 0, "true or false", key="allow_older")
    rule = VersionRule(
        text="",
        scheme=scheme,
        source=_read_source(written.get("from", Origin.VERSION.value)),
        allow=read_allow(scheme, written.get("allow", LATEST)),
        pick=_choose(Pick, "pick", written.get("pick", Pick.HIGHEST)),
        allow_older=older,
    )
    rule = replace(rule, exceptions=_read_exceptions(rule, written.get("except", [])))
    return replace(rule, text=print_version_rule(rule))


def _read_exceptions(rule: VersionRule, written: object) -> tuple[str, ...]:
    """Return the versions that are excepted; each must be one that the scheme can read."""
    if not isinstance(written, Sequence) or isinstance(written, str):
        raise VersionRuleError(str(written), 0, "a list such as ['1.3.4']", key="except")
    found = []
    for one in written:
        text = str(one) if isinstance(one, int) and not isinstance(one, bool) else one
        if not isinstance(text, str):  # YAML reads 1.10 as the number 1.1
            raise VersionRuleError(str(one), 0, "text in quotes, such as '1.10'", key="except")
        read = rule.read_exception(text)
        if isinstance(read, Unreadable):
            expected = f"a version that the {rule.scheme} scheme can read: it {read.reason}"
            raise VersionRuleError(text, 0, expected, key="except")
        found.append(text)
    return tuple(found)


def _choose[E: StrEnum](kind: type[E], key: str, value: object) -> E:
    choices = list(kind)
    if not isinstance(value, str) or value not in choices:
        expected = f"one of {', '.join(choices)}"
        raise VersionRuleError(str(value), 0, expected, key=key)
    return kind(value)


def _read_source(written: object) -> Source:
    text = written if isinstance(written, str) else str(written)
    if text == Origin.VERSION:
        return Source()
    origin, colon, name = text.partition(":")
    if origin not in {Origin.TAG, Origin.PROPERTY}:
        raise VersionRuleError(text, 0, "version, tag:NAME or property:NAME", key="from")
    if not colon or not name:
        raise VersionRuleError(text, len(text), f"{origin}:NAME", key="from")
    return Source(origin=Origin(origin), name=name)


def _plain(value: str | bool | list[str]) -> str:  # noqa: FBT001 - a value of JSON
    """Return the value as YAML writes it in a mapping."""
    if isinstance(value, list):
        return f"[{', '.join(_plain(one) for one in value)}]"
    text = str(value)
    if isinstance(value, bool):
        return text.lower()
    is_plain = re.fullmatch(r"[a-zA-Z^~0-9][\w.:^~+-]*", text, re.ASCII)
    return text if is_plain else json.dumps(text, ensure_ascii=False)
