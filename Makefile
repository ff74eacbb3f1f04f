# Everything starts here: `make demo` to see it run, `make test` to prove it, `make help` for the rest.

PYTHON ?= $(firstword $(wildcard /usr/bin/python3.11) python3.11)
VENV := .venv
BIN := $(VENV)/bin
RUNTIME_TOOLS := bwrap redis-server setpriv nsenter nft slirp4netns
BENCH_TOOLS := $(RUNTIME_TOOLS) wrk /usr/lib/postgresql/15/bin/postgres
TEST_TOOLS := $(RUNTIME_TOOLS) curl ip /usr/lib/postgresql/15/bin/postgres

.PHONY: help setup setup-test demo dev test chaos proof test-v2 test-aarch64 runtime lint types bench lock \
	env-example openapi clean

help: ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Install what is missing: Debian packages, then .venv from the locked requirements
	@deploy/setup.sh $(PYTHON) $(RUNTIME_TOOLS)

setup-test: ## The same, with what only the tests need
	@deploy/setup.sh $(PYTHON) $(TEST_TOOLS)

demo: setup ## Start the platform, watch a strategy crash, come back and stop
	@deploy/isolated.sh $(BIN)/python deploy/demo.py

dev: setup ## The whole platform in the foreground
	@deploy/isolated.sh $(BIN)/sequence dev

test: setup-test lint types ## Lint, types, and every test
	@deploy/isolated.sh --root $(BIN)/pytest -n 2 --dist loadfile

chaos: setup-test ## Kill, stop and cut off every part at random: SECONDS=600 SEED=1 LEASE_SECS=15
	@deploy/isolated.sh --root env CHAOS_SECONDS=$(or $(SECONDS),600) CHAOS_SEED=$(SEED) \
		CHAOS_LEASE_SECS=$(or $(LEASE_SECS),15) $(BIN)/pytest -s tests/chaos

proof: setup-test ## A minute of 32 clients at the same names, 10,000 mutated bodies: SEED=1
	@env PROOF_WHOLE=1 PROOF_SEED=$(SEED) $(BIN)/pytest -s tests/proof

lint: ## Style, by ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: ## Types, by mypy --strict
	@$(BIN)/mypy

runtime: setup ## Build a root file system for RUNTIME_ROOTFS in .build/runtime (as root)
	@deploy/runtime/build.sh .build/runtime
	@$(BIN)/python deploy/runtime/trial.py .build/runtime

test-v2: setup ## The sandbox's tests in a virtual machine with control groups v2 (as root)
	@deploy/v2/test.sh x86_64 $(BIN)/python .build/v2 $(TESTS)

test-aarch64: setup ## A sample of them on an aarch64 machine, system calls above all (as root)
	@deploy/v2/test.sh aarch64 $(BIN)/python .build/aarch64 $(TESTS)

bench: ## Measure what the README promises
	@deploy/setup.sh $(PYTHON) $(BENCH_TOOLS)
	@deploy/isolated.sh $(BIN)/python -m benchmarks

lock: ## Resolve the requirements anew, with hashes and without any address (needs uv)
	@uv pip compile pyproject.toml --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --upgrade -q -o requirements.txt
	@uv pip compile pyproject.toml --extra dev -c requirements.txt --generate-hashes \
		--no-emit-index-url --no-header --python-version 3.11 -q -o requirements-dev.txt
	@uv pip compile pyproject.toml --extra ccxt -c requirements-dev.txt --generate-hashes \
		--no-emit-index-url --no-header --python-version 3.11 -q -o requirements-ccxt.txt

openapi: ## Write docs/openapi.json anew from the routes
	@$(BIN)/python -m app.openapi > docs/openapi.json

env-example: ## Write .env.example anew from app/settings.py
	@$(BIN)/python -m app.settings > .env.example

clean: ## Remove what setup and tests made
	rm -rf $(VENV) .build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
