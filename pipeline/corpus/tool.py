"""The interface of the commands that are not stages: they read or change a finished corpus and write no manifest of their own."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tokenizer.command_line import Parser


@dataclass(frozen=True, slots=True)
class Tool:
    """A command: its name, one line of help, its flags, and its work, which raises InputError for what the user must correct.

    The command has the flag --corpus if `of_corpus` is set.
    """

    name: str
    text: str
    flags: Callable[[argparse.ArgumentParser], None]
    work: Callable[[argparse.Namespace], None]
    of_corpus: bool = True

    def run(self, argv: Sequence[str]) -> None:
        """Parse the flags and do the work. Raises InputError for a bad flag."""
        parser = Parser(prog=f"python -m pipeline {self.name}", description=self.text)
        if self.of_corpus:
            parser.add_argument(
                "--corpus", required=True, metavar="DIR", help="corpus folder that `python -m pipeline run` filled"
            )
        self.flags(parser)
        self.work(parser.parse_args(list(argv)))
