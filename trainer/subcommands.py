"""The flags of `webtext-train eval`, `explain` and `launch`: apart from their work, so that their help imports no torch."""

from argparse import REMAINDER

from tokenizer.command_line import Parser, positive_int
from trainer.flags import TrainerParser

TOKEN_TASKS = ("held_out", "trained_on")
TASK_NAMES = (
    "held_out",
    "trained_on",
    "lambada",
    "cbt_cn",
    "cbt_ne",
    "winograd",
    "wikitext2",
    "wikitext103",
    "ptb",
    "enwik8",
    "text8",
    "lm1b",
    "natural_questions",
    "coqa",
    "summaries",
    "translation_en_fr",
    "translation_fr_en",
    "hellaswag",
)
"""Every evaluation task, in the order of the report; a test compares them with the registry."""


def eval_parser() -> Parser:
    """The parser of `webtext-train eval`."""
    parser = Parser(
        "webtext-train eval", description="Evaluate checkpoints on zero-shot tasks and compare them with the GPT-2 paper."
    )
    parser.add_argument(
        "checkpoint",
        nargs="*",
        metavar="CHECKPOINT",
        help="runs, checkpoints or Hugging Face GPT-2 folders; several are also plotted as curves",
    )
    parser.add_argument(
        "--tasks", nargs="+", default=["all"], metavar="NAME", help=f"all (default), or any of: {', '.join(TASK_NAMES)}"
    )
    parser.add_argument(
        "--data",
        nargs="+",
        default=[],
        metavar="DIR",
        help=f"folders with token shards (for {' and '.join(TOKEN_TASKS)}) and with the files of the other tasks",
    )
    parser.add_argument("--eval-data", nargs="+", default=[], metavar="DIR", help="more folders, as --data")
    parser.add_argument(
        "--out",
        default="evaluation",
        metavar="DIR",
        help="folder for results.json, report.md and report.html (default: evaluation)",
    )
    parser.add_argument("--where", action="store_true", help="list the files that each task needs and where they are published")
    parser.add_argument(
        "--stride",
        nargs="+",
        type=positive_int,
        default=[],
        metavar="N",
        help="strides of sliding windows, in tokens (default: the task's)",
    )
    parser.add_argument("--limit", type=positive_int, metavar="N", help="evaluate at most N examples per task (default: all)")
    parser.add_argument(
        "--batch-tokens",
        type=positive_int,
        default=8192,
        metavar="N",
        help="tokens per batch; changes speed only (default: 8,192)",
    )
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of the products (default: fp32)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute (default: auto)")
    return parser


def explain_parser() -> Parser:
    """The parser of `webtext-train explain`."""
    parser = Parser(prog="webtext-train explain", description="Write a page that shows what the network does with a prompt.")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a run, one of its checkpoints, or a Hugging Face GPT-2 folder")
    parser.add_argument("--prompt", required=True, metavar="TEXT", help="the text that the network reads")
    parser.add_argument(
        "--other", metavar="TEXT", help="a second text that shares a word with the prompt, to compare the word in two contexts"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu", help="where to compute (default: cpu)")
    parser.add_argument("--out", default="explain.html", metavar="FILE", help="path of the page (default: explain.html)")
    return parser


def launch_parser() -> TrainerParser:
    """The parser of `webtext-train launch`."""
    parser = TrainerParser(
        prog="webtext-train launch", description="Run a command on several ranks of this machine, all ports on loopback."
    )
    parser.add_argument(
        "--ranks", type=int, required=True, metavar="N", help="number of ranks: one per GPU, or per group of cores"
    )
    parser.add_argument(
        "--max-restarts", type=int, default=0, metavar="N", help="restarts of all ranks after one of them died (default: 0)"
    )
    parser.add_argument("command", nargs=REMAINDER, metavar="COMMAND", help="such as: train gpt2-small --data … --out …")
    return parser


PARSERS = {"eval": eval_parser, "explain": explain_parser, "launch": launch_parser}
