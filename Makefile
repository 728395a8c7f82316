# make run    serve the example on PORT (8000)
# make demo   start services that call each other, kill one, and see that no caller notices
# make test   run every test
# make check  lint, types, import rules
# make bench  measure beside the peers; ARGS="--quick", ARGS="in-process" for a look at a part
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
BENCH := benchmarks/.venv

.PHONY: run demo test check bench clean
.DEFAULT_GOAL := test

$(VENV)/run: requirements.txt setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "falconkit needs Python 3.11; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/test: $(VENV)/run tests/requirements.txt
	$(BIN)/python -m pip install --quiet -r tests/requirements.txt
	touch $@

run: $(VENV)/run
	@for try in $$(seq 150); do \
	    if $(BIN)/python -c "from urllib.request import urlopen; urlopen('http://127.0.0.1:$(PORT)/health/ready')" 2>/dev/null; then \
	        printf '\nServing. Try:  %s\n\n' "curl -d '{\"v\":1}' http://127.0.0.1:$(PORT)/add" >&2; break; \
	    fi; sleep 0.2; \
	done & \
	PORT=$(PORT) exec $(BIN)/gunicorn -c python:falconkit.server.gunicorn example_counter.app:app

demo: $(VENV)/run
	exec $(BIN)/python -m examples.demo $(ARGS)

test: $(VENV)/test
	$(BIN)/python -m pytest --cov --cov-report=term $(ARGS)

check: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A venv of its own: what is measured is what requirements.txt has, and the tests see no peer.
$(BENCH)/done: requirements.txt setup.cfg pyproject.toml benchmarks/requirements.txt benchmarks/c-parser.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet -r requirements.txt -r benchmarks/requirements.txt
	$(BENCH)/bin/python -m pip install --quiet --no-deps --editable .
	$(BENCH)/bin/python -m pip install --quiet -r benchmarks/c-parser.txt || echo "without gunicorn's C parser: its rows are left out"
	touch $@

bench: $(BENCH)/done
	$(BENCH)/bin/python -m benchmarks $(ARGS)

clean:
	rm -rf $(VENV) $(BENCH) build dist *.egg-info .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
