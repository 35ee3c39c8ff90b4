# Everything happens in .venv, installed from pyproject.toml with the versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
TOGETHER := -n 2 --dist loadfile # tests of one file share what they make

SLOW := tests/train/test_golden.py tests/sweep tests/launch/test_launch.py

.PHONY: quickstart test test-minimal test-slow lint check gpu-check clean

quickstart: .venv/installed ## train, evaluate and play: at most 10 minutes on two CPU cores
	$(BIN)/python -m musicllm recipe=quickstart

test: .venv/installed ## the test suite, without slow and GPU tests
	$(BIN)/python -m pytest $(TOGETHER)

test-minimal: .venv/installed ## the same as on a machine without bfloat16, AVX-512 and programs
	MUSICLLM_MINIMAL_MACHINE=1 $(BIN)/python -m pytest $(TOGETHER)

test-slow: .venv/installed ## of the slow tests those that end within minutes
	$(BIN)/python -m pytest $(TOGETHER) -m slow $(SLOW)

lint: .venv/installed ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

gpu-check: ## what has to be right on a GPU, in 8 minutes: a table and gpu.json; installs nothing
	$(or $(wildcard $(BIN)/python),$(PYTHON)) -m tests.gpu.check

check: lint test test-minimal test-slow ## what CI runs

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "musicllm needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean: ## the environment and caches; runs/ stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
