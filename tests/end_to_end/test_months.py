"""A corpus that lives for years, as a state machine: months in any order, cleared, replaced, taken down, joined, copied, renamed.

Documents folders are written by the test; dedup, tokens, remove, join and verify are the real ones. After each step the files are
compared with the manifests, and what verify and join say with a recomputation that uses none of their code.
"""

import hashlib
import json
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deduplication import document, write_documents
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.corpus import join, remove, verify
from pipeline.dedup import stage as dedup
from pipeline.dedup.settings import DedupSettings
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.tokens import stage as tokens
from pipeline.vocabulary import stage as vocabulary
from pipeline.vocabulary.settings import VocabularySettings
from tokenizer.errors import InputError
from tokenizer.shards import Manifest as Dataset
from tokenizer.stream import Stream

ENGINE = Engine(workers=1, replace=True)
MONTHS = ("2017-01", "2017-02", "2017-03", "2017-04")
WORDS = [
    "time",
    "year",
    "people",
    "way",
    "day",
    "man",
    "thing",
    "woman",
    "life",
    "child",
    "world",
    "school",
    "state",
    "family",
    "student",
    "group",
    "country",
    "problem",
    "hand",
    "part",
]
STAGES = ("documents", "dedup", "tokens")


def text(number: int) -> str:
    """One of several texts; every third is a near copy of the one before it."""
    source = random.Random(number - number % 3 // 2)
    words = [source.choice(WORDS) for _ in range(60)]
    return " ".join(words) + (" indeed" if number % 3 == 2 else "")


def address(number: int) -> str:
    return f"http://site{number % 4}.example.com/{number}"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def own_hash(path: Path) -> str:
    """The hash that a manifest must have of itself, computed from its JSON alone."""
    body = json.loads(path.read_bytes())
    del body["sha256"]
    return hashlib.sha256((json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()).hexdigest()


def is_whole(folder: Path, seen: set[Path] | None = None) -> bool:
    """Whether a stage's files, and those manifests that it follows from, are what was recorded. The vocabulary's own are left out."""
    manifest = folder / "manifest.json"
    if not manifest.exists():
        return False
    body: dict[str, Any] = json.loads(manifest.read_bytes())
    if body["stage"] == "vocabulary":
        return True
    for entry in body["inputs"].values():
        place = (folder / entry["path"]).resolve()
        if not (place / "manifest.json").exists() or own_hash(place / "manifest.json") != entry["sha256"] or not is_whole(place):
            return False
    return True


def files_match(folder: Path) -> bool:
    body = json.loads((folder / "manifest.json").read_bytes())
    return all((folder / f["name"]).exists() and sha256(folder / f["name"]) == f["sha256"] for f in body["files"])


def ids_of(folder: Path) -> list[str]:
    dataset = Dataset.load(folder)
    return [bytes(key).hex() for split in dataset.splits for shard in dataset.open(split) for key, _ in shard.documents()]


class Years(RuleBasedStateMachine):
    """Months below a root. The model: the documents that each month was given, and the addresses that were taken down."""

    @initialize()
    def start(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="years-"))
        self.root = self.base / "out"
        self.given: dict[str, list[int]] = {}
        self.listed: set[int] = set()
        self.reader: tuple[Stream, bytes] | None = None
        write_documents(self.base / "sample", [[document(text(number), address(number)) for number in range(24)]])
        folder = str(self.root / "vocabulary")
        vocabulary.STAGE.run(Call({"dedup": str(self.base / "sample")}, folder, VocabularySettings(vocab_size=280), ENGINE))

    def teardown(self) -> None:
        shutil.rmtree(self.base, ignore_errors=True)

    def folder(self, month: str, stage: str) -> Path:
        return self.root / month / stage

    def write(self, month: str, numbers: list[int]) -> None:
        """What the stage `documents` publishes with the present take-down list."""
        self.given[month] = numbers
        kept = [document(text(number), address(number), day=number) for number in numbers if number not in self.listed]
        shutil.rmtree(self.folder(month, "documents"), ignore_errors=True)
        write_documents(self.folder(month, "documents"), [kept])

    def compare(self, month: str) -> None:
        earlier = tuple(str(self.folder(m, "dedup")) for m in sorted(self.given) if m < month)
        call = Call(
            {"documents": str(self.folder(month, "documents"))},
            str(self.folder(month, "dedup")),
            DedupSettings(against=earlier),
            ENGINE,
        )
        dedup.STAGE.run(call)

    def encode(self, month: str) -> None:
        inputs = {"dedup": str(self.folder(month, "dedup")), "vocabulary": str(self.root / "vocabulary")}
        tokens.STAGE.run(Call(inputs, str(self.folder(month, "tokens")), tokens.TokensSettings(validation_share=0.0), ENGINE))

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

    @rule(number=st.integers(0, 23))
    def take_down(self, number: int) -> None:
        self.settle()
        self.listed.add(number)
        path = self.base / "list.csv"
        path.write_text(
            "date,reference,kind,value\n" + "".join(f"2026-11-29,R{n},address,{address(n)}\n" for n in sorted(self.listed))
        )
        for month in self.given:
            remove.TOOL.run(["--corpus", str(self.root / month), "--replace", "--list", str(path), "--also-read", str(self.root)])

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
        joined = ids_of(self.root / "joined")
        assert sorted(joined) == sorted(ids)
        gone = {document(text(number), "").document_id.hex() for number in self.listed}
        kept_elsewhere = {n for numbers in self.given.values() for n in numbers if n not in self.listed}
        gone -= {document(text(number), "").document_id.hex() for number in kept_elsewhere}
        assert gone.isdisjoint(joined)
        if ids:
            stream = Stream(Dataset.load(self.root / "joined").open("train"))
            self.reader = (stream, self.read(stream))

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
    @rule(data=st.data(), missing=st.sampled_from(STAGES))
    def copy_partially(self, data: st.DataObject, missing: str) -> None:
        month = data.draw(st.sampled_from(sorted(self.given)))
        copied = self.root / "copied"
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(self.root / month, copied)
        shutil.rmtree(copied / missing, ignore_errors=True)
        self.check_verify(copied)
        shutil.rmtree(copied)

    @rule()
    def rename(self) -> None:
        self.root = self.root.rename(self.base / ("other" if self.root.name == "out" else "out"))

    def check_verify(self, corpus: Path) -> None:
        """Verify says that a corpus is whole exactly where a recomputation says so."""
        made = [corpus / stage for stage in STAGES if (corpus / stage / "manifest.json").exists()]
        right = bool(made) and all(files_match(folder) and is_whole(folder) for folder in made)
        command = ["--corpus", str(corpus), "--also-read", str(self.root)]
        if right:
            verify.TOOL.run(command)
        else:
            with pytest.raises(InputError):
                verify.TOOL.run(command)

    @invariant()
    def every_file_is_in_its_manifest(self) -> None:
        for month in getattr(self, "given", {}):
            for folder in (self.folder(month, stage) for stage in STAGES):
                if (folder / "manifest.json").exists():
                    assert files_match(folder)
                    named = {entry["name"] for entry in json.loads((folder / "manifest.json").read_bytes())["files"]}
                    paths = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
                    assert {p for p in paths if not p.startswith(".")} - {"manifest.json", "run.json"} == named

    @invariant()
    def verify_agrees_with_a_recomputation(self) -> None:
        for month in getattr(self, "given", {}):
            self.check_verify(self.root / month)


TestYears = pytest.mark.slow(Years.TestCase)
TestYears.settings = settings(
    max_examples=6, stateful_step_count=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
