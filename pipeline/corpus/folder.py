"""A corpus folder: the list of stages, their folders and manifests, and the funnel from submissions to unique documents."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from pipeline.storage import files, places
from pipeline.storage.document_shards import DocumentShard, document_shards
from pipeline.storage.manifest import NAME, StageManifest
from tokenizer.errors import InputError
from tokenizer.untrusted import check_file

STAGE_NAMES = ("links", "pages", "documents", "dedup", "vocabulary", "tokens", "overlap", "report")
"""Every stage, in the order of the data. A corpus folder holds one folder per stage, named after it."""

DATA_STAGES = STAGE_NAMES[:-1]
"""The stages that the report reads: every stage but itself."""


def stage_folders(corpus: str) -> dict[str, str]:
    """Stage name to its folder, finished or not, for every stage of DATA_STAGES.

    Raises InputError for a folder that is a link to a place outside the corpus, which no flag names.
    """
    folders = {name: files.join(corpus, name) for name in DATA_STAGES}
    for folder in folders.values():
        places.check_folder(folder)
    return folders


@dataclass(frozen=True, slots=True)
class CorpusFolder:
    """The finished stages of a corpus: folders and manifests by stage name, in the order of the data."""

    folders: Mapping[str, str]
    manifests: Mapping[str, StageManifest]

    @classmethod
    def open(cls, folders: Mapping[str, str]) -> Self:
        """The finished stages among `folders` (stage name to folder). Raises InputError if none has finished."""
        done = {name: folder for name, folder in folders.items() if files.exists(files.join(folder, NAME))}
        if not done:
            searched = ", ".join(folders.values())
            raise InputError(f"no finished stage in any of {searched}; run a stage first, or name another folder")
        return cls(done, {name: StageManifest.load(folder) for name, folder in done.items()})

    def paths(self, stage: str, kind: str) -> list[str]:
        """Paths of the files of one kind that a stage published; empty if the stage has not run.

        Raises InputError for a file that links lead to, outside the stage's folder.
        """
        manifest = self.manifests.get(stage)
        entries = manifest.of_kind(kind) if manifest else []
        return [_path(self.folders[stage], entry.name) for entry in entries]

    def rows(self, stage: str, kind: str) -> int:
        """Rows in all files of one kind of a finished stage."""
        return sum(entry.rows for entry in self.manifests[stage].of_kind(kind))

    @property
    def keeps_all_duplicates(self) -> bool:
        """Whether dedup has run and was told to remove no duplicates."""
        return "dedup" in self.manifests and self.manifests["dedup"].settings.get("remove_duplicates") == "none"

    def unique_shards(self) -> list[DocumentShard]:
        """The unique documents; all documents if `dedup` has not run, none if `documents` has not."""
        stage = "dedup" if "dedup" in self.folders else "documents"
        return document_shards(self.folders[stage]) if stage in self.folders else []


def _path(folder: str, name: str) -> str:
    path = files.join(folder, name)
    if files.is_local(folder):
        try:
            check_file(folder, name)
        except ValueError as error:
            raise InputError(f"{path}: {error}") from error
    return path


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """Items that reached this step, and the items lost since the step before, by reason."""

    name: str
    items: int
    lost: dict[str, int] = field(default_factory=dict)
    note: str = ""


def funnel(corpus: CorpusFolder) -> tuple[FunnelStep, ...]:
    """Submissions → links → pages → documents → unique documents, with the reasons of every loss.

    The last step is called "kept documents" where dedup removed no duplicates.
    """
    steps: list[FunnelStep] = []
    if "links" in corpus.manifests:
        steps += _link_steps(corpus)
    unique = "kept documents" if corpus.keeps_all_duplicates else "unique documents"
    for stage, kind, name in (("pages", "pages", "pages"), ("documents", "documents", "documents"), ("dedup", "keep", unique)):
        if stage in corpus.manifests:
            books = corpus.manifests[stage].books
            steps.append(FunnelStep(name, corpus.rows(stage, kind) or books.items_out, _most_common_first(books.dropped)))
    return tuple(steps)


def _link_steps(corpus: CorpusFolder) -> list[FunnelStep]:
    books = corpus.manifests["links"].books
    links = corpus.rows("links", "links")
    steps = [FunnelStep("submissions", books.items_in)]
    if books.items_out == links:
        return [*steps, FunnelStep("links", links, _most_common_first(books.dropped))]
    accepted = FunnelStep("accepted submissions", books.items_out, _most_common_first(books.dropped))
    note = f"{books.items_out - links:,} submissions repeat the link of another one; each link lists all its submissions"
    return [*steps, accepted, FunnelStep("links", links, note=note)]


def _most_common_first(dropped: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(dropped.items(), key=lambda pair: (-pair[1], pair[0])))
