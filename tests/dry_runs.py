"""Prints a line of JSON about each graph that the stages would send to Dataflow: built, validated and pickled, with gs:// paths.

    python tests/dry_runs.py FOLDER dataflow     # Dataflow's dry run; needs an interpreter with the `gcp` extra
    python tests/dry_runs.py FOLDER local        # the graphs alone, without Dataflow's own checks; any interpreter

It needs no network and no account: the bucket is a folder, and the local engine does each graph's work, so that the next graph
has its input. The elements of its shuffles are inspected on the way.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import apache_beam as beam
from apache_beam.io.filesystem import FileMetadata, FileSystem
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.localfilesystem import LocalFileSystem
from apache_beam.options.pipeline_options import PipelineOptions
from shuffles import record_shuffles
from small_web import every_stage, passages, write_month

from pipeline.engine.runner import Engine
from pipeline.storage import beam_files, object_store
from pipeline.storage.document_shards import document_shards

DRY = (
    "--runner=DataflowRunner", "--dry_run=True", "--no_auth", "--sdk_location=container", "--project=nobody", "--region=us-central1",
    "--temp_location=gs://bucket/temp", "--staging_location=gs://bucket/staging",
)  # fmt: skip
PAGES = 26
SHUFFLE = "beam:transform:group_by_key:v1"


class BucketOnDisk(LocalFileSystem):
    """A file system that keeps gs:// paths below a local folder."""

    root: ClassVar[Path]

    @classmethod
    def scheme(cls) -> str:
        return "gs"

    def _at(self, path: str) -> str:
        return str(self.root / path.removeprefix("gs://"))

    def _list(self, dir_or_prefix: str) -> Any:
        for file in super()._list(self._at(dir_or_prefix)):
            yield FileMetadata("gs://" + str(Path(file.path).relative_to(self.root)), file.size_in_bytes)

    def create(self, path: str, *settings: Any, **more: Any) -> Any:
        Path(self._at(path)).parent.mkdir(parents=True, exist_ok=True)  # a bucket has no folders to make
        return super().create(self._at(path), *settings, **more)

    def open(self, path: str, *settings: Any, **more: Any) -> Any:
        return super().open(self._at(path), *settings, **more)

    def exists(self, path: str) -> bool:
        return bool(super().exists(self._at(path)))

    def size(self, path: str) -> int:
        return int(super().size(self._at(path)))

    def metadata(self, path: str) -> FileMetadata:
        file = super().metadata(self._at(path))
        return FileMetadata(path, file.size_in_bytes, file.last_updated_in_seconds)

    def delete(self, paths: list[str]) -> None:
        super().delete([self._at(path) for path in paths])

    def rename(self, sources: list[str], targets: list[str]) -> None:
        super().rename([self._at(path) for path in sources], [self._at(path) for path in targets])


@dataclass(frozen=True, slots=True)
class DryRuns(Engine):
    """Has each graph checked by another runner, and its work done by the local engine."""

    checked_by: tuple[str, ...] = ()

    def _needs_pipeline(self, parts: int, *, light: bool) -> bool:
        """As on another runner: a single part is a graph too."""
        return parts > 0 and not light

    def run(self, build: Callable[[beam.Pipeline], object], parts: int = 2) -> None:
        pipeline = beam.Pipeline(options=PipelineOptions(list(self.checked_by))) if self.checked_by else self.pipeline(1)
        build(pipeline)
        graph = pipeline.run().job.proto_pipeline if self.checked_by else pipeline.to_runner_api()
        with record_shuffles() as shuffled:
            Engine.run(self, build, 1)
        weights = {"elements": len(shuffled), "largest": max(map(len, shuffled))}
        sys.stdout.write("graph:" + json.dumps(properties(graph) | weights) + "\n")
        quoted = [passage for passage in PASSAGES if any(passage in element for element in shuffled)]
        sys.stdout.write("".join(f"text in a shuffle: {passage!r}\n" for passage in quoted))


PASSAGES: list[bytes] = []
"""A few words of each page's text."""


def properties(graph: Any) -> dict[str, Any]:
    """The properties of a graph that the tests check."""
    parts = graph.components
    shuffled = [
        parts.pcollections[name] for t in parts.transforms.values() if t.spec.urn == SHUFFLE for name in t.inputs.values()
    ]
    return {
        "bytes": graph.ByteSize(),
        "transforms": dict(Counter(t.spec.urn for t in parts.transforms.values() if t.spec.urn)),
        "names": sorted(t.unique_name for t in parts.transforms.values()),
        "shuffled": [coder(parts, collection.coder_id) for collection in shuffled],
        "images": [environment.urn for environment in parts.environments.values()],
    }


def coder(parts: Any, name: str) -> str:
    """Name of a coder, with its components in brackets."""
    spec = parts.coders[name]
    inner = ", ".join(coder(parts, component) for component in spec.component_coder_ids)
    return f"{spec.spec.urn.removeprefix('beam:coder:')}({inner})" if inner else spec.spec.urn.removeprefix("beam:coder:")


def main(folder: Path, engine: Engine) -> None:
    """Run every stage below gs://bucket/corpus."""
    BucketOnDisk.root = folder / "buckets"
    bucket = BucketOnDisk(PipelineOptions([]))
    local = FileSystems.get_filesystem

    def filesystem(path: str) -> FileSystem:
        return bucket if path.startswith("gs://") else local(path)

    FileSystems.get_filesystem = staticmethod(filesystem)
    object_store.gcs = beam_files  # type: ignore[assignment]
    PASSAGES.extend(passages(PAGES))
    every_stage("gs://bucket/corpus", write_month(folder / "month", PAGES), engine)
    batches = (batch for shard in document_shards("gs://bucket/corpus/documents") for batch in shard.batches(["text"]))
    texts = [text.encode() for batch in batches for text in batch.column("text").to_pylist()]
    sys.stdout.write(f"passages:{sum(any(passage in text for text in texts) for passage in PASSAGES)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), DryRuns(checked_by=DRY if sys.argv[2] == "dataflow" else ()))
