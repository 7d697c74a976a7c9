"""Completion scripts for bash, zsh and fish, from a table of commands and flags: the shell completes without starting Python.

One script knows all words. A command may have commands of its own: `tokenizer train`.
"""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

SHELLS = ("bash", "zsh", "fish")


class ValueKind(StrEnum):
    """What follows a flag."""

    NOTHING = "nothing"
    FILE = "file"
    FOLDER = "folder"
    CHOICE = "choice"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class FlagWord:
    """A flag as it is typed, what follows it, and whether several values may follow."""

    name: str
    text: str = ""
    value: ValueKind = ValueKind.NOTHING
    choices: tuple[str, ...] = ()
    many: bool = False


@dataclass(frozen=True, slots=True)
class CommandWords:
    """A command's flags, and the words and files that may stand without a flag."""

    text: str = ""
    flags: tuple[FlagWord, ...] = ()
    words: tuple[str, ...] = ()
    files: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """A program and its commands by name; a name of two words is a command of a command."""

    name: str
    commands: Mapping[str, CommandWords] = field(default_factory=dict)

    def children(self, command: str = "") -> dict[str, str]:
        """The commands below a command, with their texts."""
        depth = len(command.split()) + 1
        names = [name for name in self.commands if len(name.split()) == depth and f"{name} ".startswith(f"{command} ".lstrip())]
        return {name.split()[-1]: self.commands[name].text for name in names}


def value_of(metavar: str | None, choices: object, nargs: object) -> ValueKind:
    """What follows a flag, from what its parser says of it.

    >>> value_of("DIR", None, None), value_of("FILE", None, "*"), value_of(None, None, 0)
    (<ValueKind.FOLDER: 'folder'>, <ValueKind.FILE: 'file'>, <ValueKind.NOTHING: 'nothing'>)
    """
    if nargs == 0:
        return ValueKind.NOTHING
    if choices:
        return ValueKind.CHOICE
    words = set(re.split(r"\W+", metavar or ""))
    if words & {"DIR", "FOLDER"}:
        return ValueKind.FOLDER
    return ValueKind.FILE if words & {"FILE", "PATH", "SHARD", "CHECKPOINT", "RECIPE"} else ValueKind.TEXT


def words_of(parser: argparse.ArgumentParser) -> CommandWords:
    """A command's words, from its parser."""
    flags = tuple(
        FlagWord(
            name,
            (action.help or "") if action.help != argparse.SUPPRESS else "",
            ValueKind.NOTHING if name.startswith("--no-") else value_of(str(action.metavar or ""), action.choices, action.nargs),
            tuple(map(str, action.choices or ())),
            action.nargs in ("*", "+"),
        )
        for action in parser._actions
        for name in action.option_strings
    )
    plain = [action for action in parser._actions if not action.option_strings and not isinstance(action.choices, dict)]
    words = tuple(str(choice) for action in plain for choice in action.choices or ())
    files = any(
        value_of(str(action.metavar or ""), action.choices, action.nargs) in (ValueKind.FILE, ValueKind.FOLDER)
        for action in plain
    )
    return CommandWords(parser.description or "", flags, words, files)


def script(program: Program, shell: str) -> str:
    """The completion script of a program. Raises KeyError for a shell that is none of SHELLS."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](program)


def _quoted(text: str) -> str:
    """The text as one word of bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


def _tables(program: Program) -> list[str]:
    """Cases on $command for bash and zsh: the words that may follow, and whether files may; then cases on a flag for its values."""
    lines = ["    case $command in"]
    for name in ["", *program.commands]:
        command = program.commands.get(name, CommandWords())
        words = [*program.children(name), *command.words]
        flags = [flag.name for flag in command.flags]
        many = [flag.name for flag in command.flags if flag.many]
        lines.append(
            f"        {_quoted(name)}) words={_quoted(' '.join(words))} flags={_quoted(' '.join(flags))} "
            f"many={_quoted(' '.join(many))} files={int(command.files)} ;;"
        )
    lines += ["    esac", "    case $command:$flag in"]
    for name, command in program.commands.items():
        lines += [
            f"        {_quoted(f'{name}:{flag.name}')}) {_case(flag)} ;;"
            for flag in command.flags
            if flag.value != ValueKind.NOTHING
        ]
    return [*lines, "    esac"]


def _case(flag: FlagWord) -> str:
    return f"value={flag.value} choices={_quoted(' '.join(flag.choices))}" if flag.choices else f"value={flag.value}"


def _parents(program: Program) -> str:
    return "|".join(name for name in program.commands if program.children(name)) or "''"


def _identifier(program: Program) -> str:
    return re.sub(r"\W", "_", program.name)


def _bash(program: Program) -> str:
    name = _identifier(program)
    return "\n".join(
        [
            f'# bash completion of {program.name}: source this file, or eval "$({program.name} completion bash)"',
            f"_{name}() {{",
            "    local current=${COMP_WORDS[COMP_CWORD]} command= flag= words= flags= many= files=0 value=nothing choices= i word",
            "    for ((i = 1; i < COMP_CWORD; i++)); do",
            "        word=${COMP_WORDS[i]}",
            "        if [[ $word == -* ]]; then [[ -z $command ]] && continue || break; fi",
            f"        if [[ -z $command ]]; then command=$word; case $word in {_parents(program)}) continue ;; esac; break",
            '        else command="$command $word"; break; fi',
            "    done",
            "    for ((i = COMP_CWORD - 1; i > 0; i--)); do",
            "        if [[ ${COMP_WORDS[i]} == -* ]]; then flag=${COMP_WORDS[i]}; break; fi",
            "    done",
            *_tables(program),
            '    if ((i > 0 && i < COMP_CWORD - 1)) && [[ " $many " != *" $flag "* ]]; then value=nothing; fi',
            "    COMPREPLY=()",
            "    if [[ $current == -* ]]; then",
            '        COMPREPLY=($(compgen -W "$flags" -- "$current"))',
            "    elif [[ $value == choice ]]; then",
            '        COMPREPLY=($(compgen -W "$choices" -- "$current"))',
            "    elif [[ $value == folder ]]; then",
            "        compopt -o filenames 2>/dev/null",
            '        mapfile -t COMPREPLY < <(compgen -d -- "$current")',
            "    elif [[ $value == file || ($value == nothing && $files == 1) ]]; then",
            "        compopt -o filenames 2>/dev/null",
            '        mapfile -t COMPREPLY < <(compgen -f -- "$current")',
            "    elif [[ $value == nothing ]]; then",
            '        COMPREPLY=($(compgen -W "$words" -- "$current"))',
            '        [[ -z $words ]] && COMPREPLY=($(compgen -W "$flags" -- "$current"))',
            "    fi",
            "}",
            f"complete -F _{name} {program.name}",
            "",
        ]
    )


def _zsh(program: Program) -> str:
    name = _identifier(program)
    return "\n".join(
        [
            f"#compdef {program.name}",
            f'# zsh completion of {program.name}: eval "$({program.name} completion zsh)" after compinit',
            f"_{name}() {{",
            "    local current=${words[CURRENT]} command= flag= candidates= flags= many= files=0 value=nothing choices= word",
            "    local -a typed; typed=(${words[@]})",
            "    integer i",
            "    for ((i = 2; i < CURRENT; i++)); do",
            "        word=${typed[i]}",
            "        if [[ $word == -* ]]; then if [[ -z $command ]]; then continue; else break; fi; fi",
            f"        if [[ -z $command ]]; then command=$word; case $word in ({_parents(program)}) continue ;; esac; break",
            '        else command="$command $word"; break; fi',
            "    done",
            "    for ((i = CURRENT - 1; i > 1; i--)); do",
            "        if [[ ${typed[i]} == -* ]]; then flag=${typed[i]}; break; fi",
            "    done",
            *(line.replace(" words=", " candidates=") for line in _tables(program)),
            '    if ((i > 1 && i < CURRENT - 1)) && [[ " $many " != *" $flag "* ]]; then value=nothing; fi',
            "    if [[ $current == -* ]]; then compadd -- ${=flags}",
            "    elif [[ $value == choice ]]; then compadd -- ${=choices}",
            "    elif [[ $value == folder ]]; then _files -/",
            "    elif [[ $value == file || ($value == nothing && $files == 1) ]]; then _files",
            "    elif [[ $value == nothing && -n $candidates ]]; then compadd -- ${=candidates}",
            "    elif [[ $value == nothing ]]; then compadd -- ${=flags}",
            "    fi",
            "}",
            f"compdef _{name} {program.name}",
            "",
        ]
    )


def _fish(program: Program) -> str:
    name = f"__{_identifier(program)}_command"
    lines = [
        f"# fish completion of {program.name}: {program.name} completion fish | source",
        f"function {name}",
        "    set -l typed (commandline -opc)",
        "    set -l command",
        "    for word in $typed[2..]",
        "        if string match -q -- '-*' $word",
        '            test -z "$command"; and continue; or break',
        "        end",
        '        set command (string trim -- "$command $word")',
        f'        contains -- "$command" {" ".join(name for name in program.commands if program.children(name))}; or break',
        "    end",
        '    test "$command" = "$argv[1]"',
        "end",
        f"complete -c {program.name} -f",
    ]
    for parent in ["", *program.commands]:
        condition = f"-n \"{name} '{parent}'\""
        command = program.commands.get(parent, CommandWords())
        lines += [
            f"complete -c {program.name} {condition} -a {word} -d {_fish_text(text)}"
            for word, text in program.children(parent).items()
        ]
        if command.words:
            lines.append(f"complete -c {program.name} {condition} -a {_fish_text(' '.join(command.words))}")
        if command.files:
            lines.append(f"complete -c {program.name} {condition} -F")
        lines += [f"complete -c {program.name} {condition} {_fish_flag(flag)}" for flag in command.flags]
    return "\n".join([*lines, ""])


def _fish_flag(flag: FlagWord) -> str:
    spelled = f"-l {flag.name[2:]}" if flag.name.startswith("--") else f"-s {flag.name[1:]}"
    values = {
        ValueKind.NOTHING: "",
        ValueKind.TEXT: " -x",
        ValueKind.FILE: " -r -F",
        ValueKind.FOLDER: " -x -a '(__fish_complete_directories)'",
        ValueKind.CHOICE: f" -x -a {_fish_text(' '.join(flag.choices))}",
    }
    return f"{spelled}{values[flag.value]} -d {_fish_text(flag.text)}"


def _fish_text(text: str) -> str:
    """The text as one word of fish."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
