"""An S3-compatible object store on the loopback: moto's server, in memory. It counts requests and bytes."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import boto3
import requests
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

ACCESS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "us-east-1"}
"""What a client must have in its environment, besides AWS_ENDPOINT_URL."""


@dataclass
class Traffic:
    """What a server was asked: requests per operation (GET, HEAD, LIST, PUT, PART, DELETE …), and bytes of objects each way."""

    requests: Counter[str] = field(default_factory=Counter)
    sent_bytes: int = 0
    received_bytes: int = 0

    def take(self) -> "Traffic":
        """What was counted since the last call."""
        taken = Traffic(Counter(self.requests), self.sent_bytes, self.received_bytes)
        self.requests.clear()
        self.sent_bytes = self.received_bytes = 0
        return taken


def operation(method: str, query: dict[str, list[str]], copied: str | None) -> str:
    """The S3 operation of a request."""
    if copied:
        return "COPY"
    if "uploadId" in query or "uploads" in query:
        return "LIST UPLOADS" if method == "GET" else "PART"
    if "delete" in query:
        return "DELETE"
    return "LIST" if method == "GET" and "list-type" in query else method


class CountingApplication:
    """Passes requests to an application and counts them."""

    def __init__(self, application: Callable[..., Iterable[bytes]], traffic: Traffic) -> None:
        self._application = application
        self._traffic = traffic
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Count what is asked, and the bytes of objects that are answered."""
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        name = operation(environ["REQUEST_METHOD"], query, environ.get("HTTP_X_AMZ_COPY_SOURCE"))

        def respond(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            length = int({key.lower(): value for key, value in headers}.get("content-length", 0))
            with self._lock:
                self._traffic.sent_bytes += length if name == "GET" else 0
            return start_response(status, headers, *more)

        with self._lock:
            self._traffic.requests[name] += 1
            self._traffic.received_bytes += int(environ.get("CONTENT_LENGTH") or 0) if name in ("PUT", "PART") else 0
        return self._application(environ, respond)


class QuietHandler(MotoRequestHandler):
    """Moto's handler, which logs no requests."""

    def log_request(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def object_store(bucket: str, traffic: Traffic | None = None) -> Iterator[str]:
    """The address of a server with one empty bucket. What it is asked is counted in `traffic`."""
    traffic = traffic or Traffic()
    application = CountingApplication(DomainDispatcherApplication(create_backend_app), traffic)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        named = {"aws_access_key_id": ACCESS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": ACCESS["AWS_SECRET_ACCESS_KEY"]}
        boto3.client("s3", endpoint_url=address, region_name=ACCESS["AWS_DEFAULT_REGION"], **named).create_bucket(Bucket=bucket)
        traffic.take()
        yield address
        requests.post(f"{address}/moto-api/reset", timeout=10).raise_for_status()  # its memory outlives it
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
