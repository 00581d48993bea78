# The first Python that is new enough and can make a virtual environment; another one: make demo PYTHON=/path/to/python
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-train test-servers test-clients lint lint-deploy bench reference published-curves docs clean

demo: $(VENV)/.installed
	@$(BIN)/steproute demo

test: $(VENV)/.dev
	$(BIN)/pytest -n auto --dist worksteal

test-train: $(VENV)/.learn
	$(BIN)/pytest -n auto --dist worksteal -m "training and not long"

test-servers: $(VENV)/.learn
	tests/servers/install_vllm.sh
	tests/servers/install_llama_cpp.sh $(BIN)/python
	$(BIN)/pytest -m servers tests/servers

test-clients: $(VENV)/.dev
	tests/serve/clients/install.sh
	$(BIN)/pytest -m clients tests/serve/clients

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lint-deploy: $(VENV)/.deploy
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/kubernetes-validate --strict --quiet deploy/kubernetes/*.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/lab_throughput.py
	$(BIN)/python benchmarks/plan_speed.py
	$(BIN)/python benchmarks/engine_overhead.py
	$(BIN)/python benchmarks/latency.py --seeds 1

reference: $(VENV)/.installed
	$(BIN)/python docs/steproute_toml.py
	$(BIN)/python docs/cli_reference.py

published-curves: $(VENV)/.installed
	$(BIN)/python docs/published_curves.py

# The variable silences a notice about MkDocs 2, which the extra excludes.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with venv is on the path. Install one, or name it:" \
	"make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/.installed

$(VENV)/.learn: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,learn,prm,agents]'
	touch $@ $(VENV)/.dev $(VENV)/.installed

$(VENV)/.bench: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@ $(VENV)/.installed

$(VENV)/.deploy: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[deploy]'
	touch $@ $(VENV)/.installed

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache .hypothesis
