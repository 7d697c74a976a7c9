"""The protocol between a sandbox and its processes: one-byte orders, framed messages, and extractions as JSON."""

import socket
import struct
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import orjson

from pipeline.documents.account import PageAccount
from pipeline.documents.drops import REASONS, STAGE_NAME
from pipeline.documents.extract import document_id
from pipeline.documents.trail import Trail
from pipeline.records import Document, Drop, RawPage

FORK: Final = b"f"
"""Order to the forkserver: fork a worker. A socket for the worker comes with it; the worker's process id is the answer."""

WAIT: Final = b"w"
"""Order to the forkserver: wait for the worker's end. Its wait status is the answer."""

NUMBER: Final = struct.Struct("<q")
LENGTH: Final = struct.Struct("<I")
OUT_OF_MEMORY: Final = b'{"memory":true}'
"""A worker's answer for a page that needs more memory than the limit."""

_COLUMNS: Final = ("title", "domain", "language", "language_confidence", "published", "text", "extraction_confidence")
"""The columns of a document that only extraction knows; the page gives the others."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """A page's document or drop, what it adds to the stage's counters, what each step did to the page, and its account if asked for."""

    result: Document | Drop
    counts: dict[str, int] = field(default_factory=dict)
    steps: tuple[tuple[str, str], ...] = ()
    account: PageAccount | None = None


def encode(result: Document | Drop, trail: Trail) -> bytes:
    """An extraction as JSON, never as a pickle: the bytes come from a worker that a hostile page may control."""
    record: dict[str, Any] = {"counts": trail.counts, "steps": trail.steps}
    if trail.account is not None:
        record["account"] = trail.account.to_json()
    if isinstance(result, Drop):
        return orjson.dumps({"reason": result.reason, "detail": result.detail, **record})
    return orjson.dumps({"document": {name: getattr(result, name) for name in _COLUMNS}, **record})


def decode(payload: bytes, page: RawPage) -> Extraction:
    """The extraction of `page` that a worker encoded."""
    answer = orjson.loads(payload)
    account = PageAccount.from_json(answer["account"]) if "account" in answer else None
    return Extraction(_result(answer, page), answer["counts"], tuple((step, effect) for step, effect in answer["steps"]), account)


def _result(answer: dict[str, Any], page: RawPage) -> Document | Drop:
    if "reason" in answer:
        return Drop(STAGE_NAME, page.url, REASONS[answer["reason"]], answer["detail"])
    columns = answer["document"]
    published = columns.pop("published")
    return Document(
        document_id=document_id(columns["text"]),
        url=page.url,
        dedup_key=page.dedup_key,
        karma=page.karma,
        submitted_at=page.submitted_at,
        published=date.fromisoformat(published) if published else None,
        **columns,
    )


def send_message(peer: socket.socket, payload: bytes) -> None:
    """Send one message: its length, then its bytes."""
    peer.sendall(LENGTH.pack(len(payload)))
    peer.sendall(payload)


def receive_message(peer: socket.socket) -> bytes | None:
    """The next message; None where the stream ends, even in the middle of a message."""
    head = receive_exactly(peer, LENGTH.size)
    return None if head is None else receive_exactly(peer, LENGTH.unpack(head)[0])


def receive_exactly(peer: socket.socket, size: int) -> bytes | None:
    """`size` bytes, or None where the stream ends before."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        received = peer.recv_into(view)
        if not received:
            return None
        view = view[received:]
    return bytes(data)
