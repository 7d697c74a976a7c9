"""Months in any order under Airflow, with the real stages: one in its turn, then one that is late, with a take-down.

With WEBTEXT_FULL=1 also one that is empty, and the first run again, with the take-down.
"""

import json
import os
from pathlib import Path

import pytest
from airflow_runs import Airflow, parameters
from small_web import write_month

from pipeline.corpus import verify
from pipeline.storage.manifest import StageManifest
from tokenizer.shards import Manifest as Dataset

PAGES, LATE_PAGES = 14, 20
FULL = bool(os.environ.get("WEBTEXT_FULL"))


def hashes(out: Path, stage: str) -> dict[str, str]:
    """The hash of each month's manifest of a stage."""
    return {path.parent.name: StageManifest.load(str(path)).sha256 for path in sorted(out.glob(f"????-??/{stage}"))}


def ids(folder: Path) -> list[bytes]:
    dataset = Dataset.load(folder)
    return [bytes(key) for split in dataset.splits for shard in dataset.open(split) for key, _ in shard.documents()]


@pytest.mark.slow
def test_months_come_in_any_order(airflow: Airflow, tmp_path: Path) -> None:
    out = tmp_path / "my out"
    november = write_month(tmp_path / "november", PAGES, "2017-11")
    october = write_month(tmp_path / "october", LATE_PAGES, "2017-10")
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    for month in (november, october):
        Path(month.dump).rename(dumps / Path(month.dump).name)
    own = {
        "id": "s1",
        "url": "http://www.reddit.com/r/a/comments/s1/",
        "score": 9,
        "subreddit": "a",
        "created_utc": 1,
        "is_self": True,
    }
    (dumps / "RS_2017-12.jsonl").write_text(json.dumps(own) + "\n")  # no link in it
    conf = parameters(tmp_path / "unused") | {"dump": str(dumps / "RS_{month}.jsonl"), "output": str(out), "train": False}
    conf["vocabulary_month"] = "2017-11"

    def run(month: str, **more: object) -> str:
        return airflow.test_dag("webtext", month, conf | more).state

    fetched = ["--fetch-from", november.warc, october.warc]
    assert run("2017-11", pages_flags=fetched) == "success"
    first = hashes(out, "dedup")
    if FULL:
        assert run("2017-12", pages_flags=fetched) == "success"
        assert StageManifest.load(str(out / "2017-12" / "tokens")).books.items_in == 0
        assert hashes(out, "dedup")["2017-11"] == first["2017-11"]
        assert ids(out / "tokens" / "2017-12") == ids(out / "2017-11" / "tokens")

    listed = tmp_path / "requests.csv"
    listed.write_text(
        "date,reference,kind,value\n2026-11-29,R1,address,http://www.site3.example/3\n2026-11-29,R2,site,site5.example\n"
    )
    late = {} if FULL else {"takedown": str(listed)}
    whole = set(ids(out / "2017-11" / "tokens"))
    assert run("2017-10", pages_flags=fetched, **late) == "success"  # the late month has all pages of the later one, and more
    after = hashes(out, "dedup")
    assert after["2017-11"] != first["2017-11"]
    assert StageManifest.load(str(out / "2017-11" / "dedup")).books.items_out == 0
    joined = ids(out / "tokens" / "2017-10")
    assert len(set(joined)) == len(joined) == StageManifest.load(str(out / "2017-10" / "dedup")).books.items_out
    if FULL:
        assert run("2017-11", pages_flags=fetched, takedown=str(listed)) == "success"
        last = ids(out / "tokens" / "2017-11")
        assert len(set(last)) == len(last) < len(joined)
        assert set(last) < set(joined)
    else:
        assert whole - set(joined)  # the documents that were taken down
    lost, joined_in = ("2017-10", "2017-11") if FULL else ("2017-11", "2017-10")
    report = json.loads((out / lost / "removals" / "0001.json").read_text())
    gone = {row["url"] for row in report["documents"]}
    assert {"http://site3.example/3", "http://site5.example/5"} <= gone
    assert [request["reference"] for request in report["requests"]] == ["R1", "R2"]
    for month in after:
        verify.TOOL.run(["--corpus", str(out / month), "--also-read", str(out)])
    verify.TOOL.run(["--corpus", str(out / "tokens" / joined_in), "--also-read", str(out)])


@pytest.mark.slow
def test_bad_input_is_not_tried_again(airflow: Airflow, tmp_path: Path) -> None:
    conf = parameters(tmp_path) | {"dump": str(tmp_path / "missing"), "train": False}
    run = airflow.test_dag("webtext", "2017-12", conf)
    assert run.state == "failed"
    assert run.log.count("no such file") < 4
    assert "not tried again" in run.log
