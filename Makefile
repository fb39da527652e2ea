# make demo      train on a real text for a minute and read what the model writes
# make test      the everyday tests         make test-all  with the slow ones
# make test-browser  charlm's pages in Chromium (Debian: apt-get install chromium chromium-driver)
# make install   the environment alone: .venv/bin/charlm
# make bench     speed and quality (bench-all: every published figure)    make lint  ruff and mypy
# make fuzz      ten minutes of hostile model files (Linux and macOS)
# make docs      writes docs/cli.md from what --help says
# make controls  breaks each promise on purpose and sees its test fail
#
# PYTHON=python3.12 takes another interpreter; TORCH_INDEX=https://download.pytorch.org/whl/cpu
# takes torch from another index: on Linux the default one brings several GB of CUDA along. Torch alone:
# what it needs comes from the usual index, since others carry few versions of it.

PYTHON ?= python3
TORCH_INDEX ?=
WORKERS ?= 2
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Two processes of one thread each. Tests that share a trained run stay in one of them (loadgroup).
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup

.PHONY: demo install test test-all test-browser fuzz controls docs bench bench-all lint clean
.DEFAULT_GOAL := install

demo: install
	@test -s corpora/python-prose.txt || $(BIN)/charlm corpus make python-prose
	$(BIN)/charlm train corpora/python-prose.txt --minutes 1
	$(BIN)/charlm eval
	$(BIN)/charlm sample --length 600

install: .venv/.installed

# Fails below the coverage floor of pyproject.toml too.
test: .venv/.installed-dev
	$(PYTEST) --cov --cov-report=

test-all: .venv/.installed-dev
	$(PYTEST) -m "not browser"

test-browser: .venv/.installed-dev
	$(PIP) install --quiet --constraint constraints.txt --editable '.[browser]'
	$(BIN)/python -m pytest -m browser tests/browser

fuzz: .venv/.installed-dev
	$(PIP) install --quiet --constraint constraints.txt --editable '.[fuzz]'
	$(BIN)/python tests/fuzz/fuzz_checkpoint.py --minutes 10

controls: .venv/.installed-dev
	$(BIN)/python tests/controls.py

docs: .venv/.installed-dev
	$(BIN)/python docs/make_cli.py

# About ten minutes on two cores; results in benchmarks/results/MACHINE-DATE.json.
bench: .venv/.installed-dev
	$(BIN)/python benchmarks/sampling.py
	$(BIN)/python benchmarks/corpus.py
	$(BIN)/python benchmarks/minimal.py
	$(BIN)/python benchmarks/training.py --breakdown
	$(BIN)/python benchmarks/quality.py --seeds 1

bench-all: bench
	$(BIN)/python benchmarks/quality.py --seeds 1 2 3 --long
	$(BIN)/python benchmarks/counts.py corpora/viaggi.txt corpora/shakespeare.txt corpora/python-prose.txt corpora/dante.txt corpora/names.txt --rules
	$(BIN)/python benchmarks/names.py corpora/names.txt
	$(BIN)/python benchmarks/classify.py --save
	$(BIN)/python benchmarks/digits.py --save
	$(BIN)/python benchmarks/forget_gates.py
	$(BIN)/python benchmarks/receptive_field.py
	$(BIN)/python benchmarks/diagonals.py
	$(BIN)/python benchmarks/inside.py
	$(BIN)/python benchmarks/distributed.py
	$(BIN)/python benchmarks/corpus.py --long 4
	$(BIN)/python benchmarks/recipe.py corpora/names.txt 1:128x32,256x64 5:128x32,256x64 15:128x32,256x64

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy charlm tests docs/make_cli.py benchmarks

clean:
	rm -rf .coverage .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The environment is made once and again when what it is made from changes.

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "charlm needs Python 3.11 or newer, and $(PYTHON) is older: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.installed: setup.cfg pyproject.toml constraints.txt | .venv/bin/python
	$(if $(TORCH_INDEX),$(PIP) install --quiet --no-deps --constraint constraints.txt --index-url $(TORCH_INDEX) torch)
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@
