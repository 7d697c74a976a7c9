"""The command `webtext-train`: train, sample, eval, explain, export, rehearse, verify."""

import logging
import sys
from argparse import Namespace
from collections.abc import Sequence

from tokenizer.errors import DISK_ERRORS, DISK_FAILED
from tokenizer.interruption import ends_on_interrupt
from trainer.config import InputError, SaveError
from trainer.flags import Parser, add_options
from trainer.pages import large_kept_pages
from trainer.presets import PRESETS, RECIPES


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line. Exit codes: 0 done, 2 bad usage or input, 74 disk full or failing, 1 failed, 130 interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with ends_on_interrupt("interrupted"):
            return _run(words)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"failed: {error}", file=sys.stderr)
        return DISK_FAILED if isinstance(error, SaveError) or error.errno in DISK_ERRORS else 1


def _run(words: list[str]) -> int:
    if words[:1] == ["eval"]:
        from trainer.evals.command import main as evaluate

        return int(evaluate(words[1:]))
    if words[:1] == ["explain"]:
        from trainer.explain import main as explain

        return explain(words[1:])
    arguments = _parser().parse_args(words)
    return int(arguments.run(arguments))


def _parser() -> Parser:
    parser = Parser(prog="webtext-train", description="Train GPT-2 on a corpus of token shards, and use what was trained.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command", parser_class=Parser)
    _add_train(commands.add_parser("train", help="train a preset, or go on with an interrupted run"))
    _add_sample(commands.add_parser("sample", help="continue prompts"))
    _add_export(commands.add_parser("export", help="write a Hugging Face GPT-2 folder"))
    _add_rehearse(commands.add_parser("rehearse", help="what a step on many ranks sends and holds, without any of them"))
    _add_verify(commands.add_parser("verify", help="check a checkpoint's files against their hashes"))
    commands.add_parser("eval", help="zero-shot evaluation (webtext-train eval --help)", add_help=False)
    commands.add_parser("explain", help="a page that shows what the network does with a prompt", add_help=False)
    return parser


def _add_train(parser: Parser) -> None:
    parser.usage = "webtext-train train PRESET --data DIR --out DIR [flags]"
    parser.description = "The same command goes on where it was interrupted, and does nothing when all steps are done."
    parser.add_argument("preset", choices=tuple(PRESETS), metavar="PRESET", help=", ".join(PRESETS))
    parser.add_argument("--data", required=True, metavar="DIR", help="folder of token shards, with manifest.json")
    parser.add_argument("--out", required=True, metavar="DIR", help="the run's folder: log.jsonl, checkpoints/, config.json")
    parser.add_argument(
        "--init-from", metavar="FOLDER", help="begin with the weights of a checkpoint or Hugging Face GPT-2 folder"
    )
    parser.add_argument("--resume", action="store_true", help="insist on going on: refuse to begin a new run")
    parser.add_argument(
        "--fall-back", action="store_true", help="where the newest checkpoint is damaged, go on from one before it"
    )
    parser.add_argument("--tokenizer", metavar="PATH", help="where it is not in the corpus's folder or beside it")
    parser.add_argument("--eval-tasks", nargs="+", default=[], metavar="NAME", help="zero-shot tasks of webtext-train eval")
    parser.add_argument("--eval-data", nargs="+", default=[], metavar="DIR", help="folders with their files")
    parser.add_argument(
        "--recipe", choices=tuple(RECIPES), default="gpt2", help="what the flags below start from (default: gpt2)"
    )
    parser.add_argument("--tensorboard", action="store_true", help="event files in the run's folder, beside log.jsonl")
    parser.add_argument("--wandb", metavar="PROJECT", help="a Weights & Biases run, beside log.jsonl")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")
    add_options(parser)
    parser.set_defaults(run=_train)


def _add_sample(parser: Parser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a run's folder, a checkpoint, or a Hugging Face GPT-2 folder")
    parser.add_argument("--prompt", action="append", metavar="TEXT", help="may be given several times (default: a new document)")
    parser.add_argument("--tokens", type=int, default=100, metavar="N", help="at most so many new tokens (default: 100)")
    parser.add_argument("--temperature", type=float, default=0.8, metavar="X", help="0 takes the likeliest token (default: 0.8)")
    parser.add_argument("--top-k", type=int, default=None, metavar="N", help="choose among the N likeliest")
    parser.add_argument("--top-p", type=float, default=None, metavar="X", help="choose among the likeliest that sum to X")
    parser.add_argument("--samples", type=int, default=1, metavar="N", help="continuations of each prompt (default: 1)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="(default: 1)")
    parser.set_defaults(run=_sample)


def _add_export(parser: Parser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint, or a run's folder, whose newest one is taken")
    parser.add_argument("folder", metavar="FOLDER", help="gets model.safetensors, config.json and the tokenizer")
    parser.set_defaults(run=_export)


def _add_rehearse(parser: Parser) -> None:
    parser.usage = "webtext-train rehearse PRESET --ranks N [flags]"
    parser.add_argument("preset", choices=tuple(PRESETS), metavar="PRESET", help=", ".join(PRESETS))
    parser.add_argument("--ranks", type=int, required=True, metavar="N", help="of them one is rehearsed, in this process")
    parser.add_argument(
        "--recipe", choices=tuple(RECIPES), default="gpt2", help="what the flags below start from (default: gpt2)"
    )
    add_options(parser)
    parser.set_defaults(run=_rehearse)


def _add_verify(parser: Parser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint, or a run's folder, whose newest one is taken")
    parser.set_defaults(run=_verify)


# The subcommands import torch when they are called: `--help` answers at once.
def _train(arguments: Namespace) -> int:
    large_kept_pages()
    from trainer.command import train

    return train(arguments)


def _sample(arguments: Namespace) -> int:
    from trainer.sampling import sample

    return sample(arguments)


def _export(arguments: Namespace) -> int:
    from trainer.sampling import export

    return export(arguments)


def _rehearse(arguments: Namespace) -> int:
    from trainer.rehearsal import main as rehearse

    return rehearse(arguments)


def _verify(arguments: Namespace) -> int:
    from trainer.sampling import verify

    return verify(arguments)
