"""Every stage on an S3-compatible server through Beam's file system: equal bytes as on disk, and a killed stage resumes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from servers.objects import ACCESS, Traffic, object_store
from small_web import every_stage, write_month

from pipeline.engine.parts import Part, PhaseFolder, Receipt, numbered
from pipeline.engine.progress import _items_done
from pipeline.engine.runner import Engine
from pipeline.engine.writer import PartWriter
from pipeline.storage.manifest import StageManifest
from pipeline.storage.verification import check
from pipeline.tokens import stage as tokens

BUCKET = "corpora"


@pytest.fixture
def traffic() -> Traffic:
    """What the server of `store` is asked."""
    return Traffic()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, traffic: Traffic) -> Iterator[Any]:
    with object_store(BUCKET, traffic) as address:
        for name, value in ACCESS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield boto3.client("s3")


def stored(store: Any, prefix: str) -> dict[str, bytes]:
    """The bytes of every object below the prefix but run.json, which holds times."""
    names = [item["Key"] for item in store.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]]
    return {
        name.removeprefix(prefix): store.get_object(Bucket=BUCKET, Key=name)["Body"].read()
        for name in names
        if not name.endswith("/run.json")
    }


def on_disk(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "run.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.slow
def test_every_stage_writes_the_same_bytes_to_s3(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    month = write_month(tmp_path / "month")
    every_stage(str(tmp_path / "corpus"), month, Engine())
    monkeypatch.chdir(tmp_path / "month")
    every_stage(f"s3://{BUCKET}/corpus", month, Engine())
    assert stored(store, "corpus/") == on_disk(tmp_path / "corpus")
    assert len(stored(store, "corpus/")) > 20
    assert sorted(path.name for path in Path().iterdir()) == sorted(
        path.name for path in map(Path, (month.dump, month.warc, month.evaluation_set))
    )


@pytest.mark.slow
def test_a_killed_stage_resumes_and_leaves_nothing_behind(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    month = write_month(tmp_path / "month")
    corpus = f"s3://{BUCKET}/corpus"
    with monkeypatch.context() as patch:
        save = Receipt.save
        patch.setattr(Receipt, "save", lambda receipt, phase: die() if phase.stage == tokens.STAGE.name else save(receipt, phase))
        with pytest.raises(Exception, match="power cut"):
            every_stage(corpus, month, Engine())
    assert not any(name.startswith("tokens/manifest") for name in stored(store, "corpus/"))
    every_stage(corpus, month, Engine())
    every_stage(str(tmp_path / "corpus"), month, Engine())
    assert stored(store, "corpus/") == on_disk(tmp_path / "corpus")


def die() -> None:
    raise KeyError("power cut")


def write_once(part: Part[int], writer: PartWriter) -> None:
    """One file per part."""
    writer.publish("rows", part.work, lambda file: file.write(b"x" * part.work))


@pytest.mark.usefixtures("store")
def test_a_phase_asks_once_for_all_parts(traffic: Traffic) -> None:
    """Two objects per part are put, a receipt per part is read; all else is asked once, by the driver."""
    parts = 30
    phase = PhaseFolder.first("count", f"s3://{BUCKET}/count", {}, {})
    work = numbered(range(parts))
    traffic.take()
    receipts = Engine().work(phase, work, write_once, light=True)
    asked = traffic.take().requests
    assert asked["PUT"] == 2 * parts
    assert asked["GET"] == parts
    assert asked.total() <= 3 * parts + 5
    assert _items_done(phase, work, set()) == parts
    traffic.take()
    assert Engine().work(phase, work, write_once, light=True) == receipts
    assert traffic.take().requests.total() <= parts + 4
    entries = tuple(entry for receipt in receipts for entry in receipt.files)
    StageManifest("count", {}, {}, entries, receipts[0].books).save(phase.folder)
    traffic.take()
    assert check(phase.folder, hashes=False) == (parts, sum(range(parts)))
    assert dict(traffic.take().requests) == {"GET": 1, "LIST": 1}
