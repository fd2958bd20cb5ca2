"""Print what makes a shell complete commands and options: bash, zsh or fish."""

import argparse
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

_FILES = {"FILE", "DIR"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a command."""

    name: str  # with its dashes
    about: str
    takes: str  # nothing, files, words, or what nobody can guess
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One command as a shell sees it."""

    name: str
    about: str
    options: tuple[Option, ...]
    words: tuple[str, ...] = ()  # of its first argument, where they are known


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("shell", choices=sorted(_SHELLS))


def run(given: argparse.Namespace) -> int:
    """Print the script."""
    from rolloutctl.commands import build_parser  # noqa: PLC0415 - it imports this module

    print(_SHELLS[given.shell](list(read_commands(build_parser()))))
    return 0


def read_commands(parser: argparse.ArgumentParser) -> Iterator[Known]:
    """Give the commands of the parser, and what each of them takes."""
    for action in _actions(parser):
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse tells it nowhere else
            for name, below in action.choices.items():
                found = list(_actions(below))
                named = [one for one in found if not one.option_strings and one.choices]
                yield Known(
                    name=name,
                    about=(below.description or "").strip().splitlines()[0],
                    options=tuple(_option(one) for one in found if one.option_strings),
                    words=tuple(map(str, named[0].choices or ())) if named else (),
                )


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # noqa: SLF001 - argparse tells them nowhere else


def _option(action: argparse.Action) -> Option:
    takes = "nothing" if action.nargs == 0 else "anything"
    if action.metavar in _FILES:
        takes = "files"
    if action.choices:
        takes = "words"
    return Option(
        name=action.option_strings[-1],
        about=(action.help or "").replace("%(prog)s", "rolloutctl"),
        takes=takes,
        words=tuple(map(str, action.choices or ())),
    )


def _bash(commands: list[Known]) -> str:
    values, options = [], []
    for one in commands:
        for option in one.options:
            place = f'        "{one.name} {option.name}")'
            match option.takes:
                case "words":
                    values.append(f"{place} {_reply(option.words)}; return ;;")
                case "files":
                    values.append(f"{place} compopt -o default 2>/dev/null; return ;;")
                case "anything":
                    values.append(f"{place} return ;;")
        names = (*one.words, *(option.name for option in one.options))
        options.append(f"        {one.name}) {_reply(names)} ;;")
    return "\n".join(
        [
            "_rolloutctl() {",
            "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}",
            "    COMPREPLY=()",
            "    if ((COMP_CWORD == 1)); then",
            f"        {_reply([one.name for one in commands])}",
            "        return",
            "    fi",
            '    case "${COMP_WORDS[1]} $prev" in',
            *values,
            "    esac",
            '    case "${COMP_WORDS[1]}" in',
            *options,
            "    esac",
            '    [[ -n "$cur" && -z "${COMPREPLY[*]}" ]] && compopt -o default 2>/dev/null',
            "    return 0",
            "}",
            "complete -F _rolloutctl rolloutctl",
        ]
    )


def _reply(words: list[str] | tuple[str, ...]) -> str:
    return f'mapfile -t COMPREPLY < <(compgen -W "{" ".join(words)}" -- "$cur")'


def _zsh(commands: list[Known]) -> str:
    lines = ["#compdef rolloutctl", "_rolloutctl() {", "  local -a commands=("]
    lines += [f"    {_quote(f'{one.name}:{one.about}')}" for one in commands]
    lines += [
        "  )",
        "  if (( CURRENT == 2 )); then",
        "    _describe command commands",
        "    return",
    ]
    lines += ["  fi", "  local command=$words[2]", "  shift words", "  (( CURRENT-- ))"]
    lines.append("  case $command in")
    for one in commands:
        specs = [_zsh_spec(option) for option in one.options]
        specs.append(_quote(f"*: :({' '.join(one.words)})" if one.words else "*: :_files"))
        lines.append(f"    {one.name}) _arguments {' '.join(specs)} ;;")
    return "\n".join([*lines, "  esac", "}", "compdef _rolloutctl rolloutctl"])


def _zsh_spec(option: Option) -> str:
    about = re.sub(r"([\[\]:])", r"\\\1", option.about)
    after = {
        "nothing": "",
        "anything": ": : ",
        "files": ":file:_files",
        "words": f": :({' '.join(option.words)})",
    }
    return _quote(f"{option.name}[{about}]{after[option.takes]}")


def _fish(commands: list[Known]) -> str:
    lines = ["complete -c rolloutctl -f"]
    for one in commands:
        here = f"complete -c rolloutctl -n {_quote(f'__fish_seen_subcommand_from {one.name}')}"
        about = _quote(one.about)
        lines.append(f"complete -c rolloutctl -n __fish_use_subcommand -a {one.name} -d {about}")
        if one.words:
            lines.append(f"{here} -a {_quote(' '.join(one.words))}")
        for option in one.options:
            after = {
                "nothing": "",
                "anything": " -x",
                "files": " -r -F",
                "words": f" -x -a {_quote(' '.join(option.words))}",
            }
            name = option.name.lstrip("-")
            lines.append(f"{here} -l {name}{after[option.takes]} -d {_quote(option.about)}")
    return "\n".join(lines)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


_SHELLS: Mapping[str, Callable[[list[Known]], str]] = {"bash": _bash, "fish": _fish, "zsh": _zsh}
