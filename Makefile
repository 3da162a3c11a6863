# make            install into .venv, build the book, serve it
# make help       every target
PY ?= python3
PORT ?= 8000
PYTEST_ARGS ?=
BROWSERS ?= 3

BIN := .venv/bin
SITE := _build/html
NOTEBOOKS := _build/notebooks
# One thread each: the arrays are small, and threads that fight for cores only slow them down.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1
BOOK = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter-book build .
# What notebooks run or read besides their own text. An edit here makes every stored output stale.
# Of the package that is Python and data: a figure's JavaScript and style are files of the site.
CODE := $(shell find maml_teach benchmarks -name '*.py' -o -name '*.npz' -o -name '*.mplstyle' -o -name '*.json')
# What makes pages of the outputs. An edit here writes every page again, and runs nothing.
MAKERS := $(shell find book/_ext -type f -not -path '*/__pycache__/*') _config.yml _toc.yml conf.py

.PHONY: all install build strict notebooks lab site-offline links serve artifacts wasm bench test test-browser lint clean help
all: serve

help:
	@echo "make               install into .venv, build the book and serve it on 127.0.0.1:$(PORT);"
	@echo "                   an edit of text, a chapter, CSS or JavaScript is on the page in seconds"
	@echo "make build         build the book into $(SITE)"
	@echo "make strict        build from nothing: run every notebook, warnings are errors"
	@echo "make notebooks     the chapters for JupyterLab, VS Code, Colab, into $(NOTEBOOKS) (EXECUTED=1: with outputs)"
	@echo "make lab           JupyterLab on them"
	@echo "make site-offline  the site with Python for its Run buttons inside (PYODIDE=folder, else downloaded)"
	@echo "make links         ask for every address that the pages link to (needs a network)"
	@echo "make test          package, doctests, notebooks: all tests but those of the built site"
	@echo "make test-browser  the built site in Chromium (after make strict)"
	@echo "make artifacts     train again what the pages load (hours; goes on where it stopped)"
	@echo "make wasm          compile the C of Train it here again, for its page"
	@echo "make bench         other MAML libraries into an environment of their own, and compare"
	@echo "make lint          ruff: rules and formatting; mypy: types"
	@echo "make clean         remove what was built, and .venv"
	@echo "Variables: PY=python3.12  PORT=8000  PYTEST_ARGS='-k hvp'  OMNIGLOT=, INTENTS=folder (for make artifacts)"

install: .venv/installed

.venv/installed: requirements.txt pyproject.toml
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; '$(PY)' is $$($(PY) --version 2>&1). Try: make PY=python3.12"; exit 1; }
	@$(PY) -c 'import ensurepip, venv' || \
	  { echo "'$(PY)' cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	$(PY) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -e .
	touch $@

# The notebook cache knows a notebook's own cells, not the package they import.
_build/code: $(CODE)
	rm -rf _build
	mkdir -p _build
	touch $@

_build/makers: $(MAKERS) _build/code
	rm -rf _build/html _build/.doctrees
	touch $@

# The package as a file that a notebook can be run with. What is left in build/ would get into it.
dist: .venv/installed pyproject.toml $(shell find maml_teach -type f -not -path '*/__pycache__/*')
	rm -rf build $@
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w $@ .
	rm -rf build
	touch $@

# The chapters as notebooks for any front end, from what the build of the site has read and run.
define WRITE_NOTEBOOKS
PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/sphinx-build -q -W -n --keep-going -b notebooks -d _build/.doctrees . $(1)
rm -rf $(1)/_static
cp dist/*.whl $(1)
endef

build: .venv/installed _build/makers dist
	$(BOOK)
	$(call WRITE_NOTEBOOKS,$(SITE)/notebooks)

strict: .venv/installed dist
	rm -rf _build
	$(BOOK) -W -n --keep-going
	touch _build/code _build/makers
	$(call WRITE_NOTEBOOKS,$(SITE)/notebooks)

# EXECUTED=1: with their outputs. A notebook that you have changed is kept.
EXECUTED ?=
notebooks: build
	$(call WRITE_NOTEBOOKS,$(NOTEBOOKS))
	$(if $(EXECUTED),$(BIN)/jupyter nbconvert --to notebook --execute --inplace $(NOTEBOOKS)/*.ipynb)
	@echo "The chapters as notebooks, and the package that they need: $(NOTEBOOKS)"

lab: notebooks
	$(BIN)/jupyter lab --notebook-dir=$(NOTEBOOKS) $(NOTEBOOKS)/intro.ipynb

# PYODIDE: a folder with the files that book/_ext/pyodide.json pins; without it they are downloaded.
PYODIDE ?=
site-offline: .venv/installed _build/makers dist
	RUN_PAGE_BASE=_static/pyodide/ $(BOOK) --all
	$(call WRITE_NOTEBOOKS,$(SITE)/notebooks)
	$(BIN)/python scripts/pyodide_files.py place "$(PYODIDE)" $(SITE)

# Every address that a page links to is asked for. Publishers that refuse programs count as there.
links: build
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/sphinx-build -q -b linkcheck -d _build/.doctrees \
	  -D linkcheck_allow_unauthorized=1 -D linkcheck_timeout=20 . _build/links

serve: build
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python book/_ext/serve.py . $(SITE) $(PORT)

artifacts: .venv/installed
	$(BIN)/python scripts/make_vectors.py
	$(BIN)/python scripts/train_starts.py
	$(BIN)/python scripts/train_family.py grid
	$(BIN)/python scripts/train_family.py choose
	$(BIN)/python scripts/train_family.py table
	$(BIN)/python scripts/train_rules.py
	$(BIN)/python scripts/train_images.py
	$(BIN)/python scripts/train_language.py
	$(BIN)/python scripts/train_robot.py
	$(BIN)/python scripts/train_detection.py
	$(BIN)/python scripts/train_driving.py
	$(BIN)/python scripts/measure_claims.py
	@if [ -n "$(OMNIGLOT)" ]; then $(BIN)/python scripts/train_omniglot.py --data "$(OMNIGLOT)"; \
	else echo "omniglot.npz stays as it is: its data have to be downloaded first, then OMNIGLOT=folder"; fi
	@if [ -n "$(INTENTS)" ]; then $(BIN)/python scripts/train_intents.py --data "$(INTENTS)" && \
	  $(BIN)/python scripts/train_lora.py --data "$(INTENTS)"; \
	else echo "intents.npz, lora.npz stay as they are: download their data first, then INTENTS=folder"; fi

wasm: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[wasm]'
	$(BIN)/python scripts/build_wasm.py

# Peers want packages of their own, so they get an environment of their own.
.bench/installed: pyproject.toml benchmarks/install_peers.py
	$(PY) -m venv .bench
	.bench/bin/python -m pip install --quiet --disable-pip-version-check \
	  torch==2.13.0 higher==0.2.1 torchopt==0.7.3 jax==0.10.2 setuptools -e .
	.bench/bin/python benchmarks/install_peers.py
	touch $@

bench: .bench/installed
	.bench/bin/python benchmarks/compare.py

# A process for each core; the cells of a notebook stay together.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile
# Empty where the strict build follows, which runs the same cells and stops at the same assertions.
CHAPTERS ?= book
test: .venv/installed
	$(PYTEST) tests maml_teach $(CHAPTERS) --ignore=book/_ext --ignore=tests/browser \
	  --nbval-lax --nbval-current-env --nbval-cell-timeout=300 $(PYTEST_ARGS)
	@echo "Not run: the tests of the built site in Chromium. For them: make strict test-browser"

test-browser: .venv/installed
	$(BIN)/python -m pytest tests/browser -n $(BROWSERS) --dist loadgroup --ignore=tests/browser/test_run_page.py $(PYTEST_ARGS)
	$(BIN)/python -m pytest tests/browser/test_run_page.py $(PYTEST_ARGS) # Python in a page wants the machine alone

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf _build build dist .venv .bench *.egg-info
