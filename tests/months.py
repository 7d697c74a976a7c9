"""A corpus that lives for years, as a state machine: months in any order, cleared, replaced, taken down, joined, trained on, copied,
renamed.

Documents folders are written by the test; dedup, tokens, remove, join, verify and `webtext-train train` are the real ones. After each
step the files are compared with the manifests, and what verify and join say with a recomputation that uses none of their code.
"""

import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from deduplication import document, write_documents
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from month_files import address, files_match, ids_of, is_whole, page, text, watch

from pipeline.corpus import join, remove, verify
from pipeline.dedup import stage as dedup
from pipeline.dedup.settings import DedupSettings
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.tokens import stage as tokens
from pipeline.vocabulary import stage as vocabulary
from pipeline.vocabulary.settings import VocabularySettings
from tokenizer.codec import Tokenizer
from tokenizer.errors import InputError
from tokenizer.shards import Manifest as Dataset
from tokenizer.stream import Stream
from trainer import cli as trainer
from trainer.data import Batches, TokenDataset

ENGINE = Engine(workers=1, replace=True)
MONTHS = ("2017-01", "2017-02", "2017-03", "2017-04")
NETWORK = ("--layers=1", "--width=8", "--heads=1", "--vocabulary=280", "--device=cpu")
CONTEXT, WINDOWS = 16, 8
FULL = bool(os.environ.get("WEBTEXT_FULL"))
RUNS = 6 if FULL else 2
"""Most training runs in one example."""
STAGES = ("documents", "dedup", "tokens")
KIND_OF_ROWS = {"documents": "documents", "dedup": "keep", "tokens": "tokens"}
"""The kind of each stage's files whose rows are its documents."""


class Trained(NamedTuple):
    """A training run: its folder below the root, the fingerprint of its corpus, and the documents that its steps read."""

    folder: str
    corpus_sha256: str
    documents: frozenset[str]


class Years(RuleBasedStateMachine):
    """Months below a root. The model: the documents that each month was given, and the addresses that were taken down."""

    @initialize()
    def start(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="years-"))
        self.root = self.base / "out"
        self.given: dict[str, list[int]] = {}
        self.listed: set[int] = set()
        self.reader: tuple[Stream, bytes] | None = None
        self.runs: list[Trained] = []
        self.joined: list[str] | None = None
        self.gone_at_join: frozenset[str] = frozenset()
        write_documents(self.base / "sample", [[document(text(number), address(number)) for number in range(24)]])
        folder = str(self.root / "vocabulary")
        vocabulary.STAGE.run(Call({"dedup": str(self.base / "sample")}, folder, VocabularySettings(vocab_size=280), ENGINE))

    def teardown(self) -> None:
        shutil.rmtree(self.base, ignore_errors=True)

    @property
    def engine(self) -> Engine:
        """Stages follow the chain into all months, as in the DAG."""
        return replace(ENGINE, also_read=(str(self.root),))

    def folder(self, month: str, stage: str) -> Path:
        return self.root / month / stage

    def write(self, month: str, numbers: list[int]) -> None:
        """What the stage `documents` publishes with the present take-down list."""
        self.given[month] = numbers
        kept = [page(number) for number in numbers if number not in self.listed]
        shutil.rmtree(self.folder(month, "documents"), ignore_errors=True)
        write_documents(self.folder(month, "documents"), [kept])

    def compare(self, month: str, *, transitive: bool = False) -> None:
        earlier = tuple(str(self.folder(m, "dedup")) for m in sorted(self.given) if m < month)
        call = Call(
            {"documents": str(self.folder(month, "documents"))},
            str(self.folder(month, "dedup")),
            DedupSettings(transitive=transitive, against=earlier),
            self.engine,
        )
        dedup.STAGE.run(call)

    def encode(self, month: str, **settings: int) -> None:
        inputs = {"dedup": str(self.folder(month, "dedup")), "vocabulary": str(self.root / "vocabulary")}
        tokens.STAGE.run(
            Call(inputs, str(self.folder(month, "tokens")), tokens.TokensSettings(validation_share=0.0, **settings), self.engine)
        )

    @rule(month=st.sampled_from(MONTHS), numbers=st.lists(st.integers(0, 23), max_size=5, unique=True))
    def add_month(self, month: str, numbers: list[int]) -> None:
        """A month in its turn, late, empty, or given again with other documents. Later months are left as they are."""
        self.write(month, numbers)
        earlier = [self.folder(m, "dedup") for m in self.given if m < month]
        if not all(map(is_whole, earlier)):
            with pytest.raises(InputError, match=r"has changed since|no manifest\.json"):
                self.compare(month)
            return
        self.compare(month)
        self.encode(month)

    @precondition(lambda self: bool(self.given))
    @rule(data=st.data(), stage=st.sampled_from(STAGES))
    def replace_stage(self, data: st.DataObject, stage: str) -> None:
        """One stage of one month made anew with other settings or content; the stages and months after it are left as they are."""
        month = data.draw(st.sampled_from(sorted(self.given)))
        if stage == "documents":
            return self.write(month, self.given[month][::-1])
        earlier = [self.folder(m, "dedup") for m in self.given if m < month]
        needed = [self.folder(month, "documents"), *earlier] if stage == "dedup" else [self.folder(month, "dedup")]
        if not all(map(is_whole, needed)):  # tokens follow from the months that their dedup has read: not from a later arrival
            with pytest.raises(InputError, match=r"has changed since|no manifest\.json"):
                (self.compare if stage == "dedup" else self.encode)(month)
        elif stage == "dedup":
            self.compare(month, transitive=True)
        else:
            self.encode(month, shard_tokens=100)
        return None

    @precondition(lambda self: bool(self.given))
    @rule(data=st.data())
    def clear(self, data: st.DataObject) -> None:
        month = data.draw(st.sampled_from(sorted(self.given)))
        for stage in ("dedup", "tokens"):
            shutil.rmtree(self.folder(month, stage), ignore_errors=True)
        self.settle()

    @rule()
    def settle(self) -> None:
        """What the DAG does: make the months again that are stale, oldest first."""
        for month in sorted(self.given):
            self.compare(month)
            self.encode(month)

    @precondition(lambda self: bool(self.given))
    @rule()
    def publish(self) -> None:
        """What the DAG publishes: no month is stale, so that the join succeeds."""
        self.settle()
        self.join()
        assert self.joined == ids_of(self.root / "joined")

    @rule(number=st.integers(0, 23))
    def take_down(self, number: int) -> None:
        self.settle()
        self.listed.add(number)
        path = self.base / "list.csv"
        path.write_text(
            "date,reference,kind,value\n" + "".join(f"2026-11-29,R{n},address,{address(n)}\n" for n in sorted(self.listed))
        )
        joined = ["--joined", str(self.root / "joined")] if self.joined is not None else []
        runs = ["--runs", *(str(self.root / run.folder) for run in self.runs)] if self.runs else []
        for month in self.given:
            own = Dataset.load(self.folder(month, "tokens")).sha256
            reports = set((self.root / month).glob("removals/*.json"))
            removal = ["--corpus", str(self.root / month), "--replace", "--list", str(path)]
            remove.TOOL.run([*removal, *joined, *runs, "--also-read", str(self.root)])
            for report in set((self.root / month).glob("removals/*.json")) - reports:
                self.check_report(json.loads(report.read_bytes()), own)

    def check_report(self, report: dict[str, Any], own: str) -> None:
        """A removal's report names the joined set and the checkpoints that hold what went, and no others.

        The shards of the month, whose fingerprint is `own`, may be those of a set that was joined of this month alone.
        """
        gone = {row["document_id"] for row in report["documents"]}
        assert bool(report["joined"]) == (not gone.isdisjoint(self.joined or ()))
        now = Dataset.load(self.root / "joined").sha256 if self.joined is not None else ""
        known = [run for run in self.runs if run.corpus_sha256 in (now, own)]
        expected = {run.folder for run in known if not gone.isdisjoint(run.documents)}
        assert {str(Path(row["checkpoint"]).parents[1].relative_to(self.root)) for row in report["checkpoints"]} == expected
        assert len(report["checkpoints_unknown"]) == len(self.runs) - len(known)

    @precondition(lambda self: bool(self.given))
    @rule()
    def join(self) -> None:
        """A join succeeds exactly where all months are whole and no document is in two; what it publishes is then right."""
        folders = [self.folder(month, "tokens") for month in sorted(self.given)]
        whole = all(is_whole(folder) for folder in folders)
        ids = [key for folder in folders if (folder / "manifest.json").exists() for key in ids_of(folder)]
        command = ["--tokens", *map(str, folders), "--output", str(self.root / "joined"), "--also-read", str(self.root)]
        if not whole or len(set(ids)) != len(ids):
            with pytest.raises(InputError):
                join.TOOL.run(command)
            return
        join.TOOL.run(command)
        self.joined, self.gone_at_join = ids_of(self.root / "joined"), self.gone()
        assert sorted(self.joined) == sorted(ids)
        if ids:
            stream = Stream(Dataset.load(self.root / "joined").open("train"))
            self.reader = (stream, self.read(stream))

    def gone(self) -> frozenset[str]:
        """The ids of all documents that were taken down."""
        return frozenset(document(text(number), "").document_id.hex() for number in self.listed)

    def joined_tokens(self) -> tuple[np.ndarray[Any, Any], list[tuple[int, str]]]:
        """All tokens of the joined set's training split, and the end and id of each document, as its shards have them."""
        documents = [pair for shard in Dataset.load(self.root / "joined").open("train") for pair in shard.documents()]
        ends = np.cumsum([len(tokens) for _, tokens in documents])
        whole = np.concatenate([tokens for _, tokens in documents])
        return whole, [(int(end), bytes(key).hex()) for end, (key, _) in zip(ends, documents, strict=True)]

    @precondition(lambda self: bool(self.joined))
    @rule(seed=st.integers(0, 3))
    def read_an_epoch(self, seed: int) -> None:
        """What an epoch reads of the joined set is its documents, each once, as tokens whose order is the shards'."""
        stream = TokenDataset.open(self.root / "joined").train
        batches = Batches(stream, context=7, windows=1, seed=seed)
        starts = sorted(int(batches.starts(step)[0]) for step in range(batches.windows_per_epoch))
        assert starts == list(range(starts[0], starts[0] + 7 * len(starts), 7))
        whole, _ = self.joined_tokens()
        for step in range(batches.windows_per_epoch):
            (start,) = batches.starts(step)
            (batch,) = batches.micro_batches(step)
            assert batch.inputs[0].tolist() == whole[start : start + 7].tolist()

    @precondition(lambda self: bool(self.joined) and len(self.runs) < RUNS)
    @rule()
    def train(self) -> None:
        """`webtext-train train` for an epoch of the joined set: what it reads and records is that set, each document of it."""
        whole, documents = self.joined_tokens()
        folder = f"runs/{len(self.runs)}"
        steps = -(-len(whole) // (CONTEXT * WINDOWS))
        shape = [*NETWORK, f"--context={CONTEXT}", f"--batch-tokens={CONTEXT * WINDOWS}", f"--steps={steps}"]
        command = ["train", "tiny", "--data", str(self.root / "joined"), "--out", str(self.root / folder), *shape]
        with pytest.MonkeyPatch.context() as patch:
            read = watch(patch)
            assert trainer.main(command) == 0
        ids = set[str]()
        ends = [end for end, _ in documents]
        for step in range(steps):
            for start, found in read[step]:
                assert found == whole[start : start + CONTEXT].tolist()
                first, last = np.searchsorted(ends, [start, start + CONTEXT - 1], "right")
                ids |= {key for _, key in documents[first : last + 1]}
        assert ids == set(self.joined or ())
        assert ids.isdisjoint(self.gone_at_join)
        run = Trained(
            folder, json.loads((self.root / "joined" / "manifest.json").read_bytes())["dataset"]["sha256"], frozenset(ids)
        )
        self.runs.append(run)
        self.check_record(run, len(whole), steps)
        assert trainer.main(command) == 0  # again: all steps are done

    def check_record(self, run: Trained, tokens: int, steps: int) -> None:
        """A run's folder names the corpus that it read, in its settings, its log and each checkpoint."""
        folder = self.root / run.folder
        header = json.loads((folder / "log.jsonl").read_text().splitlines()[0])
        (checkpoint,) = folder.glob("checkpoints/*/checkpoint.json")
        for record in (header, json.loads((folder / "config.json").read_bytes()), json.loads(checkpoint.read_bytes())):
            assert record["corpus_sha256"] == run.corpus_sha256
        assert header["train_tokens"] == tokens
        assert json.loads(checkpoint.read_bytes())["step"] == steps

    @precondition(lambda self: bool(self.joined) and bool(self.runs))
    @rule(data=st.data())
    def train_on(self, data: st.DataObject) -> None:
        """A run goes on only with the corpus that it began with: with another one, it is refused and stays as it is."""
        run = data.draw(st.sampled_from(self.runs))
        config = json.loads((self.root / run.folder / "config.json").read_bytes())["config"]
        before = {path: path.read_bytes() for path in (self.root / run.folder).rglob("*") if path.is_file()}
        shape = [*NETWORK, f"--context={CONTEXT}", f"--batch-tokens={CONTEXT * WINDOWS}", f"--steps={config['steps']}"]
        command = ["train", "tiny", "--data", str(self.root / "joined"), "--out", str(self.root / run.folder), *shape]
        same = Dataset.load(self.root / "joined").sha256 == run.corpus_sha256
        assert trainer.main(command) == (0 if same else 2)
        assert {path: path.read_bytes() for path in before} == before

    def read(self, stream: Stream) -> bytes:
        found = np.empty(len(stream), np.int64)
        stream.read(0, found)
        return found.tobytes()

    @precondition(lambda self: self.reader is not None)
    @rule()
    def read_on(self) -> None:
        """A reader of an earlier joined set, in the middle of its epoch, reads what it has opened."""
        assert self.reader is not None
        stream, content = self.reader
        assert self.read(stream) == content

    @precondition(lambda self: bool(self.given))
    @rule(data=st.data(), missing=st.sampled_from(STAGES), harm=st.sampled_from(["stage", "file", "byte", "other version"]))
    def copy_partially(self, data: st.DataObject, missing: str, harm: str) -> None:
        """A copy that lacks a stage or a file, has a flipped bit, or mixes two versions: verify says what a recomputation says."""
        month = data.draw(st.sampled_from(sorted(self.given)))
        copied = self.root / "copied"
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(self.root / month, copied)
        stage = copied / missing
        found = sorted(path for path in stage.glob("*") if path.is_file() and path.suffix in (".parquet", ".arrow"))
        if harm == "file" and found:
            data.draw(st.sampled_from(found)).unlink()
        elif harm == "byte" and found:
            path = data.draw(st.sampled_from(found))
            content = bytearray(path.read_bytes())
            content[data.draw(st.integers(0, len(content) - 1))] ^= 1
            path.write_bytes(content)
        elif harm == "other version" and (self.folder(other := max(self.given), missing) / "manifest.json").exists():
            shutil.rmtree(stage, ignore_errors=True)
            shutil.copytree(self.folder(other, missing), stage)
        else:
            shutil.rmtree(stage, ignore_errors=True)
        self.check_verify(copied)
        shutil.rmtree(copied)

    @rule()
    def rename(self) -> None:
        self.root = self.root.rename(self.base / ("other" if self.root.name == "out" else "out"))

    def check_verify(self, corpus: Path) -> None:
        """Verify says that a corpus is whole exactly where a recomputation says so."""
        folders = [corpus] if corpus.name == "joined" else [corpus / stage for stage in STAGES]
        made = [folder for folder in folders if (folder / "manifest.json").exists()]
        right = bool(made) and all(files_match(folder) and is_whole(folder) for folder in made)
        command = ["--corpus", str(corpus), "--also-read", str(self.root)]
        if right:
            verify.TOOL.run(command)
        else:
            with pytest.raises(InputError):
                verify.TOOL.run(command)

    def published(self) -> list[Path]:
        """The folders of all finished stages."""
        folders = [self.folder(month, stage) for month in getattr(self, "given", {}) for stage in STAGES]
        return [folder for folder in (*folders, self.root / "joined") if (folder / "manifest.json").exists()] if folders else []

    @invariant()
    def every_row_is_in_exactly_one_manifest(self) -> None:
        for folder in self.published():
            assert files_match(folder)
            body = json.loads((folder / "manifest.json").read_bytes())
            named = [entry["name"] for entry in body["files"]]
            paths = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
            assert {p for p in paths if not p.startswith(".")} - {"manifest.json", "run.json"} == set(named)
            assert len(set(named)) == len(named)
            rows = [entry["rows"] for entry in body["files"] if entry["kind"] == KIND_OF_ROWS[body["stage"]]]
            assert sum(rows) == body["books"]["items_out"]
            for entry in body["files"]:
                if entry["name"].endswith(".parquet"):
                    assert pq.ParquetFile(folder / entry["name"]).metadata.num_rows == entry["rows"]

    @invariant()
    def no_document_is_twice_in_a_joined_set(self) -> None:
        if getattr(self, "joined", None) is not None:
            found = ids_of(self.root / "joined")
            assert found == self.joined
            assert len(set(found)) == len(found)

    @invariant()
    def nothing_that_was_dropped_or_taken_down_is_published(self) -> None:
        """Neither in a month, whose files were all published after the last request, nor in a joined set of a later day."""
        for month in getattr(self, "given", {}):
            texts, dropped, encoded = self.contents(month)
            assert not texts & {text(number) for number in self.listed}
            assert not encoded & self.gone()
            if is_whole(self.folder(month, "tokens")):
                assert not encoded & dropped
        if getattr(self, "joined", None) is not None:
            assert self.gone_at_join.isdisjoint(ids_of(self.root / "joined"))

    def contents(self, month: str) -> tuple[set[str], set[str], set[str]]:
        """All texts in a month's tables and shards, the ids that its dedup dropped, and the ids in its shards."""
        texts: set[str] = set()
        dropped: set[str] = set()
        for path in (self.root / month).rglob("*.parquet"):
            rows = pq.read_table(path).to_pylist()
            texts |= {row["text"] for row in rows if "text" in row}
            if "kept_id" in (rows[0] if rows else ()):
                dropped |= {row["document_id"].hex() for row in rows}
        folder = self.folder(month, "tokens")
        if not (folder / "manifest.json").exists():
            return texts, dropped, set()
        tokenizer = Tokenizer.load(str(folder))
        shards = Dataset.load(folder).open("train")
        texts |= {tokenizer.decode(tokens.tolist()[:-1]) for shard in shards for _, tokens in shard.documents()}
        return texts, dropped, set(ids_of(folder))

    @invariant()
    def verify_agrees_with_a_recomputation(self) -> None:
        for month in getattr(self, "given", {}):
            self.check_verify(self.root / month)
        if getattr(self, "joined", None) is not None:
            self.check_verify(self.root / "joined")


def after(years: Years) -> None:
    """Check the invariants, as the state machine does after each step."""
    years.every_row_is_in_exactly_one_manifest()
    years.no_document_is_twice_in_a_joined_set()
    years.nothing_that_was_dropped_or_taken_down_is_published()
    years.verify_agrees_with_a_recomputation()
