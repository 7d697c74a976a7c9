# Everything a person or CI runs. Each target does its own set-up: a fresh machine needs Python 3.11+, make and a C compiler at most.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AIRFLOW := .venv-airflow
DEMO ?= demo
DATA ?= ../shared/data
FUZZ_SECONDS ?= 60
PARALLEL ?= --numprocesses logical --maxprocesses 8 --dist loadfile

.PHONY: demo real-demo test test-all gauntlet bench airflow browser faults check install clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

install: $(VENV)/.installed ## virtual environment with every pinned package

# torch alone and first: plain pip takes the CPU build where one is at hand, and every later resolution keeps it.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $@

demo: install ## the whole main job on this machine's own Python documentation, a few minutes
	@$(BIN)/python examples/demo --output $(DEMO)

real-demo: install ## the same on real Reddit dumps and real pages, where ../shared/data holds them
	@$(BIN)/python -m pytest tests/end_to_end/test_real_input.py -s

test: install ## every test, a process a core
	$(BIN)/python -m pytest $(PARALLEL)

test-all: install airflow browser ## those too that need Airflow, a browser or a peer's package; and the long forms
	WEBTEXT_FULL=1 $(BIN)/python -m pytest $(PARALLEL)

bench: install ## ours against every peer, into docs/benchmarks.md; an hour. DATA: dumps, pages, vocabulary; NANOGPT: its source; ONLY: some
	$(BIN)/python -m benchmarks --data $(DATA) $(addprefix --nanogpt ,$(NANOGPT)) $(if $(ONLY),--only $(ONLY))

gauntlet: install faults ## faults from outside over all stages and training: kills, full disks, failing I/O, damaged files; FUZZ_SECONDS a parser
	WEBTEXT_FULL=1 $(BIN)/python -m pytest tests/gauntlet tests/pipeline/engine/test_portable_engine.py -n0 -s; tested=$$?; \
	$(BIN)/python tests/gauntlet/fuzz_all.py $(FUZZ_SECONDS) && exit $$tested

airflow: $(AIRFLOW)/.installed ## an environment of its own for Airflow and Dataflow's dry run

$(AIRFLOW)/.installed: pyproject.toml constraints-airflow.txt
	test -x $(AIRFLOW)/bin/python || $(PYTHON) -m venv $(AIRFLOW)
	$(AIRFLOW)/bin/python -m pip install --quiet --constraint constraints-airflow.txt --editable '.[airflow,gcp]'
	touch $@

browser:
	command -v chromium || (apt-get update -qq && apt-get install -y -qq chromium) || echo "no chromium: tests in a browser skip"

faults:
	command -v fiu-run faketime || (apt-get update -qq && apt-get install -y -qq fiu-utils faketime) || echo "no libfiu, no libfaketime: their faults skip"

check: install ## what must hold before a commit: format, lint, types, layers, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(PARALLEL)

clean: ## remove what the commands above made
	rm -rf $(VENV) $(AIRFLOW) .peers $(DEMO) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
