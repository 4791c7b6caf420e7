# ringpost: `make demo` and `make test` set up all they need on a fresh machine.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready

.PHONY: setup demo test check coverage bench chaos lock clean
setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "ringpost needs Python 3.11, 3.12 or 3.13; this is %d.%d. Try: make PYTHON=python3.12 $(MAKECMDGOALS)" % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: setup
	$(BIN)/ringpost demo --headless

test: setup
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

# Coverage is reported, never gated. TESTS may name a part: make coverage TESTS=tests/test_link.py
coverage: setup
	$(BIN)/python -m pytest -q --cov --cov-report= $(TESTS)
	$(BIN)/coverage xml -q
	@$(BIN)/coverage report
	@echo; echo "The 15 least covered files:"; $(BIN)/coverage report --sort=cover | sed -n '1,17p'

bench: setup
	$(BIN)/python -m bench

chaos: setup
	$(BIN)/python -m bench.chaos

# The lock names versions and hashes, never an address. Needs uv, and only when a dependency changes.
lock:
	uv pip compile --universal --python-version 3.11 --all-extras --generate-hashes --no-annotate --no-header --quiet --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) build dist
