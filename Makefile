# Every target sets itself up: `make test` works on a fresh Debian or Ubuntu.
# `make test ARGS="-k relay"` passes arguments on.

BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench bench-floods bench-link bench-relay

help: ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

demo: $(READY) ## Bring up two sites, exchange keys, show each step
	$(BIN)/keyhop demo $(ARGS)

test: $(READY) ## Run the tests
	tools/test $(ARGS)

lint: $(READY) ## Check style, types and the import rule
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Rewrite the sources in the house style
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(READY) ## Measure key delivery over ETSI 014 against nginx
	$(BIN)/python bench/etsi014.py $(ARGS)

bench-floods: $(READY) ## Measure what an honest SAE notices of floods
	$(BIN)/python bench/floods.py $(ARGS)

bench-link: $(READY) ## Measure BB84 links, part by part and as a whole
	$(BIN)/python bench/link.py $(ARGS)

bench-relay: $(READY) ## Measure relay: over hops, on demand over an ocean, altered messages, a city
	$(BIN)/python bench/relay.py $(ARGS)

$(READY): pyproject.toml constraints.txt .python-version tools/setup
	tools/setup
	@touch $@
