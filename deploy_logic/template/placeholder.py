"""Step 2 of 5: the placeholders of a template, in the marks that public examples use. Pure.

A filled value is written as a quoted YAML text in the place of the whole value around it, so it
can neither end that value nor be read as a number; every other character stays as it is.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import yaml

# What may stand between the marks, and the value that it gets; case, dashes and spaces are free.
KNOWN: Final[Mapping[str, str]] = {
    "MODEL_NAME": "MODEL_NAME",
    "MODEL_VERSION": "MODEL_VERSION",
    "ENDPOINT_NAME": "ENDPOINT_NAME",
    "DEPLOYMENT_NAME": "DEPLOYMENT_NAME",
    "SUBSCRIPTION_ID": "SUBSCRIPTION_ID",
    "RESOURCE_GROUP": "RESOURCE_GROUP",
    "RESOURCE_GROUP_NAME": "RESOURCE_GROUP",
    "WORKSPACE": "WORKSPACE_NAME",
    "WORKSPACE_NAME": "WORKSPACE_NAME",
}
VALUES: Final = tuple(dict.fromkeys(KNOWN.values()))

# YAML would read these as mappings or comments; of the same length, so that places stay right.
_STAND_INS: Final = {"{": "\U0010fff0", "}": "\U0010fff1", "#": "\U0010fff2"}
_HIDE: Final = str.maketrans(_STAND_INS)
_SHOW: Final = str.maketrans({stand_in: mark for mark, stand_in in _STAND_INS.items()})
_BREAKS_YAML: Final = re.compile(
    r"\{\{[^{}\n]*\}\}"
    r"|\$\{[^{}\n]*\}"
    r"|(?<=[:-] )#\{[^{}\n]*\}#"  # elsewhere it is a comment
)
_MARKS: Final = re.compile(
    r"(?P<kept>\\?)(?:"  # after a backslash it is no placeholder
    r"\$\{\{(?P<expression>[^{}\n]*)\}\}"
    r"|\$\{(?P<shell>[^{}\n]*)\}"
    r"|\$\((?P<macro>[\w.-]+)\)"
    r"|\{\{(?P<braces>[^{}\n]*)\}\}"
    r"|\#\{(?P<hash>[^{}\n]*)\}\#"
    r"|<%=?(?P<percent>[^<>%\n]*)%>"
    r"|<(?P<angle>[A-Za-z][\w .-]*)>"
    r"|(?<![A-Za-z0-9_])__(?P<underscores>[A-Za-z]+(?:_[A-Za-z]+)*)__(?![A-Za-z0-9_])"
    r")"
)
_WHOLE_VARIABLE: Final = re.compile(r"\$(?P<name>[A-Z][A-Z0-9_]*)")
_TO_BE_REPLACED: Final = re.compile(
    r"[\w-]*place_?holder[\w-]*(\.azurecr\.io/.*)?", flags=re.IGNORECASE
)
# Azure ML resolves these itself, when the deployment starts
_AZURE_ML_RESOLVES: Final = re.compile(r"\s*azureml:")
_SCOPE: Final = re.compile(r"^(inputs|parameters|env|vars|variables)\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfilled:
    """A placeholder that nothing fills in."""

    written: str
    expected: str


def hide(text: str) -> str:
    """Return the text with what YAML would misread replaced, character by character."""
    return _BREAKS_YAML.sub(lambda found: found[0].translate(_HIDE), text)


def show(value: str) -> str:
    """Return a value of the hidden text as it was written."""
    return value.translate(_SHOW)


def stand_in(text: str) -> str:
    """Return the first character that cannot be told from a hidden one, or nothing."""
    return next((one for one in text if one in _STAND_INS.values()), "")


def find_unfilled(value: str) -> Iterator[Unfilled]:
    """Yield the placeholders of one value that nothing fills in."""
    for found in _MARKS.finditer(value):
        if _is_placeholder(found) and _known(_inside(found)) is None:
            yield Unfilled(written=found[0], expected=_expected(found[0], _inside(found)))
    variable = _WHOLE_VARIABLE.fullmatch(value.strip())
    if variable is not None and _known(variable["name"]) is None:
        yield Unfilled(written=value.strip(), expected=_expected(value.strip(), variable["name"]))
    if _TO_BE_REPLACED.fullmatch(value.strip()):
        yield Unfilled(written=value.strip(), expected="the real value: nothing fills this in")


def find_placeholders(value: str) -> Iterator[str]:
    """Yield every placeholder between marks, known or not, as it is written."""
    return (found[0] for found in _MARKS.finditer(value) if _is_placeholder(found))


def fill_value(value: str, values: Mapping[str, str]) -> str:
    """Return one value with its known placeholders filled; others are left as they are."""
    variable = _WHOLE_VARIABLE.fullmatch(value.strip())
    name = None if variable is None else _known(variable["name"])
    if name is not None:
        return values[name]

    def replace(found: re.Match[str]) -> str:
        if found["kept"]:
            return found[0][1:]
        name = _known(_inside(found)) if _is_placeholder(found) else None
        return found[0] if name is None else values[name]

    return _MARKS.sub(replace, value)


def fill_text(text: str, scalars: list[yaml.ScalarNode], values: Mapping[str, str]) -> str:
    """Return the text with placeholders filled; scalars are those of hide(text), in any order."""
    pieces: list[str] = []
    at = 0
    for node in sorted(scalars, key=lambda one: one.start_mark.index):
        start, end = node.start_mark.index, node.end_mark.index
        before = show(node.value)
        filled = fill_value(before, values)
        if start < at or (filled == before and before == node.value):
            continue
        is_block = node.style in {"|", ">"}
        pieces += [text[at:start], _quote(filled), "\n" if is_block else ""]
        at = end
    return "".join((*pieces, text[at:]))


def _quote(value: str) -> str:
    dumped = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=float("inf"))
    return dumped.removesuffix("\n")


def _is_placeholder(found: re.Match[str]) -> bool:
    if found["kept"]:
        return False
    expression = found["expression"]
    if expression is not None:
        return _AZURE_ML_RESOLVES.match(expression) is None
    underscores = found["underscores"]
    # `__main__` is Python's; `__MODEL_VERSION__` is nobody's
    return underscores is None or underscores.isupper() or _known(underscores) is not None


def _inside(found: re.Match[str]) -> str:
    return next(
        value for key, value in found.groupdict().items() if key != "kept" and value is not None
    )


def _known(name: str) -> str | None:
    return KNOWN.get(_normalised(name))


def _normalised(name: str) -> str:
    return re.sub(r"[\s.-]+", "_", _SCOPE.sub("", name.strip())).upper()


def _expected(written: str, name: str) -> str:
    near = difflib.get_close_matches(_normalised(name), KNOWN, n=1, cutoff=0.8)
    kept = f"\\{written} keeps it as it is"
    if near:
        return f"{near[0]}? or the value itself; {kept}"
    return f"the value itself, for only {', '.join(VALUES)} are filled in; {kept}"
