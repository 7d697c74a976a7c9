"""The commands and the blocks of code in the Markdown pages."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHELLS = ("sh", "bash", "console")
MARK = re.compile(r"\s*<!-- needs: (.+) -->")
PROGRAMS = ("webtext", "webtext-train", "make")
END = re.compile(r"\s(?:[|>&;]|2>|\d?>&)")
INLINE = re.compile(r"`((?:webtext|webtext-train|make) [^`]+)`")
ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code: its first line's number, its language (`` for an indented one), its text, and what its mark says it needs."""

    page: str
    line: int
    language: str
    text: str
    needs: str | None = None


def site_pages() -> list[Path]:
    """README and the pages of the site."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of code of a page, fenced or indented, in their order."""
    name = str(page.relative_to(ROOT))
    lines = page.read_text(encoding="utf-8").splitlines()
    at, needs = 0, None
    while at < len(lines):
        line = lines[at]
        if found := MARK.fullmatch(line):
            needs = found[1]
        elif fence := re.match(r"\s*(`{3,}|~{3,})\s*([\w{}-]*)", line):
            end = next(i for i in range(at + 1, len(lines)) if lines[i].strip().startswith(fence[1]))
            yield Block(name, at + 2, fence[2], "\n".join(lines[at + 1 : end]), needs)
            at, needs = end, None
        elif line.startswith("    ") and not (at and lines[at - 1].strip()):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or (not lines[end].strip() and _goes_on(lines, end))):
                end += 1
            yield Block(name, at + 1, "", "\n".join(text[4:] for text in lines[at:end]), needs)
            at, needs = end - 1, None
        elif line.strip():
            needs = None
        at += 1


def _goes_on(lines: list[str], blank: int) -> bool:
    following = next((line for line in lines[blank:] if line.strip()), "")
    return following.startswith("    ")


def is_shell(block: Block) -> bool:
    """Whether a block holds commands that a person types."""
    return block.language in SHELLS or (
        not block.language and block.text.split(maxsplit=1)[0] in (*PROGRAMS, "pip", "python", "git", "sbatch")
    )


def commands_of(block: Block) -> Iterator[tuple[int, list[str]]]:
    """The commands of a block, each with its line's number and its words: joined lines, without comments and redirections."""
    lines = enumerate(block.text.splitlines(), block.line)
    for number, line in lines:
        while line.endswith("\\"):
            line = line[:-1] + next(lines)[1].strip()
        yield from ((number, words) for words in commands_in(line))


def commands_in(line: str) -> Iterator[list[str]]:
    """The words of each of our commands in a line.

    >>> list(commands_in('eval "$(webtext completion bash)"  # once'))
    [['webtext', 'completion', 'bash']]
    >>> list(commands_in("webtext status --corpus a > b && make test"))
    [['webtext', 'status', '--corpus', 'a'], ['make', 'test']]
    """
    line = re.split(r"(?:^|\s)#\s", line)[0].strip().removeprefix("$ ")
    starts = [found.start(1) for found in re.finditer(r"(?:^|[\s(/])((?:webtext|webtext-train|make)\s)", line)]
    for start in starts:
        before = line[:start].rstrip()
        if before and not (
            before[-1] in "(|;&/" or before.endswith(("&&", "launch.py")) or ASSIGNMENT.fullmatch(before.split()[-1])
        ):
            continue
        command = re.split(r"\)\"", END.split(line[start:] + " ")[0])[0].rstrip(")")
        yield shlex.split(command)


def inline_commands(page: Path) -> Iterator[tuple[int, list[str]]]:
    """The commands in a page's prose, between backquotes on one line."""
    fenced = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            for text in INLINE.findall(line):
                yield from ((number, words) for words in commands_in(text))
