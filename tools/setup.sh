#!/bin/sh
# Installs what the build needs, or prints the one command that does when it may not.
# Usage: tools/setup.sh [test|metal]   ("test" adds what only the tests and the linters need, "metal" MLX on a Mac)
set -eu

build="build-essential cmake ninja-build ccache pkg-config git ca-certificates python3 python3-pip
  libsimdjson-dev nlohmann-json3-dev libcli11-dev libfmt-dev libpcre2-dev
  libutf8proc-dev libzip-dev libtomlplusplus-dev libexpected-dev libsqlite3-dev libssl-dev libyaml-cpp-dev
  libhowardhinnant-date-dev tzdata libboost1.81-dev libcurl4-openssl-dev libxml2-dev libgtest-dev"
tests="python3-venv chromium libbenchmark-dev clang clang-format clang-tidy libclang-rt-14-dev"
# The NEON kernels are cross-compiled on x86-64 and run under qemu.
cross="g++-aarch64-linux-gnu qemu-user libfmt-dev:arm64 libgtest-dev:arm64 libssl-dev:arm64"
brews="cmake ninja ccache pkg-config simdjson nlohmann-json cli11 fmt pcre2 utf8proc libzip
  tomlplusplus tl-expected sqlite openssl@3 yaml-cpp howard-hinnant-date boost curl libxml2 googletest"

if [ "$(uname -s)" = Darwin ]; then
  command -v brew >/dev/null || { echo "setup: Homebrew is needed: see brew.sh" >&2; exit 1; }
  case ${1:-} in
    test) brews="$brews google-benchmark" ;;
    metal) brews="$brews mlx" ;;
  esac
  for formula in $brews; do
    brew list --versions "$formula" >/dev/null 2>&1 || brew install "$formula"
  done
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  echo "setup: only Debian, Ubuntu and macOS are set up automatically; install the equivalents of:" >&2
  echo "  $build $tests" | tr -s ' \n' ' ' >&2
  echo >&2
  exit 1
fi

native=$(dpkg --print-architecture)
wanted=$build
if [ "${1:-}" = test ]; then
  wanted="$build $tests"
  [ "$native" = amd64 ] && wanted="$wanted $cross"
fi
installed=" $(dpkg-query -W -f='${Package}:${Architecture}=${db:Status-Status} ' $wanted 2>/dev/null || true)"
missing=
foreign=
for package in $wanted; do
  case $package in
    *:arm64) names=$package; dpkg --print-foreign-architectures | grep -q arm64 || foreign=arm64 ;;
    *) names="$package:$native $package:all" ;;
  esac
  found=
  for name in $names; do
    case "$installed" in *" $name=installed "*) found=yes ;; esac
  done
  [ -n "$found" ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

command="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
  run=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  run="sudo"
else
  echo "setup: these packages are missing; install them with:" >&2
  [ -z "$foreign" ] || echo "  sudo dpkg --add-architecture $foreign && sudo apt-get update" >&2
  echo "  sudo $command" >&2
  exit 1
fi
echo "setup: installing$missing" >&2
[ -z "$foreign" ] || $run dpkg --add-architecture "$foreign"
$run apt-get update -q >&2
$run env DEBIAN_FRONTEND=noninteractive $command >&2
