"""A finished corpus: its stages' folders and manifests, and the funnel from submissions to unique documents."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.storage import files
from pipeline.storage.document_shards import DocumentShard, document_shards
from pipeline.storage.files import InputError
from pipeline.storage.manifest import NAME, StageManifest

STAGE_NAMES = ("links", "pages", "documents", "dedup", "vocabulary", "tokens", "overlap", "report")
"""Every stage, in the order of the data. A corpus folder holds one folder per stage, named after it."""

DATA_STAGES = STAGE_NAMES[:-1]
"""The stages that the report reads: every stage but itself."""


def stage_folders(corpus: str) -> dict[str, str]:
    """Stage name to its folder, finished or not, for every stage of DATA_STAGES."""
    return {name: files.join(corpus, name) for name in DATA_STAGES}


@dataclass(frozen=True, slots=True)
class Corpus:
    """The finished stages of a corpus: their folders and manifests, in the order of the data."""

    folders: Mapping[str, str]
    manifests: Mapping[str, StageManifest]

    @classmethod
    def open(cls, folders: Mapping[str, str]) -> "Corpus":
        """The stages among `folders` (name to folder) that have finished. Raises InputError where none has."""
        done = {name: folder for name, folder in folders.items() if files.exists(files.join(folder, NAME))}
        if not done:
            named = ", ".join(folders.values())
            raise InputError(f"no finished stage in any of {named}; run one first, or name another folder")
        return cls(done, {name: StageManifest.load(folder) for name, folder in done.items()})

    def paths(self, stage: str, kind: str) -> list[str]:
        """The files of one kind that a stage published; none where it has not run."""
        manifest = self.manifests.get(stage)
        entries = manifest.of_kind(kind) if manifest else []
        return [files.join(self.folders[stage], entry.name) for entry in entries]

    def rows(self, stage: str, kind: str) -> int:
        """Their rows."""
        return sum(entry.rows for entry in self.manifests[stage].of_kind(kind))

    def unique_shards(self) -> list[DocumentShard]:
        """The documents that are left at the end: after de-duplication, or before it where that has not run."""
        stage = "dedup" if "dedup" in self.folders else "documents"
        return document_shards(self.folders[stage]) if stage in self.folders else []


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """How many came so far, and why the others of the step before did not."""

    name: str
    items: int
    lost: dict[str, int] = field(default_factory=dict)
    note: str = ""


def funnel(corpus: Corpus) -> tuple[FunnelStep, ...]:
    """Submissions → links → pages → documents → unique documents, with the reasons of every loss."""
    steps: list[FunnelStep] = []
    if "links" in corpus.manifests:
        steps += _link_steps(corpus)
    for stage, kind, word in (
        ("pages", "pages", "pages"),
        ("documents", "documents", "documents"),
        ("dedup", "keep", "unique documents"),
    ):
        if stage in corpus.manifests:
            books = corpus.manifests[stage].books
            steps.append(FunnelStep(word, corpus.rows(stage, kind) or books.items_out, _commonest_first(books.dropped)))
    return tuple(steps)


def _link_steps(corpus: Corpus) -> list[FunnelStep]:
    books = corpus.manifests["links"].books
    links = corpus.rows("links", "links")
    steps = [FunnelStep("submissions", books.items_in)]
    if books.items_out == links:
        return [*steps, FunnelStep("links", links, _commonest_first(books.dropped))]
    accepted = FunnelStep("accepted submissions", books.items_out, _commonest_first(books.dropped))
    note = f"{books.items_out - links:,} submissions name a link that another one names too; a link remembers them all"
    return [*steps, accepted, FunnelStep("links", links, note=note)]


def _commonest_first(dropped: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(dropped.items(), key=lambda pair: (-pair[1], pair[0])))
