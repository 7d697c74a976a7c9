"""`webtext completion`: print a shell's completion of all commands and flags."""

import sys
from collections.abc import Sequence

from pipeline.cli import help_pages
from pipeline.cli.help_pages import Flag
from pipeline.cli.output_flags import FLAG, FORMATS, TEXTS
from pipeline.cli.registry import COMMANDS, COMPLETION, OTHER_TEXTS, STAGE_TEXTS, TOOL_TEXTS, WHOLE_TEXTS
from tokenizer.command_line import HELP_ALL, Parser
from tokenizer.completion import SHELLS, CommandWords, FlagWord, Program, ValueKind, script, value_of

WAYS = {
    "bash": 'eval "$(webtext completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(webtext completion zsh)" in ~/.zshrc, after compinit',
    "fish": "webtext completion fish | source, in ~/.config/fish/config.fish",
}


def completion_parser() -> Parser:
    """The parser of the command's word."""
    ways = "\n".join(f"  {shell:<5} {way}" for shell, way in WAYS.items())
    parser = Parser(prog=f"webtext {COMPLETION}", description=f"{OTHER_TEXTS[COMPLETION]}:\n{ways}")
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    return parser


def run_completion(argv: Sequence[str]) -> None:
    """Print the script. Usage errors exit with SystemExit(2) and one line."""
    sys.stdout.write(script(program(), completion_parser().parse_args(list(argv)).shell))


def program() -> Program:
    """`webtext` and all its commands."""
    texts = STAGE_TEXTS | WHOLE_TEXTS | TOOL_TEXTS | OTHER_TEXTS
    pages = help_pages.pages()
    order = sorted(pages, key=lambda name: (COMMANDS.index(name.split()[0]), " " in name))
    return Program("webtext", {name: _command(name, texts.get(name, pages[name].description)) for name in order})


def _command(name: str, text: str) -> CommandWords:
    page = help_pages.pages()[name]
    flags = tuple(_word(flag, name) for flag in page.flags for name in flag.names if name.startswith("-"))
    plain = [flag for flag in page.flags if not flag.names[0].startswith("-")]
    words = tuple(choice for flag in plain for choice in flag.choices or ())
    files = any(value_of(flag.metavar, flag.choices, flag.nargs) in (ValueKind.FILE, ValueKind.FOLDER) for flag in plain)
    return CommandWords(text.splitlines()[0] if text else "", (*flags, *_shared()), () if name == "recipe" else words, files)


def _word(flag: Flag, name: str) -> FlagWord:
    value = ValueKind.NOTHING if name.startswith("--no-") else value_of(flag.metavar, flag.choices, flag.nargs)
    return FlagWord(name, flag.text, value, flag.choices or (), flag.nargs in ("*", "+"))


def _shared() -> list[FlagWord]:
    """The flags of every command."""
    output = [
        FlagWord(name, text, ValueKind.CHOICE if name == FLAG else ValueKind.NOTHING, FORMATS if name == FLAG else ())
        for names, text in TEXTS.items()
        for name in names
    ]
    return [FlagWord("--help", "show the common flags"), FlagWord(HELP_ALL, "show every flag"), *output]
