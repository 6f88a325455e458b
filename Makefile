# The commands of this project; `make` by itself lists them. They need Python 3.11 or newer and nothing else: what
# they install lies in $(VENV), and is installed again when pyproject.toml or constraints.txt changes.
#
#   make advise PYTHON=python3.12      the interpreter to make the environment with
#   make test VENV=/path/to/folder     where the environment lies
#   make test ARGS="tests/rules -x"    further arguments, for pytest or for stepsize advise
#   make test WORKERS=0                tests one after the other, as the debugger wants them
#   make lowest PYTHON=python3.11      the oldest versions need an older Python than the newest

.POSIX:
.SUFFIXES:
.NOTPARALLEL:
.PHONY: help advise test slow docs fuzz kills lowest newest release check lint types floors format clean

PYTHON ?=
VENV = .venv
ARGS =
WORKERS = auto
CONSTRAINTS = constraints.txt
UPGRADE =

BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install -qq --no-input --disable-pip-version-check -c $(CONSTRAINTS) $(UPGRADE)
RUN = $(VENV)/.installed
DEV = $(VENV)/.installed-dev
# An old package beside a newer one that it needs is told that its calls are deprecated; nobody here can mend that.
OLD_PEERS = -W ignore::DeprecationWarning -W ignore::FutureWarning

help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

advise: $(RUN)  ## Advise on the built-in digits task, and write report.html
	$(BIN)/stepsize advise digits --seed 0 --report report.html $(ARGS)
	@echo "The page with the pictures: $$PWD/report.html"

test: $(DEV)  ## Run the tests
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

slow: $(DEV)  ## Run the tests that are left out above, as they take long
	$(BIN)/python -m pytest -n $(WORKERS) -m slow $(ARGS)

fuzz: $(DEV)  ## Try 100000 hostile files (FUZZ="1000000 7": more, of another seed), and flip 500 bits of journals
	$(BIN)/python tests/fuzz/inputs.py $${FUZZ:-100000}
	folder=$$(mktemp -d) && $(BIN)/python tests/faults/flips.py $$folder 500 1; rm -rf $$folder

kills: $(DEV)  ## Kill race and advise, alone, with workers and on Ray, 20 times each (KILLS="50 7": more, of another seed)
	folder=$$(mktemp -d) && $(BIN)/python tests/faults/kills.py $$folder $${KILLS:-20 1}; code=$$?; rm -rf $$folder; exit $$code

lowest:  ## Run the tests with the oldest versions that pyproject.toml allows, in .venv-lowest
	@$(MAKE) .venv-lowest/bin/python VENV=.venv-lowest
	.venv-lowest/bin/python scripts/lower_bounds.py >.venv-lowest/constraints.txt
	@$(MAKE) test VENV=.venv-lowest CONSTRAINTS=.venv-lowest/constraints.txt ARGS="$(OLD_PEERS) $(ARGS)"

newest:  ## Run the tests with the newest versions that there are, in .venv-newest
	@mkdir -p .venv-newest && touch .venv-newest/constraints.txt
	@$(MAKE) test VENV=.venv-newest CONSTRAINTS=.venv-newest/constraints.txt UPGRADE="--upgrade --upgrade-strategy eager"

docs: $(DEV)  ## Build the documentation site into build/site, warnings being errors
	$(BIN)/python -m sphinx -q -W --keep-going -c docs . build/site
	@echo "The site: $$PWD/build/site/docs/index.html"

release: $(DEV)  ## Build wheel and sdist into dist, and try the wheel in a fresh environment; nothing is published
	rm -rf dist
	$(PIP) build twine
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python scripts/check_release.py $(TAG)

check: lint types floors  ## Hold the code to its lint, its types and its floors

lint: $(DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(DEV)
	$(BIN)/mypy

floors: $(DEV)
	$(BIN)/lint-imports --no-logo

format: $(DEV)  ## Mend what ruff can mend by itself
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

clean:  ## Remove .venv, the caches and report.html
	rm -rf .venv .venv-lowest .venv-newest .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks dist report.html
	find . -type d -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@python=$$(scripts/find-python "$(PYTHON)") && echo "Making $(VENV) with $$python" && "$$python" -m venv "$(VENV)"

$(RUN): $(BIN)/python pyproject.toml $(CONSTRAINTS)
	@echo "Installing stepsize and what it runs on (torch is large: this takes minutes) into $(VENV)"
	@$(PIP) -e '.[torch,plot,examples]'
	@touch $@

$(DEV): $(BIN)/python pyproject.toml $(CONSTRAINTS)
	@echo "Installing stepsize, what it runs on and what tests it (torch is large: this takes minutes) into $(VENV)"
	@$(PIP) -e '.[torch,plot,examples,dev]'
	@touch $(RUN) $@
