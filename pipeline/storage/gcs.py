"""Objects of Google Cloud Storage, with the functions of `pipeline.storage.s3`, at one request for what needs one.

Beam's file system makes a client per operation, reads 16 MiB where 37 kB are asked, takes names for globs, and publishes half an
object where its writer fails. Here, as on S3, an object is put whole and appears when its last byte is stored.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import IO, Any, BinaryIO, TypeVar, cast
from urllib.parse import quote

from pipeline.storage.range_reader import Range, RangeReader, answered_range
from pipeline.storage.s3 import SPOOLED_BYTES, split
from tokenizer.untrusted import check_size

T = TypeVar("T")
NAMES_AND_SIZES = "items(name,size),nextPageToken"
DELETIONS = 8
"""Deletions at the same time: each is a request of its own."""
PAST_THE_END = 416


def exists(path: str) -> bool:
    """Whether there is an object of this name."""
    return _found(path) is not None


def size(path: str) -> int:
    """Size of an object in bytes. Raises FileNotFoundError."""
    found = _found(path)
    if found is None:
        raise FileNotFoundError(2, "No such object", path)
    return int(found.size)


def read(path: str, most_bytes: int | None = None) -> bytes:
    """The whole object, by one request. Raises ValueError for one of more than `most_bytes`, which is not transferred whole."""
    if most_bytes is None:
        return _range(path, None).data
    found = _range(path, f"bytes=0-{most_bytes}")
    check_size(len(found.data) if found.size is None else found.size, most_bytes)
    return found.data


def open_reader(path: str) -> BinaryIO:
    """A reader of an object, which fetches what is read. Raises FileNotFoundError at the first reading."""
    return cast("BinaryIO", RangeReader(lambda span, start: _range(path, span, start)))


def sizes_below(folder: str, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Names, relative to a folder, and sizes of all objects below it whose names begin with `prefix`."""
    bucket, key = split(folder)
    start = key.rstrip("/") + "/" if key.strip("/") else ""
    with _faults(folder):
        for found in client().list_blobs(bucket, prefix=start + prefix, fields=NAMES_AND_SIZES):
            yield found.name.removeprefix(start), int(found.size)


def delete(paths: Sequence[str]) -> None:
    """Delete objects, those that exist."""

    def remove(path: str) -> None:
        with suppress(FileNotFoundError):
            _ask(path, lambda: _blob(path).delete())

    with ThreadPoolExecutor(DELETIONS) as pool:
        list(pool.map(remove, paths))


@contextmanager
def creating(path: str) -> Iterator[IO[bytes]]:
    """A file whose bytes become the object when the block ends without an error. Until then nothing is sent."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    with tempfile.SpooledTemporaryFile(SPOOLED_BYTES) as spool:
        yield cast("IO[bytes]", spool)
        length = spool.tell()
        spool.seek(0)
        _ask(path, lambda: _blob(path).upload_from_file(spool, size=length, retry=DEFAULT_RETRY))


def create_new(path: str, data: bytes) -> bool:
    """Put an object unless there is one of this name, which stays. Returns whether it was put: of several writers, one is told so."""
    from google.api_core.exceptions import PreconditionFailed

    try:
        _ask(path, lambda: _blob(path).upload_from_string(data, if_generation_match=0))
    except OSError as error:
        if isinstance(error.__cause__, PreconditionFailed):
            return False
        raise
    return True


def remove_unfinished(_folder: str) -> None:
    """Do nothing: an upload that was not finished is neither listed nor charged, and ends by itself after a week."""


def _found(path: str) -> Any:
    """The object's metadata; None where there is none."""
    bucket, key = split(path)
    return _ask(path, lambda: client().bucket(bucket).get_blob(key)) if key else None


def _blob(path: str) -> Any:
    bucket, key = split(path)
    return client().bucket(bucket).blob(key)


def _range(path: str, span: str | None, start: int = 0) -> Range:
    """A range of an object's bytes as they are stored, by one request. The client's own functions do not tell the object's size."""
    from google.api_core.exceptions import from_http_response
    from google.cloud.storage.retry import DEFAULT_RETRY

    bucket, key = split(path)

    def answered() -> Range:
        headers = {"Accept-Encoding": "gzip"} | ({"Range": span} if span else {})
        url = f"{client().api_endpoint}/storage/v1/b/{bucket}/o/{quote(key, safe='')}?alt=media"
        with client()._http.get(url, headers=headers, timeout=60, stream=True) as answer:
            if answer.status_code == PAST_THE_END:
                return Range(start, None, b"")
            if not answer.ok:
                raise from_http_response(answer)
            return answered_range(answer.headers.get("Content-Range"), answer.raw.read(decode_content=False))

    retried: Callable[[], Range] = DEFAULT_RETRY(answered)
    return _ask(path, retried)


def _ask(path: str, operation: Callable[[], T]) -> T:
    with _faults(path):
        return operation()


@contextmanager
def _faults(path: str) -> Iterator[None]:
    """Raise FileNotFoundError for a missing object, and Beam's error of a file system for other failures."""
    from apache_beam.io.filesystem import BeamIOError
    from google.api_core.exceptions import GoogleAPIError, NotFound
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except NotFound as error:
        raise FileNotFoundError(2, "No such object", path) from error
    except (GoogleAPIError, GoogleAuthError, RequestException, HTTPError) as error:
        raise BeamIOError("the object store failed", {path: error}) from error


def client() -> Any:
    """This process's client, made from Beam's flags and the environment: a forked process makes its own."""
    from pipeline.storage.remote import beam_options

    environment = tuple(sorted(item for item in os.environ.items() if item[0].startswith(("GOOGLE_", "STORAGE_EMULATOR_"))))
    return _client(os.getpid(), beam_options(), environment)


@lru_cache(maxsize=4)
def _client(_process: int, options: Any, _environment: tuple[tuple[str, str], ...]) -> Any:
    from apache_beam.io.gcp.gcsio import create_storage_client

    return create_storage_client(options)
