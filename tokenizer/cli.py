"""The command line of `python -m tokenizer`: what is asked for, and how a fault is told."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenizer import commands
from tokenizer.bpe import COUNTS, TRAINERS
from tokenizer.convert import READERS, WRITERS
from tokenizer.errors import FormatError
from tokenizer.paper import VOCAB_SIZE


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 2 bad usage or input."""
    arguments = _parser().parse_args(argv)
    try:
        for line in arguments.run(arguments):
            print(line)
    except (FormatError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"error: {error.filename}: {error.strerror}; name another" if error.filename else f"error: {error}", file=sys.stderr
        )
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tokenizer", description="GPT-2's byte-level BPE and token shards.", allow_abbrev=False
    )
    each = parser.add_subparsers(required=True, metavar="COMMAND")

    train = _command(
        each, "train", "learn a vocabulary from text files (UTF-8) or Parquet with a column 'text'", commands.run_train
    )
    train.add_argument("texts", nargs="+", type=Path, metavar="FILE")
    train.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder for the tokenizer's files")
    train.add_argument("--vocab_size", type=int, default=VOCAB_SIZE, metavar="N", help="entries (default: %(default)s)")
    train.add_argument("--min_frequency", type=int, default=0, metavar="N", help="merge no rarer pair (default: %(default)s)")
    train.add_argument(
        "--max_token_length", type=int, default=None, metavar="N", help="longest token in bytes (default: no limit)"
    )

    train.add_argument("--trainer", choices=TRAINERS, default=COUNTS, help="both learn the same (default: %(default)s)")

    evaluate = _command(each, "evaluate", "how well tokenizers fit held-out text, by language and domain", commands.run_evaluate)
    evaluate.add_argument("texts", nargs="+", type=Path, metavar="FILE", help="text files, or Parquet of documents")
    evaluate.add_argument("--tokenizers", required=True, nargs="+", type=Path, metavar="PATH", help="folders or files")
    evaluate.add_argument(
        "--by", nargs="+", default=[], choices=["language", "domain"], help="rows for each, too (columns of Parquet)"
    )

    decode = _command(each, "decode", "print one document of a shard", commands.run_decode)
    decode.add_argument("shard", type=Path, metavar="SHARD")
    decode.add_argument("--document", type=int, default=0, metavar="N", help="which, from 0 (default: %(default)s)")
    decode.add_argument("--tokenizer", type=Path, metavar="PATH", help="default: the one in the shard's folder")

    export = _command(each, "export", "shards to another trainer's format", commands.run_export)
    export.add_argument("folder", type=Path, metavar="DIR", help="folder of token shards")
    export.add_argument("--split", default="train", help="(default: %(default)s)")
    export.add_argument("--format", required=True, choices=list(WRITERS))
    export.add_argument("--output", required=True, type=Path, metavar="FILE", help="Megatron: without .bin and .idx")

    ingest = _command(each, "import", "another trainer's file to a folder of shards", commands.run_import)
    ingest.add_argument("file", type=Path, metavar="FILE", help="Megatron: without .bin and .idx")
    ingest.add_argument("--split", default="train", help="(default: %(default)s)")
    ingest.add_argument("--format", required=True, choices=list(READERS))
    ingest.add_argument("--tokenizer", required=True, type=Path, metavar="PATH", help="that made the file")
    ingest.add_argument("--output", required=True, type=Path, metavar="DIR")

    verify = _command(
        each, "verify", "check every shard of a folder against its hash and each batch against its checksum", commands.run_verify
    )
    verify.add_argument("folder", type=Path, metavar="DIR")
    return parser


def _command(
    each: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], object],
) -> argparse.ArgumentParser:
    parser = each.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(run=run)
    return parser
