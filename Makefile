# `make demo` and `make test` set up everything they need.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
LOCK := --quiet --universal --python-version 3.11 --no-annotate --no-header

.PHONY: env demo torch gpu test test-slow notebooks notebooks-pair lint format lock clean

env: .venv/made

# With TORCH=cpu, PyTorch comes as its build for CPUs, from PyTorch's own index (uv knows it): the ordinary index has none for Linux.
# $(call install,FILE): the versions of a lock file, and this package as it stands here.
define install
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(if $(filter cpu,$(TORCH)),grep -vE '^(nvidia-|cuda-|triton=)' $(1) > .venv/cpu.lock,cp $(1) .venv/cpu.lock)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps $(if $(filter cpu,$(TORCH)),--torch-backend cpu) -r .venv/cpu.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
endef

.venv/made: requirements.lock pyproject.toml
	$(call install,requirements.lock)
	touch .venv/run .venv/made

# what an analysis needs, without PyTorch and the tools of developers
.venv/run: requirements-run.lock pyproject.toml
	$(call install,requirements-run.lock)
	touch .venv/run

demo: .venv/run
	$(BIN)/hrtem-dask demo --out demo

# PyTorch and torchvision too, to train networks and to find instances with detectors
torch: .venv/run
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(if $(filter cpu,$(TORCH)),--torch-backend cpu) \
	  --constraint constraints.txt -e '.[train,detect]'

# a workstation with NVIDIA GPUs: CuPy, cuCIM and dask-cuda too
gpu: .venv/run
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt -e '.[gpu]'
	$(BIN)/python -c "import cupy; print(cupy.cuda.runtime.getDeviceCount(), 'GPUs')"

# two processes; the tests of one file stay together, because they share expensive fixtures
test: env lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: env
	$(BIN)/python -m pytest -m "not gpu"

# run every notebook in a fresh kernel
notebooks: env
	$(BIN)/python -m pytest -m "slow or not slow" tests/test_notebooks.py

# after a change of either form of a notebook: the newer one is written into the other, without outputs
notebooks-pair: env
	$(BIN)/jupytext --sync notebooks/*.py
	$(BIN)/nbstripout notebooks/*.ipynb

lint: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/numpydoc lint $$(git ls-files 'hrtem_dask/*.py' ':!hrtem_dask/cli')
	$(BIN)/typos

format: env
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# the versions that CI, `make env` and `make demo` install, for Linux, Windows and macOS; torch and Dask stay where the GPU packages are
lock: env
	$(BIN)/uv pip compile $(LOCK) --constraint constraints.txt \
	  --extra simulate --extra train --extra detect --extra cluster --extra s3 --extra notebooks --extra dev \
	  --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile $(LOCK) --constraint requirements.lock \
	  --output-file requirements-run.lock pyproject.toml

clean:
	rm -rf .venv demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
