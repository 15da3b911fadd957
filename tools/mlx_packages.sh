#!/bin/sh
# Prints where MLX's C++ library lies, for -DCMAKE_PREFIX_PATH: MLX_ROOT, or Homebrew's on a Mac, or
# else MLX's Python package for this machine's processor, fetched once (20 MB).
set -eu
if [ -n "${MLX_ROOT:-}" ]; then
  echo "$MLX_ROOT"
  exit 0
fi
if [ "$(uname -s)" = Darwin ]; then
  brew --prefix mlx
  exit 0
fi
folder="${XDG_CACHE_HOME:-$HOME/.cache}/bobby/mlx-cpu-0.32.4"
if [ ! -e "$folder/complete" ]; then
  echo "mlx: fetching the library to $folder" >&2
  rm -rf "$folder"
  python3 -m venv "$folder/venv" >&2
  "$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps --target "$folder/site" \
    'mlx-cpu==0.32.4' >&2
  touch "$folder/complete"
fi
echo "$folder/site/mlx"
