# Every target sets up what it needs. Paths are relative, so the folder's own path may hold spaces.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OUT ?= demo

.PHONY: setup demo test check format types contracts docs-examples coverage bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "tailscope needs Python 3.11 or newer; got $$($(PYTHON) --version). Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV) (once; torch and its companions are a download of about 3 GB) ..."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $(STAMP)

demo: setup
	$(BIN)/python -m tailscope demo --out "$(OUT)"

# pytest-xdist gives each worker one core; torch and BLAS are held to one thread each, so that two workers do not fight.
test: setup
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

check: format-check types contracts

format-check: setup
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

format: setup
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

types: setup
	$(BIN)/python -m mypy

contracts: setup
	$(BIN)/lint-imports

docs-examples: setup
	$(BIN)/python -m pytest -q --doctest-glob='*.md' README.md docs

# Compiled kernels are invisible to coverage, so here they run as plain Python, which the slow tests (phantoms drawn in
# Python, say) cannot afford; `make test` runs all of them compiled.
COVERED := core alignment performance stats
# Bit counts and hashes are made modulo 2**64; compiled code wraps in silence, plain Python warns.
WRAPS := -W 'ignore:overflow encountered in scalar:RuntimeWarning'
coverage: setup
	OMP_NUM_THREADS=1 NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q -n 2 -m 'not slow' $(WRAPS) $(COVERED:%=tests/%) $(COVERED:%=src/tailscope/%) \
		$(COVERED:%=--cov=tailscope.%) --cov-branch --cov-report=
	for room in $(COVERED); do \
		$(BIN)/python -m coverage report --include="*/tailscope/$$room/*" --skip-covered --show-missing --fail-under=95 || exit 1; \
	done

bench: setup
	for script in benchmarks/*.py; do $(BIN)/python "$$script" || exit 1; done

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage
