# Everything from nothing but Python >= 3.11 and make:
#   make demo   simulate four full-size events, find tracks with GNN, classical builder and CKF, compare
#   make test   lint, format, type check and tests
# The first run sets up .venv with the pinned versions of constraints.txt; later runs reuse it.
# Where the default torch wheel brings CUDA and you have none: TORCH_INDEX=<CPU wheel index> make test

PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.trkx-installed
ROOT_VENV := .venv-root
ROOT_STAMP := $(ROOT_VENV)/.root-installed
TYPECHECK := build/typecheck

DEMO ?= demo
DEMO_EVENTS ?= 4
DEMO_PILEUP ?= 200
DEMO_SEED ?= 900000
DEMO_FINDERS ?= gnn,classical,ckf

BENCH ?= .bench
BENCH_EVENTS ?= 40
BENCH_SEED ?= 900500
BENCH_FINDERS ?= gnn,classical,ckf-best,ckf-fast
# Finders of others beside them: BENCH_EXTERNAL='fastrack=fastrack.py:find mikado=mikado.py:find'
BENCH_EXTERNAL ?=

TORCH := $(shell sed -n 's/^\(torch==.*\)/\1/p' constraints.txt)
# A server that asks for an older numpy than it needs; nothing else of its dependencies is used.
TRITON := $(shell sed -n 's/^# \(nvidia-pytriton==.*\)/\1/p' constraints.txt)
TORCH_INDEX_OPTION := $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Numeric libraries must not start a thread per core and library inside every event.
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help install demo figures bench bench-fits bench-stages test lint format pytest root-env clean distclean

help:
	@sed -n '2,4p' Makefile | sed 's/^# *//'
	@echo "also: make bench, make bench-fits, make bench-stages, make figures, make lint, make format, make pytest, make root-env, make clean, make distclean"

install: $(STAMP)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "trkx needs Python >= 3.11; name one: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch goes first and by its exact version: left to the resolver it would pull gigabytes of CUDA.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --upgrade pip -c constraints.txt
	$(PIP) install --quiet $(TORCH_INDEX_OPTION) '$(TORCH)'
	PYTHONWARNINGS='ignore:Editable installation' \
		$(PIP) install --quiet -e '.[local,train,search,onnx,sim,serve,report,dev]' -c constraints.txt
	$(PIP) install --quiet --no-deps '$(TRITON)'
	@touch $@

demo: $(STAMP)
	@test -e $(DEMO)/sample/spacepoints.root || $(BIN)/trkx simulate --events $(DEMO_EVENTS) \
		--pileup $(DEMO_PILEUP) --seed $(DEMO_SEED) --out $(DEMO)/sample
	$(BIN)/trkx compare --input $(DEMO)/sample --finders $(DEMO_FINDERS) --fitters kf,gx2f \
		--out $(DEMO)/comparison --force

# The figures of the README, from the demo's results.
figures: demo
	$(BIN)/python docs/make_figures.py $(DEMO)/comparison

# Forty fresh events, all finders side by side on the same cores, one and then two: the figures that
# releases are judged by. $(BENCH)/race holds table and JSON; docs/performance.md the last ones.
bench: $(STAMP)
	@test -e $(BENCH)/race_sample/spacepoints.root || $(BIN)/trkx simulate \
		--events $(BENCH_EVENTS) --pileup 200 --seed $(BENCH_SEED) --out $(BENCH)/race_sample
	$(BIN)/python bench/race.py --input $(BENCH)/race_sample --finders $(BENCH_FINDERS) \
		$(BENCH_EXTERNAL:%=--external %) --out $(BENCH)/race

# The same events through the fits: resolutions, pulls, seconds from space points to fitted tracks.
bench-fits: bench
	$(BIN)/trkx compare --input $(BENCH)/race_sample --finders $(BENCH_FINDERS) --fitters kf \
		--out $(BENCH)/comparison --force

# Stages by themselves, before and after each optimisation side by side: neighbour search, track
# building, sub-steps of the network. Tables in $(BENCH)/stages; about twenty minutes on one core.
bench-stages: $(STAMP)
	$(BIN)/python bench/radius_search.py --out $(BENCH)/stages
	$(BIN)/python bench/track_building.py --out $(BENCH)/stages
	@test ! -e bench/substepping.py || $(BIN)/python bench/substepping.py

test: lint
	@$(MAKE) --no-print-directory $(ROOT_STAMP) || echo "no ROOT here: tests/root will be skipped"
	@$(MAKE) --no-print-directory pytest

pytest: $(STAMP)
	$(BIN)/python -m pytest -q $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# Installed and seen from outside: in the repository, io/ would hide the standard io.
	@rm -rf $(TYPECHECK) build/lib && $(PIP) install --quiet --no-deps --no-build-isolation --target $(TYPECHECK) .
	cd $(TYPECHECK) && MYPYPATH=. $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml \
		--cache-dir $(CURDIR)/.mypy_cache -p trkx.io -p trkx.plugin -p trkx.fitting -p trkx.algorithms

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A real ROOT, in an environment of its own: it brings its own C++ runtime and must not meet ours.
root-env: $(ROOT_STAMP)

$(ROOT_STAMP): requirements-root.txt
	@test -x $(ROOT_VENV)/bin/python || $(PYTHON) -m venv $(ROOT_VENV)
	$(ROOT_VENV)/bin/python -m pip install --quiet -r requirements-root.txt
	@touch $@

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find plugin algorithms io fitting tests examples -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(ROOT_VENV) $(DEMO) $(BENCH)
