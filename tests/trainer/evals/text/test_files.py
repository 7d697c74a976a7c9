from pathlib import Path

import pytest
from evals_stubs import run_task, uniform

from tokenizer.errors import InputError


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b'{"text": "a b"}\n{"text": \n', "line 2: not JSON"),
        (b'{"text": "a b"}\n{"txt": "a"}\n', r"line 2: a record needs 'text' \(text\)"),
        (b'{"text": "a b"}\n\xff\xfe\n', "line 2: not UTF-8"),
        (b"\n", "empty"),
    ],
)
def test_malformed_files_are_rejected_with_their_line(data: bytes, line: str, tmp_path: Path) -> None:
    path = tmp_path / "lambada_test.jsonl"
    path.write_bytes(data)
    with pytest.raises(InputError, match=line):
        run_task("lambada", uniform(), path)
