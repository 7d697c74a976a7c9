"""Command line of `webtext tokenizer`: parses flags, runs a command, and reports errors in one line."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenizer import commands
from tokenizer.bpe import COUNTS, TRAINERS
from tokenizer.command_line import Parser, positive_int, whole
from tokenizer.convert import READERS, WRITERS
from tokenizer.errors import InputError
from tokenizer.faults import answer, check_arguments
from tokenizer.labels import printable_text
from tokenizer.paper import VOCAB_SIZE


def run(argv: Sequence[str] | None = None, prog: str = "webtext tokenizer") -> int:
    """Run one command. Exit codes: 0 done, 2 bad usage or input."""
    words = list(sys.argv[1:] if argv is None else argv)
    return answer(lambda: _run(words, prog), on_full_disk="free space or fix the disk, then run the same command again")


def _run(words: Sequence[str], prog: str) -> int:
    check_arguments(words)
    arguments = build_parser(prog).parse_args(words)
    try:
        for line in arguments.run(arguments):
            print(printable_text(line))
    except ValueError as error:
        raise InputError(str(error)) from error
    return 0


def build_parser(prog: str) -> Parser:
    """The parser of all commands."""
    parser = Parser(prog=prog, description="GPT-2's byte-level BPE and token shards.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    train = _command(
        subparsers, "train", "learn a vocabulary from text files (UTF-8) or Parquet with a column 'text'", commands.run_train
    )
    train.add_argument("texts", nargs="+", type=Path, metavar="FILE", help="text files, or Parquet of documents")
    train.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder for the tokenizer's files")
    train.add_argument("--vocab-size", type=positive_int, default=VOCAB_SIZE, metavar="N", help="entries (default: %(default)s)")
    train.add_argument(
        "--min-frequency", type=whole, default=0, metavar="N", help="least count of a merged pair (default: %(default)s)"
    )
    train.add_argument(
        "--max-token-length", type=positive_int, default=None, metavar="N", help="longest token in bytes (default: no limit)"
    )

    train.add_argument("--trainer", choices=TRAINERS, default=COUNTS, help="both learn the same merges (default: %(default)s)")

    evaluate = _command(
        subparsers, "evaluate", "compare tokenizers on held-out text, also by language and domain", commands.run_evaluate
    )
    evaluate.add_argument("texts", nargs="+", type=Path, metavar="FILE", help="text files, or Parquet of documents")
    evaluate.add_argument("--tokenizers", required=True, nargs="+", type=Path, metavar="PATH", help="folders or files")
    evaluate.add_argument(
        "--by",
        nargs="+",
        default=[],
        choices=["language", "domain"],
        help="add rows per language or domain (columns of the Parquet files)",
    )

    decode = _command(subparsers, "decode", "print one document of a shard", commands.run_decode)
    decode.add_argument("shard", type=Path, metavar="SHARD", help="a token shard")
    decode.add_argument(
        "--document", type=whole, default=0, metavar="N", help="number of the document, from 0 (default: %(default)s)"
    )
    decode.add_argument("--tokenizer", type=Path, metavar="PATH", help="folder or file (default: the shard's folder)")

    export = _command(subparsers, "export", "convert shards to another trainer's format", commands.run_export)
    export.add_argument("folder", type=Path, metavar="DIR", help="folder of token shards")
    export.add_argument("--split", default="train", help="name of the split (default: %(default)s)")
    export.add_argument("--format", required=True, choices=list(WRITERS), help="whose format to write")
    export.add_argument("--output", required=True, type=Path, metavar="FILE", help="for Megatron: the path without .bin and .idx")

    ingest = _command(subparsers, "import", "convert another trainer's files to a folder of shards", commands.run_import)
    ingest.add_argument(
        "files", nargs="+", type=Path, metavar="FILE",
        help="files of one split in order, or a folder with train and val files; for Megatron: paths without .bin and .idx",
    )  # fmt: skip
    ingest.add_argument("--split", help="name of the files' split (default: train)")
    ingest.add_argument("--format", required=True, choices=list(READERS), help="whose format the files have")
    ingest.add_argument("--tokenizer", required=True, type=Path, metavar="PATH", help="the one that made the file")
    ingest.add_argument("--output", required=True, type=Path, metavar="DIR", help="new folder, or one of earlier imports")

    verify = _command(
        subparsers,
        "verify",
        "check every shard of a folder against its sha256, and every batch against its checksum",
        commands.run_verify,
    )
    verify.add_argument("folder", type=Path, metavar="DIR", help="folder of token shards")
    return parser


def _command(
    subparsers: "argparse._SubParsersAction[Parser]",
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], object],
) -> Parser:
    parser = subparsers.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser
