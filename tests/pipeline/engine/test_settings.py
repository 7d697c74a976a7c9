"""Flags from settings."""

import argparse

import pytest

from pipeline.dedup import stage as dedup
from pipeline.engine.settings import add_arguments, from_arguments
from pipeline.links import stage as links


def settings(kind, *argv):
    parser = argparse.ArgumentParser()
    add_arguments(parser, kind)
    return from_arguments(kind, parser.parse_args(argv))


@pytest.mark.parametrize("argv", [("--against", "a", "b"), ("--against", "a", "--against", "b"), ("--against=a", "--against=b")])
def test_a_flag_of_many_values_may_come_again(argv):
    assert settings(dedup.STAGE.settings, *argv).against == ("a", "b")


def test_no_flag_is_the_default():
    assert settings(links.STAGE.settings) == links.STAGE.settings()
