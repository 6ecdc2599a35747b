# `make demo` and `make test` do all their set-up themselves, in .venv.
# Without make: the same commands are in README.md.

PYTHON ?= python3.11
VENV ?= .venv
# How many tests run at once; one arithmetic thread each, so that they do not fight over cores.
WORKERS ?= 2
# Where the demonstration writes.
DEMO ?= demo_run

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

PIP := $(BIN)/python -m pip --disable-pip-version-check
RUN_READY := $(VENV)/ready-test
CHECK_READY := $(VENV)/ready-dev
NATIVE := src/lfads_torch/kernels/compiled/native
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
SPHINX := $(BIN)/python -m sphinx -W --keep-going

TRITON_VENV ?= .venv-triton
TRITON_BIN := $(subst $(VENV),$(TRITON_VENV),$(BIN))
TRITON_PIP := $(TRITON_BIN)/python -m pip --disable-pip-version-check
TRITON_READY := $(TRITON_VENV)/ready
TRITON_PYTEST := TRITON_INTERPRET=1 OMP_NUM_THREADS=1 $(TRITON_BIN)/python -m pytest -m "not slow" -q

WHEEL ?= build/wheel
WHEEL_BIN := $(subst $(VENV),$(WHEEL)/venv,$(BIN))
WHEEL_PIP := $(WHEEL_BIN)/python -m pip --disable-pip-version-check
TESTS ?= tests

.DEFAULT_GOAL := help
.PHONY: help compiled demo test test-slow check check-triton check-sanitizers check-wheel docs format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

compiled: ## build the compiled kernels into the source tree (an install does the same)
	cmake -S $(NATIVE) -B build/compiled -DCMAKE_BUILD_TYPE=Release
	cmake --build build/compiled --parallel

demo: $(RUN_READY) ## fit a synthetic recording with known truth and write a report page
	$(BIN)/lfads demo --out $(DEMO)

test: $(RUN_READY) ## run the tests that take seconds
	$(PYTEST) -m "not slow" --check-shapes -n $(WORKERS)

test-slow: $(RUN_READY) ## run the tests that take minutes
	$(PYTEST) -m slow --check-shapes

check: $(CHECK_READY) ## format, lint, types, import order, docs and docstring examples
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) tests/test_import_order.py tests/test_lazy_imports.py --doctest-modules src/lfads_torch --ignore=src/lfads_torch/kernels/triton
	$(SPHINX) docs docs/_build/html

check-triton: $(TRITON_READY) ## run the Triton kernels in their interpreter and compile them, without a GPU
	$(TRITON_PYTEST) tests/kernels/test_triton_*.py
	TRITON_INTERPRET=1 OMP_NUM_THREADS=1 PYTHONPATH=src $(TRITON_BIN)/python benchmarks/gpu_check.py --device cpu --tiny --out build/gpu_check_tiny.json
	OMP_NUM_THREADS=1 PYTHONPATH=src $(TRITON_BIN)/python benchmarks/gpu_compile.py --tiny --precision bf16

check-sanitizers: $(RUN_READY) ## run the compiled kernels' tests with memory and arithmetic checked
	$(PYTEST) -m slow tests/kernels/test_compiled_sanitized.py

check-wheel: ## build a wheel as a release does and run the tests on what it installs (TESTS=tests/kernels: some)
	rm -rf $(WHEEL) && mkdir -p $(WHEEL)
	$(PYTHON) -m venv $(WHEEL)/venv
	$(WHEEL_PIP) wheel --no-deps --wheel-dir $(WHEEL) .
	$(WHEEL_PIP) install -c constraints.txt torch
	wheel=$$(ls $(WHEEL)/*.whl) && $(WHEEL_PIP) install -c constraints.txt "$$wheel[test]"
	OMP_NUM_THREADS=1 $(WHEEL_BIN)/pytest -c pyproject.toml -o pythonpath=tests/support -m "not slow" -n $(WORKERS) $(TESTS)

docs: $(CHECK_READY) ## build the documentation into docs/_build/html
	$(SPHINX) docs docs/_build/html

format: $(CHECK_READY) ## rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove the environment, caches and build outputs
	rm -rf $(VENV) $(TRITON_VENV) build dist docs/_build docs/reference/settings.md .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf $(addprefix $(NATIVE)/,.cmake .ninja_* .skbuild-info.json CMakeCache.txt CMakeFiles CMakeInit.txt Makefile build.ninja cmake_install.cmake lfads_kernels.*)
	rm -rf src/lfads_torch/kernels/compiled/lfads_kernels.* $(DEMO)

# PyTorch goes first and alone: whichever build the machine offers (CPU or CUDA) is then in place,
# and nothing that follows can pull in another one.
$(RUN_READY): constraints.txt pyproject.toml $(wildcard $(NATIVE)/*.cpp $(NATIVE)/*.h $(NATIVE)/CMakeLists.txt)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt torch
	$(PIP) install -c constraints.txt -e ".[test]"
	touch $@

# Of the package as it is installed: `-e .` again would compile its kernels again, for a minute.
$(CHECK_READY): $(RUN_READY)
	$(PIP) install -c constraints.txt "lfads-torch[dev]"
	touch $@

# Triton is a gigabyte and fits one version of PyTorch: it has an environment of its own.
$(TRITON_READY): constraints-triton.txt
	test -x $(TRITON_BIN)/python || $(PYTHON) -m venv $(TRITON_VENV)
	$(TRITON_PIP) install -c constraints-triton.txt torch || { echo "make check-triton: PyTorch could not be installed into $(TRITON_VENV); is there a network?" >&2; exit 1; }
	$(TRITON_PIP) install -r constraints-triton.txt || { echo "make check-triton: the packages of constraints-triton.txt could not be installed into $(TRITON_VENV); is there a network, and a gigabyte of disk?" >&2; exit 1; }
	touch $@
