# Everything that a user or CI runs. Each target does its own set-up: a fresh machine needs only Python 3.11+, make and a C compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AIRFLOW := .venv-airflow
DEMO ?= demo
DATA ?= ../shared/data
FUZZ_SECONDS ?= 60
PARALLEL ?= --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

# Every command is a process of its own. Where this variable is set, each one compiles 2,700 modules anew, which takes 7 s.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo docs real-demo flags train-extractor test test-all gauntlet bench airflow engines archive-tools browser faults lock hashes audit check install clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

install: $(VENV)/.installed ## create the virtual environment with every pinned package

# torch alone, first and by pip: it takes the CPU build if one is available, and later installations keep it. uv is faster for the rest.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip setuptools uv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[train,dev]'
	touch $@

demo: install ## run the whole job on this machine's own Python documentation, a few minutes
	@$(BIN)/python examples/demo --output $(DEMO)

real-demo: install ## run the whole job on real Reddit dumps and real pages, if ../shared/data holds them
	@WEBTEXT_FULL=1 $(BIN)/python -m pytest tests/end_to_end/test_real_input.py -s

test: install ## run every test and doctest, one process per core
	$(BIN)/python -m pytest $(PARALLEL)

test-all: install airflow browser engines ## run also the tests that need Airflow, a browser or another package, and the long forms
	WEBTEXT_FULL=1 $(BIN)/python -m pytest $(PARALLEL)

bench: install ## compare with every peer, write docs/benchmarks.md; an hour. DATA: dumps, pages, vocabulary; NANOGPT: its source; ONLY: a selection
	$(BIN)/python -m benchmarks --data $(DATA) $(addprefix --nanogpt ,$(NANOGPT)) $(if $(ONLY),--only $(ONLY))

gauntlet: install faults ## external faults over all stages and training: kills, full disks, failing I/O, damaged files; FUZZ_SECONDS per parser
	WEBTEXT_FULL=1 $(BIN)/python -m pytest tests/gauntlet tests/pipeline/engine/test_portable_engine.py -n0 -s; tested=$$?; \
	$(BIN)/python tests/gauntlet/fuzz_all.py $(FUZZ_SECONDS) && exit $$tested

train-extractor: install ## train the default extractor's forests again, three minutes; DATA: folder with html/, pages with gold text
	$(BIN)/python benchmarks/extractor_training.py $(DATA)

airflow: $(AIRFLOW)/.installed ## create the environment for Airflow and for Dataflow's dry run

# uv: it installs these 328 packages in half a minute, pip in more than ten minutes.
$(AIRFLOW)/.installed: pyproject.toml constraints-airflow.txt
	test -x $(AIRFLOW)/bin/python || $(PYTHON) -m venv $(AIRFLOW)
	$(AIRFLOW)/bin/python -m pip install --quiet --constraint constraints.txt uv
	$(AIRFLOW)/bin/python -m uv pip install --quiet --python $(AIRFLOW)/bin/python --constraint constraints-airflow.txt --editable '.[airflow,gcp]'
	touch $@

engines: .engines/bin/prism .engines/bin/fake-gcs-server ## install Prism, Beam's runner in Go, and a server of Google Cloud Storage's protocol, for their tests

.engines/bin/prism: constraints.txt
	command -v go > /dev/null || { echo "no Go: tests on Prism skip"; exit 0; }; \
	GOBIN=$(abspath .engines/bin) go install github.com/apache/beam/sdks/v2/go/cmd/prism@v$$(sed -n 's/^apache-beam==//p' constraints.txt)

.engines/bin/fake-gcs-server:
	command -v go > /dev/null || { echo "no Go: tests on Google Cloud Storage's protocol skip"; exit 0; }; \
	GOBIN=$(abspath .engines/bin) go install github.com/fsouza/fake-gcs-server@v1.56.1

archive-tools: install ## install pywb, surt and cdxj-indexer into an environment of their own, for the tests of web archives
	$(BIN)/python -c "from benchmarks import peers; print(peers.python('archives', *peers.ARCHIVES))"

browser:
	command -v chromium || (apt-get update -qq && apt-get install -y -qq chromium) || echo "no chromium: tests in a browser skip"

faults:
	command -v fiu-run faketime || (apt-get update -qq && apt-get install -y -qq fiu-utils faketime) || echo "no libfiu, no libfaketime: their faults skip"

lock: install ## write the hashes of requirements.txt and requirements-train.txt, after a change of constraints.txt
	$(BIN)/python supply_chain/lock.py

hashes: install ## compare the hashes of requirements.txt and requirements-train.txt with the package index
	$(BIN)/python supply_chain/lock.py --check

flags: install ## write pipeline/cli/flags.json, from which help and completion are answered, after a change of any flag
	$(BIN)/python -m pipeline.cli.write_flags

docs: install ## build the documentation site in build/docs; warnings are errors
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs

audit: install ## ask for known vulnerabilities of the pinned packages
	$(BIN)/python supply_chain/audit.py

check: install audit hashes ## check format, lint, types, layers, known vulnerabilities, hashes and tests, as before a commit
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(PARALLEL)

clean: ## remove what the targets above created
	rm -rf $(VENV) $(AIRFLOW) .engines .peers $(DEMO) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
