# Needs Python 3.11 to 3.13, git and make; everything else goes into .venv, from hashed locks.
PYTHON ?= python3
UV_VERSION := $(shell sed -n 's/^ARG UV_VERSION=//p' components/Dockerfile)
IMAGE ?= setlist:latest
BASE ?=

BIN := .venv/bin

# uv does not read pip's configuration: an index or a certificate that only pip knows is handed on.
pip_setting = $(shell $(BIN)/pip config list | sed -n "s/^.*\.$(1)='\(.*\)'$$/\1/p" | head -n 1)
UV = UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$(call pip_setting,index-url)}" \
     SSL_CERT_FILE="$${SSL_CERT_FILE:-$(call pip_setting,cert)}" $(BIN)/uv
INSTALL = $(UV) pip install --quiet --python $(BIN)/python --no-deps

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: .venv/.installed-run ## Run the whole pipeline here, on the bundled sample
	$(BIN)/setlist run

.PHONY: install
install: .venv/.installed-run ## Install setlist into .venv, and run nothing

.PHONY: test
test: check .venv-spark/.installed ## Check the formatting, lint, types and imports, then run the tests
	$(BIN)/pytest -n auto --dist loadfile

.PHONY: check
check: .venv/.installed-dev ## Check the formatting, lint, types and imports only
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: docs
docs: .venv/.installed-dev ## Build the documentation site into build/docs; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: coverage
coverage: .venv/.installed-dev ## Run the tests and show which lines they reach, those of started processes included
	$(BIN)/pytest -n auto --dist loadfile --cov --cov-report=term:skip-covered

# The libraries to compare with need another numpy, and live in an environment of their own.
.PHONY: benchmark
benchmark: .venv/.installed-dev .venv-peers/.installed ## Measure speed and quality beside other libraries, and the gate itself (two hours)
	$(BIN)/python tests/benchmarks/metrics.py --peers .venv-peers/bin/python
	PEERS_PYTHON=.venv-peers/bin/python $(BIN)/python tests/benchmarks/retrieval.py
	$(BIN)/python tests/benchmarks/evaluation.py
	$(BIN)/python tests/benchmarks/resampling.py
	$(MAKE) compare
	$(BIN)/python tests/benchmarks/cold_start.py
	$(BIN)/python tests/benchmarks/warm_start.py
	$(BIN)/python tests/benchmarks/training_size.py 30_000x41_000x810_000 50_000x32_000x730_000 70_000x25_000x650_000
	$(BIN)/python tests/benchmarks/size.py 1_000_000 10_000_000
	$(BIN)/python tests/benchmarks/gate.py
	$(MAKE) field
	.venv-peers/bin/python tests/benchmarks/plot_gate.py build/gate/results.json docs/pictures/gate-power.svg

.PHONY: compare
compare: .venv/.installed-dev ## Hold the two-tower against rules and learners on six tables (40 minutes)
	$(BIN)/python tests/benchmarks/models.py

.PHONY: field
field: .venv/.installed-dev .venv-peers/.installed .venv-tfma/.installed .venv-evidently/.installed ## Run the same lists through TFMA, RecTools, Evidently and setlist (20 minutes)
	$(BIN)/python -m tests.benchmarks.field

.PHONY: format
format: .venv/.installed-dev ## Format the code and mend what the linter can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: compile
compile: .venv/.installed-run ## Compile the pipelines to manifests/
	$(BIN)/setlist compile --set store=gs://your-bucket/setlist
	$(BIN)/setlist compile --pipeline monitoring --set store=gs://your-bucket/setlist \
	  --set monitoring.log=gs://your-bucket/served

.PHONY: image
image: .venv/.installed-run ## Build the image that every step runs in (IMAGE=name, BASE=another Python base)
	$(BIN)/setlist image build $(IMAGE) $(if $(BASE),--base $(BASE))

# Pins that still fit are kept; remove a lock to renew all of its pins.
.PHONY: lock
lock: .venv/.uv-$(UV_VERSION) ## Bring all locks in line with pyproject.toml
	@$(COMPILE_LOCK) -o requirements-base.lock pyproject.toml
	@$(COMPILE_LOCK) -o requirements.lock -c requirements-base.lock --extra train --extra kubeflow --extra serve --extra bigquery --extra spark --extra sign --group build pyproject.toml
	@$(COMPILE_LOCK) -o requirements-all.lock --extra all --group build -c requirements.lock pyproject.toml
	@$(COMPILE_LOCK) -o requirements-dev.lock --extra all --group build --group dev --group docs -c requirements-all.lock pyproject.toml
	@$(COMPILE_LOCK) -o requirements-spark.lock -c requirements-base.lock requirements-spark.in
	@$(COMPILE_LOCK) -o requirements-peers.lock requirements-peers.in
	@$(COMPILE_LOCK) -o requirements-tfma.lock requirements-tfma.in
	@$(COMPILE_LOCK) -o requirements-evidently.lock requirements-evidently.in
COMPILE_LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
               --custom-compile-command 'make lock'

.PHONY: clean
clean: ## Remove .venv and all caches; runs and the model store in .setlist stay
	rm -rf .venv .venv-peers .venv-spark .venv-tfma .venv-evidently build dist .*_cache .hypothesis
	find components pipelines tests -name __pycache__ -exec rm -rf {} +

.venv/.uv-$(UV_VERSION):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "setlist needs Python 3.11, 3.12 or 3.13, which $(PYTHON) is not: name another, as in 'make PYTHON=python3.12'." >&2; \
	  exit 1; }
	$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

# The project itself is installed editable, built with the hatchling that the lock names. The image
# has requirements.lock, which lacks the dashboard.
.venv/.installed-run: requirements-all.lock
.venv/.installed-dev: requirements-dev.lock
.venv/.installed-run .venv/.installed-dev: LOCK = $(filter %.lock,$^)
.venv/.installed-run .venv/.installed-dev: pyproject.toml .venv/.uv-$(UV_VERSION)
	@echo "Installing $(LOCK) into .venv; the first time takes a minute."
	@$(INSTALL) --require-hashes --build-constraints $(LOCK) --compile-bytecode -r $(LOCK)
	@$(INSTALL) --no-build-isolation --offline --editable .
	@touch $@

.venv-peers/.installed .venv-spark/.installed .venv-tfma/.installed .venv-evidently/.installed: .venv-%/.installed: requirements-%.lock .venv/.uv-$(UV_VERSION)
	$(PYTHON) -m venv .venv-$*
	@$(UV) pip install --quiet --python .venv-$*/bin/python --require-hashes -r requirements-$*.lock
	@touch $@
