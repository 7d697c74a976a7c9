"""Bad input: one line that names it and says what to do, exit code 2, and no output."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

LINE = json.dumps(
    {"id": "a", "url": "https://a.example/", "score": 5, "is_self": False, "created_utc": 1_500_000_000, "subreddit": "b"}
)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline", *arguments]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("praw")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean | environment)


def assert_refused(folder: Path, *arguments: str, names: str, output: str = "out") -> None:
    ended = run(*arguments, "--output", str(folder / output), "--workers", "1")
    lines = [line for line in ended.stderr.splitlines() if line and not line.startswith("usage:")]
    assert ended.returncode == 2, ended.stderr
    assert len(lines) == 1, ended.stderr
    assert names in lines[0]
    assert not (folder / output / "manifest.json").exists()
    assert not list(folder.rglob("*.parquet"))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path, "links", "--submissions", str(tmp_path / "RS_2017-01.zst"), names="RS_2017-01.zst")


def test_an_empty_dump_is_refused(tmp_path: Path) -> None:
    (tmp_path / "RS_empty.jsonl").write_bytes(b"")
    assert_refused(tmp_path, "links", "--submissions", str(tmp_path / "RS_empty.jsonl"), names="RS_empty.jsonl")


def test_a_file_that_is_not_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.jsonl").write_text("<html>\n" * 50)
    assert_refused(tmp_path, "links", "--submissions", str(tmp_path / "page.jsonl"), names="page.jsonl")


def test_a_truncated_zstd_file_is_refused(tmp_path: Path) -> None:
    whole = zstandard.ZstdCompressor().compress((LINE + "\n").encode() * 5000)
    (tmp_path / "RS_cut.zst").write_bytes(whole[: len(whole) // 2])
    assert_refused(tmp_path, "links", "--submissions", str(tmp_path / "RS_cut.zst"), names="RS_cut.zst")


def test_an_unknown_flag_is_refused(tmp_path: Path) -> None:
    (tmp_path / "RS.jsonl").write_text(LINE)
    assert_refused(tmp_path, "links", "--submissions", str(tmp_path / "RS.jsonl"), "--min_kamra", "5", names="--min_kamra")


def test_a_run_without_a_source_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path, "run", names="--submissions")


def test_reddit_without_keys_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path, "links", "--subreddits", "python", names="praw_client_id")


def test_a_missing_output_is_refused(tmp_path: Path) -> None:
    ended = run("links", "--urls", str(tmp_path / "urls.txt"))
    assert ended.returncode == 2
    assert "--output is required (or --corpus DIR, which stands for all folders)" in ended.stderr


@pytest.mark.parametrize(("stage", "flag"), [("pages", "--input"), ("tokens", "--vocabulary")])
def test_a_missing_input_is_refused_by_its_flag(tmp_path: Path, stage: str, flag: str) -> None:
    ended = run(stage, "--output", str(tmp_path / "out"), *(("--input", "a") if flag != "--input" else ()))
    assert ended.returncode == 2
    assert f"{flag} is required" in ended.stderr


def test_an_unfinished_input_folder_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path, "pages", "--input", str(tmp_path), names="manifest.json")


def test_an_unwritable_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "RS.jsonl").write_text(LINE)
    (tmp_path / "taken").write_text("a file")
    assert_refused(tmp_path, "links", "--submissions", str(tmp_path / "RS.jsonl"), names="taken", output="taken/out")


def test_a_folder_of_other_settings_is_refused_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "RS.jsonl").write_text(LINE)
    flags = ("links", "--submissions", str(tmp_path / "RS.jsonl"), "--output", str(tmp_path / "out"), "--workers", "1")
    assert run(*flags).returncode == 0
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    ended = run(*flags, "--min-karma", "4")
    assert ended.returncode == 2
    assert "min_karma was 3, now 4" in ended.stderr
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before


def stage_names() -> list[str]:
    from pipeline.cli.registry import STAGES

    return [*STAGES, "run"]


@pytest.mark.parametrize("command", [(), *[(name,) for name in stage_names()]], ids=" ".join)
def test_help_fits_a_screen(command: tuple[str, ...]) -> None:
    ended = run(*command, "--help")
    assert ended.returncode == 0
    assert ended.stderr == ""
    lines = ended.stdout.splitlines()
    assert max(map(len, lines)) <= 120
    if command != ("run",):
        assert len(lines) <= 60
