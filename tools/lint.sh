#!/bin/sh
# Formatting and clang-tidy over every C++ file of the project. Needs a configured release build for
# the compilation database (made here if there is none).
set -eu
cd "$(dirname "$0")/.."

git ls-files '*.h' '*.cpp' | xargs clang-format --dry-run -Werror
for script in $(git ls-files '*.sh' .ci/run); do sh -n "$script"; done

[ -f build/release/compile_commands.json ] || cmake --preset release >/dev/null
# Kernels are checked by the compiler that builds them: clang-tidy lacks their per-file ISA flags, and
# clang 14 does not know the processor features that isa.cpp asks for.
files=$(git ls-files 'src/*.cpp' 'libs/*/src/*.cpp' |
  grep -v -e '^src/backends/cpu/linear/kernels_' -e '^src/backends/cpu/ops/' -e '/isa\.cpp$')
printf '%s\n' $files | xargs -P "$(nproc)" -n 4 clang-tidy -p build/release --quiet \
  --extra-arg=-Wno-unknown-warning-option --warnings-as-errors='*' 2>/dev/null
