#!/bin/sh
# Every check of the project, in the order in which they fail fastest.
# Usage: tools/test.sh [quick]   ("quick" stops after the release tests)
set -eu
cd "$(dirname "$0")/.."
jobs=$(nproc 2>/dev/null || sysctl -n hw.ncpu)
say() { printf '\n== %s (%s)\n' "$1" "$(date -u +%H:%M:%S)"; }

say "release: build"
cmake --preset release -DBOBBY_WERROR=ON -DBOBBY_BUILD_BENCH=ON >/dev/null
cmake --build --preset release -- --quiet

if [ "$(uname -s)" = Linux ]; then  # Homebrew's clang-format is newer, and formats otherwise
  say "lint: formatting"
  tools/lint.sh
fi

say "demo model"
tools/demo_model.sh build/release/bin/bobby
export BOBBY_DEMO_MODEL="${XDG_DATA_HOME:-$HOME/.local/share}/bobby/models/demo"

say "release: unit, parity, e2e"
ctest --preset release -j "$jobs"
[ "${1:-}" = quick ] && exit 0

say "clients: other people's and a browser, against bobby serve"
tools/client_tests.sh

say "hub: models pulled from a hub on loopback, beside huggingface_hub"
tools/hub_tests.sh

say "pds: a real PDS on loopback, its posts imported"
tools/pds_tests.sh

if [ "$(uname -m)" = x86_64 ] && [ "$(uname -s)" = Linux ]; then
  say "cuda: compiled for every architecture; tests that need a device skip without one"
  # Warnings as above: then ccache gives what the release build has compiled already.
  cmake --preset cuda -DBOBBY_WERROR=ON -DBOBBY_CUDA_ROOT="$(tools/cuda_packages.sh)" >/dev/null
  cmake --build --preset cuda --target bobby e2e_cli_test tests/cuda/all -- --quiet
  ctest --preset cuda -j "$jobs" -L cuda
  ctest --preset cuda -R Cli.AbsentBackends
fi

if [ "$(uname -m)" = x86_64 ] || [ "$(uname -s)" = Darwin ]; then
  say "mlx: the backend on the device that MLX has here, against the reference and mlx-lm's goldens"
  cmake --preset mlx -DBOBBY_WERROR=ON -DCMAKE_PREFIX_PATH="$(tools/mlx_packages.sh)" >/dev/null
  cmake --build --preset mlx --target bobby tests/mlx/all models_parity_test demo_greedy_test e2e_cli_test -- --quiet
  ctest --preset mlx -j "$jobs" -L mlx
  ctest --preset mlx -j "$jobs" -R '(/mlx|_mlx|Cli.AbsentBackends)'
fi

say "asan: address and undefined-behaviour sanitizers"
cmake --preset asan >/dev/null
cmake --build --preset asan -- --quiet
# The demo model's arithmetic is the tiny models', 500 times as long; the package test builds its own
# library, without sanitizers.
ctest --preset asan -j "$jobs" -E DemoGreedy -LE package

say "tsan: what runs on several threads"
cmake --preset tsan >/dev/null
cmake --build --preset tsan --target thread_pool_test store_test generator_test http_test api_test -- --quiet
for test in base/thread_pool_test store/store_test generation/generator_test server/http_test server/api_test; do
  build/tsan/tests/unit/$test
done

if [ "$(uname -s)" = Linux ]; then
  say "macos: what asks the system, compiled for Apple silicon (make check-macos: everything)"
  cmake --preset macos-check -DBOBBY_MACOS_HEADERS="$(tools/macos_headers.sh)" \
    -DMLX_HEADERS="$(tools/mlx_packages.sh)/include" >/dev/null
  # NAME^ is what is made of the source NAME.
  cmake --build --preset macos-check --target bobby_base safetensors_cpp bobby_backend_cpu bobby_backend_mlx bobby_store \
    bobby_hub_cache bobby_http $(git grep -l __APPLE__ -- 'src/*.cpp' | sed "s|.*|$PWD/&^|") -- --quiet
fi

say "aarch64: NEON kernels under qemu"
cmake --preset aarch64 >/dev/null
cmake --build --preset aarch64 -- --quiet
# Every test is built; all of them take many minutes under qemu: ctest --preset aarch64. (With
# qemu's -L two C libraries mix, and a program's first thread never begins.) qemu's processor has
# all that kernels ask for; on two others the program has to find out what is missing, and would
# die of using it.
linear='ExactActivations|SameBitsOnEvery|SameBitsOnAnyThreads|SameBitsAlone|BiasLora|WeightsAtAnyAlignment|NotANumber|ZeroTiny|EveryFormatAndShape.*/(portable|neoni8mm)'
ctest --preset aarch64 -j "$jobs" -R "^(Affine|Half|Dense|CpuIsa|Isas/Quantize|Isa/LinearTest.($linear)|\
Cpu/Cpu.*/neon_1threads|Cpu/TrainingKernelsTest.(Products|ARow|Fused|Dequantizes|Widens|Rows|ManyRows).*/neon( |\$))"
for cpu in cortex-a72 neoverse-n1; do
  qemu-aarch64 -cpu "$cpu" build/aarch64/tests/unit/backends/linear_engine_test --gtest_brief=1 \
    --gtest_filter='*WeightsAtAnyAlignment*:*NamesItsKernel*:*SameBitsOnEvery*/neon*'
done
