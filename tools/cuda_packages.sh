#!/bin/sh
# Prints where the CUDA compiler lies, for -DBOBBY_CUDA_ROOT: CUDA_HOME or the toolkit of the nvcc on
# the PATH, or else a virtual environment with NVIDIA's Python packages, made once (300 MB).
set -eu
if [ -n "${CUDA_HOME:-}" ]; then
  echo "$CUDA_HOME"
  exit 0
fi
if nvcc=$(command -v nvcc); then
  dirname "$(dirname "$(readlink -f "$nvcc")")"
  exit 0
fi
venv="${XDG_CACHE_HOME:-$HOME/.cache}/bobby/cuda-13.0"
if [ ! -e "$venv/complete" ]; then
  echo "cuda: fetching the compiler to $venv" >&2
  python3 -m venv --clear "$venv" >&2
  "$venv/bin/pip" install -q --disable-pip-version-check 'nvidia-cuda-nvcc==13.0.*' 'nvidia-nvvm==13.0.*' \
    'nvidia-cuda-crt==13.0.*' 'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-cccl==13.0.*' >&2
  touch "$venv/complete"
fi
echo "$venv"
