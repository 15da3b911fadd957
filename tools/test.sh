#!/bin/sh
# Every check of the project, in the order in which they fail fastest.
# Usage: tools/test.sh [quick]   ("quick" stops after the release tests)
set -eu
cd "$(dirname "$0")/.."
say() { printf '\n== %s (%s)\n' "$1" "$(date -u +%H:%M:%S)"; }

say "release: build"
cmake --preset release -DBOBBY_WERROR=ON -DBOBBY_BUILD_BENCH=ON >/dev/null
cmake --build --preset release -- --quiet

say "lint: formatting, clang-tidy"
tools/lint.sh

say "demo model"
tools/demo_model.sh build/release/bin/bobby

say "release: unit, parity, e2e"
ctest --preset release -j "$(nproc)"
[ "${1:-}" = quick ] && exit 0

say "asan: address and undefined-behaviour sanitizers"
cmake --preset asan >/dev/null
cmake --build --preset asan -- --quiet
ctest --preset asan -j "$(nproc)"

say "tsan: what runs on several threads"
cmake --preset tsan >/dev/null
cmake --build --preset tsan --target thread_pool_test backends_test -- --quiet
ctest --preset tsan -R '^(ThreadPool|Threads)' -j "$(nproc)"

say "aarch64: NEON kernels under qemu"
cmake --preset aarch64 >/dev/null
cmake --build --preset aarch64 -- --quiet
ctest --preset aarch64 -j "$(nproc)"
