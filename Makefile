# make run    install, then simulate 10,000 devices
# make install  install only (fedbert is then in .venv/bin)
# make test   install with the development tools, then lint, types and tests
# make docs   build the documentation site into build/site, without network
# make faults 5,000 small runs with faults of shards and files; make test has 200 of them
# make fuzz   the readers' properties with 5,000 examples each, and every write failing in every way; half an hour
# make clean  remove what they made
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Each worker trains on two threads of its own: those that wait sleep, so that two workers share two cores.
WORKERS ?= 2
SOURCES := pyproject.toml constraints.txt
FUZZ_S ?= 7200
FUZZED := tests/test_reader_properties.py tests/test_malformed.py tests/faults/test_writes.py \
  tests/reporting/test_damaged_records.py

.PHONY: run install test docs faults fuzz clean

run: $(VENV)/.run-installed
	$(BIN)/python simulations/run.py --devices 10000

install: $(VENV)/.run-installed

test: $(VENV)/.test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup

docs: $(VENV)/.test-installed
	$(BIN)/python -m sphinx -b html -q -W --keep-going -E -d build/doctrees docs build/site

faults: $(VENV)/.test-installed
	$(BIN)/python tests/faults/simulate.py --count 5000

fuzz: $(VENV)/.test-installed
	FEDBERT_FUZZ=1 OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0 timeout $(FUZZ_S) $(BIN)/python -m pytest \
	  --numprocesses $(WORKERS) $(FUZZED)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fedbert needs Python 3.11 or later: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# torch comes first and pinned: a range would let another package pull a build of several gigabytes.
$(VENV)/.run-installed: $(SOURCES) | $(VENV)/bin/python
	$(INSTALL) torch==2.13.0
	$(INSTALL) --editable '.[teacher]'
	@touch $@

$(VENV)/.test-installed: $(SOURCES) $(VENV)/.run-installed
	$(INSTALL) --editable '.[teacher,ray,dev]'
	@touch $@

clean:
	rm -rf $(VENV) runs build dist docs/examples .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
