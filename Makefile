# Two commands do all the set-up: `make shell` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: shell test lint types bench clean

$(VENV)/.installed: pyproject.toml
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(BIN)/python -m compileall -q kvsh sql btree engine  # so that no start has to
	touch $@

demo.db: $(VENV)/.installed examples/demo.sql
	rm -f demo.db
	$(BIN)/kvsh demo.db < examples/demo.sql

shell: demo.db
	$(BIN)/kvsh demo.db

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.installed
	$(BIN)/mypy

test: lint types
	$(BIN)/pytest -n 2

bench: $(VENV)/.installed
	-$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python -m benchmarks --write

clean:
	rm -rf $(VENV) demo.db
