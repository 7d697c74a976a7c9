import math
from pathlib import Path

import pytest
from evals_stubs import Bytes, Stub, knowing, uniform, write_tokens

from trainer.config import InputError
from trainer.evals import report
from trainer.evals.candidate import Candidate
from trainer.evals.registry import TASKS
from trainer.evals.results import Provenance, Result
from trainer.evals.suite import CheckpointEvaluation, Suite
from trainer.evals.task import Task
from trainer.evals.tasks import held_out

TEXTS = ("in the beginning was the word", "éclair", "a")
PROVENANCE = Provenance("run", "c" * 64, 10, 300, "bytes", "fp32", "cpu", "d" * 40)


@pytest.fixture
def tokens_folder(tmp_path: Path) -> Path:
    return write_tokens(tmp_path / "tokens", TEXTS, Bytes())


def examine(model: Stub, folder: Path, **options: object) -> dict[str, Result]:
    results = TASKS["held_out"].run(Candidate(model, Bytes(), **options), [folder])  # type: ignore[arg-type]
    return {result.metric: result for result in results}


def test_a_uniform_model_scores_what_counting_says(tokens_folder: Path) -> None:
    found = examine(uniform(), tokens_folder)
    tokens = sum(len(text.encode()) + 1 for text in TEXTS)
    assert found["nats per token"].value == pytest.approx(math.log(257))
    assert found["perplexity"].value == pytest.approx(257)
    assert found["bits per byte"].value == pytest.approx(tokens * math.log2(257) / (tokens - 3))
    assert found["unigram entropy, nats per token"].value == 4.5


def test_a_model_that_knows_the_split_scores_nothing(tokens_folder: Path) -> None:
    stream = [256, *(token for text in TEXTS for token in [*text.encode(), 256])]
    found = examine(knowing([stream], memory=40), tokens_folder, strides=(1024,))
    assert found["bits per byte"].value == pytest.approx(0.0, abs=1e-9)
    opposite = examine(knowing([stream], memory=40, sign=-1), tokens_folder, strides=(1024,))
    assert opposite["perplexity"].value > 1e30


def test_as_much_of_the_training_split_is_examined_as_there_is_held_out(tmp_path: Path) -> None:
    trained = ("learnt by heart, every word of it, and more than is held out",)
    folder = write_tokens(tmp_path / "both", TEXTS, Bytes(), trained=trained)
    heard = knowing([[256, *trained[0].encode(), 256]], memory=40)
    results = TASKS["trained_on"].run(Candidate(heard, Bytes()), [folder])
    assert {result.metric: result.value for result in results} == pytest.approx(
        {"nats per token": 0.0, "perplexity": 1.0}, abs=1e-6
    )
    assert "the train split" in results[0].protocol
    opposite = knowing([[256, *trained[0].encode(), 256]], memory=40, sign=-1)
    assert TASKS["trained_on"].run(Candidate(opposite, Bytes()), [folder])[0].value > 90


def test_another_tokenizer_is_refused(tokens_folder: Path) -> None:
    other = Bytes()
    other.sha256 = "f" * 64
    with pytest.raises(InputError, match="written with tokenizer bytes, the model was trained with ffffffffffff"):
        TASKS["held_out"].run(Candidate(uniform(), other), [tokens_folder])


def test_a_finished_task_is_kept_and_a_changed_file_examined_again(tokens_folder: Path, tmp_path: Path) -> None:
    runs = []

    def run(candidate: Candidate, paths: list[Path]) -> list[Result]:
        runs.append(paths)
        return held_out.run(candidate, paths)

    task = Task("held_out", "", (), run, reads_tokens=True)
    suite = Suite(Candidate(uniform(), Bytes()), PROVENANCE, [tokens_folder], tmp_path / "out")
    first, second = suite.run([task]), suite.run([task])
    assert (len(runs), first) == (1, second)
    other = Suite(Candidate(uniform(), Bytes(), strides=(5,)), PROVENANCE, [tokens_folder], tmp_path / "out")
    other.run([task])
    assert len(runs) == 2


def test_interrupted_tasks_go_on_where_they_were(tokens_folder: Path, tmp_path: Path) -> None:
    runs = []

    def run(candidate: Candidate, paths: list[Path]) -> list[Result]:
        runs.append("good")
        return held_out.run(candidate, paths)

    def interrupted(_candidate: Candidate, _paths: list[Path]) -> list[Result]:
        raise KeyboardInterrupt

    good = Task("good", "", (), run, reads_tokens=True)
    suite = Suite(Candidate(uniform(), Bytes()), PROVENANCE, [tokens_folder], tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        suite.run([good, Task("late", "", (), interrupted, reads_tokens=True)])
    outcome = suite.run([good, Task("late", "", (), run, reads_tokens=True)])
    assert runs == ["good", "good"]
    assert [record.task for record in outcome.records] == ["good", "late"]


def test_a_task_without_data_is_told_and_the_others_run(tokens_folder: Path, tmp_path: Path) -> None:
    outcome = Suite(Candidate(uniform(), Bytes()), PROVENANCE, [tmp_path], None).run([TASKS["held_out"]])
    assert outcome.skipped == {"held_out": "no folder of token shards among --data"}


def test_the_report_shows_every_result_and_the_papers_columns() -> None:
    from trainer.evals.results import TaskRecord

    result = Result("lambada", "accuracy, %", 12.5, 0.3, 2600, "last word", "examples", row="lambada_accuracy")
    record = TaskRecord("lambada", (result,), (), 1.0, "f")
    outcome = CheckpointEvaluation(PROVENANCE, (record,), {"ptb": "ptb.test.txt not found"})
    text = report.markdown([outcome])
    for part in (
        "| 12.5 ± 0.3 | 59.23 | 45.99 | 55.48 | 60.12 | 63.24 |",
        "ptb: ptb.test.txt not found",
        "run: 10 parameters, step 300",
    ):
        assert part in text
    page = report.page([outcome])
    assert "63.24" in page
    assert "http" not in page
