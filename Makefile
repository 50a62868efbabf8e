# Everything from a fresh clone: each target sets up what it needs first, and a second run goes straight to work.
# Needs Python 3.11 or newer, git and make; PYTHON=/path/to/python3.12 chooses another interpreter than python3.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# One stamp an interpreter, so that another PYTHON makes the environment anew.
STAMP := $(VENV)/.ready$(subst /,-,$(PYTHON))
PROJECTS := pyproject.toml uv.lock $(wildcard */pyproject.toml */*/pyproject.toml)

# An environment that a person happens to be in must not be the one that is set up or tested.
unexport VIRTUAL_ENV CONDA_PREFIX PYTHONPATH PYTHONHOME UV_PROJECT_ENVIRONMENT UV_SYSTEM_PYTHON UV_PYTHON
export UV_PYTHON_DOWNLOADS := never
# The certificates that this machine trusts, so that a company's own authority works.
export UV_SYSTEM_CERTS := true
export PIP_DISABLE_PIP_VERSION_CHECK := 1
ifeq ($(strip $(HOME)),)
export HOME := $(CURDIR)/$(VENV)/home
endif

.DEFAULT_GOAL := help
.PHONY: help setup sandbox demo test lint bench clean

help: ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## /make \1 \t/p' Makefile | expand -t 14
	@echo
	@echo 'make demo DOCS=/path/to/documents QUESTION="..." answers a question of your own.'

setup: $(STAMP) ## Make .venv from the committed lock
	@echo 'ready: $(VENV)'

$(STAMP): tools/setup.sh $(PROJECTS)
	@sh tools/setup.sh environment "$(PYTHON)" "$(VENV)"
	@touch "$@"

sandbox:
	@sh tools/setup.sh sandbox

demo: $(STAMP) sandbox ## Show the main job end to end, on real documents
	@$(RUN) tools/demo.py

test: $(STAMP) sandbox ## Run what CI runs: lint, types, architecture, all tests
	@$(RUN) -m tox run --quiet

lint: $(STAMP) ## Rules and format alone
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check

bench: $(STAMP) sandbox ## Measure; prints figures and ratios, asserts nothing
	@set -e; for script in tests/benchmarks/bench_*.py; do echo "== $$script"; $(RUN) "$$script"; done

clean: ## Remove what the other targets made
	rm -rf $(VENV) .tox .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
