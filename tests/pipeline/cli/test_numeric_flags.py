"""Numbers out of range, for every numeric flag of every stage and of training: one line that names the flag, never another error."""

import argparse
import re
import typing
from contextlib import suppress
from dataclasses import fields

import pytest

from pipeline.cli.registry import STAGES
from pipeline.engine.settings import add_arguments, from_arguments
from tokenizer.errors import InputError
from trainer.config import ModelConfig, TrainConfig
from trainer.flags import TrainerParser, add_options, apply_flags
from trainer.presets import tiny

NO_NUMBERS = ("nan", "inf", "-inf", "1e999", "ten", "", "3,5", "0x10", "1 2")
EXTREMES = ("-1", "0", "-9223372036854775808", "9223372036854775807")


def is_numeric(hint: object) -> bool:
    return hint in (int, float) or bool({int, float} & set(typing.get_args(hint)))


STAGE_FLAGS = [
    (stage, item.name)
    for stage in STAGES
    for item in fields(STAGES[stage].settings)
    if is_numeric(typing.get_type_hints(STAGES[stage].settings)[item.name])
]
TRAINER_FLAGS = [
    item.name
    for kind in (ModelConfig, TrainConfig)
    for item in fields(kind)
    if item.metadata and typing.get_type_hints(kind)[item.name] in (int, float)
]


def spelled(flag: str) -> str:
    """A pattern of the flag, with hyphens or underscores."""
    return f"--{flag.replace('_', '[-_]')}"


def settings_of(stage: str, flag: str, value: str) -> object:
    parser = TrainerParser(prog=stage)
    add_arguments(parser, STAGES[stage].settings)
    return from_arguments(STAGES[stage].settings, parser.parse_args([f"--{flag.replace('_', '-')}={value}"]))


def recipe_of(flag: str, value: str) -> object:
    parser: argparse.ArgumentParser = TrainerParser(prog="train")
    add_options(parser)
    return apply_flags(tiny(), parser.parse_args([f"--{flag.replace('_', '-')}={value}"]))


def test_there_are_flags_to_test() -> None:
    assert len(STAGE_FLAGS) > 25
    assert len(TRAINER_FLAGS) > 25


@pytest.mark.parametrize(("stage", "flag"), STAGE_FLAGS)
def test_what_is_no_number_is_refused_by_the_flags_name(stage: str, flag: str) -> None:
    for value in NO_NUMBERS:
        with pytest.raises(InputError, match=spelled(flag)):
            settings_of(stage, flag, value)


@pytest.mark.parametrize(("stage", "flag"), STAGE_FLAGS)
def test_extremes_are_taken_or_refused_by_the_flags_name(stage: str, flag: str) -> None:
    for value in EXTREMES:
        with suppress(_RefusedError):
            refused_by_name(stage, flag, value)


class _RefusedError(Exception):
    """A value was refused by a line that names its flag."""


def refused_by_name(stage: str, flag: str, value: str) -> None:
    try:
        settings_of(stage, flag, value)
    except InputError as error:
        raise (_RefusedError() if re.search(spelled(flag), str(error)) else error) from error


@pytest.mark.parametrize("flag", TRAINER_FLAGS)
def test_what_is_no_number_is_refused_by_the_name_of_trainings_flag(flag: str) -> None:
    for value in NO_NUMBERS:
        with pytest.raises(InputError, match=spelled(flag)):
            recipe_of(flag, value)


@pytest.mark.parametrize("flag", TRAINER_FLAGS)
def test_negative_numbers_are_refused_in_training(flag: str) -> None:
    with pytest.raises(InputError, match=spelled(flag)):
        recipe_of(flag, "-1")
