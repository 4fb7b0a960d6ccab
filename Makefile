# make demo   a tour of a full stack, on a fresh machine too      make docs    write what is generated
# make test   all tests, with branch coverage                     make bench   measure us and the peers
# make check  format, lint, types, generated files                make clean   remove what was made
#
# PYTHON=python3.12 chooses the interpreter; ARGS="--fast" goes to what is run.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
GENERATORS := dashboards/build.py docs/render.py docs/tables.py
COVERED := pipeline/*,middlewares/*
LEAST_COVERED := 95
VENDORS := tests/providers tests/servers
TRANSPORTS := fast httpx

.PHONY: help demo test check format-check lint types generated docs bench clean system

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

demo: .venv/.for-cli
	@$(BIN)/glassway demo $(ARGS)

# Two halves at a time, because machines have two cores: what needs vendors' recordings and servers, over each of our
# transports, and everything else, which nearly never sends anything: what does is marked `over_http`, and runs over the
# other transport with the first half. Only the second half is measured: codecs are proven by recordings, the chain and
# its stages by every branch.
test: .venv/.for-dev system
	@mkdir -p build
	@$(BIN)/coverage erase
	@{ for transport in $(TRANSPORTS); do $(BIN)/python -m pytest $(VENDORS) --transport=$$transport $(ARGS) || exit 1; done; \
		$(BIN)/python -m pytest tests $(VENDORS:%=--ignore=%) -m over_http --transport=httpx $(ARGS); } \
		>build/test-vendors.txt 2>&1 & vendors=$$!; \
	$(BIN)/coverage run -m pytest $(VENDORS:%=--ignore=%) $(ARGS) && chain=passed || chain=failed; \
	wait $$vendors && vendors=passed || vendors=failed; \
	cat build/test-vendors.txt; echo "chain and stages: $$chain; vendors: $$vendors"; \
	[ "$$chain $$vendors" = "passed passed" ]
	@$(BIN)/coverage report --include='$(COVERED)' --fail-under=$(LEAST_COVERED)

check: format-check lint types generated

docs: .venv/.for-dev
	@$(BIN)/python -m glassway.pipeline.telemetry.docs >docs/telemetry.md
	@for generator in $(GENERATORS); do $(BIN)/python "$$generator"; done

bench: .venv/.for-dev
	@$(BIN)/python benchmarks/run.py $(ARGS)

clean:
	@rm -rf .venv .stamps build dist *.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

format-check: .venv/.for-dev
	@$(BIN)/ruff format --check --quiet --output-format concise . || { echo "Run: $(BIN)/ruff format ."; exit 1; }

lint: .venv/.for-dev
	@$(BIN)/ruff check --quiet .

# Type checkers look for a folder that is called glassway, whatever this one is called: a folder of links is one.
types: .venv/.for-dev
	@rm -rf build/typing
	@mkdir -p build/typing/glassway
	@for part in __init__.py __main__.py py.typed */__init__.py dashboards/; do ln -s "../../../$${part%/__init__.py}" build/typing/glassway/; done
	@MYPYPATH=build/typing $(BIN)/mypy -p glassway | sed 's#build/typing/glassway/##'

generated: .venv/.for-dev
	@for generator in $(GENERATORS); do $(BIN)/python "$$generator" --check; done

# One venv, filled again when pyproject.toml changes.

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Glassway needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1 || true). Say which: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.for-cli: .venv/.made pyproject.toml
	@echo "Installing Glassway into .venv ..."
	@$(PIP) -e '.[cli]'
	@touch $@

.venv/.for-dev: .venv/.made pyproject.toml
	@echo "Installing Glassway and its development tools into .venv ..."
	@$(PIP) -e '.[dev]'
	@touch $@ .venv/.for-cli

# Tests ask real servers: a Prometheus, a Redis, a PostgreSQL. Without one its tests are skipped, and pytest names them.
SERVERS := prometheus redis-server initdb
PACKAGES := prometheus redis-server postgresql
export PATH := $(PATH):$(lastword $(sort $(wildcard /usr/lib/postgresql/*/bin)))

MISSING = for server in $(SERVERS); do command -v $$server >/dev/null || echo $$server; done

system:
	@[ -z "$$($(MISSING))" ] || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && $(MAKE) --no-print-directory apt; } || \
		echo "Not here:" $$($(MISSING))". The tests that need them are skipped, and named at the end. Install them, or run as root on Debian." >&2

.PHONY: apt
apt: export DEBIAN_FRONTEND = noninteractive
apt:
	@apt-get install -qq -y --no-install-recommends $(PACKAGES) >/dev/null 2>&1 || \
		{ apt-get update -qq && apt-get install -qq -y --no-install-recommends $(PACKAGES) >/dev/null; }
