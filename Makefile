# `make demo` and `make test` need git, make and Python 3.11+ with venv and pip; everything else is set up here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
# A lock is whole, so nothing is resolved: some pips would look for newer releases of what is asked for with an extra.
LOCKED := --no-deps --require-hashes -r
TOOLS := .venv-tools
BENCH := .venv-bench
DOCS := .venv-docs
RELEASE := .venv-release
# As an installer leaves it, also where PYTHONDONTWRITEBYTECODE is set.
COMPILED = $(BIN)/python -m compileall -q crawler
# What is compiled once is not compiled again by each of the tests' thousand processes.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test test-long test-next check format lock docs dist image audit sbom picture recording faults wire fuzz proofs soak torture fleet mutants bench bench-quick pacing profile clean

help:
	@echo "make demo    set up, then crawl an emulated account in all regions (no keys needed)"
	@echo "make test    set up, then run the tests with branch coverage, but for those that are marked long"
	@echo "make test-long  those: faults, crashes, a browser, the documentation's blocks, what is released; CI runs both"
	@echo "make test-next  the tests under Python 3.14 and 3.15 of Debian's unstable suite (as root, with debootstrap)"
	@echo "make check   format, lint, types, import rules, lock files current"
	@echo "make format  let the formatter and the linter mend what they can"
	@echo "make lock    resolve the dependencies anew and write requirements/*.lock"
	@echo "make docs    build the documentation in build/docs: site and man pages; every warning and dead link is an error"
	@echo "make dist    build all that is released into dist/, and check it"
	@echo "make image   build the container's image into dist/, with its bill of materials (as root, with buildah)"
	@echo "make audit   look the locked packages up for known vulnerabilities, and say how many could be looked up"
	@echo "make sbom    write sbom.json: a CycloneDX bill of what is installed with ncrawl"
	@echo "make picture take docs/report.png anew, of the report that the tests look at (in Debian's chromium)"
	@echo "make recording take docs/explanation/outage.txt anew: a terminal while a region does not answer"
	@echo "make faults  run the fault catalogue and print its figures"
	@echo "make wire    100,000 attempts under faults: never above the rate, nothing signed long before it is sent"
	@echo "make fuzz    1,000,000 fuzzed bodies through decoding and writing"
	@echo "make proofs  100,000 lists that change while they are listed: what is called whole lacks nothing"
	@echo "make soak    200,000 pages: memory, file descriptors and tasks stay as they are"
	@echo "make torture crash a snapshot at every system call, lose power there, and kill it 200 times at random"
	@echo "make fleet   200 accounts on two workers of Dask; workers, scheduler and tasks are killed, in 20 rounds"
	@echo "make mutants change the modules that decide in every small way; at least 94 % must fail a test"
	@echo "make bench   measure ncrawl beside its peers, and write benchmarks/RESULTS.md"
	@echo "make bench-quick  the same beside the fast peers, in about a minute"
	@echo "make pacing  measure whether slots are kept busy, and a rate used and kept, at an emulator of its own"
	@echo "make profile where the time of a page goes, part by part"
	@echo "make clean   remove the virtual environments and what the tools left behind"

demo: $(VENV)/runtime
	@$(BIN)/ncrawl demo --output demo.ndjson --summary demo.summary.json

test: $(VENV)/dev
	@$(BIN)/python -m pytest -m "not long" --numprocesses 3 --dist worksteal --cov --cov-report term $(ARGS)

test-long: $(VENV)/dev $(DOCS)/installed $(RELEASE)/installed
	@$(BIN)/python -m pytest -m long --numprocesses 3 --dist loadgroup $(ARGS)

test-next:
	@$(PYTHON) tests/long/next_pythons.py $(ARGS)

check: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python requirements/check.py

format: $(VENV)/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(VENV)/dev
	$(BIN)/python requirements/check.py --upgrade

STRICT := -q -W --keep-going -E -d build/docs/doctrees
# A build of the same commit bears the same date.
docs: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct 2>/dev/null || echo 1580601600)
docs: $(DOCS)/installed
	@rm -rf build/docs
	@$(DOCS)/bin/sphinx-build $(STRICT) -b html docs build/docs/html
	@$(DOCS)/bin/sphinx-build $(STRICT) -b man docs build/docs/man
	@$(DOCS)/bin/python docs/check_links.py build/docs/html
	@echo "build/docs/html/index.html, build/docs/man: built"

dist: docs sbom
	@$(RELEASE)/bin/python release/dist.py $(ARGS)

image:
	@$(PYTHON) release/image.py $(ARGS)

audit: $(TOOLS)/installed
	@$(TOOLS)/bin/python requirements/audit.py

sbom: $(RELEASE)/installed
	@$(RELEASE)/bin/cyclonedx-py requirements requirements/runtime.lock --pyproject pyproject.toml \
		--output-reproducible --output-file sbom.json
	@echo "sbom.json: $$(grep -c '"bom-ref"' sbom.json) components"

picture: $(VENV)/dev
	@REPORT_PICTURE=docs/report.png $(BIN)/python -m pytest -q tests/jobs/report/test_page.py -k picture $(ARGS)

recording: $(VENV)/dev
	@OUTAGE_RECORDING=docs/explanation/outage.txt $(BIN)/python -m pytest -q tests/cli/test_outage.py $(ARGS)

faults: $(VENV)/dev
	@FAULTS=all $(BIN)/python -m pytest -q tests/faults $(ARGS)

wire: $(VENV)/dev
	@WIRE_ATTEMPTS=100000 $(BIN)/python -m pytest -q tests/transport/test_wire.py $(ARGS)

fuzz: $(VENV)/dev
	@$(BIN)/python tests/long/fuzz.py $(ARGS)

proofs: $(VENV)/dev
	@$(BIN)/python tests/long/proofs.py $(ARGS)

soak: $(VENV)/dev
	@$(BIN)/python tests/long/soak.py $(ARGS)

torture: $(VENV)/dev
	@$(BIN)/python tests/long/torture.py $(ARGS)
	@$(BIN)/python tests/long/blackout.py

fleet: $(VENV)/dev
	@$(BIN)/python tests/long/fleet.py $(ARGS)

mutants: $(TOOLS)/installed
	@$(TOOLS)/bin/python tests/long/mutants.py

# ARGS names scenarios, or --rounds N; wrk is a Debian package, and left out where it is not installed.
bench: $(VENV)/dev $(BENCH)/installed
	@$(COMPILED)
	@$(BENCH)/bin/python benchmarks/run.py $(ARGS)

bench-quick: $(VENV)/runtime $(BENCH)/installed
	@$(COMPILED)
	@$(BENCH)/bin/python benchmarks/run.py --quick $(ARGS)

pacing: $(VENV)/dev
	@$(BIN)/python benchmarks/pacing.py $(ARGS)

profile: $(VENV)/runtime $(BENCH)/installed
	@$(COMPILED)
	@$(BENCH)/bin/python benchmarks/stages.py $(ARGS)

clean:
	rm -rf $(VENV) $(TOOLS) $(BENCH) $(DOCS) $(RELEASE) build dist sbom.json mutants .coverage* .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ncrawl needs Python 3.11 or newer; say which with: make PYTHON=/path/to/python3.12"; exit 1; }
	@echo "Setting up $(VENV)…"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/runtime: requirements/runtime.lock requirements/build.lock pyproject.toml | $(BIN)/python
	@$(PIP) install $(LOCKED) requirements/runtime.lock
	@$(PIP) install $(LOCKED) requirements/build.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev: requirements/dev.lock $(VENV)/runtime
	@$(PIP) install --no-compile $(LOCKED) requirements/dev.lock
	@touch $@

# The environments of `make audit` and its like, of the documentation, of releases, and of the benchmark's peers.
.venv-%/installed: requirements/%.lock requirements/build.lock pyproject.toml
	@echo "Setting up .venv-$*…"
	@$(PYTHON) -m venv .venv-$*
	@.venv-$*/bin/python -m pip --disable-pip-version-check -qq install $(LOCKED) requirements/$*.lock
	@.venv-$*/bin/python -m pip --disable-pip-version-check -qq install --no-deps --no-build-isolation --editable .
	@touch $@
