# The first target that needs something sets it up. If pyproject.toml changes, it is set up again.
# This needs GNU make and Python >= 3.11:
#
#     make PYTHON=python3.12 test
#
# Add VENV=.venv-3.12 to keep an environment for each version of Python.

PYTHON ?= python3
VENV ?= .venv
BIND ?= 127.0.0.1:8000
ARGS =

PIP := $(VENV)/bin/python -m pip --quiet --disable-pip-version-check

# The stamps have the name of the Python, so that another Python makes a new environment.
MADE := $(VENV)/.made-with-$(subst /,-,$(PYTHON))
FOR_USE := $(VENV)/.installed
FOR_WORK := $(VENV)/.installed-dev
FOR_BENCH := $(VENV)/.installed-bench

# The tests use several clients. One of them is Node's ws. Without npm, its tests are skipped.
NODE := tests/server/clients/node
FOR_NODE := $(NODE)/node_modules/.package-lock.json
FOR_TESTS := $(if $(shell command -v npm 2>/dev/null),$(FOR_NODE))

# What Hypothesis makes, and many connections.
MANY := tests/exchange/test_promise.py tests/exchange/test_promise_of_routes.py \
	tests/testing/test_crowd.py tests/protocol tests/routing \
	tests/transports/test_stream_whole_frames.py tests/injection/test_params_hostile.py \
	tests/schedules/test_everywhere.py

# Three processes run the tests, also on two cores, because many tests wait for a server that they
# have started. The tests of a file run in the same process, because they share servers. The files
# begin in the order of tests/conftest.py, the longest ones first. If a test hangs and ends its
# process, no other one is started, because it would run the same test again.
SIDE_BY_SIDE := --numprocesses=3 --dist=loadfile --no-loadscope-reorder --max-worker-restart=0

FOR_COMPLIANCE := $(VENV)/.installed-compliance

# The environment with the oldest dependencies that pyproject.toml allows.
LOWEST := $(VENV)-lowest
FOR_LOWEST := $(LOWEST)/.installed-with-$(subst /,-,$(PYTHON))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-lowest lint types imports pytest coverage thorough schedules node format docs bench compliance fuzz soak restart-test clean

help:  ## Show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 19

demo: $(FOR_USE)  ## Serve examples/chat.py (BIND=127.0.0.1:8000)
	@echo "The chat is at http://$(BIND) - stop it with Ctrl+C"
	@$(VENV)/bin/triows run examples.chat:app --bind $(BIND)

# These run one after the other, even with -j, so that the first failure is printed last.
test: $(FOR_WORK)  ## Run all checks: style, types, imports, tests
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory imports
	@$(MAKE) --no-print-directory pytest

lint: $(FOR_WORK)  ## Check style and format
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check

types: $(FOR_WORK)  ## Check types
	$(VENV)/bin/mypy triows pytest_triows.py _triows_schedules $(wildcard tests/typing)

imports: $(FOR_WORK)  ## Check that imports point one way
	$(VENV)/bin/lint-imports --no-logo

pytest: $(FOR_WORK) $(FOR_TESTS)  ## Run the tests (ARGS="-k routing": some of them, in one process)
	$(VENV)/bin/python -m pytest $(or $(strip $(ARGS)),$(SIDE_BY_SIDE) $(if $(CI),--verbose))

coverage: $(FOR_WORK) $(FOR_TESTS)  ## Run the tests, and say which lines none of them has run
	$(VENV)/bin/coverage erase
	$(VENV)/bin/coverage run -m pytest $(SIDE_BY_SIDE)
	$(VENV)/bin/coverage combine --quiet
	$(VENV)/bin/coverage report

test-lowest: $(FOR_LOWEST) $(FOR_TESTS)  ## Run the tests with the oldest dependencies allowed
	$(LOWEST)/bin/python -m pytest $(or $(strip $(ARGS)),$(SIDE_BY_SIDE))

thorough: $(FOR_WORK)  ## Try ten times as much in the tests that make up what they try
	TRIOWS_TEST_SCALE=10 $(VENV)/bin/python -m pytest $(or $(ARGS),$(MANY))

schedules: $(FOR_WORK)  ## Run each test under 300 schedules, and go on where it stopped (hours)
	$(VENV)/bin/python -m tests.schedules.campaign $(ARGS)

node: $(FOR_NODE)  ## Install Node's WebSocket client for the tests

format: $(FOR_WORK)  ## Sort imports, fix what can be fixed, format
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

docs: $(FOR_WORK)  ## Update the reference and the printed messages in the docs from the code
	@$(VENV)/bin/python docs/build.py

bench: $(FOR_BENCH)  ## Compare the speed with other servers (ARGS="echo --servers triows,lihil": some)
	@$(VENV)/bin/python -m benchmarks $(or $(strip $(ARGS)),all)

compliance: $(FOR_COMPLIANCE)  ## Run Autobahn|Testsuite (ARGS="'7.*' 9.1.1": some)
	$(VENV)/bin/python -m trials.compliance $(ARGS)

fuzz: $(FOR_WORK)  ## Send garbage to a server (ARGS="frames --seconds 10")
	$(VENV)/bin/python -m trials.fuzz $(ARGS)

soak: $(FOR_WORK)  ## Look for memory leaks (ARGS="cycles --scale 0.1")
	$(VENV)/bin/python -m trials.soak $(ARGS)

restart-test: $(FOR_WORK)  ## Restart servers behind proxies (ARGS="nginx haproxy --restarts 5")
	$(VENV)/bin/python -m trials.restart $(ARGS)

clean:  ## Remove the environment, builds and caches
	rm -rf $(VENV) $(VENV)-* build dist htmlcov .coverage .coverage.* .hypothesis
	rm -rf $(NODE)/node_modules
	rm -rf .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(MADE):
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("triows needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	@echo "Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(FOR_USE): $(MADE) pyproject.toml
	@echo "Installing triows into $(VENV)"
	@$(PIP) install --editable .
	@touch $@

$(FOR_WORK): $(MADE) pyproject.toml
	@echo "Installing triows and its tools into $(VENV)"
	@$(PIP) install --editable '.[dev]'
	@touch $(FOR_USE) $@

$(FOR_BENCH): $(FOR_WORK)
	@echo "Installing the other servers of the benchmarks into $(VENV)"
	@$(PIP) install --editable '.[dev,bench]'
	@touch $@

$(FOR_LOWEST): $(FOR_WORK) pyproject.toml
	@echo "Installing triows with its oldest dependencies into $(LOWEST)"
	@$(PYTHON) -m venv --clear $(LOWEST)
	@$(VENV)/bin/uv pip install --quiet --python $(LOWEST)/bin/python \
		--resolution lowest-direct --editable '.[suite]'
	@touch $@

# If this fails, run the tests anyway. They say what they skip.
$(FOR_NODE): $(NODE)/package.json $(NODE)/package-lock.json
	@echo "Installing Node's ws for the tests"
	@npm ci --prefix $(NODE) --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=1 \
		&& touch $@ || echo "WARNING: it could not be installed; its tests will be SKIPPED" >&2

$(FOR_COMPLIANCE): $(MADE) pyproject.toml
	@echo "Installing triows, its tools and Autobahn|Testsuite's cases into $(VENV)"
	@$(PIP) install --editable '.[dev,compliance]'
	@touch $(FOR_USE) $(FOR_WORK) $@
