from pathlib import Path

import pytest

from pipeline.storage.lines import BLOCK_BYTES, LONGEST_LINE_BYTES, read_lines, split_lines, zstd
from tokenizer.errors import InputError


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_do_not_depend_on_the_blocks(size: int) -> None:
    data = b"one\n\ntwo \xff\n\nthree\n"
    blocks = (data[i : i + size] for i in range(0, len(data), size))
    assert list(split_lines(blocks)) == [b"one", b"", b"two \xff", b"", b"three"]


def test_a_line_that_is_too_long_is_given_by_its_length() -> None:
    longest, longer = b"a" * LONGEST_LINE_BYTES, b"b" * (LONGEST_LINE_BYTES + 1)
    data = b"\n".join([longest, longer, b"c"])
    blocks = (data[i : i + BLOCK_BYTES] for i in range(0, len(data), BLOCK_BYTES))
    assert list(split_lines(blocks)) == [longest, len(longer), b"c"]


def test_progress_counts_the_bytes_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lines.zst"
    path.write_bytes(zstd.compress(b"line\n" * 1_000_000))
    steps: list[int] = []
    assert len(list(read_lines(str(path), steps.append))) == 1_000_000
    assert sum(steps) == path.stat().st_size


def test_a_truncated_file_raises_after_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "lines.zst"
    path.write_bytes(zstd.compress(b"line\n" * 1000)[:-3])
    with pytest.raises(InputError, match=r"lines\.zst: cut short or damaged"):
        list(read_lines(str(path)))
