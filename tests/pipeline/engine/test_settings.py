"""Flags from settings."""

import argparse
from dataclasses import dataclass

import pytest

from pipeline.dedup import stage as dedup
from pipeline.engine.settings import add_argument_groups, add_arguments, from_arguments, setting
from pipeline.links import stage as links


def settings(kind, *argv):
    parser = argparse.ArgumentParser()
    add_arguments(parser, kind)
    return from_arguments(kind, parser.parse_args(argv))


@pytest.mark.parametrize("argv", [("--against", "a", "b"), ("--against", "a", "--against", "b"), ("--against=a", "--against=b")])
def test_a_flag_of_several_values_may_be_repeated(argv):
    assert settings(dedup.STAGE.settings, *argv).against == ("a", "b")


def test_defaults_apply_without_flags():
    assert settings(links.STAGE.settings) == links.STAGE.settings()


@dataclass(frozen=True)
class Crawl:
    sites: tuple[str, ...] = setting(("a.example",), "sites to leave out")
    threads: int = setting(8, "threads", recorded=False)


@dataclass(frozen=True)
class Filter:
    sites: tuple[str, ...] = setting(("a.example",), "sites to leave out")
    seed: int = setting(1, "seed of the sample")


@dataclass(frozen=True)
class OtherDefault:
    sites: tuple[str, ...] = setting((), "sites to leave out")


@dataclass(frozen=True)
class OtherHelp:
    sites: tuple[str, ...] = setting(("a.example",), "sites to drop")


@dataclass(frozen=True)
class OtherType:
    sites: str = setting(("a.example",), "sites to leave out")


@dataclass(frozen=True)
class OtherRecord:
    sites: tuple[str, ...] = setting(("a.example",), "sites to leave out", recorded=False)


def test_a_shared_flag_sets_both_dataclasses():
    parser = argparse.ArgumentParser()
    add_argument_groups(parser, {"crawl": Crawl, "filter": Filter})
    arguments = parser.parse_args(["--sites", "b.example", "--seed", "2"])
    assert from_arguments(Crawl, arguments) == Crawl(("b.example",))
    assert from_arguments(Filter, arguments) == Filter(("b.example",), 2)


@pytest.mark.parametrize("other", [OtherDefault, OtherHelp, OtherType, OtherRecord])
def test_a_shared_flag_that_is_declared_differently_is_refused(other):
    with pytest.raises(ValueError, match=r"--sites: 'crawl' and 'other' declare it differently"):
        add_argument_groups(argparse.ArgumentParser(), {"crawl": Crawl, "other": other})
