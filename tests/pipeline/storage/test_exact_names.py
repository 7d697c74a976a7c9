"""No path is read as a glob: a folder named like a pattern is a folder, and its neighbours are never touched."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from servers.objects import ACCESS, object_store

from pipeline.engine.runner import Engine
from pipeline.engine.stage_folder import close_stage, open_stage
from pipeline.storage import files

NEIGHBOURS = ("c1", "c2", "c[1]", "c?", "c*", "**", "c[!1]", "c [v2]", "{c1,c2}", "c\\1", "[c]1", "c1x")
"""Folder names; as globs, most of them match others."""


def fill(folders: dict[str, str]) -> None:
    for folder in folders.values():
        for name in ("manifest.json", "a.error", "a.disk", "a[1].error"):
            files.publish_bytes(files.join(folder, name), b"x")
        files.publish_bytes(files.join(folder, "below", "manifest.json"), b"x")


def check_folder(folders: dict[str, str], name: str) -> None:
    """List, remove one file and then the whole folder; the neighbours keep all of theirs."""
    folder = folders[name]
    names = [files.base_name(path) for path in files.listing(folder)]
    assert names == ["a.disk", "a.error", "a[1].error", "manifest.json"]
    assert files.listing(folder, "a[") == [files.join(folder, "a[1].error")]
    assert files.listing(folder, "a*") == []
    assert files.size(files.join(folder, "a[1].error")) == 1
    files.remove(files.join(folder, "manifest.json"))
    files.remove(files.join(folder, "a*"))
    assert [files.base_name(path) for path in files.listing(folder)] == ["a.disk", "a.error", "a[1].error"]
    files.remove_folder(folder)
    assert files.listing(folder) == []
    others = [other for key, other in folders.items() if key != name]
    for other in others:
        assert len(files.listing(other)) == 4
        assert files.exists(files.join(other, "below", "manifest.json"))


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_a_local_folder_is_no_pattern(tmp_path: Path, name: str) -> None:
    folders = {neighbour: str(tmp_path / neighbour) for neighbour in NEIGHBOURS}
    fill(folders)
    check_folder(folders, name)


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, object_store("corpora") as address:
        session = boto3.session.Session()
        patch.setattr(boto3.session, "Session", lambda: session)
        for name, value in ACCESS.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL", address)
        Engine()  # gives Beam's file systems their options
        yield "s3://corpora"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["c[1]", "c*"])
def test_a_prefix_of_an_object_store_is_no_pattern(store: str, name: str) -> None:
    neighbours = (name, "c1", "c2", "c1x")
    folders = {neighbour: f"{store}/{name}/{neighbour}" for neighbour in neighbours}
    fill(folders)
    check_folder(folders, name)


def test_listing_of_an_absent_folder_is_empty(tmp_path: Path) -> None:
    assert files.listing(str(tmp_path / "none")) == []


def test_replace_in_a_folder_named_like_a_pattern_rebuilds_that_folder_alone(tmp_path: Path) -> None:
    def build(folder: str, factor: int, *, replace: bool = False) -> None:
        settings: dict[str, Any] = {"factor": factor}
        phase = open_stage("double", folder, settings, {}, replace=replace)
        assert phase is not None
        phase.create()
        close_stage(phase, settings, {}, [])

    folders = {name: tmp_path / name for name in NEIGHBOURS}
    for folder in folders.values():
        build(str(folder), 2)
    before = {name: (folder / "manifest.json").read_bytes() for name, folder in folders.items()}
    for name in NEIGHBOURS:
        build(str(folders[name]), 3, replace=True)
        assert (folders[name] / "manifest.json").read_bytes() != before[name]
        assert all((folder / "manifest.json").exists() for folder in folders.values())
        build(str(folders[name]), 2, replace=True)
    assert {name: (folder / "manifest.json").read_bytes() for name, folder in folders.items()} == before
