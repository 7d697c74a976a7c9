"""Parts that an engine runs twice at once over an object store: the first receipt counts, and no file that it names is replaced."""

import hashlib
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from servers.objects import ACCESS, object_store

from pipeline.engine.execute import compute_part, publish_part
from pipeline.engine.parts import Part, PhaseFolder, Receipt, done_keys
from pipeline.engine.writer import PartWriter
from pipeline.records import Drop
from pipeline.storage import files, s3

BUCKET = "corpora"
PART = Part("00000-of-00001", 0)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with object_store(BUCKET) as address:
        for name, value in ACCESS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield boto3.client("s3")


@pytest.fixture
def phase() -> PhaseFolder:
    return PhaseFolder.first("pages", f"s3://{BUCKET}/pages", {}, {})


class Web:
    """Work that gives other bytes each time, as a crawl does: a file, a spill and a drop, which name each other."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, part: Part[int], writer: PartWriter) -> None:
        writer.fence()
        self.times += 1
        body = f"answer {self.times}".encode() * (1 + self.times)
        writer.publish("warc", 1, lambda file: file.write(body), writer.name("pages", ".warc.gz"))
        writer.publish("moved", 1, lambda file: file.write(body), writer.spill_name(f"{writer.key}.moved.parquet"))
        writer.drop(Drop("pages", f"http://site.example/{self.times}", "time_out"))
        writer.items_in, writer.items_out = 2, 1


def objects(store: Any) -> set[str]:
    names = (item["Key"] for item in store.list_objects_v2(Bucket=BUCKET, Prefix="pages/").get("Contents", ()))
    return {name.removeprefix("pages/") for name in names}


def holds(phase: PhaseFolder, receipt: Receipt) -> bool:
    """Whether each file of a receipt that is hashed has the bytes that the receipt names."""
    contents = {entry: files.read_bytes(files.join(phase.folder, entry.name)) for entry in receipt.files}
    hashed = {entry: content for entry, content in contents.items() if entry.sha256}
    return len(contents) == 3 and all(hashlib.sha256(content).hexdigest() == entry.sha256 for entry, content in hashed.items())


@pytest.mark.parametrize("first", [0, 1], ids=["the first attempt is late", "the second attempt is late"])
def test_a_late_attempt_replaces_nothing(store: Any, phase: PhaseFolder, first: int) -> None:
    web = Web()
    writers = [compute_part(phase, web, PART), compute_part(phase, web, PART)]
    winner = publish_part(writers[first])
    assert holds(phase, winner)
    before = {name for name in objects(store) if not name.endswith(".attempt")}
    assert publish_part(writers[1 - first]) == winner, "the receipt that counts is the first"
    assert holds(phase, winner)
    assert {name for name in objects(store) if not name.endswith(".attempt")} == before, "the late attempt's files are removed"
    assert Receipt.load(phase, PART.key) == winner
    assert done_keys(phase, [PART.key]) == {PART.key}


def test_attempts_that_publish_in_turns_do_not_mix(store: Any, phase: PhaseFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stops after its files and before its receipt, B runs whole, A goes on: a pause of the machine, or a network that was cut."""
    web = Web()
    late = compute_part(phase, web, PART)
    create_new, won = s3.create_new, []

    def pause(path: str, data: bytes) -> bool:
        monkeypatch.setattr(s3, "create_new", create_new)
        won.append(publish_part(compute_part(phase, web, PART)))
        return create_new(path, data)

    monkeypatch.setattr(s3, "create_new", pause)
    assert publish_part(late) == won[0]
    assert holds(phase, won[0])
    assert "answer 2" in files.read_bytes(won[0].path(phase, "warc")).decode()


def test_an_attempt_after_a_killed_one_leaves_the_killed_ones_files_alone(store: Any, phase: PhaseFolder) -> None:
    web = Web()
    with compute_part(phase, web, PART) as killed:
        killed._open.close()  # its files are stored, and it dies before its receipt
    left = {name: files.read_bytes(files.join(phase.folder, name)) for name in objects(store) if "warc" in name}
    receipt = publish_part(compute_part(phase, web, PART))
    assert holds(phase, receipt)
    assert {name: files.read_bytes(files.join(phase.folder, name)) for name in left} == left
    assert not left.keys() & {entry.name for entry in receipt.files}


def test_the_first_attempt_has_the_names_that_a_disk_would_have(store: Any, phase: PhaseFolder) -> None:
    names = {entry.name for entry in publish_part(compute_part(phase, Web(), PART)).files}
    spill = f".work/{phase.fingerprint[:16]}/main/{PART.key}.moved.parquet"
    assert names == {f"pages-{PART.key}.warc.gz", f"drops/drops-{PART.key}.parquet", spill}


@pytest.mark.usefixtures("store")
def test_of_many_writers_one_creates_an_object() -> None:
    path = f"s3://{BUCKET}/one"
    assert [s3.create_new(path, bytes([n])) for n in range(5)] == [True, False, False, False, False]
    assert s3.read(path) == b"\x00"
