# SPDX-License-Identifier: Apache-2.0
# `make help` lists what can be done here.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# Debian's own Python: the packages below (headers, venv) belong to it.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
VENV := .venv
INSTALLED := $(VENV)/.installed
PYTEST := $(VENV)/bin/pytest

.PHONY: help up down test test-heavy check lint types packages lab-up lab-down golden portal-check bench-modules bench-observer failover-check migration-check console-check soak hostile fuzz bench-api clean

help: ## this text
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## two real cells, the API and a running guest on this machine (root)
	@tests/lab/check_host.sh
	@tests/lab/install_packages.sh
	@$(MAKE) --no-print-directory $(INSTALLED)
	@$(VENV)/bin/python -m tests.lab.first_light up

down: ## remove everything that `make up` made (root)
	@$(PYTHON) -m tests.lab.first_light down

test: ## everything but test-heavy, with real cells where the machine allows it (root)
	@tests/lab/install_packages.sh
	@$(MAKE) --no-print-directory $(INSTALLED) lint types
	@$(PYTEST) -m 'not lab' -n 2 -q
	@$(PYTEST) -m 'lab and not heavy' -n 2 --dist loadfile -v --durations=30

test-heavy: packages $(INSTALLED) ## shared storage, failover, a controller: on a quiet machine (root)
	@$(PYTEST) -m heavy

check: $(INSTALLED) lint types ## lint, types, unit and contract tests: no root, no libvirt daemon
	@$(PYTEST) -m 'not lab' -n 2 -q

lint: $(INSTALLED)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/yamllint --strict .
	@$(VENV)/bin/ansible-lint --offline -q

types: $(INSTALLED)
	@$(VENV)/bin/mypy

hostile: $(INSTALLED) ## 500 hostile texts through every text field of the REST API; takes minutes
	@PYTHONPATH=api:collection:. $(VENV)/bin/python -W ignore -m tests.hostile

fuzz: $(INSTALLED) ## 16,000 requests made from our own description; takes minutes
	@PYTHONPATH=api:collection:. $(VENV)/bin/python -W ignore -m tests.fuzz

bench-api: $(INSTALLED) ## lists of 10,000 guests: query plans, and requests per second
	@PYTHONPATH=api:collection:. $(VENV)/bin/python -W ignore -m tests.benchmarks.guest_lists

golden: $(INSTALLED) ## write the golden files anew after an intended change; read the diff
	@$(PYTEST) -q tests/golden --regenerate-golden

bench-modules: packages $(INSTALLED) ## seconds of each module beside the same calls to libvirt alone (root)
	@$(VENV)/bin/python -m tests.benchmarks.module_cost

failover-check: packages $(INSTALLED) ## a power failure and a cut cable under five guests; figures (root)
	@$(VENV)/bin/python -m tests.e2e.failover_check

migration-check: packages $(INSTALLED) ## a busy guest moves while it runs; how long it stood still (root)
	@$(VENV)/bin/python -m tests.e2e.migration_check

soak: packages $(INSTALLED) ## a busy lab for two hours, or make soak MINUTES=20: what grows (root)
	@$(VENV)/bin/python -m tests.soak --minutes "$(or $(MINUTES),120)"

bench-observer: ## what the observer costs, with the lab of `make up` (root; 6 minutes)
	@PYTHONPATH=collection:. $(VENV)/bin/python -m tests.benchmarks.observer

packages: ## install the Debian packages that are missing (root)
	@tests/lab/install_packages.sh

lab-up: packages ## bare cells without the API, for your own experiments (root)
	@$(PYTHON) -m tests.lab up 2

lab-down: ## remove the cells of `make lab-up` (root)
	@$(PYTHON) -m tests.lab down

portal-check: ## Nano's portal against the API, in a browser: make portal-check PORTAL_DIR=FOLDER (root)
	@test -f "$(PORTAL_DIR)/index.html" || { echo "PORTAL_DIR must be a portal's unpacked web_root"; exit 2; }
	@tests/lab/install_packages.sh
	@tests/lab/install_packages.sh tests/portal/packages.txt
	@$(MAKE) --no-print-directory $(INSTALLED)
	@$(VENV)/bin/python -c 'import playwright' 2>/dev/null || $(VENV)/bin/pip install -q -e '.[portal]'
	@$(VENV)/bin/python -m tests.portal "$(PORTAL_DIR)"

console-check: packages ## noVNC in a browser shows a guest; pictures in var/console-check (root)
	@tests/lab/install_packages.sh tests/portal/packages.txt
	@$(MAKE) --no-print-directory $(INSTALLED)
	@$(VENV)/bin/python -c 'import playwright' 2>/dev/null || $(VENV)/bin/pip install -q -e '.[portal]'
	@$(PYTEST) tests/e2e/test_novnc.py

clean: ## remove what was built in this folder, running things apart
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .ansible

$(INSTALLED): pyproject.toml hatch_build.py
	@echo "==> Python packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@set -o pipefail; $(VENV)/bin/pip install -e '.[dev]' 2>&1 \
	  | sed -n -e 's/^Collecting \([^ ]*\).*/    \1/p' -e '/^Building wheel/p' -e '/[Ee][Rr][Rr][Oo][Rr]/p'
	@touch $@
