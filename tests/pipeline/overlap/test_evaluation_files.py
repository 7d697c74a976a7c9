from pathlib import Path

from pipeline.overlap.evaluation_files import read_examples
from pipeline.overlap.ngrams import words


def test_published_files_are_read(shared_data: Path) -> None:
    folder = shared_data / "evals"
    counts = {
        name: sum(1 for _ in read_examples(str(folder / name)))
        for name in ("lambada_openai_test.part1.jsonl", "NQ-open.dev.part1.jsonl")
    }
    assert counts == {"lambada_openai_test.part1.jsonl": 2600, "NQ-open.dev.part1.jsonl": 1805}
    (schemas,) = read_examples(str(folder / "WSCollection285.xml"))
    assert words(schemas)[:5] == ["the", "city", "councilmen", "refused", "the"]
