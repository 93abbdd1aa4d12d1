PYTHON ?= python3
VENV ?= .venv
# What `make rig` measures with: a directory with SeqGPT-560M, or tiny.
MODEL ?= models/seqgpt-560m
# The machine it is held against; `make rig MODEL=tiny RIG=none` rehearses the whole protocol anywhere.
RIG ?= dual-4090
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# What runs on cards does so in the active conda environment where the lab is installed there, as environment.yml does it: flash-attn
# comes with that one, not with `make setup`. A VENV that is given comes first.
LAB_IN_CONDA := $(if $(filter file,$(origin VENV)),$(if $(CONDA_PREFIX),$(wildcard $(CONDA_PREFIX)/bin/seqgpt-lab)))
CUDA_BIN := $(if $(LAB_IN_CONDA),$(CONDA_PREFIX)/bin,$(BIN))
SETUP_FOR_CUDA := $(if $(LAB_IN_CONDA),,setup)
# Those that git tracks: what a user makes beside them is his own. All where there is no git.
NOTEBOOKS = $(or $(wildcard $(shell git ls-files 'notebooks/*.ipynb' 2>/dev/null)),$(wildcard notebooks/*.ipynb))
# Files that are named are checked although their kind is left out; the rest is as in pyproject.toml.
CHECKED = --config 'extend-exclude = ["data", "*.ipynb"]' . $(NOTEBOOKS)

.DEFAULT_GOAL := help
.PHONY: help rig setup run test lint format hooks test-gpu lab clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv and install the lab into it (only when pyproject.toml or constraints.txt changed)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Python 3.11 or newer is needed, this is %d.%d: make PYTHON=/path/to/python3.11" % v[:2])'
	@echo "Installing into $(VENV) (the first time takes a few minutes)" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[lab,serve,peers,test]'
	@touch $@

run: setup ## Run the evaluation notebook on the embedded model and print the report's path
	@$(BIN)/seqgpt-lab run notebooks/06_evaluation.ipynb

test: lint ## Lint, then run all tests that need no GPU: several processes of one thread each, then those that need a calmer machine, browsers beside the others
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile -m 'not gpu and not full and not calm'
	@$(BIN)/pytest -n 2 --dist loadgroup -m 'calm and not gpu and not full'

lint: setup ## Check style, types, floors of the package, and that notebooks hold no output
	@$(BIN)/ruff check --quiet --output-format concise $(CHECKED)
	@$(BIN)/ruff format --check --quiet $(CHECKED)
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(if $(NOTEBOOKS),$(BIN)/nbstripout --verify $(NOTEBOOKS))

format: setup ## Mend what ruff and nbstripout can mend
	@$(BIN)/ruff check --fix --quiet $(CHECKED)
	@$(BIN)/ruff format --quiet $(CHECKED)
	@$(if $(NOTEBOOKS),$(BIN)/nbstripout $(NOTEBOOKS))

hooks: setup ## Have git check every commit
	@$(BIN)/pre-commit install

test-gpu: $(SETUP_FOR_CUDA) ## Run the tests that need a CUDA device
	@$(CUDA_BIN)/pytest -m gpu

rig: $(SETUP_FOR_CUDA) ## On the rig with two RTX 4090: check it, test, calibrate, measure, and fill the table of claims
	@echo "Measuring with $(CUDA_BIN)" >&2
	@$(CUDA_BIN)/seqgpt-lab doctor --rig $(RIG)
	@$(CUDA_BIN)/pytest -m gpu
	@mkdir -p runs && $(CUDA_BIN)/seqgpt-lab doctor --rig $(RIG) --json > runs/this-rig.json && $(CUDA_BIN)/seqgpt-lab calibrate runs/this-rig.yaml
	@set -e; lab="$(CUDA_BIN)/seqgpt-lab run"; model="$(if $(wildcard $(MODEL)),$(abspath $(MODEL)),$(MODEL))"; found="\"$(CURDIR)/runs/this-rig.json\""; \
	measure() { page=$$($$lab "$$@" -p model "$$model"); echo "$$page"; found="$$found, \"$$(realpath "$$(dirname "$$page")")\""; }; \
	measure notebooks/04_batch_length.ipynb; \
	measure notebooks/08_precision_and_parallel.ipynb; \
	measure notebooks/02_label_phrasing.ipynb; \
	measure notebooks/02_label_phrasing.ipynb -p kind resume -p wordings '["邮箱", "邮箱->email"]' -p budget 40; \
	measure notebooks/03_preprocessing.ipynb -p limit 0; \
	measure notebooks/09_long_documents.ipynb -p length 10000 -p max_lengths '[256, 1024]' -p overlaps '[64]'; \
	$$lab notebooks/05_rig_planner.ipynb -p rigs '["dual-4090", "$(CURDIR)/runs/this-rig.yaml"]' -p check_model "$$model"; \
	$$lab notebooks/07_claims.ipynb -p model "$$model" -p runs "[$$found]"

lab: setup ## Open JupyterLab on the notebooks
	@$(BIN)/jupyter lab notebooks

clean: ## Remove .venv, builds and caches (runs/ is kept)
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find seqgpt_lab tests notebooks -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf
