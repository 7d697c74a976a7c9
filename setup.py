"""For tools that want a setup.py by name, Beam's --setup_file among them: everything stands in pyproject.toml."""

from setuptools import setup

setup()
