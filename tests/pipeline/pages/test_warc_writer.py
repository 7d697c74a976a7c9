import gzip
from pathlib import Path

from fastwarc.warc import ArchiveIterator as FastArchiveIterator
from warc_files import BODY, write_warc
from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker


def test_secrets_are_not_written(tmp_path: Path) -> None:
    write_warc(tmp_path / "a.warc.gz")
    text = gzip.decompress((tmp_path / "a.warc.gz").read_bytes())
    assert b"hush" not in text
    assert b"reddit-submission: abc python 7" in text


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    write_warc(tmp_path / "a.warc.gz")
    first = (tmp_path / "a.warc.gz").read_bytes()
    write_warc(tmp_path / "a.warc.gz")
    assert (tmp_path / "a.warc.gz").read_bytes() == first


class CheckArguments:
    """Arguments of `warcio check`."""

    def __init__(self, inputs: list[str]) -> None:
        self.inputs = inputs
        self.verbose = False
        self.verbosity = 0


def test_other_tools_read_the_file_without_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    write_warc(path)
    with path.open("rb") as file:
        bodies = [r.content_stream().read() for r in ArchiveIterator(file, check_digests="raise") if r.rec_type == "response"]
    assert bodies == [BODY] * 3
    with path.open("rb") as file:
        fast = [
            r.verify_payload_digest()
            for r in FastArchiveIterator(file, parse_http=True)
            if r.is_http and "response" in str(r.record_type)
        ]
    assert fast == [True] * 3
    checker = Checker(CheckArguments([str(path)]))
    checker.process_all()
    assert checker.exit_value == 0
