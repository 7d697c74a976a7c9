"""Every stage on an S3-compatible server through Beam's file system: equal bytes as on disk, and a killed stage resumes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from servers.objects import ACCESS, object_store
from small_web import every_stage, write_month

from pipeline.engine.parts import Receipt
from pipeline.engine.runner import Engine
from pipeline.tokens import stage as tokens

BUCKET = "corpora"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    session = boto3.session.Session()
    monkeypatch.setattr(boto3.session, "Session", lambda: session)  # Beam makes one per call, a quarter of a CPU second each
    with object_store(BUCKET) as address:
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
