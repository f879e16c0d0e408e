# Broker Lab. `make lab` opens it, `make test` proves it; `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
SETUP := $(PYTHON) scripts/setup.py
PY_FILES := labkit tests scripts bench notebooks
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header $(UPGRADE)

.DEFAULT_GOAL := help
.PHONY: help lab test test-containers compose-up compose-down check format bench bench-ledger bench-start guarantees patterns lessons pictures recordings lock clean

help: ## list what can be made
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 22

lab: ## set everything up, then open JupyterLab on the first lesson
	@$(SETUP)
	@exec $(BIN)/labkit lab

test: ## the same set-up plus a browser, then every test
	@$(SETUP) --test
	@exec $(BIN)/python scripts/test.py

test-containers: ## the tests on real containers: on Docker, or as root on a private engine; QUICK=--quick for less
	@$(SETUP) --test
	@exec $(BIN)/python -m tests.containers $(QUICK)

compose-up: ## the four brokers in containers; PROFILES=cluster for three nodes each
	@$(PYTHON) scripts/compose.py up $(PROFILES)

compose-down: ## end what compose-up started; its data stays (WITH=--volumes: it goes, too)
	@$(PYTHON) scripts/compose.py down $(WITH)

check: ## formatting, lint and types
	@$(SETUP) --test --python-only
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/mypy --strict scripts
	$(BIN)/mypy --strict labkit/exports/*.py

format: ## mend formatting and what lint can mend
	@$(SETUP) --test --python-only
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: ## the lab's channels beside the raw clients and FastStream; BENCH="nats --quick" for less
	@$(SETUP) --bench
	@exec $(BIN)/labkit bench $(BENCH)

bench-start: ## each broker's time to ready, beside the bare program's
	@$(SETUP)
	@exec $(BIN)/python bench/start.py

bench-ledger: ## what the account of ten million messages costs, in bytes and in time
	@$(SETUP)
	@exec $(BIN)/python bench/ledger.py

guarantees: ## write what channels promise into README.md and docs, from the claims that are tested
	@$(SETUP)
	@exec $(BIN)/python scripts/guarantees.py

patterns: ## run every pattern on every broker, and write README's table of them
	@$(SETUP) --test
	@exec $(BIN)/python scripts/patterns.py --write

lessons: ## derive the learner's notebooks from their solutions
	@$(SETUP) --test
	@exec $(BIN)/python -m labkit.lessons.derive

pictures: ## take the README's pictures anew, from the real lab in a real browser
	@$(SETUP) --test
	$(BIN)/python -m pytest tests/browser/test_lessons.py -k 01_publish_subscribe
	mkdir -p docs/pictures
	cp build/pictures/01_publish_subscribe-light.png docs/pictures/publish_subscribe_light.png
	cp build/pictures/01_publish_subscribe-dark.png docs/pictures/publish_subscribe_dark.png

recordings: ## take docs/recordings and docs/look.html anew, from a real run on real brokers
	@$(SETUP)
	@exec $(BIN)/python scripts/recordings.py

lock: ## pin again what pyproject.toml asks for; UPGRADE=--upgrade for the newest
	@$(SETUP) --python-only
	$(COMPILE) --extra test pyproject.toml -o requirements-test.lock
	$(COMPILE) --extra all -c requirements-test.lock pyproject.toml -o requirements.lock
	$(COMPILE) --extra bench -c requirements-test.lock pyproject.toml -o requirements-bench.lock
	$(COMPILE) --group setup -c requirements-test.lock -o requirements-setup.lock

clean: ## remove .venv, caches and what builds made; the brokers' programs stay
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name .ipynb_checkpoints -prune -exec rm -rf {} +
	find . -name __pycache__ -prune -exec rm -rf {} +
