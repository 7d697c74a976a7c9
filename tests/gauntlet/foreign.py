"""Hostile folders from a grammar, read by everything that reads folders: `foreign.py FOLDER CASES SEED`.

Each case is a copy of a whole corpus with a training run in which one thing is wrong; its readers run in a watched fork. Prints JSON:
kind of mutation to [refused, used], and the list of faults, which must be empty.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from gauntlet.foreign_records import RecordGrammar
from gauntlet.watched import Watch

from pipeline.corpus import inspect, trace
from pipeline.corpus.folder import CorpusFolder, stage_folders
from pipeline.corpus.token_spans import open_dataset
from pipeline.dedup.index import index_shards
from pipeline.documents.page_ranges import page_ranges
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.journal import Journal
from pipeline.pages.journal_heads import head_of
from pipeline.pages.outcomes import DroppedLink, MovedLink, PageDrop, page_or_drop
from pipeline.pages.output import journal_entry
from pipeline.pages.warc_writer import RedirectChain
from pipeline.records import Link
from pipeline.report.gather import gather
from pipeline.report.page_html import render
from pipeline.report.training import read_evaluation
from pipeline.storage.document_shards import document_shards
from pipeline.storage.manifest import load_stage
from pipeline.storage.verification import check, check_input
from tokenizer.codec import Tokenizer
from tokenizer.errors import InputError
from tokenizer.untrusted import check_file, read_file
from trainer import finite_json
from trainer.checkpoint.load import load_model
from trainer.data import Batches, TokenDataset
from trainer.evals.results import Provenance, Result, TaskRecord
from trainer.evals.suite import CheckpointEvaluation, publish, to_json
from trainer.metrics import Log

MOST_MEGABYTES = 200
URL = "http://site1.example/1"
Reader = Callable[[Path], object]


def build(folder: Path) -> None:
    """Write the whole world with our own commands: a corpus, a run, a Hugging Face folder, a tokenizer."""
    from gauntlet.whole import write_all

    from trainer.export import save_hf

    write_all(folder)
    model, tokenizer, _ = load_model(folder / "run")
    save_hf(model, tokenizer, folder / "hf")
    tokenizer.save(folder / "tokenizer")
    write_evaluation(folder / "evaluation")
    write_journal(folder / "crawl" / "part-00000.journal")
    shutil.rmtree(folder / "web")


def write_evaluation(folder: Path) -> None:
    """The files of an evaluation of one task."""
    provenance = Provenance("run", "c" * 64, 10, 300, "b" * 64, "fp32", "cpu", "d" * 40)
    files = ({"name": "wiki.test.tokens", "sha256": "0" * 64, "official": True},)
    result = Result("wikitext2", "perplexity", 30.5, 0.25, 60, "stride 512", "words", "wikitext", 1024, 512, "wikitext2")
    record = TaskRecord("wikitext2", (result,), files, 1.5, "f" * 64)
    publish(folder / "tasks" / "wikitext2.json", finite_json.dumps(record.to_json()))
    publish(folder / "results.json", finite_json.dumps(to_json([CheckpointEvaluation(provenance, (record,), {})])))


def write_journal(path: Path) -> None:
    """A journal with a page, a moved link and a drop."""
    when = datetime(2026, 1, 31, tzinfo=UTC)
    body = b"<!doctype html><title>T</title><p>Words."
    response = HttpResponse(URL, 200, "OK", (("Content-Type", "text/html"),), body, ())
    outcomes = [
        page_or_drop(URL, response, when),
        MovedLink("http://b.example/", URL, 1, RedirectChain(b"", 0, ("http://b.example/",))),
        DroppedLink("http://c.example/", PageDrop.HTTP_404, "404"),
    ]
    with Journal.at(str(path)) as journal:
        for outcome in outcomes:
            journal.append(*journal_entry(outcome, Link(outcome.url, "", "", 0, None, ())))


def tour(world: Path) -> None:
    """`inspect` of everything."""
    corpus = CorpusFolder.open(stage_folders(str(world / "corpus")))
    list(inspect.overview_lines(corpus))
    for story in trace.stories(corpus, [trace.key_of(URL)]):
        list(inspect.story_lines(story))
    list(inspect.window_lines(corpus, "train", 0, 50))


def verify(world: Path) -> None:
    """`verify`, and the check before a stage's work."""
    for folder in stage_folders(str(world / "corpus")).values():
        check(folder, threads=1)
    check_input(str(world / "corpus" / "overlap"), 1)


def report(world: Path) -> None:
    """The numbers and the page of a report."""
    folders = stage_folders(str(world / "corpus"))
    check_input(folders["dedup"], 1)
    numbers = gather(CorpusFolder.open(folders), runs=[str(world / "run")])
    numbers.to_json()
    render(numbers)


def pages(world: Path) -> None:
    """All pages, from their records."""
    folder = stage_folders(str(world / "corpus"))["pages"]
    check_input(folder, 1)
    for part in page_ranges(folder, load_stage(folder, "pages")):
        for page in part.pages():
            part.read(page)


def documents(world: Path) -> None:
    """All documents that dedup and overlap keep, encoded; and dedup's index."""
    tokenizer = Tokenizer([])
    folders = stage_folders(str(world / "corpus"))
    check_input(folders["overlap"], 1)
    for stage in ("dedup", "overlap"):
        for shard in document_shards(folders[stage]):
            for batch in shard.batches(["document_id", "text"]):
                tokenizer.encode_arrow(batch.column("text"))
            shard.table(["document_id", "url"]).to_pylist()
    for index in index_shards(folders["dedup"]):
        index.extents()
        index.table(["url", "karma", "submitted_at"]).to_pylist()


def shards(world: Path) -> None:
    """All windows that training would read. No token may lie beyond the vocabulary."""
    dataset = TokenDataset.open(world / "corpus" / "tokens")
    stream = dataset.train
    tokens = np.empty(len(stream), np.int64)
    stream.read(0, tokens)
    assert tokens.max() < dataset.manifest.vocab_size
    batches = Batches(stream, context=16, windows=4, seed=1, eot_id=dataset.manifest.eot_id)
    batches.micro_batches(0)


def spans(world: Path) -> None:
    """The places of all documents in the shards, of which no token is verified."""
    corpus = CorpusFolder.open(stage_folders(str(world / "corpus")))
    dataset = open_dataset(corpus)
    for name in dataset.splits:
        for shard in dataset.open(name, verify=False):
            assert sum(len(tokens) for _, tokens in shard.documents()) == shard.header.tokens


def checkpoint(world: Path) -> None:
    """The network of a run."""
    load_model(world / "run")


def hugging_face(world: Path) -> None:
    """The network of a Hugging Face folder."""
    load_model(world / "hf")


def tokenizer(world: Path) -> None:
    """A tokenizer, used."""
    Tokenizer.load(world / "tokenizer").encode("Hello, wörld")


def log(world: Path) -> None:
    """The log of a run that is resumed."""
    Log(world / "run", 2).close()


def evaluation(world: Path) -> None:
    """The figures of an evaluation in a report, and the record of a task that is not evaluated again."""
    read_evaluation(str(world / "evaluation"))
    record = world / "evaluation" / "tasks" / "wikitext2.json"
    try:
        check_file(record.parent, record.name)
        TaskRecord.from_json(json.loads(read_file(record)))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{record}: not a record of an evaluation ({error}); evaluated again") from error


def crawl(world: Path) -> None:
    """The journal of an unfinished crawl."""
    with Journal.at(str(world / "crawl" / "part-00000.journal")) as journal:
        for url in journal.entries:
            head_of(journal, url)
            journal.blob(url)


READERS: dict[str, tuple[Reader, ...]] = {
    "manifest": (tour, verify, report, pages, documents, shards, spans),
    "kind_of_file": (
        *(tour, verify, report, pages, documents, shards, checkpoint, hugging_face, tokenizer),
        *(log, evaluation, crawl),
    ),
    "folder_link": (tour, verify, report, documents, checkpoint, hugging_face),
    "table": (tour, report, pages, documents),
    "shard": (shards, spans, tour),
    "index": (documents,),
    "checkpoint": (checkpoint,),
    "hugging_face": (hugging_face,),
    "tokenizer": (tokenizer,),
    "record": (report, tour),
    "log": (log, report),
    "evaluation": (evaluation,),
    "journal": (crawl,),
    "swollen": (tour, report, documents, shards, checkpoint, hugging_face, tokenizer, log, evaluation),
}
SHARES = (30, 10, 4, 14, 14, 4, 10, 5, 5, 4, 6, 6, 6, 4)


def write_outside(outside: Path) -> None:
    """What nobody may read: files of the right kinds, which a reader would take."""
    outside.mkdir()
    pq.write_table(pa.table({"url": ["secret"]}), outside / "secret.parquet")
    (outside / "manifest.json").write_text("{}")


def main() -> None:
    """Build the world in another process, whose threads a fork would lose; then draw, mutate, read, over and over."""
    folder, cases, seed = Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3])
    if cases == 0:
        build(folder)
        return
    whole, outside, world = folder / "whole", folder / "outside", folder / "world"
    if not whole.exists():
        subprocess.run([sys.executable, __file__, str(whole), "0", "0"], check=True, stdout=subprocess.DEVNULL)
        write_outside(outside)
    interpreter = [Path(sys.prefix), Path(sys.base_prefix), *(Path(path) for path in sys.path if path)]
    system = [Path(path) for path in ("/proc", "/sys", "/usr/lib", "/usr/share", "/etc/localtime", "/dev/null", "/dev/urandom")]
    watch = Watch([world, *interpreter, *system, Path(__file__).parents[2]], outside)
    draw, full = random.Random(seed), bool(os.environ.get("WEBTEXT_FULL"))
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    faults: list[Any] = []
    kinds = [kind for kind, share in zip(READERS, SHARES, strict=True) for _ in range(share)]
    most = 0.0
    torch.set_num_threads(1)
    shutil.rmtree(world, ignore_errors=True)
    shutil.copytree(whole, world)
    for reader in dict.fromkeys(reader for group in READERS.values() for reader in group):
        reader(world)  # an unchanged folder is read; and what is loaded once is loaded before the forks
    for case in range(cases):
        shutil.rmtree(world, ignore_errors=True)
        shutil.copytree(whole, world)
        kind = draw.choice(kinds)
        what = getattr(RecordGrammar(world, outside, draw), kind)()
        readers = READERS[kind] if full else draw.sample(READERS[kind], min(2, len(READERS[kind])))
        refused = 0
        for reader in readers:
            ending = watch.run(lambda reader=reader: reader(world), world)
            refused += ending.said is not None
            most = max(most, ending.megabytes)
            wrong = [*ending.faults, *([f"{ending.megabytes:.0f} MB"] if ending.megabytes > MOST_MEGABYTES else [])]
            faults += [[case, kind, what, reader.__name__, fault] for fault in wrong]
        counts[kind][0 if refused else 1] += 1
    print(json.dumps({"counts": counts, "faults": faults, "most_megabytes": round(most)}))


if __name__ == "__main__":
    main()
