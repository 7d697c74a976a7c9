"""Objects of S3: what is read is what is there, and each operation costs the requests that it needs."""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import boto3
import numpy as np
import pytest
from servers.objects import ACCESS, Traffic, object_store
from small_web import write_month

from pipeline.pages.archive_index import CAPTURE, WHOLE, Captures, hash64
from pipeline.pages.warc_reader import read_records
from pipeline.storage import arrays, files, s3
from pipeline.urls import dedup_key

BUCKET = "corpora"
FOLDER = f"s3://{BUCKET}/a folder"


@pytest.fixture(scope="module")
def traffic() -> Iterator[Traffic]:
    counted = Traffic()
    with pytest.MonkeyPatch.context() as patch, object_store(BUCKET, counted) as address:
        for name, value in {**ACCESS, "AWS_ENDPOINT_URL": address}.items():
            patch.setenv(name, value)
        yield counted


@pytest.fixture(scope="module")
def content() -> bytes:
    return random.Random(7).randbytes(3_000_000)


@pytest.fixture(scope="module")
def path(traffic: Traffic, content: bytes) -> str:
    files.publish_bytes(f"{FOLDER}/large", content)
    traffic.take()
    return f"{FOLDER}/large"


@pytest.mark.parametrize("size", [0, 1, 1000, s3.SPOOLED_BYTES + 1])
def test_an_object_is_put_by_one_request_and_read_by_one(traffic: Traffic, size: int) -> None:
    data = bytes(size)
    traffic.take()
    files.publish_bytes(f"{FOLDER}/{size}", data)
    assert dict((asked := traffic.take()).requests) == {"PUT": 1}
    assert size <= asked.received_bytes <= size + 100 + size // 100  # the client may send its checksum as a trailer
    assert files.read_bytes(f"{FOLDER}/{size}") == data
    assert dict((asked := traffic.take()).requests) == {"GET": 1}
    assert asked.sent_bytes == size


def test_a_large_object_is_put_in_parts(traffic: Traffic, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 5 << 18)
    traffic.take()
    files.publish_bytes(f"{FOLDER}/parts", content)
    assert dict(traffic.take().requests) == {"PART": 1 + 1 + 1}  # begin, the one part that the protocol's least size leaves, end
    assert files.read_bytes(f"{FOLDER}/parts") == content


def test_an_error_while_an_object_is_written_leaves_the_earlier_one(traffic: Traffic) -> None:
    files.publish_bytes(f"{FOLDER}/kept", b"earlier")
    traffic.take()

    def write_half(file: IO[bytes]) -> None:
        file.write(b"half")
        raise KeyError("power cut")

    with pytest.raises(KeyError):
        files.publish(f"{FOLDER}/kept", write_half)
    assert not traffic.take().requests
    assert files.read_bytes(f"{FOLDER}/kept") == b"earlier"
    assert files.names(FOLDER).count("kept") == 1


@pytest.mark.parametrize("seed", range(10))
def test_any_reads_give_the_bytes_of_the_object(traffic: Traffic, path: str, content: bytes, seed: int) -> None:
    chance = random.Random(seed)
    with files.open_input(path) as file:
        at = 0
        for _ in range(40):
            if chance.random() < 0.4:
                whence = chance.choice([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])
                target = chance.randrange(len(content) + 50_000)
                base = {os.SEEK_SET: 0, os.SEEK_CUR: at, os.SEEK_END: len(content)}[whence]
                at = file.seek(target - base, whence)
                assert at == target
            count = chance.choice([0, 1, 8, 5000, 300_000])
            data = file.read(count)
            assert data == content[at : at + count]
            at += len(data)
            assert file.tell() == at
        assert file.read() == content[at:]


def test_a_range_costs_its_bytes(traffic: Traffic, path: str, content: bytes) -> None:
    traffic.take()
    for start in (0, 5, 1_000_000, 2_963_000):
        with files.open_input(path) as file:
            file.seek(start)
            assert file.read(37_000) == content[start : start + 37_000]
    asked = traffic.take()
    assert dict(asked.requests) == {"GET": 4}
    assert asked.sent_bytes == 4 * 37_000


@pytest.mark.parametrize("piece", [1_000, 8_192, 65_536])
def test_reading_on_costs_each_byte_once_and_few_requests(traffic: Traffic, path: str, content: bytes, piece: int) -> None:
    traffic.take()
    with files.open_input(path) as file:
        assert b"".join(iter(lambda: file.read(piece), b"")) == content
    asked = traffic.take()
    assert asked.sent_bytes == len(content)
    assert asked.requests.total() <= 20


def test_records_that_are_read_one_after_another_share_requests(traffic: Traffic, path: str, content: bytes) -> None:
    """As the pages of a range: 37 kB each, a gap between them, by threads that are a little out of order."""
    places = [(i * 40_000, 37_000) for i in range(70)]
    places = [places[i ^ 1] for i in range(70)]
    traffic.take()
    with files.open_input(path) as file:
        for start, length in places:
            file.seek(start)
            assert file.read(length) == content[start : start + length]
    asked = traffic.take()
    assert asked.requests.total() <= 20
    assert asked.sent_bytes <= 1.2 * places[-1][0] + 37_000


def test_a_small_table_is_one_request(traffic: Traffic) -> None:
    import pyarrow as pa

    table = pa.table({"id": list(range(500))})
    files.publish_table(f"{FOLDER}/t.parquet", table)
    traffic.take()
    assert files.read_table(f"{FOLDER}/t.parquet") == table
    assert dict(traffic.take().requests) == {"GET": 1}


def test_a_missing_object_is_a_missing_file(traffic: Traffic) -> None:
    missing = f"{FOLDER}/none"
    assert not files.exists(missing)
    for read in (files.read_bytes, files.size, lambda path: files.open_input(path).read(1)):
        with pytest.raises(FileNotFoundError, match="none"):
            read(missing)
    files.remove(missing)
    assert files.names_below(f"{missing}/below") == []


def test_a_folder_of_many_objects_takes_few_requests(traffic: Traffic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "NAMES_PER_REQUEST", 10)
    for i in range(21):
        files.publish_bytes(f"s3://{BUCKET}/many/{i:05d}", b"x" * (i % 3))
    traffic.take()
    assert files.sizes_below(f"s3://{BUCKET}/many") == {f"{i:05d}": i % 3 for i in range(21)}
    assert dict(traffic.take().requests) == {"LIST": 3}
    files.remove_folder(f"s3://{BUCKET}/many")
    assert dict(traffic.take().requests) == {"LIST": 3, "DELETE": 3}
    assert files.names_below(f"s3://{BUCKET}/many") == []


def test_unfinished_uploads_are_ended(traffic: Traffic) -> None:
    store = boto3.client("s3")
    for key in ("unfinished/a", "unfinished/b", "other/a"):
        store.create_multipart_upload(Bucket=BUCKET, Key=key)
    files.remove_leftovers(f"s3://{BUCKET}/unfinished")
    assert [upload["Key"] for upload in store.list_multipart_uploads(Bucket=BUCKET)["Uploads"]] == ["other/a"]
    traffic.take()


def test_a_process_has_one_client(traffic: Traffic) -> None:
    assert s3.client() is s3.client()
    parents = id(s3.client())
    child = os.fork()
    if not child:
        os._exit(0 if id(s3.client()) != parents else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_another_server_or_key_gets_another_client(traffic: Traffic, monkeypatch: pytest.MonkeyPatch) -> None:
    before = s3.client()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert s3.client() is not before
    assert s3.client().meta.endpoint_url == "http://127.0.0.1:9"
    monkeypatch.undo()
    assert s3.client() is before


def test_neighbouring_records_of_an_archive_come_by_one_request(traffic: Traffic, tmp_path: Path) -> None:
    """Captures are read in the order in which they lie in their files, by readers that stay open."""
    pages, hosts = 300, 7
    local = Path(write_month(tmp_path, pages).warc)
    archive = f"{FOLDER}/pages.warc.gz"
    files.publish_bytes(archive, local.read_bytes())
    records = list(read_records(str(local)))
    rows = np.zeros(len(records), CAPTURE)
    for row, record in zip(rows, records, strict=True):
        row["page"], row["url"], row["kind"] = hash64(dedup_key(record.url)), hash64(record.url), WHOLE
        row["offset"], row["length"], row["status"] = record.offset, record.length, 200
    rows.sort(order="page")
    with (tmp_path / "captures.npy").open("wb") as file:
        arrays.write(file, rows)
    captures = Captures((archive,), (str(tmp_path / "captures.npy"),))
    urls = sorted(record.url for record in records)  # host by host, which is not the file's order
    assert [url.split("/")[2] for url in urls] != [record.url.split("/")[2] for record in records]
    assert len({url.split("/")[2] for url in urls}) == hosts
    order = captures.in_order((url, None) for url in [*urls, "http://nowhere.example/"])
    traffic.take()
    found = [captures.record(capture) for place in order if place < pages for capture in captures.ranked(urls[place], None)[:1]]
    asked = traffic.take()
    captures.close()
    assert [(record.url, record.block) for record in found] == [(record.url, record.block) for record in records]
    assert asked.requests["GET"] < 20, "a request per record was 300"
    assert asked.sent_bytes < 1.2 * local.stat().st_size
