# For bash, sourced with the folder in which pack_mlx_cuda.py's files are unpacked: where its programs
# and MLX's Python package find their libraries, and NVIDIA's.
unpacked=$1
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
