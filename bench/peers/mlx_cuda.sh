#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: the tests of the MLX backend on MLX's CUDA device, then the table
# beside mlx-lm. Usage: bench/peers/mlx_cuda.sh UNPACKED WORK [compare_mlx.py's options]
# UNPACKED holds what pack_mlx_cuda.py packed; WORK gets the models (6 GB) and MLX's compiled kernels,
# which may be brought back and given again: the first run compiles for a minute. Builds nothing. The
# goldens are read where the programs were built: link that path to this checkout.
set -euo pipefail
unpacked=$(readlink -f "$1")
work=$(mkdir -p "$2" && readlink -f "$2")
shift 2
here=$(dirname "$(readlink -f "$0")")
python=${PYTHON:-python3}

export PYTHONPATH="$unpacked/site${PYTHONPATH:+:$PYTHONPATH}"
# NVIDIA's libraries and headers where they came as Python packages; a toolkit's otherwise.
packages=$("$python" - <<'PY'
import pathlib, sys
print(":".join(sorted({str(lib.parent) for folder in sys.path for lib in pathlib.Path(folder).glob("nvidia/*/lib/lib*.so*")})))
PY
)
export LD_LIBRARY_PATH="$unpacked/site/mlx/lib:$unpacked/libraries:$packages:${LD_LIBRARY_PATH:-}"
if [ -z "${CUDA_HOME:-}" ]; then
  CUDA_HOME=$("$python" - <<'PY'
import pathlib, sys
homes = [home for folder in sys.path for home in pathlib.Path(folder).glob("nvidia/cu1*")] + [pathlib.Path("/usr/local/cuda")]
print(next((str(home) for home in homes if (home / "include/cuda_fp16.h").exists()), ""))
PY
)
  export CUDA_HOME
fi
export MLX_PTX_CACHE_DIR="$work/ptx"
mkdir -p "$MLX_PTX_CACHE_DIR"

failed=0
say() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }
for test in "$unpacked"/programs/mlx_*_test; do
  say "$(basename "$test")"
  "$test" --gtest_brief=1 || failed=1
done
say "parity with mlx-lm's goldens"
"$unpacked/programs/models_parity_test" --gtest_brief=1 --gtest_filter='*mlx*' || failed=1
say "beside mlx-lm"
"$python" "$here/compare_mlx.py" --work "$work" --mlx "$python" --bobby "$unpacked/programs/bobby" "$@" || failed=1
exit $failed
