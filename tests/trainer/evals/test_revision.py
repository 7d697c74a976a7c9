"""The commit that a result names is git's own answer, in a checkout of any form."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from trainer.evals import revision

Git = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path) -> Git:
    program = shutil.which("git") or pytest.skip("no git")
    settings = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")

    def call(*words: str, folder: Path = tmp_path / "main") -> str:
        folder.mkdir(exist_ok=True)
        return subprocess.run([program, *settings, *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    call("init", "--quiet")
    call("commit", "--quiet", "--allow-empty", "-m", "one")
    return call


def plain(git: Git, folder: Path) -> Path:
    return folder


def packed(git: Git, folder: Path) -> Path:
    git("pack-refs", "--all")
    return folder


def detached(git: Git, folder: Path) -> Path:
    git("checkout", "--quiet", "--detach")
    return folder


def worktree(git: Git, folder: Path) -> Path:
    git("worktree", "add", "--quiet", "-b", "other", "../other")
    return folder.parent / "other"


def worktree_of_packed_references(git: Git, folder: Path) -> Path:
    git("branch", "other")
    packed(git, folder)
    git("worktree", "add", "--quiet", "../other", "other")
    return folder.parent / "other"


def worktree_by_a_relative_path(git: Git, folder: Path) -> Path:
    other = worktree(git, folder)
    (other / ".git").write_text("gitdir: ../main/.git/worktrees/other\n")
    return other


@pytest.mark.parametrize(
    "form",
    [plain, packed, detached, worktree, worktree_of_packed_references, worktree_by_a_relative_path],
    ids=lambda form: form.__name__,
)
def test_the_commit_is_gits_own_answer(
    form: Callable[[Git, Path], Path], git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = form(git, tmp_path / "main")
    monkeypatch.setattr(revision, "__file__", str(checkout / "trainer" / "evals" / "revision.py"))

    assert revision.commit() == git("rev-parse", "HEAD", folder=checkout)


def test_an_installed_wheel_names_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revision, "__file__", str(tmp_path / "site-packages" / "trainer" / "evals" / "revision.py"))

    assert revision.commit().startswith("webtext ")
