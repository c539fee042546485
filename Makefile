# Every target makes what it needs from a bare python3. PYTHON=... picks another interpreter.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test test-all check lint types bench soak arm64 asan clean

# The tests build components in C: with the compiler that is here, or with one that comes as a package.
$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	command -v $${CC:-cc} c++ >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check ziglang
	touch $@

$(VENV)/.demo: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	touch $@

$(VENV)/.bench: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@

demo: $(VENV)/.demo
	$(BIN)/python examples/wiki/demo.py

test: $(VENV)/.ready
	$(BIN)/python -m pytest -n 2 --dist loadfile

# The test run on each supported interpreter that is found here.
test-all:
	@found=0; for v in 3.11 3.12 3.13; do \
	  py=$$(sh .ci/find-python $$v) || { echo "python $$v: not found here"; continue; }; \
	  found=1; echo "== python $$v ($$py)"; \
	  $(MAKE) --no-print-directory test PYTHON="$$py" VENV=".venv-$$v" || exit 1; \
	done; test $$found = 1

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready
	$(BIN)/mypy

check: lint types test

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/call_cost.py
	$(BIN)/python benchmarks/catalog_size.py
	$(BIN)/python benchmarks/reference_cost.py
	$(BIN)/python benchmarks/replace_under_load.py
	$(BIN)/python benchmarks/pauses.py
	$(BIN)/python benchmarks/witness.py
	$(BIN)/python benchmarks/peers
	$(BIN)/python benchmarks/native_replace.py
	$(BIN)/python benchmarks/native_cost.py

# Takes long, so neither `bench` nor the CI has it. SOAK="--seconds 60" makes it shorter; see --help.
soak: $(VENV)/.ready
	$(BIN)/python benchmarks/soak.py $(SOAK)

# Needs qemu-user and a cross compiler, and says which packages of Debian have them.
arm64: $(VENV)/.ready
	PYTHON=$(BIN)/python sh tests/native/arm64/check.sh

# Needs gcc with its sanitizers, and valgrind.
asan: $(VENV)/.ready
	PYTHON=$(BIN)/python sh benchmarks/native_asan.sh

clean:
	rm -rf .venv .venv-* out .pytest_cache .mypy_cache .ruff_cache .hypothesis
