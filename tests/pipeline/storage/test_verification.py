import threading
from pathlib import Path

import pytest

from pipeline.storage import files, verification
from pipeline.storage.manifest import Books, FileEntry, StageManifest


@pytest.fixture
def folder(tmp_path: Path) -> str:
    entries = []
    for name in ("a.bin", "b.bin", "c.bin"):
        digest = files.publish_bytes(str(tmp_path / name), name.encode())
        entries.append(FileEntry(name, "documents", 0, digest.bytes, digest.sha256))
    StageManifest("documents", {}, {}, tuple(entries), Books(0, 0)).save(str(tmp_path))
    return str(tmp_path)


@pytest.mark.parametrize("threads", [1, 3])
def test_files_are_hashed_by_the_given_number_of_threads(folder: str, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """The threads meet at a barrier of their number; no other thread hashes."""
    met, seen = threading.Barrier(threads), set()
    fingerprint = files.fingerprint

    def hashed(path: str) -> str:
        seen.add(threading.get_ident())
        met.wait(timeout=60)
        return fingerprint(path)

    monkeypatch.setattr(files, "fingerprint", hashed)
    verification.check_input(folder, threads)
    assert len(seen) == threads
