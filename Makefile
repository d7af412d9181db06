# Needs git, make and Python 3.11 or later; all else goes into $(VENV).

VENV ?= .venv
PYTHON ?= python3
JOBS ?= 4
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help serve test test-sqlite test-long test-containers test-deployment torture check format engines lock benchmarks clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

serve: $(VENV)/.installed ## serve on 127.0.0.1:8888, messages in queueing.db
	@exec $(VENV)/bin/queueing serve

PYTEST = $(VENV)/bin/pytest -n $(JOBS) --dist worksteal

test: $(VENV)/.installed-dev engines ## run every test over every store; JOBS=N processes, TESTS=tests/core for some
	$(PYTEST) $(TESTS)

test-sqlite: $(VENV)/.installed-dev ## run what needs no engine, in a few minutes
	$(PYTEST) --stores model,sqlite --ignore tests/faults --ignore tests/storage/redis $(TESTS)

test-long: $(VENV)/.installed-dev engines ## the same with ten times the examples, and 10^5 requests in each fault run
	QUEUEING_TEST_EXAMPLES=$${QUEUEING_TEST_EXAMPLES:-2000} $(PYTEST) --timeout 3600 $(TESTS)

test-deployment: $(VENV)/.installed-dev ## containers of stand-in images, where docker runs; and torture in its short form
	VENV=$(VENV) QUEUEING_STAND_INS=1 .ci/containers --or-not
	$(MAKE) torture SHORT=1

test-containers: $(VENV)/.installed-dev ## build the image, run the compose file, restart and kill what is in it
	VENV=$(VENV) .ci/containers

torture: $(VENV)/.installed-dev engines ## harm three nodes under load; SCENARIO=name, STORE=mongodb, SHORT=1, SECONDS=20 of each fault
	@exec $(VENV)/bin/python -m tests.torture $(if $(STORE),--store $(STORE)) $(if $(SHORT),--short) \
	  $(if $(SECONDS),--seconds $(SECONDS)) $(SCENARIO) $(ARGUMENTS)

check: $(VENV)/.installed-dev ## lint, format, types, who imports whom
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy queueing
	$(VENV)/bin/lint-imports

format: $(VENV)/.installed-dev ## put the code into shape
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

engines: ## install the engines that the tests run over: Redis; Java, which runs one for MongoDB; haproxy
	@missing=; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	command -v javac >/dev/null || missing="$$missing default-jdk-headless"; \
	command -v mvn >/dev/null || missing="$$missing maven"; \
	command -v haproxy >/dev/null || missing="$$missing haproxy"; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	  echo "The tests run over engines that are missing: apt-get install$$missing" >&2; exit 1; \
	fi; \
	echo "Installing$$missing"; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $$missing >/dev/null

lock: $(VENV)/.installed-dev ## take the newest versions that pyproject.toml allows
	$(ALSO) | $(COMPILE) --extra all --output-file requirements.lock pyproject.toml -
	$(ALSO) | $(COMPILE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml -
	sed -i.old '/^# WARNING: pip install/,/^queueing @/d' requirements.lock requirements-dev.lock  # the package itself
	rm requirements.lock.old requirements-dev.lock.old

benchmarks: $(VENV)/.installed-dev engines ## all benchmarks, some 25 minutes; writes docs/performance.md anew
	$(VENV)/bin/python benchmarks/all.py

clean: ## remove the environment and the caches, not the messages
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info

COMPILE = CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/bin/pip-compile --quiet --upgrade --generate-hashes \
	--strip-extras --allow-unsafe --no-annotate \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

# What builds the package; what redis asks for before Python 3.11.3, which a later Python does not see.
ALSO = printf 'setuptools>=77\nasync-timeout\n'

# What is installed is what the lock files say, and installed again when they change.
$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/.made
	@echo "Installing into $(VENV), once"
	@$(PIP) install --quiet --require-hashes --requirement requirements.lock
	@PYTHONWARNINGS=ignore $(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock requirements.lock pyproject.toml | $(VENV)/.made
	@echo "Installing into $(VENV), with what the tests need, once"
	@$(PIP) install --quiet --require-hashes --requirement requirements-dev.lock
	@PYTHONWARNINGS=ignore $(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.installed $@

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or later is needed, $(PYTHON) is not: apt-get install python3 python3-venv, or make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments: apt-get install python3-venv" >&2; exit 1; }
	@$(SAME_PYTHON) && $(VENV)/bin/python -m pip --version >/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@touch $@

VERSION := -c 'import platform; print(platform.python_version())'
SAME_PYTHON = [ -x $(VENV)/bin/python ] && [ "$$($(VENV)/bin/python $(VERSION))" = "$$($(PYTHON) $(VERSION))" ]

# An environment of another Python than the one asked for is made anew.
ifneq ($(origin PYTHON),file)
ifneq ($(shell $(SAME_PYTHON) && echo same),same)
$(VENV)/.made: FORCE
$(VENV)/.installed $(VENV)/.installed-dev: $(VENV)/.made
FORCE:
endif
endif
