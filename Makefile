# make app    makes .venv if there is none, installs, starts the app and prints its address
# make test   installs what tests need (Chromium too, where apt is there), checks style, imports and behaviour
# make bench  writes a table of ratios against peers; make bench QUICK=--quick takes under three minutes

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
RUN    := $(VENV)/.installed
DEV    := $(VENV)/.installed-dev

.PHONY: app test bench lint chromium
app: $(RUN)
	$(PY) app.py

test: $(DEV) chromium lint
ifdef ARGS
	$(PY) -m pytest $(ARGS)
else
	OMP_NUM_THREADS=1 $(PY) -m pytest --ignore tests/browser -n 2 --dist loadfile
	$(PY) -m pytest tests/browser
endif

lint: $(DEV)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

bench: $(DEV) chromium
	$(PY) -m benchmarks $(QUICK)

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "The explorer needs Python 3.10 or newer.")'
	$(PYTHON) -m venv $(VENV)

$(RUN): requirements.txt | $(PY)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(DEV): requirements-dev.txt $(RUN)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# Browser tests drive the Chromium of the machine; without one, and without apt to fetch it, they are skipped.
chromium:
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && \
	  apt-get -qq update && apt-get -qq -y install chromium >/dev/null || \
	  echo "No Chromium here: browser tests will be skipped."; }
