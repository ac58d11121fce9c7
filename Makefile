# `make demo` and `make test` set up everything they need.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: env demo test test-slow notebooks notebooks-pair lint format lock clean

env: .venv/made

.venv/made: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	touch .venv/made

demo: env
	$(BIN)/hrtem-dask demo --out demo

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

# the versions that CI and `make env` install; torch and Dask stay where the GPU packages are
lock: env
	$(BIN)/uv pip compile --quiet --python-version 3.11 --no-annotate --no-header --constraint constraints.txt \
	  --extra simulate --extra detect --extra cluster --extra s3 --extra notebooks --extra dev \
	  --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
