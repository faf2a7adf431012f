# Every target runs in .venv, which is made on first use from Python 3.11 or newer alone.
PYTHON ?= python3
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test golden bench lint fmt clean

help:
	@echo "make demo     train on handwritten digits with a one-line objective"
	@echo "make test     run the tests (JOBS=$(JOBS))"
	@echo "make golden   compare with the values of the papers' own code, per domain"
	@echo "make bench    measure against the usual code"
	@echo "make lint     ruff and pyright"
	@echo "make fmt      format Python and .loss files"
	@echo "make clean    remove .venv, caches and runs"

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/python examples/digits/train.py

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS)

golden: $(STAMP)
	$(BIN)/python -m tests.golden

bench: $(STAMP)
	$(BIN)/python -m benchmarks

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python

fmt: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/losslang fmt stdlib examples

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build dist runs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The first of these interpreters that runs and is new enough makes the environment.
CANDIDATES := $(PYTHON) python3 python3.13 python3.12 python3.11

$(STAMP): pyproject.toml constraints.txt
	@set -e; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  for candidate in $(CANDIDATES); do \
	    if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$candidate; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "losslang needs Python 3.11 or newer; none of these is: $(CANDIDATES)" >&2; \
	    echo "Name one: make PYTHON=/path/to/python3.11" >&2; \
	    exit 1; \
	  fi; \
	  echo "$(VENV): $$($$found --version)"; \
	  $$found -m venv --clear $(VENV); \
	fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,test,dev]'
	@touch $@
