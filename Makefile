# Each target sets up what it needs in the virtual environment .venv, and changes nothing outside of it.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
WORKERS ?= 2
SHARE ?= 1
SEED ?= 0

.PHONY: demo test test-slow campaign lint bench clinic clinic-torch clinic-fresh clinic-healthy clinic-injected clinic-learns docs suite tables torch clean

demo: $(VENV)/.installed
	$(BIN)/thalweg train digits

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) -rs --durations 25

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow -n $(WORKERS) --dist loadfile -rs --durations 25

# Attacks and accidents by the hundred; SHARE=0.1 SEED=7 draws a tenth of them. All of them take about an hour.
campaign: $(VENV)/.dev
	$(BIN)/python tests/campaign/run.py --share $(SHARE) --seed $(SEED) --workers $(WORKERS)

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@if command -v npx > /dev/null; then npx --yes --package typescript@5 -- tsc --project .; \
	else echo "The JavaScript of the playground is not checked: Node is missing."; fi

bench: $(VENV)/.torch
	$(BIN)/python benchmarks/training_speed.py --json benchmarks/latest.json
	$(BIN)/python benchmarks/streaming.py
	$(BIN)/python benchmarks/streaming.py --table 10000000
	$(BIN)/python benchmarks/probes.py
	$(BIN)/python benchmarks/watching.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/populations.py
	$(BIN)/python benchmarks/estimators.py
	$(BIN)/python benchmarks/tables.py
	$(BIN)/python benchmarks/first_answer.py
	$(BIN)/python benchmarks/playground.py

# Untuned estimators on public tables, in hours; a run that was stopped goes on where it was.
suite: $(VENV)/.torch
	$(PIP) --editable ".[suite]" torch==2.13.0
	$(BIN)/python benchmarks/suite.py $(SUITE)

# Measure which cases of clinic/ (faulty programs, corrections, healthy networks) learn. Takes minutes.
clinic-learns: $(VENV)/.installed
	$(BIN)/python clinic/learns.py

# Train the healthy runs: half of them define what is normal for the doctor, the others count its false alarms.
clinic-healthy: $(VENV)/.installed
	$(BIN)/python clinic/healthy.py

# Train healthy specs with faults put into them.
clinic-injected: $(VENV)/.installed
	$(BIN)/python clinic/injected.py

# Diagnose all these runs, and write the scorecard.
clinic: $(VENV)/.installed
	$(BIN)/python clinic/scorecard.py

# Train the faults and healthy specs that no rule of the doctor was made from, and diagnose those that count.
clinic-fresh: $(VENV)/.installed
	$(BIN)/python clinic/fresh_counts.py
	$(BIN)/python clinic/fresh_scorecard.py --confirm

# Watch the PyTorch programs of ../shared/torch-cases and of clinic/torch_ward, and diagnose them; prove repairs of
# those that clinic/torch_repairs.json does not have.
clinic-torch: $(VENV)/.torch
	$(BIN)/python clinic/torch_scorecard.py --seeds 3
	$(BIN)/python clinic/torch_repairs.py

# The tables in docs/ that are generated from the code.
tables: $(VENV)/.dev
	$(BIN)/python docs/write_layout.py
	$(BIN)/python docs/write_parts.py
	$(BIN)/python docs/write_tables.py
	$(BIN)/python docs/write_learning.py
	$(BIN)/python docs/write_shell.py

# The documentation, without a network connection: open site/index.html.
docs: $(VENV)/.dev
	$(BIN)/python -m sphinx -W --keep-going -q docs site
	$(BIN)/thalweg lesson --all --out site/lessons
	$(BIN)/python docs/check_site.py

# PyTorch is the oracle of some tests and part of the benchmarks, and is watched. This version has a build without CUDA.
# The libraries built on it come after it: else they would bring a build of their own.
torch: $(VENV)/.torch

clean:
	rm -rf $(VENV) site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Thalweg needs Python 3.11 or later; make PYTHON=python3.12 demo, say")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) --editable ".[dev]"
	touch $@

$(VENV)/.torch: $(VENV)/.dev
	$(PIP) torch==2.13.0
	$(PIP) --editable ".[frameworks]" torch==2.13.0
	touch $@
