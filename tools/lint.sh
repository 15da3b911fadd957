#!/bin/sh
# Formatting of every C++ file and the syntax of every script; with "tidy" clang-tidy as well, which
# takes some ten minutes on two cores.
# Usage: tools/lint.sh [tidy]
set -eu
cd "$(dirname "$0")/.."

git ls-files '*.h' '*.c' '*.cpp' '*.cu' '*.cuh' | xargs clang-format --dry-run -Werror
for script in $(git ls-files '*.sh' .ci/run); do sh -n "$script"; done

# Where systemd is, it reads the example's unit; what it does not know it says, and ends with 0 all the same.
if command -v systemd-analyze >/dev/null; then
  home=$(mktemp -d)
  mkdir -p "$home/.local/bin" "$home/run"
  ln -s /bin/sh "$home/.local/bin/bobby"
  said=$(HOME=$home XDG_RUNTIME_DIR=$home/run systemd-analyze verify --user examples/systemd/*.service 2>&1) ||
    said="${said:-the unit cannot be read}"
  rm -r "$home"
  [ -z "$said" ] || { printf '%s\n' "$said" >&2; exit 1; }
fi

[ "${1:-}" = tidy ] || exit 0
# clang-tidy cannot read the headers that GCC has precompiled.
cmake --preset release -B build/tidy -DBOBBY_PRECOMPILED=OFF >/dev/null
# Kernels are checked by the compiler that builds them: clang-tidy lacks their per-file ISA flags, and
# clang 14 does not know the processor features that isa.cpp asks for. CUDA is in no release build.
files=$(git ls-files 'src/*.cpp' 'libs/*/src/*.cpp' |
  grep -v -e '^src/backends/cpu/linear/kernels_' -e '^src/backends/cpu/linear/amx_' \
    -e '^src/backends/cpu/ops/' -e '^src/backends/cpu/quantize/kernels_' -e '^src/backends/cpu/training/kernels_' \
    -e '/isa\.cpp$' -e '^src/backends/cuda/')
printf '%s\n' $files | xargs -P "$(nproc)" -n 4 clang-tidy -p build/tidy --quiet \
  --extra-arg=-Wno-unknown-warning-option --warnings-as-errors='*' 2>/dev/null
