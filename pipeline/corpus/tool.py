"""What the commands beside the stages have in common: they answer or mend, and keep no manifest of their own."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tool:
    """A command: its name, a line about it, its flags, and what it does with them (InputError for what the user must mend).

    One `of_corpus` has the flag --corpus.
    """

    name: str
    text: str
    flags: Callable[[argparse.ArgumentParser], None]
    work: Callable[[argparse.Namespace], None]
    of_corpus: bool = True

    def run(self, argv: Sequence[str]) -> None:
        """Parse the flags and work; an unknown flag ends in SystemExit(2) and one line."""
        parser = argparse.ArgumentParser(prog=f"python -m pipeline {self.name}", description=self.text, allow_abbrev=False)
        if self.of_corpus:
            parser.add_argument(
                "--corpus", required=True, metavar="DIR", help="corpus folder that `python -m pipeline run` filled"
            )
        self.flags(parser)
        self.work(parser.parse_args(list(argv)))
