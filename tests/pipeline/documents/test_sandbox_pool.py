from collections.abc import Iterator

import psutil
import pytest

from pipeline.documents.forkserver import DEFAULT_LIMITS
from pipeline.documents.rules import DEFAULT_RULES
from pipeline.documents.sandbox import Answer
from pipeline.documents.sandbox_pool import PAGES_AHEAD, answers, borrowed
from pipeline.documents.stage import spread
from pipeline.engine.runner import Engine
from pipeline.records import Document, RawPage
from pipeline.storage.files import InputError

SENTENCE = "The harbour was quiet that morning and nobody had yet seen the ship that came in with the tide. "
LONG = 10_000


def read(number: int) -> RawPage:
    """A page that takes long where the number is LONG's multiple."""
    paragraphs = 20_000 if number % LONG == 0 else 4
    return RawPage(f"http://example.org/{number}", f"<p>{SENTENCE}{number}.</p>".encode() * paragraphs)


def address(answer: Answer) -> str:
    return answer.result.url if isinstance(answer.result, Document) else answer.result.item


def test_answers_come_in_the_pages_order_while_one_takes_long() -> None:
    numbers = [LONG, *range(1, 3 * PAGES_AHEAD)]
    taken: list[int] = []

    def pages() -> Iterator[int]:
        for number in numbers:
            taken.append(number)
            yield number

    with borrowed(DEFAULT_RULES, DEFAULT_LIMITS, 2) as sandboxes:
        found = answers(sandboxes, pages(), read)
        first = next(found)
        assert len(taken) == 2 * PAGES_AHEAD
        assert [address(answer) for answer in (first, *found)] == [f"http://example.org/{number}" for number in numbers]
        assert len({sandbox.worker for sandbox in sandboxes}) == 2
        workers = [sandbox.worker for sandbox in sandboxes]
    with borrowed(DEFAULT_RULES, DEFAULT_LIMITS, 2) as sandboxes:
        assert sorted(sandbox.worker for sandbox in sandboxes) == sorted(workers)


def test_a_page_that_cannot_be_read_ends_the_work_and_the_sandboxes() -> None:
    def damaged(number: int) -> RawPage:
        if number == 3:
            raise InputError("page 3 is damaged")
        return read(number)

    def work() -> None:
        with borrowed(DEFAULT_RULES, DEFAULT_LIMITS, 2) as sandboxes:
            for answer in answers(sandboxes, iter(range(1, 1_000)), damaged):
                assert isinstance(answer.result, Document)
                workers.update(sandbox.worker for sandbox in sandboxes)

    workers: set[int] = set()
    with pytest.raises(InputError, match="page 3"):
        work()
    assert not any(psutil.pid_exists(worker) for worker in workers - {0})


@pytest.mark.parametrize(("workers", "processes", "sandboxes"), [(1, 1, 1), (2, 1, 2), (4, 1, 4), (5, 2, 3), (16, 4, 4)])
def test_as_few_processes_as_can_feed_the_sandboxes(workers: int, processes: int, sandboxes: int) -> None:
    engine, each = spread(Engine(workers))
    assert (engine.workers, each) == (processes, sandboxes)


def test_a_runner_elsewhere_has_a_sandbox_a_thread() -> None:
    engine = Engine(8, ("--runner=FlinkRunner",))
    assert spread(engine) == (engine, 1)
