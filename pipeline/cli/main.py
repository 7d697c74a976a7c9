"""The command line: one command per stage, with flags from its settings; commands for all stages; and one per tool.

A command's module is imported when the command is called: help, completion and a mistyped word answer at once.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version

from pipeline.cli import help_pages
from pipeline.cli.output_flags import OutputFlags, take_output_flags
from pipeline.cli.registry import (
    COMMANDS,
    COMPLETION,
    OTHER_TEXTS,
    STAGE_TEXTS,
    TOKENIZER,
    TOOL_TEXTS,
    TOOLS,
    WHOLE_TEXTS,
)
from tokenizer.command_line import Parser, suggestion
from tokenizer.errors import NETWORK_FAILED, InputError, OutageError
from tokenizer.faults import answer, check_arguments
from tokenizer.terminal import print_error

PROGRAM = "webtext"
DESCRIPTION = "Reddit links in, a de-duplicated corpus and Arrow token shards out: GPT-2's WebText, stage by stage."
ON_FULL_DISK = "finished parts are kept: free space or fix the disk, then run the same command again"
EPILOG = """`webtext COMMAND --help` shows a command's common flags, `--help-all` every flag. Underscores in our flags work as
hyphens do; Beam's flags keep its spelling.

output, before or after the command word:
  -q, --quiet             warnings and errors alone, no progress
  -v, --verbose           also what each phase of a stage does
  --log-format FORMAT     text or json: one JSON object per line on standard error, progress too (default: text)

exit codes:
  0    done
  1    failed: a traceback or Beam's error says where
  2    bad usage or input: one line says what to correct, and nothing was changed
  74   the disk is full or fails: finished parts are kept
  75   the network is down: finished links are kept, and the same command goes on
  130  interrupted: the same command goes on where it stopped
  141  the reader of the output went away, as `head` does

environment:
  praw_client_id, praw_client_secret, …    Reddit's keys, for --subreddits: PRAW reads them, or praw.ini
  TMPDIR                                   sockets of local workers, and small temporary files
Nothing else is read: the crawl takes no proxy from the environment (--proxy names one).
"""


def run(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    with ExitStack() as printing:  # errors are printed as the flags say, too
        return answer(lambda: _run(argv, printing), on_full_disk=ON_FULL_DISK)


def _run(argv: Sequence[str], printing: ExitStack) -> int:
    check_arguments(argv)
    words, output = take_output_flags(argv)
    if output != OutputFlags():
        printing.enter_context(output.applied())
    name = words[0] if words else "--help"
    if name not in COMMANDS:
        _parse_top_level(name)
    if text := help_pages.asked_for(words):
        sys.stdout.write(text)
        raise SystemExit(0)
    return _run_command(name, words[1:])


def _run_command(name: str, argv: Sequence[str]) -> int:
    if name == TOKENIZER:
        from tokenizer.cli import run as run_tokenizer

        return run_tokenizer(argv, prog=f"{PROGRAM} {TOKENIZER}")
    if name == COMPLETION:
        from pipeline.cli.completion_command import run_completion

        run_completion(argv)
        return 0
    try:
        _run_on_corpus(name, argv)
    except OutageError as error:
        print_error(f"error: {error}")
        return NETWORK_FAILED
    except OSError as error:
        from pipeline.storage.remote import remote_fault

        if fault := remote_fault(error):
            raise InputError(f"{fault}; check the address, the keys and the network") from error
        raise
    return 0


def _run_on_corpus(name: str, argv: Sequence[str]) -> None:
    if name == "run":
        from pipeline.cli.run_command import run_all

        run_all(argv)
    elif name == "vary":
        from pipeline.cli.vary_command import run_vary

        run_vary(argv)
    elif name == "recipe":
        from pipeline.cli.recipe_command import run_recipe

        run_recipe(argv)
    elif name in TOOL_TEXTS:
        TOOLS[name].run(argv, TOOL_TEXTS[name])
    else:
        from pipeline.cli.stage_command import run_stage

        run_stage(name, argv)


def _parse_top_level(word: str) -> None:
    """Answer --help, --version or an unknown command, and exit."""
    parser = Parser(prog=PROGRAM, usage=f"{PROGRAM} COMMAND [flags]", description=_overview(), epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {version('webtext')}")
    if word == "--help-all":
        word = "--help"
    if word.startswith("-"):
        parser.parse_args([word])
    parser.error(f"no command '{word}'{suggestion(word, COMMANDS)}")


def _overview() -> str:
    return (
        f"{DESCRIPTION}\n\nstages, in the order of the data:\n{_table(STAGE_TEXTS)}\n\nall stages:\n{_table(WHOLE_TEXTS)}"
        f"\n\ntools:\n{_table({**TOOL_TEXTS, **OTHER_TEXTS})}"
    )


def _table(texts: Mapping[str, str]) -> str:
    return "\n".join(f"  {name:<11} {text}" for name, text in texts.items())
