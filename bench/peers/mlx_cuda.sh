#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: the tests of the MLX backend on MLX's CUDA device, then the table
# beside mlx-lm. Usage: bench/peers/mlx_cuda.sh UNPACKED WORK [compare_mlx.py's options]
# UNPACKED holds what pack_mlx_cuda.py packed; WORK gets the models (6 GB) and MLX's compiled kernels,
# which may be brought back and given again: the first run compiles for a minute. Builds nothing. The
# goldens are read where the programs were built: link that path to this checkout. SKIP=tests leaves
# the tests out.
set -euo pipefail
unpacked=$(readlink -f "$1")
work=$(mkdir -p "$2" && readlink -f "$2")
shift 2
here=$(dirname "$(readlink -f "$0")")
python=${PYTHON:-python3}

source "$here/mlx_cuda_env.sh" "$unpacked"
export MLX_PTX_CACHE_DIR="$work/ptx"
mkdir -p "$MLX_PTX_CACHE_DIR"

failed=0
say() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }
if [ "${SKIP:-}" != tests ]; then
  for test in "$unpacked"/programs/mlx_*_test; do
    say "$(basename "$test")"
    timeout 120 "$test" --gtest_brief=1 || failed=1
  done
  say "parity with mlx-lm's goldens"
  timeout 240 "$unpacked/programs/models_parity_test" --gtest_brief=1 --gtest_filter='*mlx*' || failed=1
fi
say "beside mlx-lm"
"$python" "$here/compare_mlx.py" --work "$work" --mlx "$python" --bobby "$unpacked/programs/bobby" "$@" || failed=1
exit $failed
