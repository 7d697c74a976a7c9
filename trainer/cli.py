"""The command `webtext-train`: parses the command line, runs a subcommand and returns its exit code."""

import json
import logging
import sys
from argparse import Namespace, _SubParsersAction
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import version

from tokenizer.command_line import HELP_ALL, positive_int, real, whole
from tokenizer.completion import SHELLS, Program, script, words_of
from tokenizer.errors import DISK_FAILED, InputError
from tokenizer.faults import answer, check_arguments
from tokenizer.interruption import ends_on_interrupt
from tokenizer.terminal import error_line, guarded_streams, log_lines
from trainer.allocator import keep_large_pages
from trainer.config import SaveError
from trainer.flags import TrainerParser, add_options, apply_flags
from trainer.presets import PRESETS, RECIPES
from trainer.subcommands import PARSERS

COMMON = (
    *("--data", "--out", "--ranks", "--recipe", "--steps", "--batch-tokens", "--micro-batch", "--learning-rate", "--vocabulary"),
    *("--context", "--layers", "--width", "--heads", "--schedule", "--init-from", "--eval-tasks", "--eval-data"),
    *("--checkpoint-every", "--validate-every", "--device", "--print-config"),
)
"""The flags that `--help` shows; `--help-all` shows every flag."""

HELP_WORDS = {"-h", "--help", HELP_ALL}
ON_FULL_DISK = "checkpoints are kept: free space or fix the disk, then run the same command again"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line. Exit codes: 0 done, 1 failed, 2 bad usage or input, 74 disk full or failing, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    with guarded_streams() if "--wandb" not in words else nullcontext():  # wandb colors its own lines
        log_lines(logging.INFO)
        with ends_on_interrupt("interrupted"):
            return answer(lambda: _run(words), on_full_disk=ON_FULL_DISK, mark="")


def _run(words: list[str]) -> int:
    check_arguments(words)
    try:
        return _run_command(words)
    except SaveError as error:
        sys.stderr.write(f"failed: {error_line(error)}\n")
        return DISK_FAILED


def _run_command(words: list[str]) -> int:
    if words[:1] and words[0] in PARSERS and HELP_WORDS & set(words[1:2]):
        PARSERS[words[0]]().print_help()
        return 0
    if words[:1] == ["eval"]:
        from trainer.evals.command import main as evaluate

        return int(evaluate(words[1:]))
    if words[:1] == ["compare"]:
        from trainer.compare.command import main as compare

        return compare(words[1:])
    if words[:1] == ["explain"]:
        from trainer.explain.page import main as explain

        return explain(words[1:])
    if words[:1] == ["launch"]:
        from trainer.launch import main as launch

        return launch(words[1:])
    arguments = _parser().parse_args(words)
    return int(arguments.run(arguments))


def _parser() -> TrainerParser:
    parser = TrainerParser(
        prog="webtext-train", description="Train GPT-2 on token shards; sample from, evaluate and export trained networks."
    )
    parser.add_argument("--version", action="version", version=f"webtext-train {version('webtext')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command", parser_class=TrainerParser)
    _add_train(commands.add_parser("train", common=COMMON, help="train a preset, or continue an interrupted run"))
    _add_sample(commands.add_parser("sample", help="continue prompts"))
    _add_export(commands.add_parser("export", help="write a Hugging Face GPT-2 folder"))
    _add_dry_run(
        commands.add_parser("rehearse", common=COMMON, help="dry run of a step on many ranks: its collectives and peak memory")
    )
    _add_verify(commands.add_parser("verify", help="check a checkpoint's files against their hashes"))
    _add_completion(commands.add_parser("completion", help="print the completion of these commands for bash, zsh or fish"))
    commands.add_parser("presets", help="list the presets: size, batch, steps, tokens").set_defaults(run=_presets)
    commands.add_parser("eval", help="zero-shot evaluation (webtext-train eval --help)", add_help=False)
    commands.add_parser("compare", help="say which of several corpora is better, with error bars", add_help=False)
    commands.add_parser("launch", help="run a command on several ranks of this machine, all ports on loopback", add_help=False)
    commands.add_parser("explain", help="write a page that shows what the network does with a prompt", add_help=False)
    return parser


def _add_train(parser: TrainerParser) -> None:
    parser.usage = "webtext-train train PRESET --data DIR --out DIR [flags]"
    parser.description = "To continue an interrupted run, run the same command again. It does nothing if all steps are done."
    parser.add_argument("preset", choices=tuple(PRESETS), metavar="PRESET", help=", ".join(PRESETS))
    parser.add_argument("--data", metavar="DIR", help="folder of token shards, with manifest.json (required)")
    parser.add_argument("--out", metavar="DIR", help="the run's folder: log.jsonl, checkpoints/, config.json (required)")
    parser.add_argument("--print-config", action="store_true", help="print the recipe that these flags give as JSON, and stop")
    parser.add_argument(
        "--init-from", metavar="FOLDER", help="start from the weights of a checkpoint or Hugging Face GPT-2 folder"
    )
    parser.add_argument("--resume", action="store_true", help="fail unless a checkpoint exists")
    parser.add_argument(
        "--fall-back", action="store_true", help="if the newest checkpoint is damaged, continue from an earlier one"
    )
    parser.add_argument(
        "--tokenizer", metavar="PATH", help="path of the tokenizer (default: in or beside the folder of token shards)"
    )
    parser.add_argument("--eval-tasks", nargs="+", default=[], metavar="NAME", help="zero-shot tasks to evaluate during training")
    parser.add_argument("--eval-data", nargs="+", default=[], metavar="DIR", help="folders with the tasks' files")
    parser.add_argument("--recipe", choices=tuple(RECIPES), default="gpt2", help="defaults of the flags below (default: gpt2)")
    parser.add_argument("--tensorboard", action="store_true", help="also write TensorBoard event files into the run's folder")
    parser.add_argument("--wandb", metavar="PROJECT", help="also log to this Weights & Biases project")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute (default: auto)")
    parser.add_argument(
        "--flash-attention",
        choices=("auto", "fa3", "fa4", "off"),
        default="auto",
        help="package for attention on a GPU, instead of torch's own (default: auto: FA3 if installed)",
    )
    add_options(parser)
    parser.set_defaults(run=_train)


def _add_sample(parser: TrainerParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a run's folder, a checkpoint, or a Hugging Face GPT-2 folder")
    parser.add_argument("--prompt", action="append", metavar="TEXT", help="repeat for several prompts (default: a new document)")
    parser.add_argument(
        "--tokens", type=positive_int, metavar="N", help="maximum number of new tokens (default: 100, or what the context holds)"
    )
    parser.add_argument("--temperature", type=real, default=0.8, metavar="X", help="0 picks the most likely token (default: 0.8)")
    parser.add_argument("--top-k", type=whole, default=None, metavar="N", help="sample from the N most likely tokens")
    parser.add_argument(
        "--top-p", type=real, default=None, metavar="X", help="sample from the most likely tokens whose probabilities sum to X"
    )
    parser.add_argument("--samples", type=positive_int, default=1, metavar="N", help="continuations per prompt (default: 1)")
    parser.add_argument("--seed", type=whole, default=1, metavar="N", help="seed of the choices (default: 1)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute (default: auto)")
    parser.set_defaults(run=_sample)


def _add_export(parser: TrainerParser) -> None:
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="a checkpoint, or a run's folder, which stands for its newest checkpoint"
    )
    parser.add_argument("folder", metavar="FOLDER", help="output folder for model.safetensors, config.json and the tokenizer")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu", help="(default: cpu)")
    parser.set_defaults(run=_export)


def _add_dry_run(parser: TrainerParser) -> None:
    parser.usage = "webtext-train rehearse PRESET --ranks N [flags]"
    parser.add_argument("preset", choices=tuple(PRESETS), metavar="PRESET", help=", ".join(PRESETS))
    parser.add_argument(
        "--ranks",
        type=positive_int,
        required=True,
        metavar="N",
        help="number of ranks to simulate; this process plays one of them",
    )
    parser.add_argument(
        "--memory-gib", type=positive_int, default=80, metavar="N", help="memory of a GPU, for --strategy auto (default: 80)"
    )
    parser.add_argument("--recipe", choices=tuple(RECIPES), default="gpt2", help="defaults of the flags below (default: gpt2)")
    add_options(parser)
    parser.set_defaults(run=_dry_run)


def _add_verify(parser: TrainerParser) -> None:
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="a checkpoint, or a run's folder, which stands for its newest checkpoint"
    )
    parser.set_defaults(run=_verify)


def _add_completion(parser: TrainerParser) -> None:
    parser.add_argument(
        "shell", choices=SHELLS, metavar="SHELL", help='shell: eval "$(webtext-train completion bash)" in ~/.bashrc'
    )
    parser.set_defaults(run=_completion)


def _completion(arguments: Namespace) -> int:
    parser = _parser()
    (commands,) = (action for action in parser._actions if isinstance(action, _SubParsersAction))
    texts = {action.dest: action.help or "" for action in commands._choices_actions}
    words = {name: words_of(PARSERS[name]() if name in PARSERS else command) for name, command in commands.choices.items()}
    program = Program("webtext-train", {name: replace(command, text=texts[name]) for name, command in words.items()})
    print(script(program, arguments.shell), end="")
    return 0


# Subcommands import torch only when called, so that `--help` answers at once.
def _train(arguments: Namespace) -> int:
    if arguments.print_config:
        config = apply_flags(RECIPES[arguments.recipe](PRESETS[arguments.preset]()), arguments)
        print(json.dumps(config.to_json(), indent=1))
        return 0
    for flag in ("data", "out"):
        if getattr(arguments, flag) is None:
            raise InputError(f"webtext-train train: --{flag} DIR is required; see webtext-train train --help")
    keep_large_pages()
    from trainer.train import train

    return train(arguments)


def _presets(_arguments: Namespace) -> int:
    """A table of the presets."""
    rows: list[tuple[str, ...]] = [
        ("preset", "parameters", "layers", "width", "heads", "context", "batch tokens", "steps", "tokens", "learning rate")
    ]
    for name, preset in PRESETS.items():
        config = preset()
        model = config.model
        numbers = (model.parameters, model.layers, model.width, model.heads, model.context, config.batch_tokens, config.steps)
        tokens = config.steps * config.batch_tokens
        rows.append((name, *(f"{number:,}" for number in (*numbers, tokens)), f"{config.learning_rate:g}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)), sep="  ")
    return 0


def _sample(arguments: Namespace) -> int:
    from trainer.commands import sample

    return sample(arguments)


def _export(arguments: Namespace) -> int:
    from trainer.commands import export

    return export(arguments)


def _dry_run(arguments: Namespace) -> int:
    from trainer.dry_run import main as dry_run

    return dry_run(arguments)


def _verify(arguments: Namespace) -> int:
    from trainer.commands import verify

    return verify(arguments)
