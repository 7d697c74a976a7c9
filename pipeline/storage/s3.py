"""Objects of S3 and of servers that speak its protocol, at one request for what needs one.

Beam's file system makes a client per operation (0.1 CPU seconds), reads 16 MiB where 37 kB are asked, and writes an object by a
multipart upload, a copy and a deletion. Here a process has one client, a reader fetches the ranges that are read, and an object
is put whole: it appears when its last byte is stored, so it needs no name aside.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import IO, Any, BinaryIO, TypeVar, cast

from pipeline.storage.range_reader import Range, RangeReader, answered_range
from tokenizer.untrusted import check_size

T = TypeVar("T")
MISSING = ("404", "NoSuchKey", "NotFound")
TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
NAMES_PER_REQUEST = 1_000
"""Objects that are listed, or deleted, by one request: the protocol's limit."""
SPOOLED_BYTES = 8 << 20
"""An object up to this size is put together in memory, a larger one in a file of the temporary folder."""
PART_BYTES = 64 << 20
"""Bytes per part of a multipart upload, for objects that are larger; ten thousand parts are the protocol's limit."""
ATTEMPTS = 5


def split(path: str) -> tuple[str, str]:
    """Bucket and key of a path.

    >>> split("s3://corpora/2017/links/manifest.json")
    ('corpora', '2017/links/manifest.json')
    """
    bucket, _, key = path.partition("://")[2].partition("/")
    return bucket, key


def exists(path: str) -> bool:
    """Whether there is an object of this name."""
    try:
        size(path)
    except FileNotFoundError:
        return False
    return True


def size(path: str) -> int:
    """Size of an object in bytes. Raises FileNotFoundError."""
    return int(_ask(path, "head_object")["ContentLength"])


def read(path: str, most_bytes: int | None = None) -> bytes:
    """The whole object, by one request. Raises ValueError for one of more than `most_bytes`, before it is transferred."""

    def body() -> bytes:
        answer = _ask(path, "get_object")
        with answer["Body"] as stream:
            if most_bytes is not None:
                check_size(int(answer["ContentLength"]), most_bytes)
            return cast("bytes", stream.read())

    return _again(path, body)


def open_reader(path: str) -> BinaryIO:
    """A reader of an object, which fetches what is read. Raises FileNotFoundError at the first reading."""

    def load(span: str, start: int) -> Range:
        def answered() -> Range:
            answer = _ask(path, "get_object", Range=span)
            with answer["Body"] as stream:
                return answered_range(answer.get("ContentRange"), cast("bytes", stream.read()))

        return _again(path, answered, past_the_end=Range(start, None, b""))

    return cast("BinaryIO", RangeReader(load))


def sizes_below(folder: str, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Names, relative to a folder, and sizes of all objects below it whose names begin with `prefix`."""
    bucket, key = split(folder)
    start = key.rstrip("/") + "/" if key.strip("/") else ""
    more: dict[str, str] = {}
    while True:
        answer = _ask(folder, "list_objects_v2", Bucket=bucket, Prefix=start + prefix, MaxKeys=NAMES_PER_REQUEST, **more)
        yield from ((item["Key"].removeprefix(start), int(item["Size"])) for item in answer.get("Contents", ()))
        if not answer.get("IsTruncated"):
            return
        more = {"ContinuationToken": answer["NextContinuationToken"]}


def delete(paths: Sequence[str]) -> None:
    """Delete objects, those that exist; a request per thousand."""
    buckets: dict[str, list[str]] = {}
    for bucket, key in map(split, paths):
        buckets.setdefault(bucket, []).append(key)
    for bucket, keys in buckets.items():
        for first in range(0, len(keys), NAMES_PER_REQUEST):
            objects = [{"Key": key} for key in keys[first : first + NAMES_PER_REQUEST]]
            answer = _ask(paths[0], "delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            for failed in answer.get("Errors", ()):
                raise _fault(f"s3://{bucket}/{failed['Key']}", f"{failed['Code']}: {failed['Message']}")


@contextmanager
def creating(path: str) -> Iterator[IO[bytes]]:
    """A file whose bytes become the object when the block ends without an error. Until then nothing is sent."""
    from boto3.s3.transfer import TransferConfig

    bucket, key = split(path)
    config = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False)
    with tempfile.SpooledTemporaryFile(SPOOLED_BYTES) as spool:
        yield cast("IO[bytes]", spool)
        length = spool.tell()
        spool.seek(0)
        if length < PART_BYTES:
            _ask(path, "put_object", Body=spool, ContentLength=length)
        else:
            with _faults(path):
                client().upload_fileobj(cast("IO[bytes]", spool), bucket, key, Config=config)


def create_new(path: str, data: bytes) -> bool:
    """Put an object unless there is one of this name, which stays. Returns whether it was put: of several writers, one is told so."""
    from botocore.exceptions import ClientError

    try:
        _ask(path, "put_object", Body=data, IfNoneMatch="*")
    except OSError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError) and cause.response["Error"]["Code"] in TAKEN:
            return False
        raise
    return True


def remove_unfinished(folder: str) -> None:
    """End the multipart uploads below a folder that killed writers left: they are not listed, but they are charged."""
    bucket, key = split(folder)
    answer = _ask(folder, "list_multipart_uploads", Bucket=bucket, Prefix=key.rstrip("/") + "/")
    for upload in answer.get("Uploads", ()):
        _ask(folder, "abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def _again(path: str, fetch: Callable[[], T], past_the_end: T | None = None) -> T:
    """What `fetch` gives; it is tried again where a connection breaks within a body, which the client does not do itself."""
    from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

    for attempt in range(ATTEMPTS):
        try:
            return fetch()
        except (IncompleteReadError, ReadTimeoutError, ResponseStreamingError, HTTPClientError) as error:
            if attempt == ATTEMPTS - 1:
                raise _fault(path, error) from error
        except OSError as error:
            cause = error.__cause__
            if past_the_end is not None and isinstance(cause, ClientError) and cause.response["Error"]["Code"] == "InvalidRange":
                return past_the_end
            raise
    raise AssertionError


def _ask(path: str, operation: str, **request: Any) -> dict[str, Any]:
    """The store's answer. Raises FileNotFoundError for a missing object, and Beam's error of a file system for other failures."""
    bucket, key = split(path)
    with _faults(path):
        named = {"Bucket": bucket} if "Bucket" in request else {"Bucket": bucket, "Key": key}
        answer: dict[str, Any] = getattr(client(), operation)(**named | request)
        return answer


@contextmanager
def _faults(path: str) -> Iterator[None]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in MISSING:
            raise FileNotFoundError(2, "No such object", path) from error
        raise _fault(path, error) from error
    except (BotoCoreError, Boto3Error) as error:
        raise _fault(path, error) from error


def _fault(path: str, cause: object) -> OSError:
    """The error that Beam's file systems raise: `remote.remote_fault` gives its line."""
    from apache_beam.io.filesystem import BeamIOError

    error: OSError = BeamIOError("the object store failed", {path: cause})
    return error


def client() -> Any:
    """This process's client, made from Beam's S3 flags and the environment: a forked process makes its own."""
    from pipeline.storage.remote import beam_options

    environment = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    return _client(os.getpid(), beam_options(), environment)


@lru_cache(maxsize=4)
def _client(_process: int, options: Any, _environment: tuple[tuple[str, str], ...]) -> Any:
    import boto3
    from apache_beam.options.pipeline_options import S3Options
    from botocore.config import Config

    flags = options.view_as(S3Options)
    return boto3.session.Session().client(
        "s3",
        region_name=flags.s3_region_name,
        api_version=flags.s3_api_version,
        use_ssl=not flags.s3_disable_ssl,
        verify=flags.s3_verify,
        endpoint_url=flags.s3_endpoint_url,
        aws_access_key_id=flags.s3_access_key_id,
        aws_secret_access_key=flags.s3_secret_access_key,
        aws_session_token=flags.s3_session_token,
        config=Config(retries={"max_attempts": 8, "mode": "standard"}, max_pool_connections=32),
    )
