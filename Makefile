# Everything a newcomer needs: `make demo` and `make test` set up what they use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUNS := 100
BROKER := embedded
JOBS := 2
BENCHES := transport throughput ingest shard detect latency memory scale quality joint logsignals masking suppress correlate topology

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-kafka fuzz chaos check lock bench clean

help: ## What there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | column -t -s "$$(printf '\t')"

setup: $(STAMP) ## Create .venv with everything, as locked

$(STAMP): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "tocsin needs Python 3.11 to 3.13, this is %d.%d; try make PYTHON=python3.12" % v)'
	@echo "setting up $(VENV) (a minute or two, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: setup ## Start the shop and the pipeline, break three things, see what is found
	@$(BIN)/tocsin demo $(ARGS)

test: setup ## Run the tests (embedded Kafka and ClickHouse)
	@$(BIN)/pytest -m "not kafka" -n $(JOBS) --dist loadgroup --no-loadscope-reorder $(ARGS)

test-kafka: setup ## Run the tests against a real Apache Kafka (needs Java 17 and, once, Maven)
	@$(BIN)/pytest -m kafka tests/kafka $(ARGS)

fuzz: setup ## A million damaged records a format through the ingest core, and hostile ones
	@$(BIN)/python -m tests.fuzz $(ARGS)

chaos: setup ## Break things on purpose in 100 seeded runs and count every id (BROKER=kafka, RUNS=10, ARGS="--seed 7")
	@$(BIN)/python -m tests.chaos --runs $(RUNS) --broker $(BROKER) $(ARGS)

check: setup ## Lint, types and import layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lock: setup ## Resolve the dependencies again and write requirements/*.lock
	@$(BIN)/pip install --quiet uv
	@$(BIN)/uv pip compile pyproject.toml --extra console --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-strip-extras --quiet -o requirements/base.lock
	@$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-strip-extras --quiet -o requirements/dev.lock

bench: setup ## Measure: throughput, latency, quality
	@for name in $(BENCHES); do echo "== bench.$$name"; $(BIN)/python -m bench.$$name || exit 1; done

clean: ## Remove what make made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
