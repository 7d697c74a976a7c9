"""What a dry run says of earlier months (--against) and of the user's files: what the run itself would then do."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from deduplication import OTHER, PROSE, document, write_documents
from dumps import row, write_dump

from pipeline.cli.main import run
from pipeline.cli.plan import plan_lines
from pipeline.dedup.settings import DedupSettings
from pipeline.dedup.stage import STAGE
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.storage.manifest import StageManifest

FLAGS = ["--workers", "1", "--vocab-size", "280"]


def month(root: Path, name: str, text: str, *against: Path) -> Path:
    """A month of one document and its dedup; its dedup folder."""
    folder = write_documents(root / name / "documents", [[document(text, f"http://a.example/{name}")]])
    settings = DedupSettings(against=tuple(map(str, against)))
    STAGE.run(Call({"documents": str(folder)}, str(root / name / "dedup"), settings, Engine()))
    return root / name / "dedup"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two earlier months, and a third that was compared with the first."""
    first = month(tmp_path, "2017-10", PROSE)
    month(tmp_path, "2017-11", OTHER)
    month(tmp_path, "2017-12", PROSE + OTHER, first)
    return tmp_path


def plan(root: Path, *flags: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a dry run says of the last month's dedup; it changes nothing."""
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert run(["run", "--output", str(root / "2017-12"), "--dry-run", *FLAGS, *flags]) == 0
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    lines = capsys.readouterr().out.splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("dedup:"))


def differences(told: str) -> list[str]:
    """What a verdict says besides the documents, which have no pages here."""
    assert told.endswith("documents would run (1 from documents)")
    return sorted(told.partition(": ")[2].split("; ")[:-1])


NEW, LEFT_OUT = "a folder of --against is new", "a folder of --against is left out"


def test_a_plan_compares_the_folders_of_against(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = str(root / "2017-10/dedup"), str(root / "2017-11/dedup")
    for flags in (["--against", first], ["--also-read", str(root)], ["--against", first, first]):
        assert differences(plan(root, *flags, capsys=capsys)) == []
    for given, words in (((first, second), [NEW]), ((second,), [LEFT_OUT, NEW]), ((), [LEFT_OUT])):
        refused = plan(root, "--against", *given, capsys=capsys)
        assert refused.startswith("would be refused without --replace: ")
        assert differences(refused) == sorted(words)
        again = plan(root, "--against", *given, "--replace", capsys=capsys)
        assert again.startswith("would run again: ")
        assert differences(again) == sorted(words)


def test_a_plan_says_which_earlier_month_is_stale(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_documents(root / "2017-10/documents", [[document(PROSE + PROSE, "http://a.example/anew")]])
    told = plan(root, "--against", str(root / "2017-10/dedup"), capsys=capsys)
    assert told.startswith("would be refused: ")
    assert "its input 'documents'" in told
    assert "has changed since" in told
    month(root, "2017-10x", PROSE + PROSE)
    (root / "2017-10").rename(root / "gone")
    assert run(["run", "--output", str(root / "2017-12"), "--dry-run", *FLAGS, "--against", str(root / "2017-10/dedup")]) == 2
    assert "--against" in capsys.readouterr().err


def test_earlier_months_need_not_be_typed_again_and_are_never_forgotten(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A month that was compared with others is not made anew without them, unless a flag says so."""
    for command in (["run", "--replace"], ["run"], ["run", "--dry-run"], ["recipe", "show"]):
        assert run([*command, "--output", str(root / "2017-12"), *FLAGS]) == 2
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        assert "--against ../../2017-10/dedup" in error
        assert "--also-read DIR" in error
    assert run(["recipe", "show", "--output", str(root / "2017-12"), "--also-read", str(root)]) == 0
    assert f'against = ["{root / "2017-10/dedup"}"]' in capsys.readouterr().out
    assert run(["recipe", "show", "--output", str(root / "2017-12"), "--against"]) == 0
    assert "against = []" in capsys.readouterr().out


def test_a_variant_is_compared_with_the_months_of_its_source(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "vary",
        "--corpus",
        str(root / "2017-12"),
        "--output",
        str(root / "variant"),
        "--set",
        "dedup.threshold=0.8",
        "--dry-run",
    ]
    assert run(words) == 2
    assert "--against ../../2017-10/dedup" in capsys.readouterr().err
    assert run([*words, "--also-read", str(root)]) == 0
    call = Call({"documents": str(root / "2017-12/documents")}, str(root / "variant/dedup"), DedupSettings(), Engine())
    for against, verdict in (("2017-10", "would be taken over from"), ("2017-11", "would run"), ("", "would run")):
        folders = (str(root / against / "dedup"),) if against else ()
        calls = [(STAGE, replace(call, settings=DedupSettings(against=folders)))]
        assert next(plan_lines(calls, str(root / "2017-12"))).partition(":")[2].strip().startswith(verdict)


def test_a_plan_hashes_the_files_that_a_run_would(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump = tmp_path / "RS_2017-10.jsonl"
    write_dump(dump, [row(n, f"http://a{n}.example/", score=50) for n in range(3)])
    assert run(["links", "--output", str(tmp_path / "c/links"), "--submissions", str(dump), "--workers", "1"]) == 0
    words = ["run", "--output", str(tmp_path / "c"), "--dry-run", "--submissions"]
    assert run([*words, str(dump)]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[1:] == ["up", "to", "date"]
    write_dump(dump, [row(9, "http://a9.example/", score=50)])
    assert run([*words, str(dump)]) == 0
    assert "refused without --replace: input 'dump RS_2017-10.jsonl' differs" in capsys.readouterr().out
    other = write_dump(tmp_path / "RS_2017-11.jsonl", [row(9, "http://a9.example/", score=50)])
    assert run([*words, str(other)]) == 0
    out = capsys.readouterr().out
    assert "input 'dump RS_2017-10.jsonl' is left out; input 'dump RS_2017-11.jsonl' is new" in out
    assert run([*words, str(tmp_path / "typo.jsonl")]) == 2
    assert run(["run", "--output", str(tmp_path / "c"), "--dry-run"]) == 0
    assert "refused" not in capsys.readouterr().out


def test_a_run_of_workers_shares_them_and_a_finished_one_starts_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Every stage gets the engine whose workers persist; a process starts with the first pipeline alone."""
    from pipeline.cli import run_command

    seen: list[str] = []
    monkeypatch.setattr(
        run_command, "_run_stage", lambda run, stage: seen.append(run.engine.worker) or StageManifest.load(str(folder))
    )
    folder = tmp_path / "c/links"
    dump = write_dump(tmp_path / "RS_2017-10.jsonl", [row(n, f"http://a{n}.example/", score=50) for n in range(3)])
    assert run(["links", "--output", str(folder), "--submissions", str(dump), "--workers", "1"]) == 0
    monkeypatch.setattr(run_command, "closing_lines", lambda _: [])
    with caplog.at_level(logging.INFO):
        assert run(["run", "--output", str(tmp_path / "c"), "--workers", "2"]) == 0
    assert len(seen) == len(run_command.RUN)
    assert len(set(seen)) == 1
    assert seen[0] != Engine().worker
