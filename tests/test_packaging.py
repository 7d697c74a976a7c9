"""The distribution: three import packages, type markers, and requirements that the constraints pin."""

import tomllib
from importlib.metadata import files
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools import find_packages

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_top_level_is_three_packages() -> None:
    found = find_packages(str(ROOT), include=PROJECT["tool"]["setuptools"]["packages"]["find"]["include"])
    assert {name.split(".")[0] for name in found} == {"pipeline", "tokenizer", "trainer"}
    assert files("webtext") is not None


@pytest.mark.parametrize("package", ["pipeline", "tokenizer", "trainer"])
def test_each_package_ships_its_type_marker(package: str) -> None:
    assert (ROOT / package / "py.typed").read_bytes() == b""
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"]["*"]


def test_the_distribution_cannot_be_uploaded() -> None:
    assert "Private :: Do Not Upload" in PROJECT["project"]["classifiers"]


@pytest.mark.parametrize("extra", [None, "train", "dev"])
def test_every_requirement_is_pinned(extra: str | None) -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines if "==" in line}
    project = PROJECT["project"]
    wanted = [Requirement(text) for text in (project["optional-dependencies"][extra] if extra else project["dependencies"])]
    assert wanted
    for requirement in wanted:
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, requirement
