# Everything a developer or a curious visitor needs. `make` alone lists it; CONTRIBUTING.md says more.

# Any Python from 3.11 on; the first that is found here.
ifndef PYTHON
PYTHON := $(firstword $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p; done))
endif
VENV ?= .venv

# Which ONNX Runtime: `server-cpu` (small), `server` (also runs on NVIDIA GPUs), `server,cuda` (with NVIDIA's libraries).
# Empty means the one that is installed, else server-cpu.
RUNTIME ?=
# Where torch comes from. Empty means a CPU build: from your own index where it has one, else from PyTorch's CPU index.
# For training on a GPU give an index with a CUDA build, such as https://pypi.org/simple.
TORCH_INDEX_URL ?=

# What `make serve` listens on, and what else its server is told.
LISTEN ?= 127.0.0.1:8001
SERVE_FLAGS ?=
# What pytest is told: make test PYTEST_FLAGS="tests/unit -x"
PYTEST_FLAGS ?=
# Pictures and result of `make train`, and what else it is told.
DATA ?=
VALIDATION ?=
CHECKPOINT ?= build/simple_cnn.safetensors
TRAIN_FLAGS ?=
# What `make bench` and `make soak` are told.
BENCH_FLAGS ?=
SOAK_FLAGS ?=
# What `make audit` is told: --where-reachable accepts that no database can be reached.
AUDIT_FLAGS ?=
# What `make fuzz` is told: FUZZ_FLAGS="infer --inputs 1000000", FUZZ_FLAGS="--engine atheris images".
FUZZ_FLAGS ?=
# Names that `make constraints` leaves at the version that they have, separated by commas.
HOLD ?=

INSTALL = $(PYTHON) tools/install.py --venv $(VENV) --runtime "$(RUNTIME)" --torch-index "$(TORCH_INDEX_URL)"
RUN = $(VENV)/bin/python -m

.DEFAULT_GOAL := help
.PHONY: help demo test test-soak test-containers lint format serve export bench fuzz soak train proto constraints sbom audit clean python install-demo install-dev install-supply

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: install-demo ## export, serve, classify real pictures and find edges, start to finish
	@$(RUN) tools.demo

test: install-dev ## run all tests
	@$(RUN) pytest $(PYTEST_FLAGS)

test-containers: install-dev ## run the stack of docker-compose.yml and call it, for real; takes minutes
	@CONVSERVE_TEST_CONTAINERS=1 $(RUN) pytest tests/e2e/containers --verbose --capture=no $(PYTEST_FLAGS)

test-soak: install-dev ## two minutes of mixed load with reloads and faults on each transport
	@CONVSERVE_TEST_SOAK=1 $(RUN) pytest tests/e2e/soak --verbose --capture=no $(PYTEST_FLAGS)

lint: install-dev ## check style, types, layers, generated code and proto
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(VENV)/bin/lint-imports
	PYTHON=$(PYTHON) tools/generate_proto.sh --check
	$(VENV)/bin/buf lint
	$(VENV)/bin/hadolint Dockerfile
	$(RUN) tools.supply.licences --check

format: install-dev ## rewrite the code in the project's style
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

serve: export ## serve artifacts/ (LISTEN=HOST:PORT, SERVE_FLAGS="--provider cpu")
	@$(RUN) convserve_server --repository artifacts --listen $(LISTEN) $(SERVE_FLAGS)

export: install-demo ## export the shipped checkpoint to artifacts/, where it is not there yet
	@$(RUN) convserve_export --out artifacts --skip-if-present

bench: install-dev ## measure convserve beside its peers, about 20 minutes (BENCH_FLAGS="--quick")
	@$(RUN) benchmarks $(BENCH_FLAGS)

fuzz: install-dev ## feed bad input to whatever parses bytes (FUZZ_FLAGS="--inputs 1000000 infer")
	@$(INSTALL) --groups fuzz
	@PYTHONPATH=tests $(RUN) fuzz $(FUZZ_FLAGS)

soak: install-dev export ## mixed load with reloads and faults, every answer checked (SOAK_FLAGS="--minutes 60")
	@$(RUN) benchmarks.soak --repository artifacts $(SOAK_FLAGS)

train: install-demo ## train a checkpoint (DATA=..., VALIDATION=..., CHECKPOINT=FILE, TRAIN_FLAGS="--epochs 5")
	@[ -n "$(DATA)" ] && [ -n "$(VALIDATION)" ] || { \
		echo "make train needs pictures: make train DATA=FOLDER_OR_NPZ VALIDATION=FOLDER_OR_NPZ" >&2; exit 2; }
	@mkdir -p "$(dir $(CHECKPOINT))"
	$(RUN) convserve_export.training --data "$(DATA)" --validation "$(VALIDATION)" --out "$(CHECKPOINT)" $(TRAIN_FLAGS)

proto: python ## generate the protobuf code from proto/
	PYTHON=$(PYTHON) tools/generate_proto.sh

constraints: install-supply ## renew all pins, hashed locks and the list of licences (HOLD=torch,onnx leaves these)
	$(RUN) tools.renew_constraints --hold "$(HOLD)"
	$(RUN) tools.supply.renew_locks
	$(RUN) tools.supply.licences

sbom: python ## write bills of materials (CycloneDX) of what we publish to build/sbom
	@$(PYTHON) -m tools.supply.sbom --out build/sbom

audit: install-supply ## look for known vulnerabilities in the locks; fails where no database answers (AUDIT_FLAGS)
	@$(RUN) tools.supply.audit $(AUDIT_FLAGS)

clean: ## remove what these targets made
	rm -rf $(VENV) .venv-proto artifacts build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

install-demo: python
	@$(INSTALL) --extras export

install-dev: python
	@$(INSTALL) --extras export,signing --groups test,lint

install-supply: python
	@$(INSTALL) --extras export,signing --groups test,lint,supply

python:
	@[ -n "$(PYTHON)" ] || { echo "convserve needs Python 3.11 or newer with its venv module; give one: make PYTHON=/path/to/python" >&2; exit 2; }
