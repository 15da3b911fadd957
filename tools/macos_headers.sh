#!/bin/sh
# Prints where macOS's headers and its standard library's lie, for -DBOBBY_MACOS_HEADERS: those that
# come with the Zig compiler's Python package, fetched once (80 MB). The library is LLVM's 16, as in Xcode 15.
set -eu
venv="${XDG_CACHE_HOME:-$HOME/.cache}/bobby/macos-headers-13"
if [ ! -e "$venv/complete" ]; then
  echo "macos: fetching headers to $venv" >&2
  python3 -m venv --clear "$venv" >&2
  "$venv/bin/pip" install -q --disable-pip-version-check 'ziglang==0.11.0' >&2
  touch "$venv/complete"
fi
echo "$venv"/lib/python3*/site-packages/ziglang/lib
