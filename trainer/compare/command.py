"""`webtext-train compare`: the command line, and the phases of a comparison in their order."""

import logging
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tokenizer.codec import Tokenizer
from tokenizer.command_line import positive_int, real, whole
from tokenizer.errors import FormatError, InputError
from tokenizer.folder_lock import folder_lock
from tokenizer.interruption import ends_on_interrupt
from tokenizer.labels import printable
from tokenizer.outputs import check_folder, written_aside
from trainer import finite_json
from trainer.compare.analysis import Outcome, analyse, collect
from trainer.compare.contamination import contained_shares, decoded
from trainer.compare.facts import facts
from trainer.compare.held_out import HeldOut, from_corpus, from_path
from trainer.compare.origins import page_ids
from trainer.compare.page import card, page
from trainer.compare.plan import OWN_NAMES, PLAN, Corpus, Plan, TrialRun, load_sets, open_corpora, save_set, usable_cores
from trainer.compare.sample import share_of
from trainer.compare.schedule import default_jobs, default_threads, perform_all
from trainer.compare.statistics import Noise, noise_of
from trainer.data import TokenDataset
from trainer.evals.in_training import find_tasks
from trainer.evals.task import check_folders
from trainer.flags import TrainerParser, add_options, apply_flags
from trainer.presets import PRESETS, RECIPES
from trainer.train import find_tokenizer

log = logging.getLogger(__name__)

CONTAMINATED = 0.5
"""A held-out document is taken out if this share of its runs of 50 bytes stands in some corpus' training split."""
FEWEST_DOCUMENTS = 20
PILOT_FRACTION = 4
"""A pilot's run has the tokens of a run divided by this."""
PILOT_SEED = 1_000_001


def main(words: Sequence[str]) -> int:
    """Run the command line. Exit codes: 0 done, 1 a run failed, 2 bad input, or a corpus that cannot be read; 130 interrupted."""
    arguments = parser().parse_args(list(words))
    with ends_on_interrupt("interrupted; finished runs are kept: run the same command again to go on"):
        return _run(arguments, shlex.join(["webtext-train", "compare", *words]))


def parser() -> TrainerParser:
    """The command's parser."""
    result = TrainerParser(
        prog="webtext-train compare",
        description="Train the same network on several corpora and say which corpus is better, with error bars. An interrupted "
        "comparison goes on when the same command is run again.",
        usage="webtext-train compare CORPUS CORPUS [CORPUS …] --preset PRESET --tokens N --out DIR [flags]",
    )
    result.add_argument("corpora", nargs="+", metavar="CORPUS", help="folder of token shards or corpus folder; or NAME=FOLDER")
    result.add_argument(
        "--out", required=True, metavar="DIR", help="folder for the runs, comparison.json, comparison.html, card.md"
    )
    result.add_argument("--preset", choices=tuple(PRESETS), default="tiny", help="the network (default: tiny)")
    result.add_argument("--recipe", choices=tuple(RECIPES), default="gpt2", help="the training recipe (default: gpt2)")
    result.add_argument(
        "--tokens", type=positive_int, default=None, metavar="N", help="tokens that each run trains on (default: the preset's)"
    )
    result.add_argument(
        "--seeds",
        type=whole,
        default=0,
        metavar="K",
        help="runs per corpus (default: as many as a pilot says that --detect needs)",
    )
    result.add_argument(
        "--most-seeds", type=positive_int, default=10, metavar="K", help="most seeds that a pilot may choose (default: 10)"
    )
    result.add_argument(
        "--detect", type=real, default=0.02, metavar="X", help="difference to find, in bits per byte (default: 0.02)"
    )
    result.add_argument("--level", type=real, default=0.05, metavar="X", help="level of significance (default: 0.05)")
    result.add_argument("--power", type=real, default=0.8, metavar="X", help="probability of finding it (default: 0.8)")
    result.add_argument(
        "--held-out", nargs="+", default=[], metavar="PATH", help="texts that decide, in place of the corpora's validation splits"
    )
    result.add_argument(
        "--held-out-documents",
        type=positive_int,
        default=1000,
        metavar="N",
        help="most documents per held-out set (default: 1000)",
    )
    result.add_argument(
        "--about",
        choices=("recipes", "corpora"),
        default="recipes",
        help="what intervals hold for: the recipes, whatever pages they meet, or these very corpora (default: recipes)",
    )
    result.add_argument(
        "--tasks", nargs="+", default=[], metavar="NAME", help="zero-shot tasks to evaluate after each run, or all"
    )
    result.add_argument("--eval-data", nargs="+", default=[], metavar="DIR", help="folders with the tasks' files")
    result.add_argument(
        "--jobs", type=positive_int, default=None, metavar="N", help="runs side by side (default: by the devices)"
    )
    result.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")
    add_options(result)
    return result


def _run(arguments: Namespace, command: str) -> int:
    out = Path(arguments.out)
    _check(arguments)
    corpora, unreadable = open_corpora(arguments.corpora)
    for reason in unreadable.values():
        log.warning("not compared: %s", reason)
    with folder_lock(out) if out.parent.is_dir() else nullcontext():
        plan = _plan(arguments, corpora, unreadable, out)
        sets = load_sets(out, plan)
        gpus = torch.cuda.device_count() if plan.device != "cpu" else 0
        jobs = arguments.jobs or default_jobs(plan.train_config(0, 1, plan.tokens).model.parameters, gpus, usable_cores())
        seeds, noise = arguments.seeds, None
        if not seeds:
            noise = _pilot(plan, sets, out, jobs, gpus)
            seeds = noise.seeds_needed(arguments.detect, plan.level, plan.power, arguments.most_seeds) or arguments.most_seeds
            _say(_pilot_text(noise, seeds, arguments, plan))
        runs = [TrialRun(corpus, seed) for seed in range(1, seeds + 1) for corpus in range(len(plan.corpora))]
        failures = perform_all(plan, runs, out, jobs, gpus)
        for run, reason in failures.items():
            log.warning("%s: %s", run.folder(plan, out).name, reason)
        outcome = analyse(plan, sets, runs, out, failures, noise)
        _publish(plan, outcome, out, command)
    sys.stdout.write(f"{printable(outcome.sentence)}\n{printable(out / 'comparison.html')}\n")
    if failures:
        return 1
    return 2 if unreadable else 0


def _check(arguments: Namespace) -> None:
    """Raise InputError for a flag out of range, before anything is made."""
    for name, low, high in (("level", 0, 1), ("power", 0, 1)):
        value = getattr(arguments, name)
        if not low < value < high:
            raise InputError(f"--{name} {value}: must be above {low} and below {high}")
    if arguments.detect <= 0:
        raise InputError(f"--detect {arguments.detect}: must be above 0")
    if arguments.seeds < 0:
        raise InputError(f"--seeds {arguments.seeds}: must be at least 1; leave it out to let a pilot choose")
    folders = check_folders(arguments.eval_data)
    if arguments.tasks:
        if not folders:
            raise InputError("--tasks needs --eval-data: the folders with the tasks' files (webtext-train eval --where)")
        config = apply_flags(RECIPES[arguments.recipe](PRESETS[arguments.preset]()), arguments)
        if not find_tasks(arguments.tasks, folders, config.model.context):
            raise InputError(
                f"--tasks {' '.join(arguments.tasks)}: no file of theirs in {', '.join(arguments.eval_data)}; `webtext-train eval "
                "--where` names the files of each task"
            )
    for path in arguments.held_out:
        if not Path(path).exists():
            raise InputError(f"--held-out {path}: no such file or folder")
    check_folder(Path(arguments.out), OWN_NAMES)


def _plan(arguments: Namespace, corpora: list[Corpus], unreadable: dict[str, str], out: Path) -> Plan:
    """The comparison's plan, recorded in `out` with held-out texts and tokenizers."""
    config = apply_flags(RECIPES[arguments.recipe](PRESETS[arguments.preset]()), arguments)
    tokens = arguments.tokens or config.steps * config.batch_tokens
    if tokens < config.batch_tokens:
        raise InputError(f"--tokens {tokens}: fewer than a step's {config.batch_tokens:,}; raise it or lower --batch-tokens")
    known = Plan.load(out) if (out / PLAN).exists() else None
    gpus = torch.cuda.device_count() if arguments.device != "cpu" else 0
    jobs = arguments.jobs or default_jobs(config.model.parameters, gpus, usable_cores())
    plan = Plan(
        corpora=tuple(corpora),
        sets={},
        primary=(),
        config=config.to_json(),
        tokens=tokens,
        pilot_tokens=max(config.batch_tokens, tokens // PILOT_FRACTION),
        level=arguments.level,
        power=arguments.power,
        detect=arguments.detect,
        about_recipe=arguments.about == "recipes",
        threads=known.threads if known else default_threads(config.model.parameters, jobs, usable_cores()),
        device=arguments.device,
        tasks=tuple(arguments.tasks),
        eval_data=tuple(arguments.eval_data),
        removed={},
        unreadable=unreadable,
    )
    if known is not None:
        plan = replace(plan, sets=known.sets, primary=known.primary, removed=known.removed, by_page=known.by_page)
    else:
        plan = _prepare(plan, arguments, out)
    plan.record(out)
    return plan


def _prepare(plan: Plan, arguments: Namespace, out: Path) -> Plan:
    """Write the tokenizers and the held-out sets, without documents that a corpus trains on."""
    datasets = [TokenDataset.open(corpus.tokens) for corpus in plan.corpora]
    tokenizers = [find_tokenizer(dataset, None) for dataset in datasets]
    most = arguments.held_out_documents
    own, reasons = list[HeldOut](), list[str]()
    for corpus, dataset, tokenizer in zip(plan.corpora, datasets, tokenizers, strict=True):
        try:
            own.append(from_corpus(corpus.name, dataset.manifest, tokenizer, most))
        except InputError as error:
            reasons.append(str(error))
    common = [from_path(Path(path), most) for path in arguments.held_out]
    if not common and reasons:
        raise InputError(f"{reasons[0]}; or give texts with --held-out")
    sets = [_decontaminated(each, datasets, tokenizers) for each in _named_apart([*common, *own])]
    primary = sets[: len(common)] or sets
    for each in sets:
        if each.removed:
            log.info("%s: took out %s of its documents: a corpus trains on them", each.name, f"{each.removed:,}")
    small = [each for each in primary if len(each.texts) < FEWEST_DOCUMENTS]
    if small:
        raise InputError(
            f"{small[0].origin}: {len(small[0].texts)} held-out documents are left, of which {FEWEST_DOCUMENTS} are needed "
            f"({small[0].removed} stand in a training split); give more with --held-out or a larger --validation-share"
        )
    removed = {each.name: each.removed for each in sets}
    sets = [each for each in sets if len(each.texts) >= FEWEST_DOCUMENTS]
    for at, tokenizer in enumerate(tokenizers):
        tokenizer.save(plan.tokenizer(at, out))
    for each in sets:
        save_set(out, each)
    return replace(
        plan,
        sets={each.name: each.sha256 for each in sets},
        primary=tuple(each.name for each in primary),
        removed=removed,
        by_page=plan.about_recipe and all(map(page_ids, plan.corpora)),
    )


def _named_apart(sets: list[HeldOut]) -> list[HeldOut]:
    """The sets with a name each, fit for a file."""
    names: list[str] = []
    for each in sets:
        plain = "".join(letter if letter.isalnum() or letter in "._" else "-" for letter in each.name).strip(".-") or "held-out"
        name, number = plain, 1
        while name in names:
            number += 1
            name = f"{plain}.{number}"
        names.append(name)
    return [replace(each, name=name) for each, name in zip(sets, names, strict=True)]


def _decontaminated(held_out: HeldOut, datasets: Sequence[TokenDataset], tokenizers: Sequence[Tokenizer]) -> HeldOut:
    marked = np.zeros(len(held_out.texts), bool)
    for dataset, tokenizer in zip(datasets, tokenizers, strict=True):
        marked |= contained_shares(held_out.texts, decoded(dataset.train.shards, tokenizer)) >= CONTAMINATED
    return held_out.without(marked)


def _pilot(plan: Plan, sets: list[HeldOut], out: Path, jobs: int, gpus: int) -> Noise:
    """The noise, from short runs with two seeds for several corpora, three for two."""
    count = 3 if len(plan.corpora) == 2 else 2
    runs = [TrialRun(corpus, PILOT_SEED + i, pilot=True) for i in range(count) for corpus in range(len(plan.corpora))]
    _say(f"pilot: {len(runs)} runs of {plan.pilot_tokens:,} tokens")
    failures = perform_all(plan, runs, out, jobs, gpus)
    if failures:
        raise InputError(f"a run of the pilot failed: {next(iter(failures.values()))}; mend it, or give --seeds K")
    _, _, by_set, _ = collect(plan, sets, runs, out)
    share = max(share_of(plan.tokens, corpus.train_tokens) for corpus in plan.corpora) if plan.about_recipe else 0.0
    return noise_of({name: by_set[name] for name in plan.primary}, share)


def _pilot_text(noise: Noise, seeds: int, arguments: Namespace, plan: Plan) -> str:
    found = noise.detectable(seeds, plan.level, plan.power)
    corrected = f", corrected for {noise.pairs} pairs" if noise.pairs > 1 else ""
    enough = "" if found <= arguments.detect else f", more than --detect {arguments.detect:g}: --most-seeds is too few for it"
    return (
        f"pilot: a difference varies by {noise.seed_deviation:.4f} bits per byte over seeds; {seeds} seeds find a difference of "
        f"{found:.4f} with a probability of {plan.power:g}{corrected}{enough}"
    )


def _publish(plan: Plan, outcome: Outcome, out: Path, command: str) -> None:
    """Write comparison.json, comparison.html and card.md."""
    try:
        tokenizers = [Tokenizer.load(plan.tokenizer(at, out)) for at in range(len(plan.corpora))]
        statistics = facts(plan.corpora, tokenizers)
    except FormatError as error:
        raise InputError(str(error)) from error
    body = {"outcome": outcome.to_json(), "facts": statistics, "plan": plan.to_json(), "command": command}
    for name, text in (
        ("comparison.json", finite_json.dumps(body, indent=1, ensure_ascii=False) + "\n"),
        ("comparison.html", page(plan, outcome, statistics, command)),
        ("card.md", card(plan, outcome)),
    ):
        with written_aside(out / name) as aside:
            aside.write_text(text, encoding="utf-8")


def _say(text: str) -> None:
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()
