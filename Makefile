# Every target sets the environment up by itself when it is missing. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

BACKBONE ?= minilm-l6
OBJECTIVE ?= margin-mse
DATASET ?= demo
OUTPUT ?= models/$(BACKBONE)-$(OBJECTIVE)
MODEL ?= $(OUTPUT)
STUDY ?= results/demo

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint typecheck train evaluate report bench paper clean FORCE

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

setup: $(READY)  ## make the environment in .venv, pinned by constraints.txt

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "error: expected Python 3.11 or newer, found " + sys.version.split()[0] + "; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)  ## train and compare the study's six objectives on the built-in collection: offline, minutes
	$(BIN)/cedistill run results/demo

test: $(READY)  ## run all tests that need no GPU (CEDISTILL_DATA=FOLDER adds those on real data)
	$(BIN)/pytest -m 'not gpu' -n auto --maxprocesses 4 --dist worksteal

lint: $(READY)  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(READY)  ## check types
	$(BIN)/mypy

train: $(READY)  ## train one model: BACKBONE= OBJECTIVE= OUTPUT= ARGS='--dataset … --candidates … --teacher …'
	$(BIN)/cedistill train --backbone $(BACKBONE) --objective $(OBJECTIVE) --output $(OUTPUT) $(ARGS)

evaluate: $(READY)  ## re-rank and measure a model: MODEL= DATASET= ARGS='--candidates … --depth …'
	$(BIN)/cedistill evaluate $(MODEL) --dataset $(DATASET) --output $(MODEL)/evaluation $(ARGS)

report: $(READY)  ## write a study's tables from the figures that are there: STUDY=
	$(BIN)/cedistill report $(STUDY)

bench: $(READY)  ## measure scoring speed beside sentence-transformers on this machine
	$(BIN)/python benchmarks/speed/scoring.py

paper: $(READY)  ## the 162 runs of the study, as many as are left; one: make results/paper/BACKBONE/OBJECTIVE
	$(BIN)/cedistill run results/paper $(ARGS)

# One backbone under one objective of any study, all its seeds: make results/paper/minilm-l12/margin-mse
results/%: $(READY) FORCE
	$(BIN)/cedistill run results/$(word 1,$(subst /, ,$*)) --only '$(word 2,$(subst /, ,$*))/$(word 3,$(subst /, ,$*))/*' $(ARGS)

clean:  ## remove the environment, caches and build outputs (results stay)
	rm -rf $(VENV) dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
