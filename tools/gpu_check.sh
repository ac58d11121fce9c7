#!/usr/bin/env bash
# Runs everything marked `gpu` on a machine with a CUDA device, torch and CuPy. Other packages that are missing are installed:
# from the folder of wheels named in $WHEELS (a machine without network), else from the package index.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
"$python" -c "import cupy, torch; assert cupy.cuda.is_available() and torch.cuda.is_available(), 'no CUDA device'"
offline=()
if [ -n "${WHEELS:-}" ]; then offline=(--no-index --find-links "$WHEELS"); fi
"$python" -m venv --system-site-packages .venv-gpu
.venv-gpu/bin/python -m pip install --quiet "${offline[@]}" hatchling editables
.venv-gpu/bin/python -m pip install --quiet "${offline[@]}" --no-build-isolation -e . \
  cucim-cu13 'dask-cuda[cu13]' pytest hypothesis
.venv-gpu/bin/python -m pytest -m gpu "$@"
