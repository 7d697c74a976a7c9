"""Real files as published, or their beginnings."""

from pathlib import Path

from evals_stubs import LONG_CONTEXT, ByteTokenizer, run_task, uniform

from trainer.evals.registry import TASKS
from trainer.evals.tasks import winograd


def test_real_files_are_read_completely(shared_data: Path) -> None:
    folder = shared_data / "evals"
    quick = {"codec": ByteTokenizer(), "limit": 3}
    expected = {"lambada": 3, "winograd": 3, "cbt_cn": 1, "cbt_ne": 1, "natural_questions": 3, "coqa": 3}
    for name, examples in expected.items():
        paths = TASKS[name].locate([folder], LONG_CONTEXT)
        assert not isinstance(paths, str), name
        results = run_task(name, uniform(context_tokens=LONG_CONTEXT), *paths, **quick)  # type: ignore[arg-type]
        assert {result.examples for result in results} == {examples}, name
    assert len(winograd.read_schemas(folder / "WSCollection285.xml")) == 285
    answers = [schema.answer for schema in winograd.read_schemas(folder / "WSCollection285.xml")]
    assert 0.4 < sum(answers) / 285 < 0.6
