# make help: what there is to do

SWEEP ?= sweeps/quick.yaml
JOBS ?=
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
NAME := $(basename $(notdir $(SWEEP)))
SEEDS ?= $(if $(filter quick,$(NAME)),--until-decided --most 10)

.DEFAULT_GOAL := help
.PHONY: help install compare readme gpu-check test test-slow test-nightly format clean

help: ## show this
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20
	@echo
	@echo '  make compare SWEEP=sweeps/plain_vs_equivariant.yaml   another sweep; sweeps/ has them all'
	@echo '  make compare SEEDS=--until-decided SWEEP=...          further seeds, only where a question is undecided'
	@echo '  make compare JOBS=2                                   two trials at once; they share the cores'
	@echo '  make install PYTHON=/path/to/python                   with another Python, 3.11 or later'

install: .venv/installed ## make .venv and install the suite into it

compare: .venv/installed ## fetch the data, run SWEEP, print and write its tables
	@$(BIN)/python sweep.py $(SWEEP) $(SEEDS) $(if $(JOBS),--jobs $(JOBS)); status=$$?; \
	if [ $$status -le 1 ]; then $(BIN)/python report.py runs/$(NAME) && $(BIN)/python report.py results --index || status=$$?; fi; exit $$status

readme: .venv/installed ## bring the verdicts in README.md up to date with results/*/records
	$(BIN)/python -m headtohead.report.readme

gpu-check: .venv/installed ## check results and speed on a GPU (DEVICE=cpu TINY=1 tries the check itself)
	$(BIN)/python -m benchmarks.gpu_check $(if $(DEVICE),--device=$(DEVICE)) $(if $(TINY),--tiny)

# Two processes at a time, each with one thread (tests/conftest.py). A file's tests stay together: they share trials.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadscope

test: .venv/installed-dev ## run the style check, the type check and the tests that take seconds
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST)

test-slow: .venv/installed-dev ## fetch the data and run the tests that take longer, or need real data
	$(BIN)/python -c "import datamodules; [d().prepare_data() for d in (datamodules.MNIST, datamodules.CIFAR10)]"
	$(PYTEST) -m "(slow or data) and not nightly"

test-nightly: .venv/installed-dev ## run what takes hours: a hundred kills, 10,000 records, every architecture three times
	$(BIN)/python -m pytest -m nightly -s

format: .venv/installed-dev ## put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv and caches; data, runs and results stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info

# pip, not another installer: it takes a torch that is already on the machine's disk, where there is one
.venv/installed: pyproject.toml $(wildcard lit_models/operators/native/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: PYTHON must be 3.11 or later: got $(PYTHON)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --editable '.[dev,benchmarks]'
	@touch $@
