"""The interface of the commands that are not stages: they read or change a finished corpus and write no manifest of their own."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.storage.places import add_also_read, naming
from tokenizer.command_line import Parser


@dataclass(frozen=True, slots=True)
class Tool:
    """A command: its name, its flags, and its work, which raises InputError for what the user must correct.

    The command has the flag --corpus if `of_corpus` is set.
    """

    name: str
    flags: Callable[[argparse.ArgumentParser], None]
    work: Callable[[argparse.Namespace], None]
    of_corpus: bool = True

    def run(self, argv: Sequence[str], text: str = "") -> None:
        """Parse the flags and do the work. `text` begins the help. An unknown flag exits with SystemExit(2) and one line."""
        arguments = self.parser(text).parse_args(list(argv))
        with naming(*arguments.also_read, *([arguments.corpus] if self.of_corpus else [])):
            self.work(arguments)

    def parser(self, text: str = "") -> Parser:
        """The parser of the command's flags."""
        parser = Parser(prog=f"webtext {self.name}", description=text)
        if self.of_corpus:
            parser.add_argument("--corpus", required=True, metavar="DIR", help="corpus folder that `webtext run` filled")
        add_also_read(parser)
        self.flags(parser)
        return parser
