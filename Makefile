# ringpost: `make demo` and `make test` set up all they need on a fresh machine; `make help` lists all.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
# One process more than cores: the end-to-end tests mostly wait.
JOBS   ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))
# Else each of the hundreds of processes that the tests start would compile all of ringpost again.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal

.PHONY: help setup demo test test-long test-quick check coverage bench chaos lock clean
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(STAMP) ## the virtual environment in .venv

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "ringpost needs Python 3.11, 3.12 or 3.13; this is %d.%d. Try: make PYTHON=python3.12 $(MAKECMDGOALS)" % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: setup ## a device, a broker and a centre with simulated hardware
	$(BIN)/ringpost demo --headless

test: setup ## all tests, in parallel (JOBS=4 sets how many processes)
	$(PYTEST)

test-long: setup ## make test with all examples, pictures and brokers; before a release
	RINGPOST_TESTS=long $(PYTEST)

test-quick: setup ## for the inner loop: without slow tests and whole devices; a minute on two cores
	$(PYTEST) -m "not slow and not end_to_end and not needs_shared"

check: setup ## lint, format, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

# Coverage is reported, never gated. TESTS may name a part: make coverage TESTS=tests/test_link.py
coverage: setup ## which lines the tests reach
	$(PYTEST) -q --cov --cov-report= $(TESTS)
	$(BIN)/coverage xml -q
	@$(BIN)/coverage report
	@echo; echo "The 15 least covered files:"; $(BIN)/coverage report --sort=cover | sed -n '1,17p'

bench: setup ## the figures of the README
	$(BIN)/python -m bench

chaos: setup ## a device whose link, disk and power fail at random
	$(BIN)/python -m bench.chaos

# The lock names versions and hashes, never an address. Needs uv, and only when a dependency changes.
lock: ## requirements.lock anew (needs uv)
	uv pip compile --universal --python-version 3.11 --all-extras --generate-hashes --no-annotate --no-header --quiet --output-file requirements.lock pyproject.toml

clean: ## removes what the others made
	rm -rf $(VENV) build dist
