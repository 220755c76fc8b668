# Everything a person does with this project. Needs Python 3.11 or newer; the rest is installed into .venv.
#
#   make demo        see it work: real servers, workers, Flower, mail catcher; Ctrl-C ends it
#   make demo-once   the same, ends after the table; fails where an outcome was not the expected one
#   make check       lint, format, types, import contracts, configuration, templates (under a minute)
#   make test        the whole suite; make test ARGS="tests/unit -k rules" for a part
#   make faults      race for alerts for a minute, kill everything 200 times, print the ledger
#   make bench       compare with the obvious stack
#   make lock        renew requirements/ from pyproject.toml

.DEFAULT_GOAL := help
PYTHON ?=
VENV ?= .venv
KILLS ?= 200
ARGS ?=
# One PostgreSQL and one Valkey per process.
JOBS ?= 2
PY := .venv/bin/python
export PYTHON VENV

.PHONY: help install install-server demo demo-once check format test faults bench lock clean

help:
	@sed -n 's/^#   //p' Makefile

install:
	@VENV=.venv scripts/install.sh dev

# For images: make install-server VENV=/opt/notifier
install-server:
	@scripts/install.sh server

demo: install
	@$(PY) -m notifier.embedded demo

demo-once: install
	@$(PY) -m notifier.embedded demo --once

check: install
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	.venv/bin/lint-imports --no-logo
	.venv/bin/notifier config check
	.venv/bin/notifier template check

format: install
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

test: install
	@$(PY) -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

faults: install
	@ALERT_RACE_SECONDS=60 $(PY) -m pytest -q tests/faults/test_alert_races.py
	@CALLBACK_FLOOD=50000 $(PY) -m pytest -q tests/faults/test_report_faults.py
	@$(PY) -m tests.faults --kills $(KILLS)

bench: install
	@$(PY) -m benchmarks

COMPILE = .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11

lock: install
	$(COMPILE) --extra server pyproject.toml -o requirements/server.txt
	$(COMPILE) --extra server --extra embedded --extra dev pyproject.toml -o requirements/dev.txt
	echo "$$(.venv/bin/python -m uv --version | cut -d' ' -f2 | sed 's/^/uv==/')" | $(COMPILE) - -o requirements/uv.txt

# The demo's data in .notifier stays: remove it by hand.
clean:
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
