# Needs make, Python 3.11 or newer and a package index. Everything else goes into .venv, which is made anew when
# pyproject.toml changes. PYTHON=... chooses an interpreter, PYTEST=... adds words to pytest's command line.
VENV := .venv
CAPTURES ?= ../shared/captures
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CHROMIUM := $(firstword $(foreach name,chromium chromium-browser google-chrome,$(shell command -v $(name))))

.PHONY: help demo test lint bench docs gallery rule-cases golden clean

help:
	@echo 'make demo    write the worked example into ./demo and investigate it: text here, report in demo/report.html'
	@echo 'make test    run every test'
	@echo 'make lint    ruff and mypy over src, tests and bench'
	@echo 'make bench   measure the stages'
	@echo 'make docs    write the reference pages in docs/ from the code (and its pictures where Chromium is installed)'
	@echo 'make gallery  write docs/gallery.md from the captures in CAPTURES=... (default ../shared/captures)'
	@echo 'make rule-cases  write docs/rule-lab-cases.md: rules drafted from CAPTURES and tried on them'
	@echo 'make golden  write tests/golden anew; review the difference before you commit it'
	@echo 'make clean   remove everything that make made'

demo: $(VENV)/.run
	$(BIN)/tracehound demo demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(PYTEST)

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests bench tools
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m bench.run

docs: $(VENV)/.dev
	$(BIN)/python -m tracehound.cli.docs docs
ifneq ($(CHROMIUM),)
	$(BIN)/tracehound demo demo --case --quiet --output demo/verdict.txt
	$(BIN)/python -m tests.web.walk demo/cases docs web-timeline web-lab
	profile=$$(mktemp -d) && $(CHROMIUM) --headless --no-sandbox --disable-gpu --disable-background-networking \
	  --no-first-run --hide-scrollbars --user-data-dir=$$profile --window-size=1180,1280 \
	  --screenshot=docs/report.png file://$(CURDIR)/demo/report.html 2>$$profile/log \
	  || { cat $$profile/log; exit 1; }; rm -rf $$profile
endif

rule-cases: $(VENV)/.run
	$(BIN)/python -m tracehound.cli.rule_gallery $(CAPTURES) docs/rule-lab-cases.md

gallery: $(VENV)/.run
	$(BIN)/python -m tracehound.cli.gallery $(CAPTURES) docs/gallery.md

golden: $(VENV)/.dev
	$(BIN)/python -m tests.golden

clean:
	rm -rf $(VENV) demo build dist .hypothesis .pytest_cache .mypy_cache .ruff_cache
	find src tests bench tools -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.run: pyproject.toml
	@for python in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo 'make: no Python 3.11 or newer found (looked for python3.11 to python3.14 and python3);' \
	    'name one with make PYTHON=/path/to/python' >&2; exit 1; \
	fi; \
	if ! $$found -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "make: $$found cannot make virtual environments (on Debian: apt install python3-venv)" >&2; exit 1; \
	fi; \
	echo "setting up $(VENV) with $$found ($$($$found -V)): the first time downloads about 160 MB ..."; \
	rm -rf $(VENV) && $$found -m venv $(VENV)
	$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) install --quiet --editable '.[dev]'
	@touch $@
