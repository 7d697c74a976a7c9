from collections.abc import Iterator

import psutil
import pytest

from pipeline.documents.limits import DEFAULT_LIMITS
from pipeline.documents.rules import DEFAULT_RULES
from pipeline.documents.sandbox_pool import PAGES_AHEAD, borrow, extract_in_order
from pipeline.documents.sandbox_protocol import Extraction
from pipeline.records import Document, RawPage
from tokenizer.errors import InputError

SENTENCE = "The harbour was quiet that morning and nobody had yet seen the ship that came in with the tide. "
LONG = 10_000


def read(number: int) -> RawPage:
    """A page; it takes long where the number is a multiple of LONG."""
    paragraphs = 20_000 if number % LONG == 0 else 4
    return RawPage(f"http://example.org/{number}", f"<p>{SENTENCE}{number}.</p>".encode() * paragraphs)


def address(extraction: Extraction) -> str:
    return extraction.result.url if isinstance(extraction.result, Document) else extraction.result.item


def test_extractions_are_in_the_order_of_the_pages_while_one_takes_long() -> None:
    numbers = [LONG, *range(1, 3 * PAGES_AHEAD)]
    started: list[int] = []

    def pages() -> Iterator[int]:
        for number in numbers:
            started.append(number)
            yield number

    with borrow(DEFAULT_RULES, DEFAULT_LIMITS, 2) as sandboxes:
        extractions = extract_in_order(sandboxes, pages(), read)
        first = next(extractions)
        assert len(started) == 2 * PAGES_AHEAD
        assert [address(extraction) for extraction in (first, *extractions)] == [
            f"http://example.org/{number}" for number in numbers
        ]
        assert len({sandbox.worker for sandbox in sandboxes}) == 2
        workers = [sandbox.worker for sandbox in sandboxes]
    with borrow(DEFAULT_RULES, DEFAULT_LIMITS, 2) as sandboxes:
        assert sorted(sandbox.worker for sandbox in sandboxes) == sorted(workers)


def test_page_that_cannot_be_read_ends_the_work_and_closes_the_sandboxes() -> None:
    def damaged(number: int) -> RawPage:
        if number == 3:
            raise InputError("page 3 is damaged")
        return read(number)

    def work() -> None:
        with borrow(DEFAULT_RULES, DEFAULT_LIMITS, 2) as sandboxes:
            for extraction in extract_in_order(sandboxes, iter(range(1, 1_000)), damaged):
                assert isinstance(extraction.result, Document)
                workers.update(sandbox.worker for sandbox in sandboxes)

    workers: set[int] = set()
    with pytest.raises(InputError, match="page 3"):
        work()
    assert not any(psutil.pid_exists(worker) for worker in workers - {0})
