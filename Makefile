# Everything a person or CI does here is a target; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
PY := $(BIN)/python
PROTOS := proto/fibonacci/fib.proto proto/stats/stats.proto
PROTOC = PATH="$$PWD/$(BIN):$$PATH" $(PY) -m grpc_tools.protoc -Iservice_kit/pb=proto \
	-I"$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" $(PROTOS)
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade
INSTALL := $(BIN)/uv pip install --quiet --python $(PY) --require-hashes
EDITABLE := $(BIN)/uv pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .

.PHONY: help run certs test test-all check bench bench-sizes bench-soak proto openapi lock format clean
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

run: .venv/.runtime ## Start the three services; Ctrl-C ends them
	@exec $(PY) -m deploy.local.run

certs: .venv/.development ## Make certificates for development in certs/, and certs/tls.env that uses them
	@$(PY) -m deploy.local.certificates certs

test: .venv/.development ## Unit, contract and one pass over the real processes
	$(PY) -m pytest -m "not slow"

test-all: test ## Everything: also faults, fuzz, load, containers
	$(PY) -m pytest -m slow

check: .venv/.development .cache/googleapis ## Formatting, lint, types, layers, contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(PY) -m mypy
	$(PY) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"
	@$(MAKE) --no-print-directory check-generated
	$(BIN)/buf lint
	$(BIN)/buf build --output .cache/contract.binpb
	$(BIN)/buf breaking .cache/contract.binpb --against docs/contract-released.json

.PHONY: check-generated
check-generated: # The generated code, the OpenAPI document and the lock say what their sources say
	@rm -rf .cache/generated && mkdir -p .cache/generated
	@$(PROTOC) --python_out=.cache/generated --grpc_python_out=.cache/generated \
		--mypy_out=quiet:.cache/generated --mypy_grpc_out=quiet:.cache/generated
	@diff -r -x __init__.py -x __pycache__ service_kit/pb .cache/generated/service_kit/pb \
		|| { echo "the generated code is not current: run 'make proto'"; exit 1; }
	@$(PY) -m api_gateway.openapi | diff docs/openapi.json - \
		|| { echo "docs/openapi.json is not current: run 'make openapi'"; exit 1; }

bench: .venv/.development ## Speed and memory beside what does less, counted exactly (needs h2load)
	$(PY) -m bench

bench-sizes: .venv/.development ## Numbers of any size beside the bare library
	$(PY) -m bench sizes

bench-soak: .venv/.development ## Memory over five minutes of load
	$(PY) -m bench soak

proto: .venv/.development ## Generate service_kit/pb from proto/
	$(PROTOC) --python_out=. --grpc_python_out=. --mypy_out=quiet:. --mypy_grpc_out=quiet:.

openapi: .venv/.development ## Write docs/openapi.json
	$(PY) -m api_gateway.openapi > docs/openapi.json

lock: .venv/.installer ## Resolve the dependencies anew into requirements/
	echo uv | $(COMPILE) - --output-file requirements/installer.txt
	$(COMPILE) pyproject.toml --extra run --output-file requirements/runtime.txt
	$(COMPILE) pyproject.toml --extra run --extra development --constraint requirements/runtime.txt \
		--output-file requirements/development.txt

format: .venv/.development ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove what the other targets made, but no data
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/.installer: requirements/installer.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/installer.txt
	@touch $@

.venv/.runtime: .venv/.installer requirements/runtime.txt pyproject.toml
	$(INSTALL) -r requirements/runtime.txt
	$(EDITABLE)
	@touch $@

.venv/.development: .venv/.installer requirements/development.txt pyproject.toml
	$(INSTALL) -r requirements/development.txt
	$(EDITABLE)
	@touch .venv/.runtime $@

.cache/googleapis: .venv/.development
	@mkdir -p $@/google/rpc
	@cp "$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/google/rpc/status.proto" $@/google/rpc/
	@touch $@
