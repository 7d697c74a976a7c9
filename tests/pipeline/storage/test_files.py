import errno
import hashlib
import random
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from apache_beam.io.filesystem import BeamIOError
from requests import RequestException

from pipeline.storage import files
from pipeline.storage.writeback import start_writeback
from tokenizer.errors import InputError


@pytest.mark.parametrize("kept", [True, False])
def test_writeback_starts_while_a_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, kept: bool) -> None:
    """The ranges of a file that will be synced are handed to the disk in order, none twice; the bytes are those written."""
    started: list[tuple[int, int]] = []
    monkeypatch.setattr(files, "start_writeback", lambda _, start, size: started.append((start, size)))
    generator = random.Random(1)
    pieces = [generator.randbytes(generator.choice((1, 300, 70_000, 1_500_000))) for _ in range(40)]
    whole = b"".join(pieces)
    digest = files.publish(str(tmp_path / "file"), lambda file: file.writelines(pieces), kept=kept)
    assert (tmp_path / "file").read_bytes() == whole
    assert digest == files.Digest(len(whole), hashlib.sha256(whole).hexdigest() if kept else "")
    if kept:
        assert started[0][0] == 0
        assert all(start + size == following for (start, size), (following, _) in pairwise(started))
        assert len(whole) - files.WRITEBACK_BYTES < sum(started[-1]) <= len(whole)
    else:
        assert not started


def test_writeback_of_a_closed_descriptor_is_ignored(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb", buffering=0) as file:
        file.write(bytes(3 << 20))
        start_writeback(file.fileno(), 0, 3 << 20)
        descriptor = file.fileno()
    start_writeback(descriptor, 0, 1)  # closed: the sync would report it
    assert (tmp_path / "file").stat().st_size == 3 << 20


def large(texts: list[str | None]) -> pa.Array:
    """A column of texts, of the type that documents have."""
    return pa.array(texts, pa.large_string())


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_table_is_read_or_refused_by_name(tmp_path: Path, seed: int) -> None:
    path, draw = str(tmp_path / "table.parquet"), random.Random(seed)
    files.publish_table(path, pa.table({"text": large([str(draw.random()) for _ in range(200)]), "row": range(200)}))
    data = bytearray(Path(path).read_bytes())
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    Path(path).write_bytes(data if seed % 4 else data[: draw.randrange(len(data))])
    readers = (
        files.read_table,
        files.read_schema,
        lambda damaged: list(files.record_batches(damaged)),
        lambda damaged: [group(None) for group in files.row_groups(damaged)],
    )
    for read in readers:
        try:
            read(path)
            message = ""
        except InputError as error:
            message = str(error)
        assert not message or message.startswith(f"{path}: ")
        assert not message or message.endswith("their stages again")


def test_a_spilled_table_is_mapped_and_a_truncated_one_is_refused_by_name(tmp_path: Path) -> None:
    path = str(tmp_path / "table.arrow")
    table = pa.table({"row": [1, 2, 3], "text": large(["a", None, "c"])}).replace_schema_metadata({"shingle": "words:5"})
    files.publish(path, lambda file: files.write_arrow(file, table))
    held = pa.total_allocated_bytes()
    assert files.read_table(path).equals(table, check_metadata=True)
    assert files.read_table(path, ["text"]).equals(table.select(["text"]))
    assert files.read_schema(path).metadata == {b"shingle": b"words:5"}
    assert pa.total_allocated_bytes() == held
    Path(path).write_bytes(Path(path).read_bytes()[:-20])
    with pytest.raises(InputError, match=r"table\.arrow: damaged"):
        files.read_table(path)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.parquet: missing"):
        files.read_table(str(tmp_path / "none.parquet"))


@pytest.mark.parametrize("error", [BeamIOError("no answer"), RequestException("no answer"), OSError(errno.EIO, "no answer")])
def test_errors_of_an_object_store_pass_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    def unreachable(_: str) -> None:
        raise error

    monkeypatch.setattr(files, "open_input", unreachable)
    with pytest.raises(type(error), match="no answer"):
        files.read_table(str(tmp_path / "table.parquet"))
