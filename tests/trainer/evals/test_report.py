from trainer.evals import report
from trainer.evals.results import Provenance, Result, TaskRecord
from trainer.evals.suite import CheckpointEvaluation

PROVENANCE = Provenance("run", "c" * 64, 10, 300, "bytes", "fp32", "cpu", "d" * 40)


def test_the_report_has_every_result_and_the_papers_columns() -> None:

    result = Result("lambada", "accuracy, %", 12.5, 0.3, 2600, "last word", "examples", row="lambada_accuracy")
    record = TaskRecord("lambada", (result,), (), 1.0, "f")
    evaluation = CheckpointEvaluation(PROVENANCE, (record,), {"ptb": "ptb.test.txt not found"})
    text = report.markdown([evaluation])
    for part in (
        "| 12.5 ± 0.3 | 59.23 | 45.99 | 55.48 | 60.12 | 63.24 |",
        "ptb: ptb.test.txt not found",
        "run: 10 parameters, step 300",
    ):
        assert part in text
    page = report.page([evaluation])
    assert "63.24" in page
    assert "http" not in page
